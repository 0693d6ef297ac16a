import type { Waiting } from './actions.ts'
import { podConditions } from './conditions.ts'
import { isSidecar, isTerminalPhase, type Pod, type PodContainer } from './pod.ts'
import { type ContainerRecord, latest, type PodRuntime, readySandbox } from './runtime-state.ts'
import type { ContainerStatus, PodStatus, State, Terminated } from './status-types.ts'

export type StatusInput = {
  pod: Pod
  runtime: PodRuntime
  /** Why containers wait, from the last round. */
  waiting: ReadonlyMap<string, Waiting>
  /** By container id. */
  ready: (container: PodContainer, id: string) => boolean
  started: (container: PodContainer, id: string) => boolean
  hostIP: string
  /** When the agent first saw the pod, ms. */
  startTime: number
  now: number
  /** Why the agent itself ended the pod. */
  verdict?: { reason: string; message: string } | undefined
  /** Nothing of the pod runs any more, and nothing will. */
  ended: boolean
}

export const rfc3339 = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`
const timeOrNull = (ms: number): string | null => (ms > 0 ? rfc3339(ms) : null)

/** The pod's status from what its containers do (Kubelet.generateAPIPodStatus). */
export function podStatus(input: StatusInput): PodStatus {
  const { pod, runtime, hostIP, verdict } = input
  const init = pod.initContainers.map((c) => containerStatus(c, input, 'init'))
  const main = pod.containers.map((c) => containerStatus(c, input, 'main'))
  const ephemeral = pod.ephemeralContainers.map((c) => containerStatus(c, input, 'ephemeral'))
  const before = pod.status.phase
  const computed = podPhase(pod, init, main, input.ended || verdict !== undefined)
  const phase = phaseToTell(before, verdict === undefined ? computed : 'Failed', input.ended)
  const sandbox = readySandbox(runtime)
  const ips = podIps(pod, runtime, hostIP)
  const reason = verdict?.reason ?? (isTerminalPhase(before) ? pod.status.reason : undefined)
  const message = verdict?.message ?? (isTerminalPhase(before) ? pod.status.message : undefined)
  return {
    phase,
    conditions: podConditions({
      pod,
      phase,
      init,
      main,
      hasNetwork: sandbox !== undefined && ips.length > 0,
      now: rfc3339(input.now),
    }),
    ...(message === undefined ? {} : { message }),
    ...(reason === undefined ? {} : { reason }),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(ips.length === 0 ? {} : { podIP: ips[0]!, podIPs: ips.map((ip) => ({ ip })) }),
    startTime: rfc3339(input.startTime),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: main,
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
    ...(pod.status.qosClass === undefined ? {} : { qosClass: pod.status.qosClass }),
  }
}

/** A pod that has ended does not come back; and it has not ended while anything of it may still run. */
function phaseToTell(before: string | undefined, computed: string, ended: boolean): string {
  if (isTerminalPhase(before)) return isTerminalPhase(computed) ? computed : before!
  if (ended || !isTerminalPhase(computed)) return computed
  return before ?? 'Pending'
}

/** Of the newest sandbox, and when it is gone those that were last told: an ended pod keeps its addresses. */
function podIps(pod: Pod, runtime: PodRuntime, hostIP: string): string[] {
  if (pod.spec.hostNetwork === true) return runtime.sandboxes.length > 0 ? [hostIP] : []
  const ips = runtime.sandboxes[0]?.ips ?? []
  if (ips.length > 0) return [...ips]
  return (pod.status.podIPs ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]))
}

function stateOf(record: ContainerRecord): State {
  if (record.state === 'running') return { running: { startedAt: rfc3339(record.startedAt) } }
  if (record.state === 'exited' || record.state === 'unknown') return { terminated: terminated(record) }
  return { waiting: { reason: 'ContainerCreating' } }
}

function terminated(record: ContainerRecord): Terminated {
  const unknown = record.state === 'unknown'
  return {
    exitCode: unknown ? 137 : record.exitCode,
    reason: unknown ? 'ContainerStatusUnknown' : record.reason || (record.exitCode === 0 ? 'Completed' : 'Error'),
    ...(record.message === '' ? {} : { message: record.message }),
    startedAt: timeOrNull(record.startedAt),
    finishedAt: timeOrNull(record.finishedAt),
    containerID: `containerd://${record.id}`,
  }
}

function containerStatus(
  container: PodContainer,
  input: StatusInput,
  role: 'init' | 'main' | 'ephemeral',
): ContainerStatus {
  const { pod, runtime, waiting } = input
  const runs = runtime.containers.filter(({ name }) => name === container.name)
  const current = latest(runtime, container.name)
  const wait = waiting.get(container.name)
  if (current === undefined) {
    const told = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])].find(
      ({ name }) => name === container.name,
    ) as ContainerStatus | undefined
    // The runtime has lost what the API server was told of: that is kept.
    if (told?.state?.terminated != null || (input.ended && told !== undefined)) return lostStatus(told, input)
    const reason = pod.initContainers.length > 0 ? 'PodInitializing' : 'ContainerCreating'
    return {
      name: container.name,
      state: { waiting: wait === undefined ? { reason } : { ...wait } },
      lastState: told?.lastState ?? {},
      ready: false,
      restartCount: told?.restartCount ?? 0,
      image: container.image,
      imageID: '',
      started: false,
    }
  }
  const state = stateOf(current)
  const previous = runs.find((run) => run !== current && run.state === 'exited')
  const lastState: State = previous === undefined ? {} : { terminated: terminated(previous) }
  const running = current.state === 'running'
  const started = running && input.started(container, current.id)
  const status: ContainerStatus = {
    name: container.name,
    state,
    lastState,
    ready:
      role === 'init' && !isSidecar(container)
        ? current.state === 'exited' && current.exitCode === 0
        : role !== 'ephemeral' && started && input.ready(container, current.id),
    restartCount: current.restartCount,
    image: current.image === '' ? container.image : current.image,
    imageID: current.imageRef,
    containerID: `containerd://${current.id}`,
    started,
  }
  if (wait === undefined || running) return status
  // It waits for its next run: what it did before is its last state.
  const waited: ContainerStatus = { ...status, state: { waiting: { ...wait } }, ready: false, started: false }
  return state.terminated === undefined ? waited : { ...waited, lastState: { terminated: state.terminated } }
}

function lostStatus(told: ContainerStatus, input: StatusInput): ContainerStatus {
  if (told.state.terminated != null) return { ...told, ready: false, started: false }
  return {
    ...told,
    state: {
      terminated: {
        exitCode: 137,
        reason: 'ContainerStatusUnknown',
        message: 'The container could not be located when the pod was terminated',
        startedAt: told.state.running?.startedAt ?? null,
        finishedAt: rfc3339(input.now),
        ...(told.containerID === undefined ? {} : { containerID: told.containerID }),
      },
    },
    ready: false,
    started: false,
  }
}

/** Kubelet's getPhase: what the containers' states make of the pod. `ended`: none of them will run again. */
export function podPhase(
  pod: Pick<Pod, 'initContainers' | 'restartPolicy'>,
  init: readonly ContainerStatus[],
  main: readonly ContainerStatus[],
  ended: boolean,
): string {
  let initializing = 0
  let initFailed = 0
  pod.initContainers.forEach((container, i) => {
    const { state, lastState, started } = init[i]!
    if (isSidecar(container)) {
      const running = state.running !== undefined && started
      const restarting = state.waiting !== undefined && lastState.terminated !== undefined
      if (!running && !restarting && state.terminated === undefined) initializing++
      return
    }
    const last = state.terminated ?? (state.waiting === undefined ? undefined : lastState.terminated)
    if (last === undefined) initializing++
    else if (last.exitCode !== 0) initFailed++
    if (last !== undefined && last.exitCode !== 0 && pod.restartPolicy !== 'Never') initializing++
  })
  let [running, waiting, stopped, succeeded] = [0, 0, 0, 0]
  for (const { state, lastState } of main) {
    if (state.running !== undefined) running++
    else if (state.terminated !== undefined) {
      stopped++
      if (state.terminated.exitCode === 0) succeeded++
    } else if (lastState.terminated !== undefined) stopped++
    else waiting++
  }
  if (initFailed > 0 && pod.restartPolicy === 'Never') return 'Failed'
  if (ended) return stopped > 0 && stopped === succeeded && waiting === 0 ? 'Succeeded' : 'Failed'
  if (initializing > 0 && running + stopped === 0) return 'Pending'
  if (waiting > 0) return 'Pending'
  if (running > 0) return 'Running'
  if (stopped === 0) return 'Pending'
  if (pod.restartPolicy === 'Always') return 'Running'
  if (stopped === succeeded) return 'Succeeded'
  return pod.restartPolicy === 'Never' ? 'Failed' : 'Running'
}
