import type { KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'

type Named = { name: string }
export type ConnectedPod = {
  nodeName?: string
  containers?: Named[]
  initContainers?: Named[]
  ephemeralContainers?: Named[]
}

/**
 * Which container a log, exec or attach is for (pkg/registry/core/pod: validateContainer). The annotation
 * kubectl.kubernetes.io/default-container is kubectl's to read: a request that names none means the only one.
 */
export function chooseContainer(pod: KubeObject, wanted: string): string {
  const name = pod.metadata.name ?? ''
  const { containers = [], initContainers = [], ephemeralContainers = [] } = (pod['spec'] ?? {}) as ConnectedPod
  if (wanted !== '') {
    if ([...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === wanted)) return wanted
    throw badRequest(`container ${wanted} is not valid for pod ${name}`)
  }
  const [only, ...more] = containers
  if (only === undefined) throw badRequest(`a container name must be specified for pod ${name}`)
  if (more.length === 0) return only.name
  const list = (of: Named[]): string => `[${of.map((c) => c.name).join(' ')}]`
  const inits = initContainers.length === 0 ? '' : ` or one of the init containers: ${list(initContainers)}`
  throw badRequest(`a container name must be specified for pod ${name}, choose one of: ${list(containers)}${inits}`)
}
