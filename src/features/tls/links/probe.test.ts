/** The probes against real servers: right ones, and ones that are wrong in one way each and must be found out. */
import assert from 'node:assert/strict'
import { createServer as createHttp } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net'
import { after, describe, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createKeyPair, type Issuer, issueCertificate } from '../certificate.ts'
import type { Identity } from './attempt.ts'
import { clientHello11, readAnswer11, readPlainAnswer } from './old-protocol.ts'
import { type Link, type ProbeName, probeLink } from './probe.ts'
import { linkIdentities, probeIdentity } from './probe-identities.ts'

const now = Date.now()
const DAY = 86_400_000

function authority(commonName: string): Issuer {
  const { publicKey, privateKey } = createKeyPair()
  const certificate = issueCertificate({
    subject: { commonName },
    publicKey,
    usages: ['keyCertSign'],
    notBefore: now - DAY,
    notAfter: now + DAY,
    issuer: { selfSigned: privateKey },
    ca: true,
  })
  return { certificate, key: privateKey }
}

const clients = authority('clients CA')
const others = authority('others CA')
const servers = authority('servers CA')
const pem = ({ certificate }: Issuer): string => certificate.toString()
const serverSpec = { commonName: 'server', sans: { ip: ['127.0.0.1'] }, extKeyUsage: ['serverAuth'] as const }
const serving = probeIdentity(servers, serverSpec, now)

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

async function listen(server: Server): Promise<number> {
  const open = new Set<{ destroy: () => void }>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('error', () => socket.destroy())
  })
  closers.push(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

type Flaw = {
  tls?: ServerOptions
  /** Whether a caller is somebody; the right server looks at the certificate. */
  knows?: (socket: TLSSocket) => boolean
}

/** As our servers are: a handshake without a certificate passes, a request does not. */
function server({ tls = {}, knows = (socket) => socket.authorized }: Flaw = {}): Promise<number> {
  const options = {
    ...serving,
    ca: [pem(clients)],
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2' as const,
  }
  return listen(
    createServer({ ...options, ...tls }, (req, res) => {
      res.writeHead(knows(req.socket as TLSSocket) ? 200 : 401).end()
    }),
  )
}

function linkTo(port: number, change: Partial<Link> = {}): Link {
  const identities = linkIdentities(
    { client: clients, wrong: others, server: servers },
    { commonName: 'client' },
    { commonName: 'other', sans: { dns: ['other.invalid'] } },
    { commonName: 'server' },
    now,
  )
  return {
    from: 'client',
    to: 'server',
    target: { host: '127.0.0.1', port },
    ca: pem(servers),
    ...identities,
    request: { method: 'GET', path: '/' },
    misjudged: (status) => (status === 200 ? undefined : `answered ${status}`),
    dial: tlsClient(identities.right, pem(servers)),
    ...change,
  }
}

const tlsClient =
  ({ cert, key }: Identity, ca: string, options: object = {}): Link['dial'] =>
  (host, port) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, ca, cert, key, ...options }, () => {
        socket.end('GET / HTTP/1.1\r\n\r\n', () => {
          // An answer, or the end: either way the server was believed.
          socket.on('close', resolve)
          setTimeout(() => socket.destroy(), 50)
        })
      })
      socket.once('error', reject)
    })

/** What is not right, by probe. */
async function flaws(port: number, change?: Partial<Link>): Promise<Partial<Record<ProbeName, string>>> {
  const { probes } = await probeLink(linkTo(port, change), 1500)
  return Object.fromEntries(probes.filter((p) => p.verdict !== 'right').map((p) => [p.probe, p.verdict]))
}

describe('a server that is right', () => {
  test('with 401 for strangers, as the API server and kubelets are', async () => {
    const report = await probeLink(linkTo(await server()))
    assert.deepEqual(
      report.probes.map(({ probe, verdict }) => `${probe}: ${verdict}`),
      [
        'right-certificate: right',
        'no-certificate: right',
        'foreign-ca: right',
        'wrong-authority: right',
        'wrong-name: right',
        'foreign-server: right',
        'plain-text: right',
        'tls-1.1: right',
      ],
    )
    assert.ok(report.right)
    assert.equal(report.protocol, 'TLSv1.3')
    assert.match(report.cipher, /^TLS_AES_/)
    assert.equal(report.client.subject, 'CN=client')
    assert.deepEqual(report.server?.names, ['IP:127.0.0.1'])
    assert.equal(report.server?.issuer, 'CN=servers CA')
  })

  test('that ends the handshake of strangers, as etcd does', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
      assert.deepEqual(await flaws(await server({ tls: { rejectUnauthorized: true, maxVersion } })), {})
  })
})

describe('a server that is wrong is found out', () => {
  test('takes callers without a certificate', async () => {
    const lax = await server({ knows: (socket) => socket.authorized || socket.getPeerX509Certificate() === undefined })
    assert.deepEqual(await flaws(lax), { 'no-certificate': 'wrong' })
  })
  test('asks for no certificate at all', async () => {
    const lax = await server({ tls: { requestCert: false }, knows: () => true })
    assert.deepEqual(await flaws(lax), { 'no-certificate': 'wrong', 'foreign-ca': 'wrong', 'wrong-authority': 'wrong' })
  })
  test('believes any certificate', async () => {
    const lax = await server({ knows: (socket) => socket.getPeerX509Certificate() !== undefined })
    assert.deepEqual(await flaws(lax), { 'foreign-ca': 'wrong', 'wrong-authority': 'wrong' })
  })
  test('believes another authority of the cluster', async () => {
    assert.deepEqual(await flaws(await server({ tls: { ca: [pem(clients), pem(others)] } })), {
      'wrong-authority': 'wrong',
    })
  })
  test('answers 403 to strangers: they are somebody to it', async () => {
    const port = await listen(
      createServer({ ...serving, ca: [pem(clients)], requestCert: true, rejectUnauthorized: false }, (req, res) => {
        res.writeHead((req.socket as TLSSocket).authorized ? 200 : 403).end()
      }),
    )
    assert.equal((await flaws(port))['no-certificate'], 'wrong')
  })
  test('speaks TLS 1.1', async () => {
    const old = await server({ tls: { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } })
    assert.deepEqual(await flaws(old), { 'tls-1.1': 'wrong' })
  })
  test('speaks plain text', async () => {
    const found = await flaws(await listen(createHttp((_req, res) => res.end('ok'))))
    assert.equal(found['plain-text'], 'wrong')
    assert.equal(found['right-certificate'], 'wrong')
  })
  test('refuses everybody', async () => {
    assert.deepEqual(await flaws(await server({ knows: () => false })), { 'right-certificate': 'wrong' })
  })
  test('says nothing: nothing is proved, and it ends in time', async () => {
    const mute = await listen(createTcp())
    const { probes, right } = await probeLink(linkTo(mute), 300)
    assert.equal(right, false)
    for (const { probe, verdict } of probes)
      if (['no-certificate', 'foreign-ca', 'plain-text', 'tls-1.1'].includes(probe)) assert.equal(verdict, 'unproven')
  })
  test('is not there', async () => {
    const gone = createTcp()
    const port = await listen(gone)
    gone.close()
    const found = await flaws(port)
    assert.equal(found['right-certificate'], 'wrong')
    assert.equal(found['no-certificate'], 'unproven')
  })
  test('has the certificate of another name, authority, or one that has expired', async () => {
    const foreign = authority('servers CA')
    const wrong: Identity[] = [
      probeIdentity(servers, { ...serverSpec, sans: { dns: ['elsewhere'] } }, now),
      probeIdentity(foreign, serverSpec, now),
      probeIdentity(servers, serverSpec, now - DAY / 2),
    ]
    for (const { cert, key } of wrong) {
      const found = await flaws(await server({ tls: { cert, key } }))
      assert.equal(found['right-certificate'], 'wrong')
      assert.equal(found['no-certificate'], 'unproven')
    }
  })
  test('has a certificate that only the further check finds wrong', async () => {
    const found = await flaws(await server(), { identify: (leaf) => `${leaf.subject} is another machine` })
    assert.equal(found['right-certificate'], 'wrong')
  })
})

describe('a client that is wrong is found out', () => {
  test('does not look at names', async () => {
    const client = linkTo(0)
    const dial = tlsClient(client.right, pem(servers), { checkServerIdentity: () => undefined })
    assert.deepEqual(await flaws(await server(), { dial }), { 'wrong-name': 'wrong' })
  })
  test('trusts a foreign authority', async () => {
    const foreign = linkTo(0).impostors.foreign
    const [, issuer = ''] = foreign.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    const dial = tlsClient(linkTo(0).right, pem(servers) + issuer)
    const change = { dial, impostors: { ...linkTo(0).impostors, foreign } }
    assert.deepEqual(await flaws(await server(), change), { 'foreign-server': 'wrong' })
  })
  test('never decides', async () => {
    const dial = (): Promise<never> => new Promise(() => undefined)
    const { probes } = await probeLink(linkTo(await server(), { dial }), 300)
    assert.equal(probes.find((p) => p.probe === 'wrong-name')!.verdict, 'unproven')
  })
  test('what cannot be tried is said, and is no finding', async () => {
    const without = { wrongAuthority: 'no key', impostors: { ...linkTo(0).impostors, wrongName: 'no key' } }
    const { probes, right } = await probeLink(linkTo(await server(), without))
    assert.ok(right)
    assert.deepEqual(
      probes.filter((p) => p.verdict === 'impossible').map((p) => p.probe),
      ['wrong-authority', 'wrong-name'],
    )
  })
})

describe('answers', () => {
  const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
  const cases: [what: string, answer: Uint8Array, refused: boolean | undefined | 'more'][] = [
    ['alert protocol version', bytes(21, 3, 1, 0, 2, 2, 70), true],
    ['any other alert', bytes(21, 3, 1, 0, 2, 2, 40), true],
    ['ServerHello of TLS 1.1', bytes(22, 3, 2, 0, 50, 2, 0, 0, 46, 3, 2), false],
    ['ServerHello of TLS 1.0', bytes(22, 3, 1, 0, 50, 2, 0, 0, 46, 3, 1), false],
    ['ServerHello of TLS 1.2, which nobody offered', bytes(22, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3), undefined],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad'), undefined],
    ['half a header', bytes(22, 3), 'more'],
  ]
  for (const [what, answer, expected] of cases)
    test(`to TLS 1.1: ${what}`, () => {
      const read = readAnswer11(answer)
      assert.equal(read === undefined ? 'more' : read.refused, expected)
    })
  test('to plain text', () => {
    assert.equal(readPlainAnswer(Buffer.from('HTTP/1.0 400 Bad Request\r\n\r\n'))?.refused, true)
    for (const line of ['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 401 Unauthorized\r\n', 'SSH-2.0-OpenSSH_9.2'])
      assert.equal(readPlainAnswer(Buffer.from(line))?.refused, false, line)
    assert.equal(readPlainAnswer(Buffer.from('HTTP/1'))?.refused, undefined)
  })
  test('the ClientHello says its own length', () => {
    const hello = clientHello11('example.test', new Uint8Array(32))
    assert.equal(hello.readUInt16BE(3), hello.length - 5)
    assert.equal(hello.readUInt16BE(7), hello.length - 9)
  })
})
