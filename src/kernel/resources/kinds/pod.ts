import type { KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { dns1123Label } from '../validation/names.ts'
import { podColumns } from './pod/columns.ts'
import { validatePodCreate } from './pod/create.ts'
import { defaultPod, defaultPodSpec, dropNulls } from './pod/defaults.ts'
import { onCreate } from './pod/on-create.ts'
import { preparePodForCreate, preparePodForUpdate } from './pod/prepare.ts'
import { validateEphemeralContainersUpdate, validatePodResize } from './pod/resize.ts'
import { validatePodStatusUpdate } from './pod/status.ts'
import type { PodSpec, PodStatus } from './pod/types.ts'
import { validatePodUpdate } from './pod/update.ts'
import { podWarnings } from './pod/warnings.ts'

const specOf = (pod: KubeObject): PodSpec => (pod['spec'] ?? {}) as PodSpec
const statusOf = (pod: KubeObject): PodStatus => (pod['status'] ?? {}) as PodStatus

function defaults(pod: KubeObject): void {
  const spec = (pod['spec'] ??= {}) as PodSpec
  dropNulls(spec)
  defaultPodSpec(spec)
  defaultPod(spec)
  const status = pod['status'] as PodStatus | undefined
  dropNulls(status)
  if (status == null) return
  // podIP is the older form of the first of podIPs.
  if (status.podIPs?.[0]?.ip) status.podIP = status.podIPs[0].ip
  else if (status.podIP) status.podIPs = [{ ip: status.podIP }]
}

/**
 * Seconds that a delete without a wish of its own gives: the spec's, and none when no kubelet has the pod, or when it
 * has ended.
 */
function gracePeriodSeconds(pod: KubeObject): number {
  const { nodeName, terminationGracePeriodSeconds = 0 } = specOf(pod)
  const { phase } = statusOf(pod)
  if (!nodeName || phase === 'Failed' || phase === 'Succeeded') return 0
  return terminationGracePeriodSeconds < 0 ? 1 : terminationGracePeriodSeconds
}

/** A binding assigns the node by itself: nothing is left to check. */
const UPDATES: Readonly<Record<string, (pod: KubeObject, old: KubeObject) => FieldError[]>> = {
  '': validatePodUpdate,
  status: validatePodStatusUpdate,
  ephemeralcontainers: validateEphemeralContainersUpdate,
  resize: validatePodResize,
}

export const podKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.Pod',
  subresources: [
    { name: 'attach', kind: { group: '', version: 'v1', kind: 'PodAttachOptions' }, verbs: ['create', 'get'] },
    { name: 'binding', kind: { group: '', version: 'v1', kind: 'Binding' }, verbs: ['create'] },
    { name: 'ephemeralcontainers', verbs: ['get', 'patch', 'update'] },
    { name: 'eviction', kind: { group: 'policy', version: 'v1', kind: 'Eviction' }, verbs: ['create'] },
    { name: 'exec', kind: { group: '', version: 'v1', kind: 'PodExecOptions' }, verbs: ['create', 'get'] },
    { name: 'log', verbs: ['get'] },
    {
      name: 'portforward',
      kind: { group: '', version: 'v1', kind: 'PodPortForwardOptions' },
      verbs: ['create', 'get'],
    },
    {
      name: 'proxy',
      kind: { group: '', version: 'v1', kind: 'PodProxyOptions' },
      verbs: ['create', 'delete', 'get', 'patch', 'update'],
    },
    { name: 'resize', verbs: ['get', 'patch', 'update'] },
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: podColumns,
  selectableFields: {
    'spec.nodeName': (pod) => specOf(pod).nodeName ?? '',
    'spec.restartPolicy': (pod) => specOf(pod).restartPolicy ?? '',
    'spec.schedulerName': (pod) => specOf(pod).schedulerName ?? '',
    'spec.serviceAccountName': (pod) => specOf(pod).serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(specOf(pod).hostNetwork ?? false),
    'status.phase': (pod) => statusOf(pod).phase ?? '',
    'status.podIP': (pod) => statusOf(pod).podIPs?.[0]?.ip ?? statusOf(pod).podIP ?? '',
    'status.nominatedNodeName': (pod) => statusOf(pod).nominatedNodeName ?? '',
  },
  strategy: {
    defaults,
    prepareForCreate: preparePodForCreate,
    prepareForUpdate: (pod, old, { subresource }) => preparePodForUpdate(pod, old, subresource),
    resetFields: { status: [['spec'], ['metadata', 'deletionTimestamp'], ['metadata', 'ownerReferences']] },
    validate: onCreate(validatePodCreate),
    validateUpdate: (pod, old, { subresource }) => UPDATES[subresource]?.(pod, old) ?? [],
    warnings: (pod, old) => {
      if (old !== undefined) return []
      const problems = dns1123Label(pod.metadata.name ?? '')
      const own =
        problems.length === 0
          ? []
          : [
              `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`,
            ]
      return own.concat(podWarnings(pod.metadata, specOf(pod), ''))
    },
    gracePeriodSeconds,
  },
}
