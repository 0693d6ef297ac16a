import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { Agent, createServer, type RequestOptions, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createAuthenticatorChain } from '../../kernel/authn/chain.ts'
import type { AuthnVerdict, TokenAuthenticator } from '../../kernel/authn/types.ts'
import { x509Authenticator } from '../../kernel/authn/x509.ts'
import { type CertificateRequest, createKeyPair, type Issuer, issueCertificate, privateKeyPem } from './certificate.ts'
import { ControlPlanePki } from './control-plane-pki.ts'
import * as der from './der.ts'
import { watchRevocations } from './revocation.ts'

/** Authentication by certificate over real connections: what the handshake verifies and what is looked at afterwards. */

const folder = mkdtempSync(join(tmpdir(), 'rampart-x509-'))
const DAY = 86_400_000
let skew = 0
const clock = { now: () => Date.now() + skew }
const pki = (name: string) =>
  new ControlPlanePki({
    directory: join(folder, name),
    clock: { now: Date.now },
    clusterName: 'test',
    apiServerNames: [],
    serviceAddress: '10.96.0.1',
  })
const own = pki('own')
const foreign = pki('foreign')
const revocations = watchRevocations(join(folder, 'revoked.json'), () => undefined)

const goodToken: TokenAuthenticator = {
  name: 'token',
  authenticateToken: (token) =>
    token === 'good' ? { verdict: 'allow', by: 'token', user: { name: 'by-token', groups: [] } } : { verdict: 'next' },
}
const chain = createAuthenticatorChain([x509Authenticator({ clock, isRevoked: revocations.isRevoked })], [goodToken])
const server = createServer(
  {
    ...own.serverContext(),
    requestCert: true,
    // As in the API server: callers without a certificate may have a token; what does verify is asked of x509.ts.
    rejectUnauthorized: false,
  },
  (req, res) => {
    const verdict = chain.authenticate({ socket: req.socket as TLSSocket, headers: req.headers, path: req.url ?? '' })
    assert.ok(!(verdict instanceof Promise), 'certificates are judged at once')
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify({ ...verdict, resumed: (req.socket as TLSSocket).isSessionReused() }))
  },
)
let port = 0
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  port = (server.address() as AddressInfo).port
})
after(() => {
  server.closeAllConnections()
  server.close()
  revocations.close()
  rmSync(folder, { recursive: true })
})

type Credential = { cert: string; key: string }
type Answer = AuthnVerdict & { resumed: boolean }

function ask(credential: Partial<Credential> = {}, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: '127.0.0.1', port, ca: own.rootPem, agent: false, ...credential, ...options },
      (res) => {
        let body = ''
        res.on('data', (part) => (body += part))
        res.on('end', () => resolve(JSON.parse(body) as Answer))
      },
    )
    call.on('error', reject)
    call.end()
  })
}

/** A client certificate with anything about it changed. */
function client(over: Partial<CertificateRequest> = {}, issuer: Issuer = own.issuer('client')): Credential {
  const { publicKey, privateKey } = createKeyPair()
  const certificate = issueCertificate({
    subject: { commonName: 'alice', organizations: ['dev', 'ops'] },
    publicKey,
    usages: ['digitalSignature'],
    extKeyUsage: ['clientAuth'],
    notBefore: Date.now() - DAY,
    notAfter: Date.now() + DAY,
    issuer,
    ...over,
  })
  return { cert: certificate.toString() + issuer.certificate.toString(), key: privateKeyPem(privateKey) }
}

/** A Name of single parts, each one attribute or several at once. */
function subject(...parts: [oid: string, value: string, tag?: number][][]): { der: Uint8Array } {
  const attribute = ([oid, value, tag = 0x0c]: [string, string, number?]): Uint8Array =>
    der.sequence(der.objectIdentifier(oid), der.tlv(tag, Buffer.from(value, tag === 0x1e ? 'utf16le' : 'utf8')))
  return { der: der.sequence(...parts.map((part) => der.setOf(...part.map(attribute)))) }
}
const CN = '2.5.4.3'
const O = '2.5.4.10'

const good: [name: string, credential: () => Credential, user: string, groups: string[]][] = [
  ['CN and O', () => client(), 'alice', ['dev', 'ops']],
  ['the admin', () => own.leaf('admin'), 'kubernetes-admin', ['system:masters']],
  [
    'a kubelet',
    () =>
      client(
        { subject: { commonName: 'system:node:n1', organizations: ['system:nodes'] } },
        own.issuer('kubelet-client'),
      ),
    'system:node:n1',
    ['system:nodes'],
  ],
  ['no groups', () => client({ subject: { commonName: 'bob' } }), 'bob', []],
  [
    'a name that could be taken for more',
    () => client({ subject: { commonName: 'eve, O=system:masters\nO=system:masters + O=x\\' } }),
    'eve, O=system:masters\nO=system:masters + O=x\\',
    [],
  ],
  ['other scripts', () => client({ subject: { commonName: 'Ζωή ☂', organizations: ['Größe'] } }), 'Ζωή ☂', ['Größe']],
  [
    'several attributes in one part',
    () =>
      client({
        subject: subject([
          [CN, 'carol'],
          [O, 'dev'],
        ]),
      }),
    'carol',
    ['dev'],
  ],
  ['a group twice', () => client({ subject: { commonName: 'a', organizations: ['x', 'x'] } }), 'a', ['x']],
]
for (const [name, credential, user, groups] of good)
  test(`client certificate: ${name}`, async () => {
    const answer = await ask(credential())
    assert.ok(answer.verdict === 'allow', JSON.stringify(answer))
    assert.equal(answer.by, 'x509')
    assert.equal(answer.user.name, user)
    assert.deepEqual(answer.user.groups, [...groups, 'system:authenticated'])
    assert.match(answer.user.extra!['authentication.kubernetes.io/credential-id']![0]!, /^X509SHA256=[0-9a-f]{64}$/)
  })

function selfSigned(): Credential {
  const { publicKey, privateKey } = createKeyPair()
  return { ...client({ publicKey, issuer: { selfSigned: privateKey } }), key: privateKeyPem(privateKey) }
}

/** An authority of the attacker's with the name of ours. */
function impostor(): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = issueCertificate({
    subject: subject([[O, 'rampart']], [[CN, 'test client CA']]),
    publicKey,
    usages: ['keyCertSign'],
    notBefore: Date.now() - DAY,
    notAfter: Date.now() + DAY,
    issuer: { selfSigned: privateKey },
    ca: true,
  })
  return { certificate, key: privateKey }
}

/** An end certificate that signs another, which no authority allowed it to. */
function fromLeaf(): Credential {
  const alice = client()
  const { cert, key } = client({}, { ...impostor(), key: createPrivateKey(alice.key) })
  return { cert: cert + alice.cert, key }
}

const bad: [name: string, credential: () => Credential, reason: RegExp][] = [
  ['expired', () => client({ notBefore: Date.now() - 2 * DAY, notAfter: Date.now() - DAY }), /CERT_HAS_EXPIRED/],
  [
    'not valid yet',
    () => client({ notBefore: Date.now() + DAY, notAfter: Date.now() + 2 * DAY }),
    /CERT_NOT_YET_VALID/,
  ],
  ['of a foreign cluster', () => foreign.leaf('admin'), /does not verify/],
  ['self-signed', selfSigned, /does not verify/],
  ['of an authority that only has our name', () => client({}, impostor()), /does not verify/],
  ['signed by an end certificate', fromLeaf, /does not verify/],
  ['for serving', () => client({ extKeyUsage: ['serverAuth'] }), /INVALID_PURPOSE/],
  ['for nothing in particular', () => client({ extKeyUsage: [] }), /not for client authentication/],
  ['of the etcd authority', () => own.leaf('etcd-client'), /does not verify/],
  ['of the front-proxy authority', () => client({}, own.issuer('front-proxy')), /does not verify/],
  ['the server’s own', () => own.leaf('api-server'), /does not verify/],
  ['without a name', () => client({ subject: subject([[O, 'system:masters']]) }), /does not name exactly one user/],
  [
    'with two names',
    () => client({ subject: subject([[CN, 'alice']], [[CN, 'root']]) }),
    /does not name exactly one user/,
  ],
  ['with an empty name', () => client({ subject: subject([[CN, '']]) }), /does not name exactly one user/],
  ['with a name of another string type', () => client({ subject: subject([[CN, 'alice', 0x1e]]) }), /cannot be read/],
  [
    'that is an authority',
    () => client({ ca: true, usages: ['digitalSignature', 'keyCertSign'] }),
    /authority|does not verify/,
  ],
]
for (const [name, credential, reason] of bad)
  for (const headers of [{}, { authorization: 'Bearer good' }])
    test(`client certificate refused: ${name}${headers.authorization ? ', with a good token beside it' : ''}`, async () => {
      const answer = await ask(credential(), { headers })
      assert.ok(answer.verdict === 'deny', JSON.stringify(answer))
      assert.equal(answer.by, 'x509')
      assert.match(answer.reason, reason)
    })

test('client certificate: none at all leaves it to the tokens', async () => {
  assert.equal((await ask()).verdict, 'next')
  const answer = await ask({}, { headers: { authorization: 'Bearer good' } })
  assert.equal(answer.verdict === 'allow' && answer.user.name, 'by-token')
})

/** Requests on one connection that stays open. */
async function onOneConnection(
  credential: Credential,
  steps: (next: () => Promise<Answer>) => Promise<void>,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let sockets = 0
  agent.on('free', () => sockets++)
  try {
    await steps(() => ask(credential, { agent }))
    assert.ok(sockets > 0)
  } finally {
    agent.destroy()
  }
}

test('client certificate: it expires under an open connection, and a clock that goes back counts too', () =>
  onOneConnection(client(), async (next) => {
    try {
      assert.equal((await next()).verdict, 'allow')
      skew = 2 * DAY
      const late = await next()
      assert.ok(late.verdict === 'deny')
      assert.match(late.reason, /expired/)
      skew = -2 * DAY
      const early = await next()
      assert.ok(early.verdict === 'deny')
      assert.match(early.reason, /not valid yet/)
      skew = 0
      assert.equal((await next()).verdict, 'allow')
    } finally {
      skew = 0
    }
  }))

test('client certificate: it is revoked under an open connection, by number or by fingerprint', async () => {
  for (const by of ['serialNumber', 'fingerprint256'] as const) {
    const credential = client()
    await onOneConnection(credential, async (next) => {
      assert.equal((await next()).verdict, 'allow')
      const certificate = execFileSync('openssl', ['x509', '-noout', '-serial', '-fingerprint', '-sha256'], {
        input: credential.cert,
        encoding: 'utf8',
      })
      const value = /(?:serial|ingerprint)=(.*)/g
      const [serialNumber, fingerprint256] = [...certificate.matchAll(value)].map((m) => m[1]!)
      revocations.revoke(by === 'serialNumber' ? { serialNumber: serialNumber! } : { fingerprint256: fingerprint256! })
      const answer = await next()
      assert.ok(answer.verdict === 'deny')
      assert.match(answer.reason, /revoked/)
    })
    const again = await ask(credential)
    assert.equal(again.verdict, 'deny', 'a new connection does not help')
  }
})

/** Talks one request over a connection of its own; resolves with the session's ticket for the next. */
function talk(
  credential: Partial<Credential>,
  session?: Buffer,
): Promise<{ answer: Answer; session: Buffer | undefined }> {
  return new Promise((resolve, reject) => {
    let ticket: Buffer | undefined
    let text = ''
    const socket = connect(
      { host: '127.0.0.1', port, ca: own.rootPem, ...credential, ...(session ? { session } : {}) },
      () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    )
    socket.on('session', (value) => (ticket = value))
    socket.on('data', (part) => (text += part))
    socket.on('error', reject)
    socket.on('end', () => {
      const body = /\{.*\}/s.exec(text)![0]
      resolve({ answer: JSON.parse(body) as Answer, session: ticket })
    })
  })
}

test('client certificate: a resumed session is still who it was, and is revoked like it', async () => {
  const credential = client({ subject: { commonName: 'resumer' } })
  const first = await talk(credential)
  const second = await talk(credential, first.session)
  assert.equal(second.answer.resumed, true)
  assert.equal(second.answer.verdict === 'allow' && second.answer.user.name, 'resumer')
  const serial = execFileSync('openssl', ['x509', '-noout', '-serial'], {
    input: credential.cert,
    encoding: 'utf8',
  }).trim()
  revocations.revoke({ serialNumber: serial.replace('serial=', '') })
  const third = await talk({}, first.session)
  assert.equal(third.answer.resumed, true)
  assert.equal(third.answer.verdict, 'deny')
})

test('client certificate: a session without one stays nobody when it is resumed', async () => {
  const first = await talk({})
  const second = await talk({}, first.session)
  assert.equal(second.answer.resumed, true)
  assert.equal(second.answer.verdict, 'next')
})

test('client certificate: a session of a bad one stays bad when it is resumed', async () => {
  const credential = foreign.leaf('admin')
  const first = await talk(credential)
  assert.equal(first.answer.verdict, 'deny')
  const second = await talk(credential, first.session)
  assert.equal(second.answer.verdict, 'deny')
})

test('connection: TLS 1.0 and 1.1 end in the handshake', async () => {
  for (const version of ['TLSv1', 'TLSv1.1'] as const)
    await assert.rejects(
      ask(own.leaf('admin'), { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }),
      /alert|version|protocol/i,
    )
})

test('connection: plain HTTP gets no answer', async () => {
  const call = plainRequest({ host: '127.0.0.1', port, agent: false })
  call.end()
  await assert.rejects(once(call, 'response'))
})

test('connection: a certificate without its key ends in the handshake', async () => {
  const { cert } = own.leaf('admin')
  const { key } = foreign.leaf('admin')
  await assert.rejects(ask({ cert, key }), /key values mismatch/)
})
