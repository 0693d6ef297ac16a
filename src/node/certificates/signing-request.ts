import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { writeCertificateRequest } from '../../features/tls/request-writer.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { sleep, type Timers } from '../../kernel/controller/timers.ts'

const REQUESTS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
/** The first looks come quickly: approval by rule takes some milliseconds, a person takes longer. */
const FIRST_POLL_MS = 50
const POLL_MS = 1000
/** Leaves live a week; servers may give less. */
const LIFETIME_SECONDS = 7 * 24 * 3600

export type Wanted = {
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving'
  nodeName: string
  sans?: { dns: readonly string[]; ip: readonly string[] }
}

/** The request was denied, or its signer refused it: asking again with the same key is of no use. */
export class RequestRefusedError extends Error {
  override readonly name = 'RequestRefusedError'
}

/**
 * Asks for a certificate and waits until it is there; resolves with the PEM chain. The name follows from key and signer,
 * so a machine that was restarted while it waited finds its own request again. Rejects with RequestRefusedError, or
 * ApiError/UnreachableError when the API server cannot be asked.
 */
export async function requestCertificate(
  client: Client,
  wanted: Wanted,
  key: KeyObject,
  { timers, signal, timeoutMs }: { timers: Timers; signal: AbortSignal; timeoutMs: number },
): Promise<string> {
  const { signerName, nodeName, sans } = wanted
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const digest = createHash('sha256').update(signerName).update('\0').update(nodeName).update('\0').update(spki)
  const name = `node-csr-${digest.digest('hex').slice(0, 40)}`
  const request = writeCertificateRequest({
    commonName: `system:node:${nodeName}`,
    organizations: ['system:nodes'],
    ...(sans === undefined ? {} : { sans }),
    key,
  })
  const purpose = signerName === 'kubernetes.io/kubelet-serving' ? 'server auth' : 'client auth'
  try {
    await client.create(REQUESTS, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      spec: {
        request: Buffer.from(request).toString('base64'),
        signerName,
        expirationSeconds: LIFETIME_SECONDS,
        usages: ['digital signature', purpose],
      },
    } as unknown as KubeObject)
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error
  }
  const deadline = timers.monotonic() + timeoutMs
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(POLL_MS, pause * 2)) {
    const { status } = await client.get(REQUESTS, '', name)
    const { certificate, conditions = [] } = (status ?? {}) as {
      certificate?: string
      conditions?: { type: string; status?: string; message?: string; reason?: string }[]
    }
    const refused = conditions.find(({ type }) => type === 'Denied' || type === 'Failed')
    if (refused !== undefined)
      throw new RequestRefusedError(
        `${name} was ${refused.type.toLowerCase()}: ${refused.message ?? refused.reason ?? ''}`,
      )
    if (certificate) return Buffer.from(certificate, 'base64').toString('utf8')
    if (signal.aborted) throw new Error('stopped while waiting for a certificate')
    if (timers.monotonic() > deadline)
      throw new Error(`${name} is not signed after ${timeoutMs / 1000} s; is it approved?`)
    await sleep(timers, pause, signal)
  }
}
