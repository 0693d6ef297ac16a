/**
 * Certificates: leaves issued a second against raw P-256 signatures, and a thousand machines' requests approved and signed
 * through a whole control plane over TLS.   node bench/tls.ts [--machines 1000] [--seconds 1]
 *
 * Traps: making keys costs as much as signing and is the machines' work, so it is done before; the reference signs a
 * text of a certificate's size with the same key; the public key comes as a request holds it, in DER; rows of issue and
 * reference take turns, five rounds, best counts, for other work on the machine only adds; the machines are a thread of
 * their own, and creating the requests is part of the time.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { signCertificate } from '../src/features/tls/certificate.ts'
import { writeCertificateRequest } from '../src/features/tls/request-writer.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import { createRemoteClient } from '../src/kernel/client/remote.ts'

const ROUNDS = 5
const AT_ONCE = 32
const CSRS = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const SECRETS = { group: '', version: 'v1', resource: 'secrets' }
const SECRET = 'abcdefghij012345'

const encode = (value: string): string => Buffer.from(value).toString('base64')
const tokenId = (i: number): string => i.toString(36).padStart(6, '0')

async function atOnce(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
}

type Load = { url: string; ca: string; machines: number }

/** The machines: each with its own token asks for its own first certificate. */
async function machines({ url, ca, machines: count }: Load): Promise<void> {
  const requests = Array.from({ length: count }, (_, i) => {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return encode(writeCertificateRequest({ commonName: `system:node:m${i}`, organizations: ['system:nodes'], key }))
  })
  let token = ''
  const client = createRemoteClient({ server: new URL(url), ca, tokenProvider: () => token, userAgent: 'bench' })
  await new Promise((resolve) => {
    parentPort!.once('message', resolve)
    parentPort!.postMessage('ready')
  })
  await atOnce(count, async (i) => {
    token = `${tokenId(i)}.${SECRET}`
    await client.create(CSRS, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: `m${i}` },
      spec: {
        request: requests[i]!,
        signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
        usages: ['digital signature', 'client auth'],
        expirationSeconds: 604_800,
      },
    } as unknown as KubeObject)
  })
  client.close()
  parentPort!.postMessage('created')
}

function rate(milliseconds: number, work: () => void): number {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < milliseconds) for (let i = 0; i < 32; i++, count++) work()
  return (count * 1000) / (performance.now() - start)
}

function issueRate(server: TestServer, milliseconds: number): void {
  const issuer = server.plane.pki.issuer('kubelet-client')
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' })
  const now = Date.now()
  const issue = (): Uint8Array =>
    signCertificate({
      subject: { commonName: 'system:node:n1', organizations: ['system:nodes'] },
      publicKey,
      usages: ['digitalSignature'],
      extKeyUsage: ['clientAuth'],
      notBefore: now,
      notAfter: now + 604_800_000,
      issuer,
    })
  const text = randomBytes(issue().length)
  let [issued, raw] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    raw = Math.max(
      raw,
      rate(milliseconds, () => void sign('sha256', text, issuer.key)),
    )
    issued = Math.max(
      issued,
      rate(milliseconds, () => void issue()),
    )
  }
  console.log(`raw P-256 signatures   ${raw.toFixed(0)}/s`)
  console.log(`leaves issued          ${issued.toFixed(0)}/s, ${((issued / raw) * 100).toFixed(0)} % of raw signing`)
}

async function requests(server: TestServer, count: number): Promise<void> {
  await atOnce(count, async (i) => {
    await server.localClient.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `bootstrap-token-${tokenId(i)}`, namespace: 'kube-system' },
      type: 'bootstrap.kubernetes.io/token',
      data: {
        'token-id': encode(tokenId(i)),
        'token-secret': encode(SECRET),
        'usage-bootstrap-authentication': encode('true'),
        'auth-extra-groups': encode(`system:bootstrappers:rampart:node:m${i}`),
      },
    } as unknown as KubeObject)
  })
  const load: Load = { url: server.url, ca: server.ca, machines: count }
  const worker = new Worker(new URL(import.meta.url), { workerData: load })
  await new Promise<void>((resolve) => void worker.once('message', () => resolve()))
  const signed = new Set<string>()
  const watching = new AbortController()
  const done = (async () => {
    for await (const { object } of server.localClient.watch(CSRS, { signal: watching.signal })) {
      const { metadata, status } = object as KubeObject
      if (status?.certificate && signed.add(metadata.name!).size === count) return
    }
  })()
  const start = performance.now()
  let created = 0
  worker.once('message', () => (created = performance.now() - start))
  worker.postMessage('go')
  await done
  const all = performance.now() - start
  watching.abort()
  await worker.terminate()
  console.log(`${count} requests created over TLS after ${(created / 1000).toFixed(2)} s`)
  console.log(`all approved, recorded and signed after ${(all / 1000).toFixed(2)} s`)
}

if (!isMainThread) await machines(workerData as Load)
else {
  const { values: flags } = parseArgs({
    options: { machines: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '1' } },
  })
  const server = await startTestServer()
  try {
    issueRate(server, Number(flags.seconds) * 1000)
    await requests(server, Number(flags.machines))
  } finally {
    await server.close()
  }
}
