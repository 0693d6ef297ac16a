import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector, matchesSelector } from '../../api/selectors.ts'
import { ApiError, badRequest, forbidden, notFound } from '../../api/status.ts'
import type { Entry } from '../cache/entry.ts'
import { isoSeconds } from '../verbs/create.ts'
import { deleteOne, parseDeleteOptions } from '../verbs/delete.ts'
import { change, current } from '../verbs/update.ts'
import type { VirtualAnswer, VirtualHandler, VirtualRequest } from '../virtual.ts'

const SUCCESS: KubeObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }

/** Evicted pods that a budget's controller has not seen go; kube-apiserver's bound. */
const MAX_DISRUPTED_PODS = 2000

function prepare({ name, body }: VirtualRequest): void {
  body.metadata.name ??= name
  if (body.metadata.name !== name) throw badRequest('name in URL does not match name in Eviction object')
}

const evict: VirtualAnswer = async (request) => {
  const { core, kind, namespace, name, body, caller } = request
  const options = parseDeleteOptions(body['deleteOptions'], new URLSearchParams())
  const dryRun = request.dryRun || options.dryRun
  const entry = await current(core, kind, namespace, name)
  if (entry === undefined) throw notFound('', 'pods', name)
  const pod = kind.view(entry)
  let preconditions = options.preconditions
  const budget = disruptsNothing(pod) ? undefined : budgetOf(request, entry)
  if (budget !== undefined) {
    // A pod that is not ready is none of the healthy ones, as long as that stays so.
    if (!isReady(pod) && mayGoUnready(budget))
      preconditions = { resourceVersion: String(entry.revision), ...preconditions }
    else await takeDisruption(request, budget.metadata.name!, dryRun)
  }
  await deleteOne(
    core,
    kind,
    namespace,
    name,
    { ...options, ...(preconditions ? { preconditions } : {}), dryRun, admitted: true },
    caller,
  )
  return SUCCESS
}

/**
 * POST pods/NAME/eviction (policy/v1): a delete that takes its place in the pod's PodDisruptionBudget first. Admission
 * sees the Eviction; the delete that follows is the server's own and is not admitted (EvictionREST).
 */
export const evictPod: VirtualHandler = { prepare, answer: evict }

function disruptsNothing(pod: KubeObject): boolean {
  const { phase = 'Pending' } = pod['status'] ?? {}
  return pod.metadata.deletionTimestamp !== undefined || ['Succeeded', 'Failed', 'Pending'].includes(phase)
}

function isReady(pod: KubeObject): boolean {
  const conditions = (pod['status']?.conditions ?? []) as { type: string; status: string }[]
  return conditions.some((c) => c.type === 'Ready' && c.status === 'True')
}

/** spec.unhealthyPodEvictionPolicy (KEP-3017). */
function mayGoUnready(budget: KubeObject): boolean {
  if (budget['spec']?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  const { currentHealthy = 0, desiredHealthy = 0 } = budget['status'] ?? {}
  return currentHealthy >= desiredHealthy && desiredHealthy > 0
}

function budgetOf({ core, namespace }: VirtualRequest, pod: Entry): KubeObject | undefined {
  const budgets = core.kinds.get('policy', 'v1', 'poddisruptionbudgets')
  if (budgets === undefined) return undefined
  const resource = core.cache.resource(budgets.prefix)
  const [from, to] = resource.range(namespace)
  let found: KubeObject | undefined
  for (let i = from; i < to; i++) {
    const budget = budgets.view(resource.at(i))
    const selector = compileLabelSelector(budget['spec']?.selector)
    if (selector === undefined || !matchesSelector(selector, pod.labels)) continue
    if (found !== undefined)
      throw new ApiError(
        'InternalError',
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      )
    found = budget
  }
  return found
}

/** One disruption less for others, written before the pod goes: evictions at the same time cannot share one. */
async function takeDisruption(request: VirtualRequest, name: string, dryRun: boolean): Promise<void> {
  const { core, namespace, caller } = request
  const make = (budget: KubeObject): KubeObject => {
    const status = budget['status'] ?? {}
    checkBudget(budget)
    budget['status'] = {
      ...status,
      disruptionsAllowed: status.disruptionsAllowed - 1,
      disruptedPods: { ...status.disruptedPods, [request.name]: isoSeconds(core.clock.now()) },
    }
    return budget
  }
  const budgets = core.kinds.get('policy', 'v1', 'poddisruptionbudgets')!
  const parameters = { dryRun, fieldManager: 'rampart', options: undefined }
  await change(core, budgets, namespace, name, { subresource: 'status', make }, parameters, caller)
}

function checkBudget(budget: KubeObject): void {
  const { name = '', generation = 0 } = budget.metadata
  const {
    observedGeneration = 0,
    disruptionsAllowed = 0,
    disruptedPods = {},
    desiredHealthy = 0,
    currentHealthy = 0,
  } = budget['status'] ?? {}
  if (observedGeneration < generation)
    throw refused(`The disruption budget ${name} is still being processed by the server.`, 10)
  const deny = (why: string): ApiError => forbidden('policy', 'poddisruptionbudgets', name, why)
  if (disruptionsAllowed < 0) throw deny('pdb disruptions allowed is negative')
  if (Object.keys(disruptedPods).length > MAX_DISRUPTED_PODS)
    throw deny('DisruptedPods map too big - too many evictions not confirmed by PDB controller')
  if (disruptionsAllowed === 0)
    throw refused(
      `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
    )
}

function refused(message: string, retryAfterSeconds?: number): ApiError {
  return new ApiError('TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    causes: [{ reason: 'DisruptionBudget', message }],
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}
