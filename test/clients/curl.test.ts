/** curl, as one would type it. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadKubeconfig } from '../../src/kernel/client/kubeconfig.ts'
import { type Run, run, startCluster, type TestCluster } from '../setup/cluster.ts'

const there = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'curl')))

describe('curl', { skip: there ? false : 'curl is not installed' }, () => {
  let cluster: TestCluster
  let directory: string
  let flags: string[]
  before(async () => {
    cluster = await startCluster()
    directory = mkdtempSync(join(tmpdir(), 'curl-test-'))
    const { ca, credentialProvider } = await loadKubeconfig(cluster.kubeconfig)
    const { cert, key } = await credentialProvider!(false)
    const file = (name: string, content: string): string => {
      writeFileSync(join(directory, name), content, { mode: 0o600 })
      return join(directory, name)
    }
    flags = ['--cacert', file('ca', ca!), '--cert', file('cert', cert!), '--key', file('key', key!)]
  })
  after(async () => {
    await cluster.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Body, and the status code on a line of its own. */
  const curl = async (path: string, ...more: string[]): Promise<Run & { status: number; body: string }> => {
    const result = await run('curl', ['-sS', '-w', '\n%{http_code}', ...flags, ...more, cluster.url + path])
    const cut = result.stdout.lastIndexOf('\n')
    return { ...result, status: Number(result.stdout.slice(cut + 1)), body: result.stdout.slice(0, cut) }
  }

  test('health, version, discovery', async () => {
    assert.deepEqual([(await curl('/livez')).body, (await curl('/readyz')).status], ['ok', 200])
    assert.match(JSON.parse((await curl('/version')).body).gitVersion, /^v1\./)
    assert.deepEqual(JSON.parse((await curl('/api')).body).versions, ['v1'])
  })

  test('YAML goes in, JSON comes out; an object, a list, a deletion', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-curl}\ndata: {answer: "42"}\n'
    const path = '/api/v1/namespaces/default/configmaps'
    const made = await curl(path, '-H', 'Content-Type: application/yaml', '--data-binary', yaml)
    assert.equal(made.status, 201)
    assert.equal(JSON.parse(made.body).data.answer, '42')
    const list = await curl(`${path}?fieldSelector=metadata.name%3Dfrom-curl`)
    assert.equal(JSON.parse(list.body).items.length, 1)
    assert.equal((await curl(`${path}/from-curl`, '-X', 'DELETE')).status, 200)
    const missing = await curl(`${path}/from-curl`)
    assert.deepEqual([missing.status, JSON.parse(missing.body).reason], [404, 'NotFound'])
  })

  test('compressed answers', async () => {
    assert.equal((await curl('/openapi/v2', '--compressed')).status, 200)
  })

  test('a watch streams until its timeout', async () => {
    const watched = await curl('/api/v1/namespaces?watch=1&timeoutSeconds=1', '-N')
    const events = watched.body.split('\n').filter((line) => line !== '')
    assert.ok(events.some((line) => JSON.parse(line).object.metadata.name === 'default'))
  })

  test('without a certificate nothing but health; without the authority nothing', async () => {
    flags = flags.slice(0, 2)
    assert.equal((await curl('/livez')).status, 200)
    assert.equal((await curl('/api/v1/namespaces')).status, 401)
    flags = []
    const untrusted = await curl('/livez')
    assert.equal(untrusted.code, 60)
  })
})
