import type { KubeObject } from '../../kernel/api/object.ts'

/** A refusal by the kubelet: plain text with a code, as kubelets answer. */
export class KubeletError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.name = 'KubeletError'
    this.code = code
  }
}

type Named = { name: string }
type Spec = { containers?: Named[]; initContainers?: Named[]; ephemeralContainers?: Named[] }
type State = { waiting?: { reason?: string }; running?: object; terminated?: { containerID?: string } }
type ContainerStatus = { name: string; state?: State; lastState?: State }
type Status = {
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
}

/** `uid` '' : whichever has the name. */
export function findPod(pods: readonly KubeObject[], namespace: string, name: string, uid: string): KubeObject {
  const found = pods.find(
    ({ metadata: m }) => m.namespace === namespace && m.name === name && (uid === '' || m.uid === uid),
  )
  if (found === undefined) throw new KubeletError(404, `pod ${JSON.stringify(`${namespace}/${name}`)} does not exist`)
  return found
}

export function demandContainer(pod: KubeObject, container: string): void {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = (pod['spec'] ?? {}) as Spec
  if ([...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === container)) return
  const where = `${pod.metadata.namespace}/${pod.metadata.name}`
  throw new KubeletError(404, `container ${JSON.stringify(container)} not found in pod ${JSON.stringify(where)}`)
}

/** Pulls that failed are said in words of their own (pkg/kubelet: validateContainerLogStatus). */
const PULLS: Readonly<Record<string, string>> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: 'trying and failing to pull image',
}

/** Why a container has no log to show yet; undefined when its status does not stand in the way. */
export function withoutLog(pod: KubeObject, container: string, previous: boolean): KubeletError | undefined {
  const status = (pod['status'] ?? {}) as Status
  const found = [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ].find((s) => s.name === container)
  const [c, p] = [JSON.stringify(container), JSON.stringify(pod.metadata.name)]
  if (found === undefined) return new KubeletError(400, `container ${c} in pod ${p} is not available`)
  if (previous) return undefined
  const { waiting, running, terminated } = found.state ?? {}
  if (running !== undefined || terminated !== undefined || found.lastState?.terminated !== undefined) return undefined
  const reason = waiting?.reason
  if (reason === undefined) return new KubeletError(400, `container ${c} in pod ${p} is waiting to start - no logs yet`)
  return new KubeletError(400, `container ${c} in pod ${p} is waiting to start: ${PULLS[reason] ?? reason}`)
}
