import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { ControlPlanePki } from '../../../features/tls/index.ts'
import type { KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import { dialKubelet, type NodeConnection, wrongIdentity } from './connection.ts'
import { targetOf } from './node-target.ts'
import { chooseContainer } from './pod-container.ts'
import { logQuery, streamOptions, streamQuery } from './pod-options.ts'
import { demandProxyable, parseProxiedName } from './proxied-name.ts'

const badRequest = (message: RegExp) => (error: Error) => {
  assert.ok(error instanceof ApiError, String(error))
  assert.equal(error.code, 400)
  assert.match(error.message, message)
  return true
}

describe('container of a pod', () => {
  const pod = (containers: string[], inits: string[] = [], ephemeral: string[] = []): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: {
      containers: containers.map((name) => ({ name })),
      initContainers: inits.map((name) => ({ name })),
      ephemeralContainers: ephemeral.map((name) => ({ name })),
    },
  })
  const rows: [string, KubeObject, string, string | RegExp][] = [
    ['the only one', pod(['a']), '', 'a'],
    ['by name', pod(['a', 'b']), 'b', 'b'],
    ['an init container', pod(['a'], ['i']), 'i', 'i'],
    ['an ephemeral container', pod(['a'], [], ['e']), 'e', 'e'],
    ['unknown', pod(['a']), 'x', /^container x is not valid for pod web$/],
    ['several', pod(['a', 'b']), '', /^a container name must be specified for pod web, choose one of: \[a b\]$/],
    [
      'with init containers',
      pod(['a', 'b'], ['i']),
      '',
      /choose one of: \[a b\] or one of the init containers: \[i\]$/,
    ],
    ['none', pod([]), '', /^a container name must be specified for pod web$/],
  ]
  for (const [name, of, wanted, expected] of rows)
    it(name, () => {
      if (typeof expected === 'string') assert.equal(chooseContainer(of, wanted), expected)
      else assert.throws(() => chooseContainer(of, wanted), badRequest(expected))
    })
})

describe('options of streams and logs', () => {
  const streams: [string, string | RegExp][] = [
    ['', 'output=1&error=1'],
    ['stdin=true&stdout=true&stderr=true', 'input=1&output=1&error=1'],
    ['stdin=1&tty=true&stderr=true', 'input=1&output=1&tty=1'],
    ['stdout=true&stderr=false', 'output=1'],
    ['stdout=false&stderr=false', /at least 1 of stdin, stdout, stderr/],
  ]
  for (const [query, expected] of streams)
    it(`exec?${query}`, () => {
      const ask = (): string => streamQuery(streamOptions(new URLSearchParams(query)), [])
      if (typeof expected === 'string') assert.equal(ask(), expected)
      else assert.throws(ask, badRequest(expected))
    })

  it('keeps the words of a command apart', () => {
    const query = streamQuery(streamOptions(new URLSearchParams()), ['sh', '-c', 'a & b=c'])
    assert.deepEqual(new URLSearchParams(query).getAll('command'), ['sh', '-c', 'a & b=c'])
  })

  const logs: [string, string | RegExp, number?][] = [
    ['', ''],
    ['follow=true&tailLines=5&timestamps=true', 'follow=true&timestamps=true&tailLines=5'],
    ['previous=true&limitBytes=10&sinceSeconds=3', 'previous=true&limitBytes=10&sinceSeconds=3'],
    ['tailLines=-1', /tailLines: Invalid value: -1: must be greater than or equal to 0/, 422],
    ['limitBytes=0', /limitBytes: Invalid value: 0: must be greater than 0/, 422],
    ['sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', /at most one of/, 422],
    ['sinceTime=yesterday', /RFC 3339/, 400],
    ['tailLines=x', /must be an integer/, 400],
    ['stream=Other', /Unsupported value/, 422],
    ['stream=Stdout&tailLines=1', /mutually exclusive/, 422],
    ['insecureSkipTLSVerifyBackend=true', /always verified/, 400],
  ]
  for (const [query, expected, code] of logs)
    it(`log?${query}`, () => {
      const ask = (): string => logQuery(new URLSearchParams(query), 'web')
      if (typeof expected === 'string') assert.equal(ask(), expected)
      else
        assert.throws(ask, (error: ApiError) => {
          assert.equal(error.code, code)
          assert.match(error.message, expected)
          return true
        })
    })
})

describe('addresses', () => {
  const names: [string, object | RegExp][] = [
    ['web', { scheme: '', name: 'web', port: '' }],
    ['web:8080', { scheme: '', name: 'web', port: '8080' }],
    ['https:web:443', { scheme: 'https', name: 'web', port: '443' }],
    ['http:web:', { scheme: 'http', name: 'web', port: '' }],
    ['ftp:web:21', /invalid pod request/],
    ['a:b:c:d', /invalid pod request/],
    [':80', /invalid pod request/],
  ]
  for (const [text, expected] of names)
    it(text, () => {
      if (expected instanceof RegExp) assert.throws(() => parseProxiedName(text, 'pod'), badRequest(expected))
      else assert.deepEqual(parseProxiedName(text, 'pod'), expected)
    })

  it('of this machine and its links are not proxied to', () => {
    for (const address of ['10.88.0.2', '192.168.1.1', 'fd00::1']) demandProxyable(address)
    for (const address of [
      '127.0.0.1',
      '127.8.8.8',
      '0.0.0.0',
      '169.254.169.254',
      '224.0.0.1',
      '::1',
      '::',
      'fe80::1',
      '::ffff:127.0.0.1',
      'localhost',
      '',
    ])
      assert.throws(() => demandProxyable(address), badRequest(/address not allowed/), address)
  })

  it('of a node: what needs no DNS first, the port that it says', () => {
    const node = (status: object): KubeObject =>
      ({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, status }) as unknown as KubeObject
    const addresses = [
      { type: 'Hostname', address: 'n1' },
      { type: 'InternalIP', address: '172.31.0.11' },
    ]
    assert.deepEqual(targetOf(node({ addresses })), { nodeName: 'n1', host: '172.31.0.11', port: 10250 })
    const daemonEndpoints = { kubeletEndpoint: { Port: 4711 } }
    assert.equal(targetOf(node({ addresses, daemonEndpoints })).port, 4711)
    assert.throws(() => targetOf(node({})), /has no address/)
  })
})

describe('connection to a kubelet', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-node-proxy-'))
  const pkiOf = (name: string): ControlPlanePki =>
    new ControlPlanePki({
      directory: join(folder, name),
      clock: { now: Date.now },
      clusterName: name,
      apiServerNames: [],
      serviceAddress: '10.96.0.1',
    })
  let own: ControlPlanePki
  let foreign: ControlPlanePki
  let connection: NodeConnection
  const servers: Server[] = []
  const sockets: Socket[] = []
  before(() => {
    own = pkiOf('own')
    foreign = pkiOf('foreign')
    connection = { ca: () => own.rootPem, clientCertificate: () => own.leaf('api-server-kubelet-client') }
  })
  after(() => {
    for (const server of servers) server.close()
    for (const socket of sockets) socket.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  const serving = (pki: ControlPlanePki, commonName: string, ip: string): TlsOptions => {
    const sans = { ip: [ip] }
    const { certificate, key } = pki.issue('kubelet-serving', { commonName, organizations: ['system:nodes'], sans })
    return { cert: certificate, key }
  }
  /** A server that keeps what it is sent, in clear. */
  const peer = async (tls: TlsOptions | undefined): Promise<{ port: number; got: Buffer[] }> => {
    const got: Buffer[] = []
    const take = (socket: Socket): void => {
      sockets.push(socket)
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => got.push(chunk))
    }
    const server = tls === undefined ? createTcpServer(take) : createTlsServer(tls, take)
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: (server.address() as { port: number }).port, got }
  }
  const target = (port: number) => ({ nodeName: 'n1', host: '127.0.0.1', port })

  it('is made to the right certificate', async () => {
    const { port } = await peer(serving(own, 'system:node:n1', '127.0.0.1'))
    const socket = await dialKubelet(target(port), connection)
    assert.equal(socket.authorized, true)
    socket.destroy()
  })

  const impostors: [string, () => TlsOptions, RegExp][] = [
    ['right authority, another address', () => serving(own, 'system:node:n1', '127.0.0.2'), /not for 127\.0\.0\.1/],
    ['right authority, another node', () => serving(own, 'system:node:n2', '127.0.0.1'), /not that of node "n1"/],
    ['foreign authority', () => serving(foreign, 'system:node:n1', '127.0.0.1'), /certificate/],
    [
      'a client certificate',
      () => {
        const spec = { commonName: 'system:node:n1', sans: { ip: ['127.0.0.1'] } }
        const { certificate, key } = own.issue('kubelet-client', spec)
        return { cert: certificate, key }
      },
      /purpose|not for servers|certificate/,
    ],
    [
      'TLS 1.1',
      () => ({ ...serving(own, 'system:node:n1', '127.0.0.1'), minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }),
      /./,
    ],
  ]
  for (const [name, tls, message] of impostors)
    it(`is not made: ${name}`, async () => {
      const { port, got } = await peer(tls())
      await assert.rejects(dialKubelet(target(port), connection), (error: ApiError) => {
        assert.equal(error.code, 500)
        assert.match(error.message, /^error dialing backend: 127\.0\.0\.1:\d+: /)
        assert.match(error.message, message)
        return true
      })
      assert.equal(Buffer.concat(got).length, 0)
    })

  it('is not made: plain TCP, which sees the beginning of a handshake and no more', async () => {
    const { port, got } = await peer(undefined)
    const dialling = dialKubelet(target(port), connection)
    const refused = assert.rejects(dialling, /error dialing backend/)
    while (got.length === 0) await delay(5)
    for (const socket of sockets) socket.destroy()
    await refused
    // 0x16: a TLS handshake record.
    assert.equal(Buffer.concat(got)[0], 0x16)
    assert.ok(!Buffer.concat(got).includes('HTTP'))
  })

  it('is not made: nobody listens', async () => {
    await assert.rejects(dialKubelet(target(1), connection), /error dialing backend: .*ECONNREFUSED/)
  })

  it('does not read a name from anywhere but the subject alternative names', () => {
    const { certificate } = own.issue('kubelet-serving', {
      commonName: 'system:node:n1',
      sans: { dns: ['n1.example'] },
    })
    const leaf = new X509Certificate(certificate)
    assert.equal(wrongIdentity(leaf, { nodeName: 'n1', host: 'n1.example', port: 1 }), undefined)
    assert.match(wrongIdentity(leaf, { nodeName: 'n1', host: '10.0.0.1', port: 1 }) ?? '', /not for 10/)
    assert.match(wrongIdentity(leaf, { nodeName: 'n1.example', host: 'n1.example', port: 1 }) ?? '', /not that of node/)
  })
})
