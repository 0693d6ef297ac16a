/** CertificateSigningRequests that ask for what is not theirs, or are broken, against a whole control plane. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeCertificateRequest } from '../src/features/tls/request-writer.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { ApiError } from '../src/kernel/api/status.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import type { ResourceId } from '../src/kernel/client/client.ts'
import { createRemoteClient, type RemoteClient } from '../src/kernel/client/remote.ts'

const CSRS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const EVENTS: ResourceId = { group: '', version: 'v1', resource: 'events' }
const CLIENT = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING = 'kubernetes.io/kubelet-serving'

let server: TestServer
let machine: RemoteClient
const folder = mkdtempSync(join(tmpdir(), `rampart-requests-${process.pid}-`))
before(async () => {
  server = await startTestServer()
  const { certificate: cert, key } = server.plane.pki.issue('kubelet-client', {
    commonName: 'system:node:n1',
    organizations: ['system:nodes'],
  })
  const { pki } = server.plane
  machine = createRemoteClient({ server: new URL(server.url), ca: pki.rootPem, cert, key, userAgent: 'test' })
  await server.remoteClient.create({ group: '', version: 'v1', resource: 'configmaps' }, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'rampart-machine-n1', namespace: 'kube-system' },
    data: { nodeAddress: '172.31.0.11' },
  } as unknown as KubeObject)
})
after(async () => {
  machine.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const own = { commonName: 'system:node:n1', organizations: ['system:nodes'], key }
const names = { sans: { dns: ['n1'], ip: ['172.31.0.11'] } }

/** A request made by openssl: keys and shapes that ours would not write. */
function byOpenssl(algorithm: string[], config: string[] = []): string {
  const file = join(folder, 'key.pem')
  execFileSync('openssl', ['genpkey', ...algorithm, '-out', file], { stdio: 'ignore' })
  return execFileSync(
    'openssl',
    ['req', '-new', '-key', file, '-subj', '/O=system:nodes/CN=system:node:n1', ...config],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
}

const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
const derOf = (text: string): Buffer => Buffer.from(text.replace(/-----.*-----/g, ''), 'base64')

let count = 0
type Outcome = { name: string; certificate: string | undefined; conditions: string[]; event: string }

/** Rejects with the API server's refusal; otherwise what has become of the request. */
async function ask(request: string, signerName: string, more: Record<string, unknown> = {}): Promise<Outcome> {
  const name = `asked-${count++}`
  await machine.create(CSRS, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(request).toString('base64'),
      signerName,
      usages: ['digital signature', signerName === SERVING ? 'server auth' : 'client auth'],
      expirationSeconds: 604_800,
      ...more,
    },
  } as unknown as KubeObject)
  for (let i = 0; i < 400; i++) {
    const status = (await server.remoteClient.get(CSRS, '', name))['status'] ?? {}
    const conditions = ((status.conditions ?? []) as { type: string }[]).map(({ type }) => type)
    const { items } = await server.remoteClient.list(EVENTS)
    const event = items.find((e) => (e['involvedObject'] as { name?: string } | undefined)?.name === name)
    // Roles of machines are made when a cluster starts: a request may come before them.
    const early = /RBAC does not let/.test(String(event?.['message']))
    if (status.certificate || conditions.includes('Failed') || (event !== undefined && !early))
      return { name, certificate: status.certificate, conditions, event: String(event?.['message'] ?? '') }
    await sleep(10)
  }
  throw new Error(`${name}: nothing has become of it`)
}

/** Nobody approved it, nobody signed it, and it is said why. */
async function waits(request: string, signerName: string, why: RegExp, more?: Record<string, unknown>): Promise<void> {
  const outcome = await ask(request, signerName, more)
  assert.deepEqual([outcome.certificate, outcome.conditions], [undefined, []])
  assert.match(outcome.event, why)
}

async function refused(request: string, why: RegExp): Promise<void> {
  await assert.rejects(ask(request, CLIENT), (error: Error) => error instanceof ApiError && why.test(error.message))
}

describe('what a machine asks for', () => {
  test('the comparison: its own certificates come at once, and verify strictly', async () => {
    for (const [signer, request, purpose] of [
      [CLIENT, writeCertificateRequest(own), 'sslclient'],
      [SERVING, writeCertificateRequest({ ...own, ...names }), 'sslserver'],
    ] as const) {
      const { certificate, conditions, event } = await ask(request, signer)
      assert.deepEqual(conditions, ['Approved'], event)
      const chain = Buffer.from(certificate!, 'base64').toString('utf8')
      const [leaf = '', issuer = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
      const file = (name: string, text: string): string => {
        const path = join(folder, name)
        writeFileSync(path, text)
        return path
      }
      const args = ['-CAfile', file('ca.pem', server.plane.pki.rootPem), '-untrusted', file('issuer.pem', issuer)]
      const verify = (as: string): string =>
        execFileSync('openssl', ['verify', '-x509_strict', '-purpose', as, ...args, file('leaf.pem', leaf)], {
          encoding: 'utf8',
          stdio: 'pipe',
        })
      assert.match(verify(purpose), /OK/)
      assert.throws(() => verify(purpose === 'sslclient' ? 'sslserver' : 'sslclient'), /unsuitable|unsupported/i)
      const days = new X509Certificate(leaf).validToDate.getTime() - Date.now()
      assert.ok(days <= 7 * 86_400_000)
    }
  })

  test('another machine’s name', async () => {
    await waits(writeCertificateRequest({ ...own, commonName: 'system:node:n2' }), CLIENT, /of the machine n2/)
  })
  test('a foreign address, a foreign name, the API server’s name, a wildcard', async () => {
    for (const sans of [
      { dns: ['n1'], ip: ['172.31.0.11', '172.31.0.12'] },
      { dns: ['n1', 'n2'] },
      { dns: ['kubernetes.default.svc'] },
      { dns: ['*.n1'], ip: ['172.31.0.11'] },
    ]) {
      const { certificate } = await ask(writeCertificateRequest({ ...own, sans }), SERVING).catch(() => ({
        certificate: undefined,
      }))
      assert.equal(certificate, undefined)
    }
    const sans = { dns: ['n1', 'n2'] }
    await waits(writeCertificateRequest({ ...own, sans }), SERVING, /n2 is not known to be n1/)
  })
  test('usages that are not a machine’s', async () => {
    const usages = ['digital signature', 'server auth', 'client auth']
    await waits(writeCertificateRequest({ ...own, ...names }), SERVING, /usages/, { usages })
    await waits(writeCertificateRequest(own), CLIENT, /usages/, { usages: ['digital signature', 'server auth'] })
    await waits(writeCertificateRequest(own), CLIENT, /usages/, { usages: ['client auth', 'cert sign'] })
  })
  test('a longer life', async () => {
    const request = writeCertificateRequest(own)
    await waits(request, CLIENT, /at most 604800/, { expirationSeconds: 31_536_000 })
  })
  test('groups beside its own', async () => {
    const organizations = ['system:nodes', 'system:masters']
    await waits(writeCertificateRequest({ ...own, organizations }), CLIENT, /organization is not system:nodes/)
  })
  test('a key that is too weak', async () => {
    const weak = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:512']
    await waits(byOpenssl(weak), CLIENT, /keys of type rsa 512 are not accepted/)
    const odd = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1']
    await waits(byOpenssl(odd), CLIENT, /keys of type ec secp256k1 are not accepted/)
  })
  test('an authority of its own', async () => {
    const algorithm = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
    const request = byOpenssl(algorithm, ['-addext', 'basicConstraints=critical,CA:TRUE'])
    const { certificate } = await ask(request, CLIENT)
    assert.equal(
      new X509Certificate(Buffer.from(certificate!, 'base64')).ca,
      false,
      'what it says of itself is ignored',
    )
  })
})

describe('what is broken is refused', () => {
  test('a signature by another key', async () => {
    const der = derOf(writeCertificateRequest(own))
    der[der.length - 1]! ^= 1
    await waits(pem(der), CLIENT, /not signed with its own key|signature/).catch((error: Error) => {
      assert.match(error.message, /signature|CSR/i)
    })
  })
  test('DER that ends early, lies about its length, or is followed by more', async () => {
    const der = derOf(writeCertificateRequest(own))
    for (const broken of [
      der.subarray(0, der.length - 9),
      Buffer.concat([der, Buffer.from([0])]),
      Buffer.from([0x30, 0x84]),
    ])
      await refused(pem(broken), /request|CSR|PEM/i)
  })
  test('no PEM, another block, nothing', async () => {
    for (const text of ['hello', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', ''])
      await refused(text, /request|PEM/i)
  })
  test('a megabyte', async () => {
    const long = 'a'.repeat(1024 * 1024)
    await assert.rejects(ask(`${writeCertificateRequest(own)}${long}`, CLIENT))
    const many = Array.from({ length: 20_000 }, (_, i) => `n${i}.example.org`)
    const request = writeCertificateRequest({ ...own, sans: { dns: many } })
    const outcome = await ask(request, SERVING).catch((error: Error) => error)
    assert.ok(
      outcome instanceof Error || (outcome.certificate === undefined && /bytes/.test(outcome.event)),
      String(outcome),
    )
  })
})

test('no private key of a machine is anywhere in the control plane', () => {
  const line = (key.export({ type: 'pkcs8', format: 'pem' }) as string).split('\n')[1]!
  const { status, stdout } = spawnSync('grep', ['-rlaF', '-e', line, server.directory], { encoding: 'utf8' })
  assert.deepEqual([status, stdout], [1, ''])
})
