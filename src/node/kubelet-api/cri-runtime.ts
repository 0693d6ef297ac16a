import type { KubeObject } from '../../kernel/api/object.ts'
import {
  CONTAINER_STATE,
  type ContainerStats,
  type CriClient,
  type CriContainer,
  SANDBOX_STATE,
} from '../../platform/cri/index.ts'
import type { ContainerRun, KubeletRuntime } from './runtime.ts'

/** Labels that kubelets give to what they start. */
export const POD_UID_LABEL = 'io.kubernetes.pod.uid'
export const POD_NAME_LABEL = 'io.kubernetes.pod.name'
export const POD_NAMESPACE_LABEL = 'io.kubernetes.pod.namespace'
export const CONTAINER_NAME_LABEL = 'io.kubernetes.container.name'

const STATES = new Map<number, ContainerRun['state']>([
  [CONTAINER_STATE.created, 'created'],
  [CONTAINER_STATE.running, 'running'],
  [CONTAINER_STATE.exited, 'exited'],
])

export type CriRuntimeOptions = {
  cri: CriClient
  nodeName: string
  /** The pods bound to this machine, with their statuses. */
  pods: () => readonly KubeObject[]
}

/** What the kubelet API asks, answered by the container runtime; sandboxes and containers are found by their labels. */
export function criKubeletRuntime({ cri, nodeName, pods }: CriRuntimeOptions): KubeletRuntime {
  const containerRuns = async (podUid: string, container: string): Promise<ContainerRun[]> => {
    const labelSelector = { [POD_UID_LABEL]: podUid, [CONTAINER_NAME_LABEL]: container }
    const found = await cri.listContainers({ labelSelector })
    return await Promise.all(
      found
        .sort((a, b) => b.createdAt - a.createdAt)
        .map(async ({ id, state }) => ({
          id,
          state: STATES.get(state) ?? 'unknown',
          logPath: (await cri.containerStatus(id)).logPath,
        })),
    )
  }
  return {
    pods,
    containerRuns,
    sandboxId: async (podUid) => {
      const found = await cri.listPodSandbox({ labelSelector: { [POD_UID_LABEL]: podUid } })
      return found.filter((s) => s.state === SANDBOX_STATE.ready).sort((a, b) => b.createdAt - a.createdAt)[0]?.id
    },
    exec: ({ containerId, command, ...streams }) => cri.exec(containerId, command, streams),
    attach: ({ containerId, ...streams }) => cri.attach(containerId, streams),
    portForward: (sandboxId, ports) => cri.portForward(sandboxId, ports),
    runningPods: async () => {
      const [sandboxes, containers] = await Promise.all([cri.listPodSandbox(), cri.listContainers()])
      return sandboxes
        .filter((sandbox) => sandbox.state === SANDBOX_STATE.ready && sandbox.metadata !== undefined)
        .map((sandbox) => ({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            name: sandbox.metadata!.name,
            namespace: sandbox.metadata!.namespace,
            uid: sandbox.metadata!.uid,
          },
          spec: {
            containers: containers
              .filter((c) => c.podSandboxId === sandbox.id && c.state === CONTAINER_STATE.running)
              .map((c) => ({ name: nameOf(c), image: c.image?.image ?? '', resources: {} })),
          },
          status: {},
        }))
    },
    statsSummary: async () => summary(nodeName, await cri.listContainerStats()),
  }
}

const nameOf = (container: CriContainer): string => container.metadata?.name ?? ''

/** stats.k8s.io/v1alpha1: the parts of a Summary that CRI's counters give. */
function summary(nodeName: string, stats: readonly ContainerStats[]): object {
  const byPod = new Map<string, { podRef: object; containers: object[] }>()
  for (const { attributes, cpu, memory, writableLayer } of stats) {
    const labels = attributes?.labels ?? {}
    const uid = labels[POD_UID_LABEL]
    if (uid === undefined) continue
    let pod = byPod.get(uid)
    if (pod === undefined) {
      const podRef = { name: labels[POD_NAME_LABEL] ?? '', namespace: labels[POD_NAMESPACE_LABEL] ?? '', uid }
      byPod.set(uid, (pod = { podRef, containers: [] }))
    }
    pod.containers.push({
      name: labels[CONTAINER_NAME_LABEL] ?? '',
      ...(cpu === undefined
        ? {}
        : { cpu: { time: time(cpu.timestamp), usageCoreNanoSeconds: cpu.usageCoreNanoSeconds?.value } }),
      ...(memory === undefined
        ? {}
        : { memory: { time: time(memory.timestamp), workingSetBytes: memory.workingSetBytes?.value } }),
      ...(writableLayer === undefined ? {} : { rootfs: { usedBytes: writableLayer.usedBytes?.value } }),
    })
  }
  return { node: { nodeName }, pods: [...byPod.values()] }
}

/** CRI counts nanoseconds. */
const time = (nanoseconds: number): string => new Date(nanoseconds / 1e6).toISOString()
