import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import type { ReconcileResult } from '../../../kernel/controller/reconciler.ts'
import { WorkQueue } from '../../../kernel/controller/workqueue.ts'
import { ifFound, unless } from '../../../kernel/controllers/api-errors.ts'
import { runLoop } from '../../../kernel/controllers/run-loop.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import { CertificateRequestError, isSignerName, parseCertificateRequest, signerRefusal } from '../../tls/index.ts'
import { recordEvent } from '../events.ts'
import { type Judgement, judge, KUBELET_CLIENT, KUBELET_SERVING } from './judge.ts'

const REQUESTS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
const REVIEWS: ResourceId = { group: 'authorization.k8s.io', version: 'v1', resource: 'subjectaccessreviews' }

/** When a request that waits is looked at again: at the start of a cluster roles are made at about the same time. */
const SOON_MS = 500
const AGAIN_MS = 10_000
/** Most of the time is waiting for writes, which are synced together. */
const WORKERS = 32

type Spec = {
  signerName: string
  request: string
  usages?: string[]
  expirationSeconds?: number
  username?: string
  uid?: string
  groups?: string[]
  extra?: Record<string, string[]>
}
type Status = { certificate?: string; conditions?: { type: string }[] }

/** Undecided, and for one of the two signers of machines. */
function isOurs(request: KubeObject): boolean {
  const { signerName } = (request['spec'] ?? {}) as Spec
  const { certificate, conditions = [] } = (request['status'] ?? {}) as Status
  return (
    (signerName === KUBELET_CLIENT || signerName === KUBELET_SERVING) &&
    !certificate &&
    !conditions.some(({ type }) => type === 'Approved' || type === 'Denied' || type === 'Failed')
  )
}

/**
 * Approves requests of machines for their own certificates by rule (judge.ts), when RBAC lets the requester have that
 * (`create certificatesigningrequests/nodeclient|selfnodeclient|selfnodeserver`, as kube-controller-manager asks).
 * Everything else is left to `kubectl certificate approve|deny`; what looks like a machine's request but is not gets an
 * event that says why.
 */
export const nodeCertificateApproval: ControllerFactory = ({ client, clock, log }) => ({
  name: 'node-certificate-approval',
  run: (signal) => {
    const queue = new WorkQueue()
    const requests = createInformer({ client, resource: REQUESTS, log })
    const enqueue = (request: KubeObject): void => {
      if (isOurs(request)) queue.add(request.metadata.name!)
    }
    requests.addHandler({ onAdd: enqueue, onUpdate: enqueue })

    /** What was said of a request that waits. */
    const told = new Map<string, string>()
    const reconcile = async (name: string): Promise<ReconcileResult | undefined> => {
      const request = await ifFound(client.get(REQUESTS, '', name))
      const judgement = request === undefined || !isOurs(request) ? undefined : await considered(client, request)
      if (request === undefined || judgement === undefined) {
        told.delete(name)
        return undefined
      }
      if (judgement.verdict === 'wait') {
        if (judgement.why === undefined) return undefined
        // A role or the machine's record may come to be: nothing tells us here.
        const again = { requeueAfterMs: told.has(name) ? AGAIN_MS : SOON_MS }
        if (told.get(name) === judgement.why) return again
        told.set(name, judgement.why)
        log('warn', `certificate request ${name} waits for a person: ${judgement.why}`)
        await recordEvent(
          { client, clock, log, component: 'node-certificate-approval' },
          request,
          'Warning',
          'NotApproved',
          judgement.why,
        )
        return again
      }
      told.delete(name)
      const now = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`
      const approved = {
        type: 'Approved',
        status: 'True',
        reason: 'AutoApproved',
        message: judgement.why,
        lastUpdateTime: now,
        lastTransitionTime: now,
      }
      const status = {
        ...(request['status'] ?? {}),
        conditions: [...((request['status'] as Status)?.conditions ?? []), approved],
      }
      await unless(
        client.update(REQUESTS, { ...request, status } as KubeObject, { subresource: 'approval' }),
        'NotFound',
      )
      log('info', `certificate request ${name} is approved: ${judgement.why}`)
      return undefined
    }
    return runLoop({ informers: [requests], queue, reconcile, workers: WORKERS, log }, signal)
  },
})

async function considered(client: Client, request: KubeObject): Promise<Judgement> {
  const spec = request['spec'] as Spec
  try {
    const parsed = await parseCertificateRequest(Buffer.from(spec.request, 'base64').toString('latin1'))
    const usages = spec.usages ?? []
    const refusal = isSignerName(spec.signerName) ? signerRefusal(spec.signerName, parsed, usages) : undefined
    if (refusal !== undefined) return { verdict: 'wait', why: refusal }
    const node = parsed.commonName.slice('system:node:'.length)
    const addresses = spec.signerName === KUBELET_SERVING ? await recordedAddresses(client, node) : undefined
    const judgement = judge(
      {
        signerName: spec.signerName,
        usages,
        expirationSeconds: spec.expirationSeconds,
        username: spec.username ?? '',
        groups: spec.groups ?? [],
        request: parsed,
      },
      () => addresses,
    )
    if (judgement.verdict === 'wait' || (await mayHave(client, spec, judgement.permission))) return judgement
    const verb = `create certificatesigningrequests/${judgement.permission}`
    return { verdict: 'wait', why: `RBAC does not let ${spec.username} ${verb}` }
  } catch (error) {
    if (error instanceof CertificateRequestError) return { verdict: 'wait', why: error.message }
    throw error
  }
}

/** The machine's address as its operator gave it to `node add`: in kube-system, where no machine may write. */
async function recordedAddresses(client: Client, node: string): Promise<string[] | undefined> {
  const record = await ifFound(client.get(CONFIG_MAPS, 'kube-system', `rampart-machine-${node}`))
  const address = (record?.['data'] as Record<string, string> | undefined)?.['nodeAddress']
  return address ? [address] : undefined
}

async function mayHave(client: Client, spec: Spec, subresource: string): Promise<boolean> {
  const review = await client.create(REVIEWS, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    metadata: {},
    spec: {
      user: spec.username ?? '',
      uid: spec.uid ?? '',
      groups: spec.groups ?? [],
      extra: spec.extra ?? {},
      resourceAttributes: {
        group: 'certificates.k8s.io',
        version: '*',
        resource: 'certificatesigningrequests',
        subresource,
        verb: 'create',
      },
    },
  } as unknown as KubeObject)
  return (review['status'] as { allowed?: boolean } | undefined)?.allowed === true
}
