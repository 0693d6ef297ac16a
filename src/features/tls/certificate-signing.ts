import type { KubeObject } from '../../kernel/api/object.ts'
import type { ResourceId } from '../../kernel/client/client.ts'
import { createInformer } from '../../kernel/controller/informer.ts'
import { WorkQueue } from '../../kernel/controller/workqueue.ts'
import { ifFound, unless } from '../../kernel/controllers/api-errors.ts'
import type { ControllerOptions } from '../../kernel/controllers/options.ts'
import { CERTIFICATE_SIGNING_REQUESTS } from '../../kernel/controllers/resource-ids.ts'
import { runLoop } from '../../kernel/controllers/run-loop.ts'
import type { ControllerFactory } from '../../kernel/feature.ts'
import { pemBlock } from '../../kernel/resources/kinds/pkcs10.ts'
import { CertificateRequestError } from './certificate-request.ts'
import { recordIssued } from './issued/record.ts'
import type { SigningRequest, SigningResult } from './sign-request.ts'
import { isSignerName } from './signers.ts'

export type CertificateSigningOptions = ControllerOptions & {
  /** ControlPlanePki.sign. */
  sign: (request: SigningRequest) => Promise<SigningResult>
}

const REQUESTS: ResourceId = CERTIFICATE_SIGNING_REQUESTS
/** Most of the time is waiting for writes, which are synced together. */
const WORKERS = 32

type Condition = { type: string; status?: string }
type Status = { conditions?: Condition[]; certificate?: string }
type Spec = { signerName?: string; username?: string; request?: string; usages?: string[]; expirationSeconds?: number }

const statusOf = (request: KubeObject): Status => request['status'] ?? {}

/**
 * Whether a request waits for a certificate from one of the cluster's signers: approved, not denied, not failed, not
 * signed (pkg/controller/certificates: IsCertificateRequestApproved, and the signer's own checks).
 *
 * `kubernetes.io/legacy-unknown` is not among the signers: certificates.k8s.io/v1 refuses it on create, and its requests
 * could only come from v1beta1, which Kubernetes no longer serves either (since 1.22).
 */
export function awaitsSignature(request: KubeObject): boolean {
  const { conditions = [], certificate = '' } = statusOf(request)
  const signerName = (request['spec'] as Spec | undefined)?.signerName ?? ''
  return (
    certificate === '' &&
    isSignerName(signerName) &&
    conditions.some((c) => c.type === 'Approved') &&
    !conditions.some((c) => c.type === 'Denied' || (c.type === 'Failed' && c.status === 'True'))
  )
}

/**
 * Signs what somebody has approved (kube-controller-manager's csrsigning). Who may approve, and which groups nobody may
 * ask for, was decided on the way in; here the signer's own rules are checked, and a request that breaks them gets the
 * condition Failed. The write of the status carries the resourceVersion: of two signers, one wins.
 */
export function certificateSigning(options: CertificateSigningOptions): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'certificate-signing',
    run: async (signal) => {
      const queue = new WorkQueue(options.timers ? { timers: options.timers } : {})
      const requests = createInformer({
        client,
        resource: REQUESTS,
        log,
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      })
      const enqueue = (request: KubeObject): void => {
        if (awaitsSignature(request)) queue.add(request.metadata.name!)
      }
      requests.addHandler({ onAdd: enqueue, onUpdate: enqueue })

      const reconcile = async (name: string): Promise<void> => {
        const request = await ifFound(client.get(REQUESTS, '', name))
        if (request === undefined || !awaitsSignature(request)) return
        const result = await attempt(options.sign, request)
        if (result.verdict === 'signed') {
          const { signerName = '', username = '' } = request['spec'] as Spec
          await recordIssued(client, result.certificate, { signerName, request: name, requestedBy: username })
        }
        const status =
          result.verdict === 'signed'
            ? { ...statusOf(request), certificate: Buffer.from(result.certificate).toString('base64') }
            : withFailure(statusOf(request), result.reason, clock.now())
        await unless(client.update(REQUESTS, { ...request, status }, { subresource: 'status' }), 'NotFound')
        const { signerName } = request['spec'] as Spec
        if (result.verdict === 'signed') log('info', 'a certificate was signed', { request: name, signerName })
        else log('warn', `certificate not signed: ${result.reason}`, { request: name, signerName })
      }
      await runLoop({ informers: [requests], queue, reconcile, workers: WORKERS, log }, signal)
    },
  })
}

/**
 * A request that cannot be read stays so: it fails, where Kubernetes would try for ever. Validation reads requests too,
 * but accepts keys that are too weak to be signed.
 */
async function attempt(sign: CertificateSigningOptions['sign'], request: KubeObject): Promise<SigningResult> {
  const { signerName = '', usages = [], expirationSeconds } = request['spec'] as Spec
  try {
    return await sign({
      signerName,
      request: onlyRequest(request),
      usages,
      ...(expirationSeconds == null ? {} : { expirationSeconds }),
    })
  } catch (error) {
    if (error instanceof CertificateRequestError) return { verdict: 'refused', reason: error.message }
    throw error
  }
}

/** The very block that admission has looked at, without the text around it that `openssl req -text` writes. */
function onlyRequest(request: KubeObject): string {
  const pem = Buffer.from((request['spec'] as Spec).request ?? '', 'base64').toString('latin1')
  const der = pemBlock(pem, 'CERTIFICATE REQUEST')
  if (der === undefined) throw new CertificateRequestError('malformed', 'PEM block type must be CERTIFICATE REQUEST')
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
}

function withFailure(status: Status, message: string, now: number): Status {
  const failed = {
    type: 'Failed',
    status: 'True',
    reason: 'SignerValidationFailure',
    message,
    lastUpdateTime: `${new Date(now).toISOString().slice(0, 19)}Z`,
  }
  return { ...status, conditions: [...(status.conditions ?? []), failed] }
}
