import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { adminClient } from '../src/cli/admin.ts'
import { clusterPaths } from '../src/cli/cluster.ts'
import { rampart, run, startCluster, type TestCluster } from './setup/cluster.ts'
import { type Client, type ResourceId, tokenOf } from './setup/tokens.ts'

describe('what control planes share', () => {
  let cluster: TestCluster
  let client: Client
  let folder: string
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rampart-shared-'))
    cluster = await startCluster()
    client = (await adminClient(clusterPaths({ dataDir: cluster.directory }))).client
  })
  after(async () => {
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const reviews: ResourceId = { group: 'authentication.k8s.io', version: 'v1', resource: 'tokenreviews' }
  async function accepted(token: string): Promise<boolean> {
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec: { token } }
    const { status } = (await client.create(reviews, review)) as unknown as { status: { authenticated?: boolean } }
    return status.authenticated === true
  }

  test('a rotated service-account key signs; the old one verifies until it is retired', async () => {
    const old = await tokenOf(client, 'kube-system', 'default')
    const prepared = await cluster.rampart(['control-plane', 'rotate-service-account-key', '--prepare'])
    assert.equal(prepared.code, 0, prepared.stderr)
    assert.match(prepared.stderr, /2 keys do/)
    assert.equal(kid(await tokenOf(client, 'kube-system', 'default')), kid(old), 'a prepared key does not sign yet')
    const { keys } = (await client.raw('GET', '/openid/v1/jwks')) as { keys: { kid: string }[] }
    assert.equal(keys.length, 2, 'a prepared key stands in the JWKS')

    const rotated = await cluster.rampart(['control-plane', 'rotate-service-account-key'])
    assert.equal(rotated.code, 0, rotated.stderr)
    const fresh = await tokenOf(client, 'kube-system', 'default')
    assert.equal(kid(fresh), keys.find((k) => k.kid !== kid(old))!.kid)
    assert.deepEqual([await accepted(old), await accepted(fresh)], [true, true])

    const retired = await cluster.rampart(['control-plane', 'retire-service-account-keys'])
    assert.equal(retired.code, 0, retired.stderr)
    assert.deepEqual([await accepted(old), await accepted(fresh)], [false, true])
    const wrong = await cluster.rampart(['control-plane', 'retire-service-account-keys', '--keep', '0'])
    assert.equal(wrong.code, 2)
  })

  test('export and import carry the authorities and the token keys, and refuse what is not theirs', async () => {
    const bundle = join(folder, 'bundle.json')
    const exported = await cluster.rampart(['control-plane', 'export', bundle])
    assert.equal(exported.code, 0, exported.stderr)
    assert.equal(statSync(bundle).mode & 0o777, 0o600)
    assert.equal((await cluster.rampart(['control-plane', 'export', bundle])).code, 3, 'it overwrites nothing')

    const second = join(folder, 'second')
    const into = (file: string, directory: string): ReturnType<typeof run> =>
      run(rampart, ['control-plane', 'import', file, '--data-dir', directory])
    const imported = await into(bundle, second)
    assert.equal(imported.code, 0, imported.stderr)
    for (const name of readdirSync(join(second, 'pki'), { recursive: true }) as string[]) {
      const path = join(second, 'pki', name)
      if (!statSync(path).isFile()) continue
      assert.equal(readFileSync(path, 'utf8'), readFileSync(join(cluster.directory, 'pki', name), 'utf8'), name)
      if (name.endsWith('.key')) assert.equal(statSync(path).mode & 0o777, 0o600, name)
    }
    assert.ok(existsSync(join(second, 'pki', 'ca-client.key')))
    assert.ok(!existsSync(join(second, 'pki', 'admin.key')), 'leaves are every control plane its own')
    assert.match((await into(bundle, second)).stderr, /everything was there already/)
    assert.match((await cluster.rampart(['control-plane', 'import', bundle])).stderr, /everything was there already/)

    const value = JSON.parse(readFileSync(bundle, 'utf8')) as { files: Record<string, string> }
    const changed = (name: string, files: Record<string, string>): string => {
      const file = join(folder, name)
      writeFileSync(file, JSON.stringify({ ...value, files }))
      return file
    }
    const outside = await into(changed('outside', { ...value.files, '../../etc/x': 'x' }), join(folder, 'third'))
    assert.equal(outside.code, 3)
    assert.match(outside.stderr, /does not belong there/)

    // The other control plane rotated by itself: nothing may be lost.
    const { keys } = JSON.parse(value.files['encryption/keys.json']!) as { keys: { id: string }[] }
    const more = { ...JSON.parse(value.files['encryption/keys.json']!), keys: [{ ...keys[0], id: 'newer' }, ...keys] }
    const wider = changed('wider', { ...value.files, 'encryption/keys.json': JSON.stringify(more) })
    assert.match((await into(wider, second)).stderr, /1 files written/)
    const back = await into(bundle, second)
    assert.equal(back.code, 3)
    assert.match(back.stderr, /keys that the bundle lacks \(newer\)/)
    const [number] = Object.keys(value.files).filter((name) => name.includes('service-account/'))
    const differing = changed('differing', {
      ...value.files,
      [number!]: `${value.files[number!]}\n`,
      'encryption/keys.json': JSON.stringify(more),
    })
    assert.match((await into(differing, second)).stderr, /made one of their own/)
    const revoking = (serial: string): string =>
      changed('revoking', {
        ...value.files,
        'encryption/keys.json': JSON.stringify(more),
        'pki/revoked.json': JSON.stringify({ serialNumbers: [serial] }),
      })
    await into(revoking('AA'), second)
    await into(revoking('BB'), second)
    assert.deepEqual(JSON.parse(readFileSync(join(second, 'pki', 'revoked.json'), 'utf8')), {
      serialNumbers: ['AA', 'BB'],
    })

    const other = await startCluster()
    try {
      const foreign = await other.rampart(['control-plane', 'import', bundle])
      assert.equal(foreign.code, 3)
      assert.match(foreign.stderr, /another cluster's/)
    } finally {
      await other.stop()
    }
  })
})

test('a reader that has read enough is no failure', () => {
  const script = `'${rampart}' completion bash | head -c 1 >/dev/null; echo "\${PIPESTATUS[0]}"`
  const answer = execFileSync('bash', ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  assert.equal(answer.trim(), '0')
})

function kid(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid
}

const completions: [typed: string[], expected: string[]][] = [
  [['control'], ['control-plane']],
  [['control-plane', 'rot'], ['rotate-service-account-key']],
  [['control-plane', 'rotate-service-account-key', '--pre'], ['--prepare']],
  [
    ['up', '--etcd-c'],
    ['--etcd-ca', '--etcd-cert'],
  ],
]
for (const [typed, expected] of completions)
  test(`bash completes "${typed.join(' ')}"`, () => {
    const words = ['rampart', ...typed].map((w) => `'${w}'`).join(' ')
    const script = `eval "$('${rampart}' completion bash)"; COMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _rampart; printf '%s\\n' "\${COMPREPLY[@]}"`
    const answer = execFileSync('bash', ['-c', script], { encoding: 'utf8' })
    assert.deepEqual(answer.trim().split('\n'), expected)
  })
