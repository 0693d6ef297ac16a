/** A machine's certificates against a whole control plane: first ones by token, renewal, refusals, restarts. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'
import type { Timers } from '../../kernel/controller/timers.ts'
import { NODE_DEFAULTS, type NodeConfig } from '../config.ts'
import { type AgentCertificates, openAgentCertificates } from './index.ts'

const DAY = 24 * 3600_000
const CSRS = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const SECRETS = { group: '', version: 'v1', resource: 'secrets' }
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' }

const folder = mkdtempSync(join(tmpdir(), 'rampart-agent-certificates-'))
/** What the agent believes to be the time, ahead of the server's by this much. */
let ahead = 0
let server: TestServer
const stop = new AbortController()
const opened: AgentCertificates[] = []
before(async () => {
  server = await startTestServer()
  await server.remoteClient.get({ group: '', version: 'v1', resource: 'namespaces' }, '', 'kube-system')
})
afterEach(() => {
  ahead = 0
})
after(async () => {
  stop.abort()
  for (const { client } of opened) client.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

/** What `node add` leaves on a machine and in the cluster. */
async function joined(
  nodeName: string,
  options: { tokenFor?: string; record?: string | null } = {},
): Promise<NodeConfig> {
  const { tokenFor = nodeName, record = '172.31.0.11' } = options
  const own = join(folder, `${nodeName}-${Math.random().toString(36).slice(2)}`)
  mkdirSync(own)
  const id = Math.random().toString(36).slice(2, 8).padEnd(6, '0')
  const secret = 'abcdefghij012345'
  const text = (value: string): string => Buffer.from(value).toString('base64')
  await server.remoteClient.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
    type: 'bootstrap.kubernetes.io/token',
    data: {
      'token-id': text(id),
      'token-secret': text(secret),
      'usage-bootstrap-authentication': text('true'),
      'auth-extra-groups': text(`system:bootstrappers:rampart:node:${tokenFor}`),
      expiration: text(new Date(Date.now() + 60_000).toISOString()),
    },
  } as unknown as KubeObject)
  if (record !== null)
    await server.remoteClient.patch(
      CONFIG_MAPS,
      'kube-system',
      `rampart-machine-${nodeName}`,
      'apply',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: `rampart-machine-${nodeName}`, namespace: 'kube-system' },
        data: { nodeAddress: record },
      },
      { fieldManager: 'test' },
    )
  writeFileSync(join(own, 'ca.crt'), server.ca)
  writeFileSync(join(own, 'token'), `${id}.${secret}\n`, { mode: 0o600 })
  return {
    ...NODE_DEFAULTS,
    nodeName,
    server: server.url,
    nodeAddress: '172.31.0.11',
    caFile: join(own, 'ca.crt'),
    bootstrapTokenFile: join(own, 'token'),
    stateFolder: join(own, 'state'),
  }
}

const lines: string[] = []
/** Pauses pass a hundred times as fast. */
const timers: Timers = {
  monotonic: () => performance.now() * 100,
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms / 100)
    return () => clearTimeout(timer)
  },
}

async function open(config: NodeConfig, signal: AbortSignal = stop.signal): Promise<AgentCertificates> {
  const made = await openAgentCertificates(
    {
      config,
      clock: { now: () => Date.now() + ahead },
      log: (level, message) => lines.push(`${level}: ${message}`),
      timers,
      random: () => 0.5,
    },
    signal,
  )
  opened.push(made)
  return made
}

async function until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${what}\n${lines.slice(-5).join('\n')}`)
    await sleep(20)
  }
}

describe('the certificates of a machine', () => {
  let config: NodeConfig

  test('come by the token that was made for it; the token goes, the keys stay', async () => {
    config = await joined('n1')
    const certificates = await open(config)
    const client = new X509Certificate(certificates.clientPair().cert)
    assert.equal(client.subject, 'O=system:nodes\nCN=system:node:n1')
    assert.ok(Math.abs(client.validToDate.getTime() - Date.now() - 7 * DAY) < DAY / 24)
    const serving = new X509Certificate(certificates.serving().pair.cert)
    assert.equal(serving.subjectAltName, 'DNS:n1, IP Address:172.31.0.11')
    assert.deepEqual(serving.keyUsage, ['1.3.6.1.5.5.7.3.1'])
    assert.equal(existsSync(config.bootstrapTokenFile), false)
    const pki = join(config.stateFolder, 'pki')
    assert.deepEqual(readdirSync(pki).sort(), ['client.pem', 'serving.pem'])
    for (const file of readdirSync(pki)) assert.equal(statSync(join(pki, file)).mode & 0o777, 0o600)
    const whoami = await certificates.client.create(
      { group: 'authentication.k8s.io', version: 'v1', resource: 'selfsubjectreviews' },
      { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', metadata: {} },
    )
    const { username, groups } = whoami['status']!.userInfo as { username: string; groups: string[] }
    assert.deepEqual([username, groups], ['system:node:n1', ['system:nodes', 'system:authenticated']])
  })

  test('are found again after a restart, without asking anybody', async () => {
    const before = (await server.remoteClient.list(CSRS)).items.length
    await open(config)
    assert.equal((await server.remoteClient.list(CSRS)).items.length, before)
  })

  test('are renewed at about two thirds of their life; the client goes on with the new one', async () => {
    const certificates = await open(config)
    const old = certificates.clientPair().cert
    const oldServing = certificates.serving().pair.cert
    let changes = 0
    certificates.onServingChange(() => changes++)
    const until_ = new AbortController()
    const running = certificates.keepValid(until_.signal)
    try {
      ahead = 4 * DAY
      await sleep(1500)
      assert.equal(certificates.clientPair().cert, old, 'too early')
      ahead = 5 * DAY
      await until('both are renewed', () => {
        return certificates.clientPair().cert !== old && certificates.serving().pair.cert !== oldServing
      })
      assert.ok(changes > 0)
      const services = { group: '', version: 'v1', resource: 'services' }
      assert.ok((await certificates.client.list(services)).items.length > 0)
    } finally {
      until_.abort()
      await running
    }
  })

  test('that have expired are of no use without a new token', async () => {
    ahead = 30 * DAY
    await assert.rejects(open(config), /no valid certificate and no bootstrap token .* run "rampart node add" again/)
  })

  test('what is torn on disk is made anew with a new token', async () => {
    const again = { ...(await joined('n1')), stateFolder: config.stateFolder }
    writeFileSync(join(config.stateFolder, 'pki', 'client.pem'), '-----BEGIN PRIVATE KEY-----\nMIG')
    const certificates = await open(again)
    assert.match(new X509Certificate(certificates.clientPair().cert).subject, /system:node:n1/)
  })
})

describe('is left to a person, who is told why', () => {
  const waiting = async (): Promise<string[]> => {
    const { items } = await server.remoteClient.list({ group: '', version: 'v1', resource: 'events' })
    return items.filter((event) => event['reason'] === 'NotApproved').map((event) => event['message'] as string)
  }
  const refused = async (config: NodeConfig, why: RegExp): Promise<void> => {
    const own = new AbortController()
    const opening = open(config, own.signal)
    opening.catch(() => undefined) // looked at below
    await until(String(why), async () => (await waiting()).some((message) => why.test(message)))
    own.abort()
    await assert.rejects(opening)
  }

  test('a token made for another machine', async () => {
    await refused(await joined('n2', { tokenFor: 'n3' }), /asks for a certificate of the machine n2/)
  })

  test('a serving certificate for an address that the machine was not given', async () => {
    await refused(await joined('n4', { record: '172.31.0.99' }), /172.31.0.11 is not known to be n4/)
  })

  test('a machine that nobody recorded', async () => {
    await refused(await joined('n5', { record: null }), /not known which addresses n5 has/)
  })

  test('everything, once the binding is taken away; and a person may still approve', async () => {
    const bindings = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterrolebindings' }
    await server.remoteClient.delete(bindings, '', 'rampart:node-autoapprove-bootstrap')
    const config = await joined('n6')
    const opening = open(config)
    await until('the event', async () => (await waiting()).some((m) => /RBAC does not let .*\/nodeclient/.test(m)))
    const { items } = await server.remoteClient.list(CSRS)
    const request = items.find(
      ({ status, spec }) => !status?.conditions && String(spec?.username).includes('bootstrap'),
    )
    const pending = items.filter(({ status }) => !status?.conditions)
    for (const item of request === undefined ? [] : pending) {
      const groups = (item['spec']?.groups ?? []) as string[]
      if (!groups.includes('system:bootstrappers:rampart:node:n6')) continue
      const condition = { type: 'Approved', status: 'True', reason: 'ByHand', message: '' }
      await server.remoteClient.update(
        CSRS,
        { ...item, status: { ...item['status'], conditions: [condition] } } as KubeObject,
        { subresource: 'approval' },
      )
    }
    assert.match(new X509Certificate((await opening).clientPair().cert).subject, /system:node:n6/)
  })
})

describe('what the cluster publishes of its authorities', () => {
  let config: NodeConfig
  before(async () => {
    for (const { client } of opened) client.close()
    await server.close()
    server = await startTestServer()
    config = await joined('n1')
  })

  test('a bundle that does not verify the server which sent it is not believed', async () => {
    const certificates = await open(config)
    const until_ = new AbortController()
    const running = certificates.keepValid(until_.signal)
    try {
      await until('it follows', () => certificates.clientCa() !== certificates.ca())
      const roots = certificates.ca()
      const foreign = server.plane.pki.issuer('client').certificate.toString()
      const data = { 'ca.crt': foreign, revoked: '' }
      await server.localClient.patch(CONFIG_MAPS, 'kube-public', 'rampart-trust', 'merge', { data })
      await until('it says so', () => lines.some((line) => /is not adopted: .*(issuer|self-signed|verify)/i.test(line)))
      assert.equal(certificates.ca(), roots)
      await until('the cluster puts it right', async () => {
        const map = await server.localClient.get(CONFIG_MAPS, 'kube-public', 'rampart-trust')
        return map['data']!['ca.crt'] === roots
      })
    } finally {
      until_.abort()
      await running
    }
  })

  test('a certificate that the cluster revokes is known to the machine within moments', async () => {
    const certificates = await open(config)
    const until_ = new AbortController()
    const running = certificates.keepValid(until_.signal)
    const issued = { group: 'tls.rampart.dev', version: 'v1', resource: 'issuedcertificates' }
    try {
      await until('it follows', () => certificates.clientCa() !== certificates.ca())
      const { items } = await server.localClient.list(issued)
      const leaf = items.find((item) => item['spec']?.request === 'controller-manager')!
      const { name = '' } = leaf.metadata
      const revokedAt = new Date().toISOString()
      await server.localClient.patch(issued, '', name, 'merge', { spec: { revokedAt } })
      await until('it is known', () => certificates.isRevoked(name.toUpperCase()))
    } finally {
      until_.abort()
      await running
    }
  })

  test('are renewed when other authorities sign, over roots that the machine was told of; it says what it uses', async () => {
    const certificates = await open(config)
    lines.length = 0
    const nodes = { group: '', version: 'v1', resource: 'nodes' }
    await server.localClient.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
    const report = async (): Promise<{ trusts: string[]; client: string; serving: string } | undefined> => {
      const { metadata } = await server.localClient.get(nodes, '', 'n1')
      const text = metadata.annotations?.['tls.rampart.dev/agent']
      return text === undefined ? undefined : JSON.parse(text)
    }
    const serial = (pem: string): string => new X509Certificate(pem).serialNumber.toLowerCase()
    const until_ = new AbortController()
    const running = certificates.keepValid(until_.signal)
    const { pki } = server.plane
    // A request that is under way while roots, certificate and connections change.
    const watched = (async () => {
      let events = 0
      const signal = until_.signal
      for await (const _event of certificates.client.watch(nodes, { signal, timeoutSeconds: 600 })) events++
      return events
    })()
    try {
      await until('it reports', async () => (await report())?.trusts.length === 1)
      const anchors = certificates.clientCa()
      assert.notEqual(anchors, certificates.ca(), 'clients are verified by their own authorities, not by the root')
      pki.rotate('trust')
      await until('it trusts both roots', async () => (await report())?.trusts.length === 2)
      assert.equal(readFileSync(config.caFile, 'utf8'), pki.rootPem)
      assert.notEqual(certificates.clientCa(), anchors)
      const old = [certificates.clientPair().cert, certificates.serving().pair.cert].map(serial)
      pki.rotate('sign')
      await until('it uses what the new authorities have signed', async () => {
        const { client, serving } = (await report())!
        return client !== old[0] && serving !== old[1]
      })
      const issuers = [certificates.clientPair().cert, certificates.serving().pair.cert].map(
        (pem) => new X509Certificate(pem).issuer,
      )
      assert.deepEqual(
        issuers.map((issuer) => /CN=(.*)/.exec(issuer)![1]),
        ['test G2 kubelet-client CA', 'test G2 kubelet-serving CA'],
      )
      pki.rotate('retire')
      await until('it trusts the new root alone', async () => (await report())?.trusts.length === 1)
      assert.ok((await certificates.client.list(nodes)).items.length > 0)
      assert.deepEqual(
        lines.filter((line) => line.startsWith('error')),
        [],
      )
    } finally {
      until_.abort()
      await running
    }
    assert.ok((await watched) > 0, 'the watch of before went on to the end')
  })
})
