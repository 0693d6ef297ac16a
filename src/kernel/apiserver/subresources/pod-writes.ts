import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector, matchesSelector } from '../../api/selectors.ts'
import { ApiError, badRequest, conflict } from '../../api/status.ts'
import { isoSeconds } from '../verbs/create.ts'
import { deleteOne, parseDeleteOptions } from '../verbs/delete.ts'
import { change, current } from '../verbs/update.ts'
import type { VirtualHandler } from '../virtual.ts'

const SUCCESS: KubeObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }

/** POST pods/NAME/binding: assigns the pod to a node, once. */
export const bindPod: VirtualHandler = async ({ core, kind, namespace, name, body, dryRun, caller }) => {
  const target: string | undefined = body['target']?.name
  if (!target) throw badRequest('target.name is required')
  if (body['target']?.kind && body['target'].kind !== 'Node') throw badRequest('the target of a binding must be a Node')
  const podName = name || body.metadata.name || ''
  await change(
    core,
    kind,
    namespace,
    podName,
    {
      subresource: 'binding',
      skipReset: true,
      make: (pod) => {
        if (body.metadata?.uid && body.metadata.uid !== pod.metadata.uid)
          throw conflict(
            '',
            'pods/binding',
            podName,
            `the pod's UID is ${pod.metadata.uid}, the binding names ${body.metadata.uid}`,
          )
        if (pod.metadata.deletionTimestamp)
          throw conflict('', 'pods/binding', podName, `pod ${podName} is being deleted, cannot be assigned to a host`)
        if (pod['spec'].nodeName)
          throw conflict(
            '',
            'pods/binding',
            podName,
            `pod ${podName} is already assigned to node "${pod['spec'].nodeName}"`,
          )
        if (pod['spec'].schedulingGates?.length)
          throw conflict('', 'pods/binding', podName, `pod ${podName} has non-empty .spec.schedulingGates`)
        pod['spec'].nodeName = target
        if (body.metadata?.annotations)
          pod.metadata.annotations = { ...pod.metadata.annotations, ...body.metadata.annotations }
        const conditions = ((pod['status']?.conditions ?? []) as { type: string }[]).filter(
          (c) => c.type !== 'PodScheduled',
        )
        const scheduled = {
          type: 'PodScheduled',
          status: 'True',
          lastProbeTime: null,
          lastTransitionTime: isoSeconds(core.clock.now()),
        }
        pod['status'] = { ...pod['status'], conditions: [...conditions, scheduled] }
        return pod
      },
    },
    { dryRun, fieldManager: '', options: undefined },
    caller,
  )
  return SUCCESS
}

/** POST pods/NAME/eviction (policy/v1): a delete that honours PodDisruptionBudgets. */
export const evictPod: VirtualHandler = async ({ core, kind, namespace, name, body, dryRun, caller }) => {
  const entry = await current(core, kind, namespace, name)
  const budgets = core.kinds.get('policy', 'v1', 'poddisruptionbudgets')
  if (entry !== undefined && budgets !== undefined) {
    const resource = core.cache.resource(budgets.prefix)
    const [from, to] = resource.range(namespace)
    for (let i = from; i < to; i++) {
      const budget = resource.at(i).shared()
      const selector = compileLabelSelector(budget['spec']?.selector)
      if (selector === undefined || !matchesSelector(selector, entry.labels)) continue
      if ((budget['status']?.disruptionsAllowed ?? 0) > 0) continue
      throw new ApiError('TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
        causes: [
          {
            reason: 'DisruptionBudget',
            message: `The disruption budget ${budget.metadata.name} needs ${budget['status']?.desiredHealthy ?? 0} healthy pods and has ${budget['status']?.currentHealthy ?? 0} currently`,
          },
        ],
      })
    }
  }
  const options = parseDeleteOptions(body['deleteOptions'], new URLSearchParams())
  await deleteOne(core, kind, namespace, name, { ...options, dryRun: dryRun || options.dryRun }, caller)
  return SUCCESS
}
