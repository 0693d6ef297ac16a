import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type EtcdProcess, startEtcd } from '../../src/control-plane/etcd-process.ts'
import { ControlPlanePki } from '../../src/features/tls/index.ts'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { createRemoteClient, type RemoteClient } from '../../src/kernel/client/remote.ts'
import { root, testProgram } from '../setup/cluster.ts'

const configMaps = { group: '', version: 'v1', resource: 'configmaps' }
const leases = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
const serviceAccounts = { group: '', version: 'v1', resource: 'serviceaccounts' }
const namespaces = { group: '', version: 'v1', resource: 'namespaces' }
const named = (name: string, by = ''): KubeObject => ({
  kind: 'ConfigMap',
  apiVersion: 'v1',
  metadata: { name, namespace: 'default' },
  data: { by },
})

type Plane = { child: ChildProcess; port: number; client: RemoteClient }

const program = testProgram('etcd')
describe('two control planes on one etcd', { skip: program === undefined && 'etcd is not there' }, () => {
  const oldPath = process.env['PATH']
  let directory: string
  let pki: ControlPlanePki
  let etcd: EtcdProcess
  let first: Plane
  let second: Plane

  before(async () => {
    process.env['PATH'] = `${join(program!, '..')}:${oldPath}`
    directory = mkdtempSync(join(tmpdir(), 'rampart-several-'))
    pki = new ControlPlanePki({
      directory: join(directory, 'pki'),
      clock: { now: Date.now },
      clusterName: 'several',
      apiServerNames: ['127.0.0.1'],
      serviceAddress: '10.96.0.1',
    })
    etcd = await startEtcd(join(directory, 'etcd'), pki, () => undefined)
    ;[first, second] = await Promise.all([startPlane('first'), startPlane('second')])
  })
  after(async () => {
    for (const plane of [first, second]) {
      plane?.client.close()
      plane?.child.kill('SIGKILL')
    }
    await etcd?.stop()
    process.env['PATH'] = oldPath
    rmSync(directory, { recursive: true, force: true })
  })

  /** A process of its own, with the cluster's certificates in a folder of its own. */
  async function startPlane(name: string): Promise<Plane> {
    const data = join(directory, name)
    mkdirSync(data, { mode: 0o700 })
    cpSync(join(directory, 'pki'), join(data, 'pki'), { recursive: true })
    const settings = join(directory, `${name}.json`)
    writeFileSync(
      settings,
      JSON.stringify({
        name: 'several',
        port: 0,
        bindAddress: '127.0.0.1',
        store: 'etcd',
        etcdEndpoints: [etcd.endpoint],
        etcdCa: pki.file('ca', 'crt'),
        etcdCert: pki.file('etcd-client', 'crt'),
        etcdKey: pki.file('etcd-client', 'key'),
        apiServerNames: [],
      }),
    )
    const failure = join(directory, `${name}.failure`)
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(root, 'src/control-plane/main.ts'), data, settings, failure],
      { stdio: 'ignore' },
    )
    const record = join(data, 'control-plane.json')
    for (let i = 0; i < 400 && !existsSync(record); i++) {
      assert.equal(child.exitCode, null, existsSync(failure) ? readFileSync(failure, 'utf8') : 'it ended')
      await sleep(50)
    }
    const { port } = JSON.parse(readFileSync(record, 'utf8')) as { port: number }
    const admin = pki.leaf('admin')
    return {
      child,
      port,
      client: createRemoteClient({
        server: new URL(`https://127.0.0.1:${port}`),
        ca: pki.rootPem,
        ...admin,
        userAgent: name,
      }),
    }
  }

  test('a write to one is read from the other at once', async () => {
    for (let i = 0; i < 20; i++) {
      const [writer, reader] = i % 2 === 0 ? [first, second] : [second, first]
      const made = await writer.client.create(configMaps, named(`seen-${i}`))
      const read = await reader.client.get(configMaps, 'default', `seen-${i}`)
      assert.equal(read.metadata.resourceVersion, made.metadata.resourceVersion)
    }
  })

  test('an update based on what the other has changed is a conflict', async () => {
    const mine = await first.client.create(configMaps, named('contended'))
    await second.client.update(configMaps, { ...mine, data: { by: 'second' } })
    await assert.rejects(first.client.update(configMaps, { ...mine, data: { by: 'first' } }), { reason: 'Conflict' })
  })

  test('watches on each see the writes of both, in the same order, without a gap', async () => {
    const each = 100
    const stop = new AbortController()
    const { metadata } = await first.client.list(configMaps, { namespace: 'default' })
    const follow = async (client: RemoteClient): Promise<[string, number][]> => {
      const seen: [string, number][] = []
      const events = client.watch(configMaps, {
        namespace: 'default',
        resourceVersion: metadata.resourceVersion,
        signal: stop.signal,
      })
      for await (const event of events) {
        if (event.type !== 'ADDED') continue
        const { name = '', resourceVersion } = event.object.metadata
        seen.push([name, Number(resourceVersion)])
        if (seen.length === 2 * each) break
      }
      return seen
    }
    const timer = setTimeout(() => stop.abort(), 20_000)
    const watches = [follow(first.client), follow(second.client)]
    const write = async (client: RemoteClient, by: string): Promise<[string, number][]> => {
      const made: [string, number][] = []
      for (let i = 0; i < each; i++) {
        const { metadata } = await client.create(configMaps, named(`both-${by}-${i}`, by))
        made.push([metadata.name!, Number(metadata.resourceVersion)])
      }
      return made
    }
    const written = (await Promise.all([write(first.client, 'first'), write(second.client, 'second')])).flat()
    const [seenFirst, seenSecond] = await Promise.all(watches)
    clearTimeout(timer)
    const inOrder = written.toSorted((a, b) => a[1] - b[1])
    assert.deepEqual(seenFirst, inOrder)
    assert.deepEqual(seenSecond, inOrder)
  })

  test('exactly one leads; when it is killed the other takes over and its controllers work', {
    timeout: 60_000,
  }, async () => {
    const holder = async (client: RemoteClient): Promise<string> => {
      try {
        return String((await client.get(leases, 'kube-system', 'rampart-controllers'))['spec']?.holderIdentity ?? '')
      } catch {
        return ''
      }
    }
    let leader = await holder(first.client)
    for (let i = 0; i < 50 && leader === ''; i++) {
      await sleep(100)
      leader = await holder(first.client)
    }
    assert.equal(await holder(second.client), leader)
    const leads = (plane: Plane): boolean => leader.split(':').includes(String(plane.port))
    assert.equal([first, second].filter(leads).length, 1, leader)
    const [killed, left] = leads(first) ? [first, second] : [second, first]
    killed.child.kill('SIGKILL')
    killed.client.close()

    for (let i = 0; i < 300 && leads(killed); i++) {
      await sleep(100)
      leader = await holder(left.client)
    }
    assert.ok(leads(left), `${leader} leads`)
    // What only a leading control plane does: a new namespace gets its default ServiceAccount.
    await left.client.create(namespaces, { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'after' } })
    let account: KubeObject | undefined
    for (let i = 0; i < 100 && account === undefined; i++) {
      account = await left.client.get(serviceAccounts, 'after', 'default').catch(() => undefined)
      await sleep(100)
    }
    assert.equal(account?.metadata.name, 'default')
  })
})
