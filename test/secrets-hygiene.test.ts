/** Planted secrets, a busy run with every kind of success and failure, and then a search through all that lies on disk. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { adminClient } from '../src/cli/admin.ts'
import { clusterPaths } from '../src/cli/cluster.ts'
import type { Client, ResourceId } from '../src/kernel/client/client.ts'
import { KUBECTL_VERSIONS, run, startCluster, type TestCluster, testProgram } from './setup/cluster.ts'
import { tokenOf } from './setup/tokens.ts'

const secrets: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** What must not be found anywhere: each value, in the clear and in base64 at every alignment. */
const planted = new Map<string, string>()
function plant(what: string): string {
  const value = `Zq7${what.replaceAll(/[^a-z]/g, '')}xK9vPlanted${planted.size}Wm4`
  planted.set(what, value)
  return value
}

function formsOf(value: string): Buffer[] {
  const inner = [0, 1, 2].map((shift) => {
    const text = Buffer.from('x'.repeat(shift) + value).toString('base64')
    // Whole groups in the middle: what stands before and after may change the ends.
    return text.slice(shift === 0 ? 0 : 4, -4)
  })
  return [value, encodeURIComponent(value), ...inner].map((text) => Buffer.from(text))
}

describe('a busy run', () => {
  let cluster: TestCluster
  let client: Client
  before(async () => {
    cluster = await startCluster(['--nodes', '0'])
    client = await connect()
  })
  after(() => cluster?.stop())

  const connect = async (): Promise<Client> => (await adminClient(clusterPaths({ dataDir: cluster.directory }))).client
  const object = (name: string, value: string, more: Record<string, unknown> = {}) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    data: { value: base64(value) },
    ...more,
  })

  test('leaves no secret in logs, audit, store, files or the list of processes', async () => {
    const watching = new AbortController()
    const metadataSeen: string[] = []
    const watch = (async () => {
      for await (const event of client.watch(secrets, { signal: watching.signal })) metadataSeen.push(event.type)
    })()

    // Written in every way.
    await client.create(secrets, object('created', plant('created')))
    await client.update(secrets, object('created', plant('updated')))
    await client.patch(secrets, 'default', 'created', 'merge', { data: { value: base64(plant('merged')) } })
    await client.patch(secrets, 'default', 'created', 'strategic', { stringData: { value: plant('strategic') } })
    await client.patch(secrets, 'default', 'created', 'json', [
      { op: 'replace', path: '/data/value', value: base64(plant('jsonpatched')) },
    ])
    await client.patch(secrets, 'default', 'applied', 'apply', object('applied', plant('applied')), {
      fieldManager: 'test',
      force: true,
    })
    await client.create(secrets, object('dry', plant('dryrun')), { dryRun: true })
    const typed: [string, string, Record<string, string>][] = [
      ['basic', 'kubernetes.io/basic-auth', { username: 'u', password: plant('basicauth') }],
      ['ssh', 'kubernetes.io/ssh-auth', { 'ssh-privatekey': plant('sshkey') }],
      ['token-abcdef', 'bootstrap.kubernetes.io/token', { 'token-id': 'abcdef', 'token-secret': plant('bootstrap') }],
    ]
    for (const [name, type, stringData] of typed)
      await client.create(secrets, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: 'default' },
        type,
        stringData,
      })

    // Refused in every way.
    const refused: [what: string, attempt: () => Promise<unknown>][] = [
      ['exists', () => client.create(secrets, object('created', plant('exists')))],
      [
        'conflict',
        () =>
          client.update(
            secrets,
            object('created', plant('conflict'), {
              metadata: { name: 'created', namespace: 'default', resourceVersion: '1' },
            }),
          ),
      ],
      ['badbase', () => client.create(secrets, object('bad', '', { data: { value: `${plant('notbase')}%%%` } }))],
      ['wrongtype', () => client.create(secrets, object('bad', '', { data: [plant('wrongtype')] }))],
      ['badname', () => client.create(secrets, object('Bad_Name', plant('badname')))],
      ['badkey', () => client.create(secrets, object('bad', '', { data: { '../key': base64(plant('badkey')) } }))],
      [
        'docker',
        () =>
          client.create(
            secrets,
            object('bad', '', {
              type: 'kubernetes.io/dockerconfigjson',
              stringData: { '.dockerconfigjson': `{"auths": ${plant('docker')}` },
            }),
          ),
      ],
      ['toolarge', () => client.create(secrets, object('bad', plant('toolarge').padEnd(1024 * 1024 + 1, 'x')))],
      [
        'nonamespace',
        () =>
          client.create(
            secrets,
            object('bad', plant('nonamespace'), { metadata: { name: 'bad', namespace: 'nowhere' } }),
          ),
      ],
      [
        'badpatch',
        () =>
          client.patch(secrets, 'default', 'created', 'json', [
            { op: 'test', path: '/data/value', value: base64(plant('tested')) },
          ]),
      ],
      [
        'forbidden',
        () =>
          client.raw(
            'POST',
            '/api/v1/namespaces/default/secrets?fieldValidation=Strict',
            object('bad', '', { data: {}, [plant('unknownfield')]: plant('unknownvalue') }),
          ),
      ],
    ]
    for (const [what, attempt] of refused) await assert.rejects(attempt, () => true, what)
    await client.create(secrets, object('immutable', plant('immutable'), { immutable: true }))
    await assert.rejects(client.update(secrets, object('immutable', plant('changedimmutable'), { immutable: true })))

    // Tokens: issued, used, refused.
    const token = await tokenOf(client, 'default', 'default')
    planted.set('a service-account token', token.split('.')[2]!)
    for (const bearer of [token, plant('wrongbearer'), `abcdef.${planted.get('bootstrap')}`])
      await run('curl', ['-sk', '-K', '-', `${cluster.url}/api/v1/namespaces`], {
        input: `header = "Authorization: Bearer ${bearer}"`,
      })

    // What people type.
    const manifest = JSON.stringify(object('kubectl', plant('kubectl')))
    for (const version of KUBECTL_VERSIONS) {
      if (testProgram(`kubectl-${version}`) === undefined) continue
      const kubectl = (args: string[], input?: string) =>
        cluster.kubectl(version, args, input === undefined ? {} : { input })
      await kubectl(['apply', '-f', '-'], manifest)
      await kubectl(
        ['apply', '-f', '-'],
        `apiVersion: v1\nkind: Secret\nmetadata: {name: broken}\nstringData: {a: ${plant(`brokenyaml${version}`)}: b}`,
      )
      await kubectl(['create', '-f', '-'], manifest)
      const described = await kubectl(['describe', 'secret', 'kubectl'])
      assert.equal(described.code, 0, described.stderr)
      assert.ok(!described.stdout.includes(planted.get('kubectl')!))
      await kubectl(['get', 'events', '-A'])
    }
    for (const args of [
      ['status'],
      ['doctor'],
      ['secrets', 'status', '-o', 'json'],
      ['secrets', 'verify'],
      ['secrets', 'rotate', '--kek'],
      ['secrets', 'status'],
    ]) {
      const { stdout, stderr } = await cluster.rampart(args)
      for (const [what, value] of planted)
        for (const form of formsOf(value))
          assert.ok(!(stdout + stderr).includes(form.toString()), `${args.join(' ')} prints ${what}`)
    }

    const pid = await cluster.pid()
    process.kill(pid, 'SIGKILL')
    watching.abort()
    await watch.catch(() => undefined)
    assert.ok(metadataSeen.length > 5, 'the watch saw the run')
    const up = await cluster.rampart(['up', '--port', '0', '--nodes', '0'])
    assert.equal(up.code, 0, up.stderr)
    assert.equal((await (await connect()).get(secrets, 'default', 'created')).metadata.name, 'created')

    assert.deepEqual(search(cluster.directory, planted), [])
    // A ConfigMap is not encrypted: that it is found shows that the search sees into the store.
    const open = new Map([['a ConfigMap', 'Zq7controlxK9vPlantedWm4']])
    const { data: _, ...rest } = object('control', '')
    await (await connect()).create(
      { ...secrets, resource: 'configmaps' },
      { ...rest, kind: 'ConfigMap', data: { value: open.get('a ConfigMap')! } },
    )
    assert.ok(search(cluster.directory, open).some((line) => line.startsWith('store/')))
    const processes = await run('ps', ['axww', '-o', 'args='])
    for (const [what, value] of planted)
      assert.ok(!processes.stdout.includes(value), `the list of processes shows ${what}`)
  })

  test('the search finds what it looks for', () => {
    const value = [...planted.values()][0]!
    for (const text of [value, base64(value), base64(`x${value}`), base64(`xx${value} and more`)])
      assert.ok(
        formsOf(value).some((form) => text.includes(form.toString())),
        text,
      )
  })
})

function search(directory: string, wanted: ReadonlyMap<string, string>): string[] {
  const files = (readdirSync(directory, { recursive: true }) as string[]).filter((name) => {
    const stat = statSync(join(directory, name))
    return stat.isFile()
  })
  assert.ok(files.some((f) => f.includes('data.mdb')) && files.some((f) => f.endsWith('audit.log')))
  return files.flatMap((name) => {
    const content = readFileSync(join(directory, name))
    return [...wanted].flatMap(([what, value]) =>
      formsOf(value).some((form) => content.includes(form)) ? [`${name} holds the secret "${what}"`] : [],
    )
  })
}
