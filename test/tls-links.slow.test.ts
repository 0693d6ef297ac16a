/** Links between a control plane, a machine's agent and etcd: proved when right, found out when wrong, rotated and revoked. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer as createTls } from 'node:tls'
import { tlsHandlers } from '../src/control-plane/tls-handlers.ts'
import type { InventoryItem, LinkReport } from '../src/features/tls/index.ts'
import { foreignAuthority, probeIdentity } from '../src/features/tls/links/probe-identities.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import type { ResourceId } from '../src/kernel/client/client.ts'
import type { Timers } from '../src/kernel/controller/timers.ts'
import { type AgentCertificates, openAgentCertificates } from '../src/node/certificates/index.ts'
import { NODE_DEFAULTS, type NodeConfig } from '../src/node/config.ts'
import type { KubeletRuntime } from '../src/node/kubelet-api/runtime.ts'
import { kubeletApiTask } from '../src/node/kubelet-api/task.ts'
import type { NodeTask } from '../src/node/task.ts'

const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
const SECRETS: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }

/** Pauses pass twenty times as fast. */
const timers: Timers = {
  monotonic: () => performance.now() * 20,
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms / 20)
    return () => clearTimeout(timer)
  },
}

async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (let i = 0; i < 600; i++) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await sleep(25)
  }
  throw new Error(`never: ${what}`)
}

async function ask<T>(server: TestServer, command: string, request: Record<string, unknown> = {}): Promise<T> {
  const handler = tlsHandlers(server.directory, server.plane)[command]!
  return (await handler({ command, ...request }, () => undefined, new AbortController().signal)) as T
}
const links = async (server: TestServer): Promise<LinkReport[]> =>
  (await ask<{ links: LinkReport[] }>(server, 'tls-links')).links

/** `FROM → TO: PROBE: VERDICT` of everything that is not right. */
async function flaws(server: TestServer): Promise<string[]> {
  return (await links(server)).flatMap(({ from, to, probes }) =>
    probes.filter((p) => p.verdict !== 'right').map((p) => `${from} → ${to}: ${p.probe}: ${p.verdict}: ${p.detail}`),
  )
}

type Machine = {
  config: NodeConfig
  certificates: AgentCertificates
  port: number
  stop: () => Promise<void>
}

const folder = mkdtempSync(join(tmpdir(), `rampart-links-${process.pid}-`))
after(() => rmSync(folder, { recursive: true }))

/** A machine that joined by a token, with its agent's certificates and kubelet API; its pods are no matter here. */
async function startMachine(server: TestServer, nodeName: string, clientCa?: () => string): Promise<Machine> {
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  const [id, secret] = [nodeName.padEnd(6, '0'), 'abcdefghij012345']
  await server.localClient.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
    type: 'bootstrap.kubernetes.io/token',
    data: {
      'token-id': encode(id),
      'token-secret': encode(secret),
      'usage-bootstrap-authentication': encode('true'),
      'auth-extra-groups': encode(`system:bootstrappers:rampart:node:${nodeName}`),
    },
  } as unknown as KubeObject)
  await server.localClient.create(CONFIG_MAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `rampart-machine-${nodeName}`, namespace: 'kube-system' },
    data: { nodeAddress: '127.0.0.1' },
  } as unknown as KubeObject)
  const own = join(folder, `${nodeName}-${Math.random().toString(36).slice(2)}`)
  mkdirSync(own)
  writeFileSync(join(own, 'ca.crt'), server.plane.pki.rootPem)
  writeFileSync(join(own, 'token'), `${id}.${secret}\n`, { mode: 0o600 })
  const config: NodeConfig = {
    ...NODE_DEFAULTS,
    nodeName,
    server: server.url,
    nodeAddress: '127.0.0.1',
    kubeletPort: 0,
    caFile: join(own, 'ca.crt'),
    bootstrapTokenFile: join(own, 'token'),
    stateFolder: join(own, 'state'),
  }
  const stopping = new AbortController()
  const common = { config, clock: { now: Date.now }, log: () => undefined }
  const certificates = await openAgentCertificates({ ...common, timers }, stopping.signal)
  await certificates.client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } })
  let port = 0
  const runtime = { pods: () => [], runningPods: async () => [] } as unknown as KubeletRuntime
  const task: NodeTask = kubeletApiTask({
    certificate: { context: () => certificates.serving().pair, onChange: certificates.onServingChange },
    clientCa: clientCa ?? certificates.clientCa,
    isRevoked: certificates.isRevoked,
    runtime,
    onListening: (listening) => (port = listening),
  })({ ...common, client: certificates.client })
  await task.start(stopping.signal)
  const keeping = certificates.keepValid(stopping.signal)
  await eventually('it follows what the cluster publishes', async () => certificates.clientCa() !== certificates.ca())
  await listensAt(server, nodeName, port)
  return {
    config,
    certificates,
    port,
    stop: async () => {
      stopping.abort()
      await task.stop()
      await keeping
      certificates.client.close()
    },
  }
}

async function listensAt(server: TestServer, nodeName: string, port: number): Promise<void> {
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
  }
  await server.localClient.patch(NODES, '', nodeName, 'merge', { status }, { subresource: 'status' })
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

describe('a control plane and a machine', () => {
  let server: TestServer
  let machine: Machine
  before(async () => {
    server = await startTestServer()
    machine = await startMachine(server, 'n1')
  })
  after(async () => {
    await machine.stop()
    await server.close()
  })

  test('every link is right, with whom each end is', async () => {
    assert.deepEqual(await flaws(server), [])
    const [admin, up, down] = await links(server)
    assert.deepEqual(
      [admin, up, down].map((l) => `${l!.from} → ${l!.to}`),
      ['administrator (kubectl, rampart) → API server', 'kubelet n1 → API server', 'API server → kubelet n1'],
    )
    assert.equal(up!.client.subject, 'O=system:nodes, CN=system:node:n1')
    const { client } = machine.certificates
    const node = await client.get(NODES, '', 'n1')
    const report = await eventually('it says what it uses', async () => {
      const text = (await server.localClient.get(NODES, '', 'n1')).metadata.annotations?.['tls.rampart.dev/agent']
      return text === undefined ? undefined : (JSON.parse(text) as { client: string })
    })
    assert.ok(node !== undefined)
    assert.equal((await links(server))[1]!.client.serial.toLowerCase(), report.client, 'its own certificate is shown')
    assert.deepEqual(down!.server!.names, ['DNS:n1', 'IP:127.0.0.1'])
    assert.equal(down!.server!.issuer, 'O=rampart, CN=test kubelet-serving CA')
  })

  test('a kubelet that trusts the whole root is found out', async () => {
    const lax = await startMachine(server, 'n2', () => server.plane.pki.rootPem)
    try {
      const found = await flaws(server)
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0]!, /^API server → kubelet n2: wrong-authority: wrong: not refused/)
    } finally {
      await lax.stop()
      await server.localClient.delete(NODES, '', 'n2')
    }
  })

  test('another machine in its place, with a valid certificate for itself, is told nothing', async () => {
    const other = await startMachine(server, 'n3')
    try {
      await listensAt(server, 'n1', other.port)
      const found = await flaws(server)
      assert.match(found[0]!, /API server → kubelet n1: right-certificate: wrong: distrusted: .*not that of node "n1"/)
      await assert.rejects(server.remoteClient.raw('GET', '/api/v1/nodes/n1/proxy/healthz'), /not that of node/)
    } finally {
      await listensAt(server, 'n1', machine.port)
      await other.stop()
      await server.localClient.delete(NODES, '', 'n3')
    }
    assert.deepEqual(await flaws(server), [])
  })

  test('a man in the middle on either link gets nothing', async () => {
    const { pki } = server.plane
    const foreign = foreignAuthority(pki.issuer('kubelet-serving').certificate, Date.now())
    const identity = probeIdentity(
      foreign,
      {
        commonName: 'system:node:n1',
        organizations: ['system:nodes'],
        sans: { dns: ['n1'], ip: ['127.0.0.1'] },
        extKeyUsage: ['serverAuth'],
      },
      Date.now(),
    )
    let heard = 0
    const middle = createTls({ ...identity, requestCert: true, rejectUnauthorized: false }, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.on('data', (bytes: Buffer) => (heard += bytes.length))
    })
    middle.on('tlsClientError', (_error, socket) => socket.destroy())
    const port = await listen(middle)
    try {
      await listensAt(server, 'n1', port)
      await assert.rejects(server.remoteClient.raw('GET', '/api/v1/nodes/n1/proxy/healthz'), /error dialing backend/)
      assert.match((await flaws(server))[0]!, /right-certificate: wrong: distrusted/)
      const agent = openAgentCertificates(
        {
          config: { ...machine.config, server: `https://127.0.0.1:${port}` },
          clock: { now: Date.now },
          log: () => undefined,
          timers,
        },
        new AbortController().signal,
      )
      const { client } = await agent
      await assert.rejects(client.get(NODES, '', 'n1'), /certificate|self-signed|issuer/)
      client.close()
      assert.equal(heard, 0)
    } finally {
      await listensAt(server, 'n1', machine.port)
      middle.close()
    }
  })

  test('a proxy that only passes bytes on changes nothing', async () => {
    const proxy = createTcp((socket) => {
      const onward = connect(machine.port, '127.0.0.1')
      for (const end of [socket, onward]) end.on('error', () => end.destroy())
      socket.pipe(onward).pipe(socket)
    })
    try {
      await listensAt(server, 'n1', await listen(proxy))
      assert.deepEqual(await flaws(server), [])
    } finally {
      await listensAt(server, 'n1', machine.port)
      proxy.close()
    }
  })

  test('its authorities rotate under way: every link is right in every phase', async () => {
    type Step = { done: boolean; blockers: { name: string; why: string }[] }
    const step = (name: string): Promise<Step> => ask<Step>(server, 'tls-rotate', { step: name })
    assert.ok((await step('trust')).done)
    assert.deepEqual(await flaws(server), [])
    const first = await step('sign')
    assert.ok(first.done || first.blockers[0]?.name === 'node/n1', JSON.stringify(first))
    await eventually('the machine trusts both', async () => (await step('sign')).done)
    await eventually('links right after sign', async () => (await flaws(server)).length === 0)
    const blocked = await eventually('the machine has renewed', async () => {
      const answer = await step('retire')
      return !answer.blockers.some(({ name }) => name.startsWith('node/n1')) && answer
    })
    assert.equal(blocked.done, false)
    const { certificates } = await ask<{ certificates: InventoryItem[] }>(server, 'tls-list')
    for (const { retiring, name, state, serial } of certificates)
      if (retiring && !name.startsWith('ca/') && state !== 'revoked') await ask(server, 'tls-revoke', { serial })
    assert.ok((await step('retire')).done)
    await eventually('the machine trusts the new one alone', async () => {
      return machine.certificates.ca() === server.plane.pki.rootPem
    })
    assert.deepEqual(await flaws(server), [])
    assert.ok((await machine.certificates.client.list(NODES)).items.length > 0)
  })

  test('revoked by its name it is out at once, on both links, and its token with it', async () => {
    const { client } = machine.certificates
    const stop = new AbortController()
    const watching = (async () => {
      for await (const _event of client.watch(NODES, { signal: stop.signal }));
      return 'ended'
    })()
    await client.get(NODES, '', 'n1')
    const { revoked } = await ask<{ revoked: { signerName: string }[] }>(server, 'tls-revoke', { node: 'n1' })
    assert.deepEqual([...new Set(revoked.map(({ signerName }) => signerName))].sort(), [
      'kubernetes.io/kube-apiserver-client-kubelet',
      'kubernetes.io/kubelet-serving',
    ])
    assert.equal(await Promise.race([watching, sleep(1000, 'still open')]), 'ended')
    await assert.rejects(client.get(NODES, '', 'n1'))
    await assert.rejects(
      (async () => await server.localClient.get(SECRETS, 'kube-system', 'bootstrap-token-n10000'))(),
      /not found/,
    )
    const [, , down] = await links(server)
    assert.equal(down!.right, false)
    stop.abort()
  })
})

describe('etcd', () => {
  test('its link is proved, and its authority rotates while writes go on', async () => {
    const server = await startTestServer({ settings: { store: 'etcd' } })
    let stop = false
    let written = 0
    const failures: string[] = []
    try {
      assert.deepEqual(await flaws(server), [])
      const [, store] = await links(server)
      assert.deepEqual([store!.from, store!.to, store!.server!.subject], ['API server', 'etcd', 'CN=etcd'])
      const writing = (async () => {
        for (let i = 0; !stop; i++, written++) {
          const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `m${i}`, namespace: 'default' } }
          await server.localClient.create(CONFIG_MAPS, map).catch((error: Error) => failures.push(error.message))
          await sleep(20)
        }
      })()
      for (const step of ['trust', 'sign'] as const) {
        await ask(server, 'tls-rotate', { step })
        await eventually(`links right after ${step}`, async () => (await flaws(server)).length === 0)
      }
      const { certificates } = await ask<{ certificates: InventoryItem[] }>(server, 'tls-list')
      for (const { retiring, name, state, serial } of certificates)
        if (retiring && !name.startsWith('ca/') && state !== 'revoked') await ask(server, 'tls-revoke', { serial })
      assert.ok((await ask<{ done: boolean }>(server, 'tls-rotate', { step: 'retire' })).done)
      await eventually('links right after retire', async () => (await flaws(server)).length === 0)
      const before = written
      await eventually('writes go on', async () => written > before + 3)
      stop = true
      await writing
      assert.deepEqual(failures, [])
      assert.match((await links(server))[1]!.server!.issuer, /G2 etcd CA/)
    } finally {
      stop = true
      await server.close()
    }
  })
})
