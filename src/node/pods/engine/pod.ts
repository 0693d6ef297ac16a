import type { KubeObject, ObjectMeta } from '../../../kernel/api/object.ts'
import type { Container, EphemeralContainer, PodSpec, PodStatus } from '../../../kernel/resources/kinds/pod/types.ts'

export type PodContainer = Container & { name: string; image: string }
export type PodEphemeralContainer = EphemeralContainer & { name: string; image: string }

/** A pod as the API server has it, its defaults set. Shared with the informer: not to be changed. */
export type Pod = {
  uid: string
  namespace: string
  name: string
  metadata: ObjectMeta
  spec: Omit<PodSpec, 'containers' | 'initContainers' | 'ephemeralContainers'>
  containers: readonly PodContainer[]
  initContainers: readonly PodContainer[]
  ephemeralContainers: readonly PodEphemeralContainer[]
  restartPolicy: 'Always' | 'OnFailure' | 'Never'
  status: PodStatus
  object: KubeObject
}

export function podOf(object: KubeObject): Pod {
  const spec = (object['spec'] ?? {}) as PodSpec
  const policy = spec.restartPolicy
  return {
    uid: object.metadata.uid ?? '',
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name ?? '',
    metadata: object.metadata,
    spec,
    containers: (spec.containers ?? []) as PodContainer[],
    initContainers: (spec.initContainers ?? []) as PodContainer[],
    ephemeralContainers: (spec.ephemeralContainers ?? []) as PodEphemeralContainer[],
    restartPolicy: policy === 'OnFailure' || policy === 'Never' ? policy : 'Always',
    status: (object['status'] ?? {}) as PodStatus,
    object,
  }
}

/** An init container that starts in its turn and runs beside the others (KEP-753). */
export const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always'

export const everyContainer = (pod: Pod): readonly PodContainer[] => [
  ...pod.initContainers,
  ...pod.containers,
  ...pod.ephemeralContainers,
]

/** `name_namespace(uid)`, as kubelets name pods in messages. */
export const fullName = (pod: Pick<Pod, 'uid' | 'namespace' | 'name'>): string =>
  `${pod.name}_${pod.namespace}(${pod.uid})`

export const isTerminalPhase = (phase: string | undefined): boolean => phase === 'Succeeded' || phase === 'Failed'

/** Labels by which sandboxes and containers are known again, in kubelets' words. */
export const LABEL = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  container: 'io.kubernetes.container.name',
} as const

export const ANNOTATION = {
  restartCount: 'io.kubernetes.container.restartCount',
  hash: 'io.kubernetes.container.hash',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  gracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
} as const
