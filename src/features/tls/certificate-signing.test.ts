import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { KubeObject } from '../../kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'
import type { ResourceId } from '../../kernel/client/client.ts'
import { createRemoteClient } from '../../kernel/client/remote.ts'
import { awaitsSignature } from './certificate-signing.ts'

/** From openssl's request to a certificate that logs in, through a running server. */

const CSRS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const REVIEWS: ResourceId = { group: 'authentication.k8s.io', version: 'v1', resource: 'selfsubjectreviews' }
const CLIENT = 'kubernetes.io/kube-apiserver-client'
const KUBELET = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING = 'kubernetes.io/kubelet-serving'

const folder = mkdtempSync(join(tmpdir(), 'rampart-csr-'))
let server: TestServer
before(async () => {
  server = await startTestServer()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

/** PEM of a new request; its key stays in the folder as `name.key`. */
function request(name: string, subject: string, ...more: string[]): string {
  return requestWith(EC, name, subject, ...more)
}
function requestWith(algorithm: string[], name: string, subject: string, ...more: string[]): string {
  const key = join(folder, `${name}.key`)
  return openssl('req', '-new', '-newkey', ...algorithm, '-nodes', '-keyout', key, '-subj', subject, ...more)
}

type Wanted = { signerName?: string; usages?: string[]; expirationSeconds?: number }

async function submit(name: string, pem: string, wanted: Wanted = {}): Promise<KubeObject> {
  return server.remoteClient.create(CSRS, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request: Buffer.from(pem).toString('base64'), signerName: CLIENT, usages: ['client auth'], ...wanted },
  })
}

const decide = (csr: KubeObject, ...types: string[]): Promise<KubeObject> =>
  server.remoteClient.update(
    CSRS,
    { ...csr, status: { conditions: types.map((type) => ({ type, status: 'True', reason: 'ByTest', message: '' })) } },
    { subresource: 'approval' },
  )

async function settled(name: string): Promise<KubeObject> {
  for (let i = 0; i < 500; i++) {
    const csr = await server.remoteClient.get(CSRS, '', name)
    if (csr['status']?.certificate || failure(csr) !== undefined) return csr
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${name} was neither signed nor refused`)
}

type Condition = { type: string; status: string; reason: string; message: string; lastUpdateTime?: string }
const failure = (csr: KubeObject): Condition | undefined =>
  (csr['status']?.conditions as Condition[] | undefined)?.find((c) => c.type === 'Failed')
const chainOf = (csr: KubeObject): string => Buffer.from(csr['status'].certificate, 'base64').toString()

async function whoami(cert: string, name: string): Promise<{ username: string; groups: string[] }> {
  const key = readFileSync(join(folder, `${name}.key`), 'utf8')
  const client = createRemoteClient({ server: new URL(server.url), ca: server.ca, cert, key, userAgent: 'test' })
  try {
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview', metadata: {} }
    return (await client.create(REVIEWS, review))['status'].userInfo
  } finally {
    client.close()
  }
}

test('an approved request of a user gives a certificate that logs in as that user', async () => {
  const csr = await submit('alice', request('alice', '/CN=alice/O=dev/O=ops'))
  await decide(csr, 'Approved')
  const signed = await settled('alice')
  const { username, groups } = await whoami(chainOf(signed), 'alice')
  assert.equal(username, 'alice')
  assert.deepEqual(groups, ['dev', 'ops', 'system:authenticated'])
  assert.deepEqual(
    signed['status'].conditions.map((c: Condition) => c.type),
    ['Approved'],
  )
})

test('nothing is signed before somebody approves, nor after somebody denies', async () => {
  await submit('pending', request('pending', '/CN=pending'))
  await decide(await submit('denied', request('denied', '/CN=denied')), 'Denied')
  await decide(await submit('later', request('later', '/CN=later')), 'Approved')
  await settled('later')
  for (const name of ['pending', 'denied'])
    assert.equal((await server.remoteClient.get(CSRS, '', name))['status']?.certificate, undefined)
})

test('another signer is left to whoever serves it', async () => {
  await decide(
    await submit('foreign', request('foreign', '/CN=foreign'), { signerName: 'example.com/own' }),
    'Approved',
  )
  await decide(await submit('own', request('own', '/CN=own')), 'Approved')
  await settled('own')
  const foreign = await server.remoteClient.get(CSRS, '', 'foreign')
  assert.equal(foreign['status'].certificate, undefined)
  assert.equal(failure(foreign), undefined)
})

test('spec.expirationSeconds decides how long the certificate lives', async () => {
  await decide(await submit('short', request('short', '/CN=short'), { expirationSeconds: 3600 }), 'Approved')
  await decide(await submit('plain', request('plain', '/CN=plain')), 'Approved')
  const hours = async (name: string): Promise<number> =>
    (new X509Certificate(chainOf(await settled(name))).validToDate.getTime() - Date.now()) / 3600_000
  const [short, plain] = [await hours('short'), await hours('plain')]
  assert.ok(short > 0.95 && short <= 1.01, `${short} hours`)
  assert.ok(plain > 364 * 24 && plain <= 365 * 24, `${plain} hours`)
})

test('machines: client and serving certificates come from authorities of their own', async () => {
  const subject = '/O=system:nodes/CN=system:node:n1'
  const client = await submit('node-client', request('node-client', subject), {
    signerName: KUBELET,
    usages: ['digital signature', 'client auth'],
  })
  const serving = await submit(
    'node-serving',
    request('node-serving', subject, '-addext', 'subjectAltName=DNS:n1,IP:10.0.0.1'),
    { signerName: SERVING, usages: ['digital signature', 'server auth'] },
  )
  await decide(client, 'Approved')
  await decide(serving, 'Approved')
  const info = await whoami(chainOf(await settled('node-client')), 'node-client')
  assert.equal(info.username, 'system:node:n1')
  const leaf = new X509Certificate(chainOf(await settled('node-serving')))
  assert.equal(leaf.subjectAltName, 'DNS:n1, IP Address:10.0.0.1')
  assert.ok(leaf.checkIssued(server.plane.pki.issuer('kubelet-serving').certificate))
  await assert.rejects(whoami(chainOf(await settled('node-serving')), 'node-serving'))
})

const REFUSED: [name: string, pem: () => string, wanted: Wanted, message: string | RegExp][] = [
  [
    'bad-usage',
    () => request('bad-usage', '/CN=eve'),
    { usages: ['client auth', 'server auth'] },
    'invalid usage for client certificate: server auth',
  ],
  [
    'no-usage',
    () => request('no-usage', '/CN=eve'),
    { usages: ['digital signature'] },
    'missing required usage for client certificate: client auth',
  ],
  [
    'not-a-node',
    () => request('not-a-node', '/CN=system:node:n1'),
    { signerName: KUBELET, usages: ['digital signature', 'client auth'] },
    'subject organization is not system:nodes',
  ],
  [
    'node-usage',
    () => request('node-usage', '/O=system:nodes/CN=system:node:n1'),
    { signerName: KUBELET },
    'usages did not match [client auth digital signature key encipherment]',
  ],
  ['weak-key', () => requestWith(['rsa:1024'], 'weak-key', '/CN=eve'), {}, /keys of type rsa 1024 are not accepted/],
]
for (const [name, pem, wanted, message] of REFUSED)
  test(`the signer refuses: ${name}`, async () => {
    await decide(await submit(name, pem(), wanted), 'Approved')
    const csr = await settled(name)
    const condition = failure(csr)!
    assert.equal(csr['status'].certificate, undefined)
    assert.equal(condition.status, 'True')
    assert.equal(condition.reason, 'SignerValidationFailure')
    if (typeof message === 'string') assert.equal(condition.message, message)
    else assert.match(condition.message, message)
  })

test('text around the request, as openssl writes it, does not matter', async () => {
  const pem = request('text', '/CN=text', '-text')
  assert.match(pem, /^Certificate Request:/)
  await decide(await submit('text', pem), 'Approved')
  assert.equal((await whoami(chainOf(await settled('text')), 'text')).username, 'text')
})

test('requests approved while nobody signs are signed at the next start, once', async () => {
  const directory = mkdtempSync(join(folder, 'restart-'))
  const first = server
  server = await startTestServer({ directory })
  try {
    await decide(await submit('early', request('early', '/CN=early')), 'Approved')
    const before = chainOf(await settled('early'))
    await server.close({ keep: true })
    server = await startTestServer({ directory })
    await decide(await submit('late', request('late', '/CN=late')), 'Approved')
    await settled('late')
    assert.equal(chainOf(await settled('early')), before)
  } finally {
    await server.close({ keep: true })
    server = first
  }
})

const WAITING: [what: string, spec: object, status: object, expected: boolean][] = [
  ['approved', {}, { conditions: [{ type: 'Approved', status: 'True' }] }, true],
  ['pending', {}, {}, false],
  ['denied too', {}, { conditions: [{ type: 'Approved' }, { type: 'Denied' }] }, false],
  ['failed', {}, { conditions: [{ type: 'Approved' }, { type: 'Failed', status: 'True' }] }, false],
  ['signed', {}, { conditions: [{ type: 'Approved' }], certificate: 'LS0t' }, false],
  ['legacy', { signerName: 'kubernetes.io/legacy-unknown' }, { conditions: [{ type: 'Approved' }] }, false],
  ['of another signer', { signerName: 'example.com/x' }, { conditions: [{ type: 'Approved' }] }, false],
]
for (const [what, spec, status, expected] of WAITING)
  test(`awaits a signature: ${what}`, () => {
    const csr: KubeObject = {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: 'x' },
      spec: { signerName: CLIENT, ...spec },
      status,
    }
    assert.equal(awaitsSignature(csr), expected)
  })
