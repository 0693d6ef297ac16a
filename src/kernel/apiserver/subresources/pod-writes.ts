import type { KubeObject } from '../../api/object.ts'
import { badRequest, conflict } from '../../api/status.ts'
import { isoSeconds } from '../verbs/create.ts'
import { change } from '../verbs/update.ts'
import type { VirtualAnswer, VirtualHandler, VirtualRequest } from '../virtual.ts'

const SUCCESS: KubeObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }

function prepare({ name, body }: VirtualRequest): void {
  body.metadata.name ||= name
  if (body.metadata.name !== name) throw badRequest('name in URL does not match name in Binding object')
  if (!body['target']?.name) throw badRequest('target.name is required')
  if (body['target'].kind && body['target'].kind !== 'Node') throw badRequest('the target of a binding must be a Node')
}

const bind: VirtualAnswer = async ({ core, kind, namespace, name, body, dryRun, caller }) => {
  const target: string = body['target'].name
  const podName = name
  await change(
    core,
    kind,
    namespace,
    podName,
    {
      subresource: 'binding',
      skipReset: true,
      admit: () => undefined,
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

/** POST pods/NAME/binding: assigns the pod to a node, once. Admission sees the Binding, not the pod (BindingREST). */
export const bindPod: VirtualHandler = { prepare, answer: bind }
