import type { KubeObject } from '../../../api/object.ts'
import type { TableColumn } from '../../definition.ts'
import { ageColumn, column, nameColumn, translateTimestampSince } from '../../printing.ts'
import type { Container, ContainerStatus, PodCondition, PodSpec, PodStatus } from './types.ts'

/** How a pod looks in a table (pkg/printers/internalversion, printPod). */

export type PodSummary = {
  ready: number
  total: number
  reason: string
  restarts: number
  /** When a container last ended before it was started again, RFC 3339. */
  lastRestart: string | undefined
}

const isSidecar = (container: Container | undefined): boolean => container?.restartPolicy === 'Always'

/** Why a container ended, when its status gives no reason of its own. */
function endOf(terminated: { reason?: string; signal?: number; exitCode?: number }): string {
  if (terminated.reason) return terminated.reason
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode ?? 0}`
}

/** Restarts of some containers. */
class Restarts {
  count = 0
  last: string | undefined

  add(status: ContainerStatus): void {
    this.count += status.restartCount ?? 0
    const at = status.lastState?.terminated?.finishedAt
    if (at && (this.last === undefined || Date.parse(this.last) < Date.parse(at))) this.last = at
  }
}

type Init = { initializing: boolean; reason: string | undefined; ready: number; all: Restarts; sidecars: Restarts }

/** Looks at init containers up to the first that is not done. */
function summarizeInit(spec: PodSpec, status: PodStatus): Init {
  const containers = new Map(spec.initContainers?.map((c) => [c.name, c]))
  const init: Init = { initializing: false, reason: undefined, ready: 0, all: new Restarts(), sidecars: new Restarts() }
  for (const [i, container] of (status.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(containers.get(container.name))
    init.all.add(container)
    if (sidecar) init.sidecars.add(container)
    const { terminated, waiting } = container.state ?? {}
    if (terminated != null && (terminated.exitCode ?? 0) === 0) continue
    if (sidecar && container.started === true) {
      if (container.ready) init.ready++
      continue
    }
    const why = terminated != null ? endOf(terminated) : waiting?.reason
    init.reason = `Init:${why && why !== 'PodInitializing' ? why : `${i}/${spec.initContainers?.length ?? 0}`}`
    init.initializing = true
    break
  }
  return init
}

const hasCondition = (conditions: readonly PodCondition[] | undefined, type: string): boolean =>
  conditions?.some((c) => c.type === type && c.status === 'True') ?? false

export function summarizePod(pod: KubeObject): PodSummary {
  const spec = (pod['spec'] ?? {}) as PodSpec
  const status = (pod['status'] ?? {}) as PodStatus
  const init = summarizeInit(spec, status)
  const total = (spec.containers?.length ?? 0) + (spec.initContainers?.filter(isSidecar).length ?? 0)
  let reason = status.reason || status.phase || ''
  if (status.conditions?.some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated'))
    reason = 'SchedulingGated'
  reason = init.reason ?? reason
  let ready = init.ready
  let restarts = init.all
  if (!init.initializing || hasCondition(status.conditions, 'Initialized')) {
    restarts = init.sidecars
    let running = false
    for (const container of [...(status.containerStatuses ?? [])].reverse()) {
      restarts.add(container)
      const { terminated, waiting, running: now } = container.state ?? {}
      if (waiting?.reason) reason = waiting.reason
      else if (terminated != null) reason = endOf(terminated)
      else if (container.ready && now != null) {
        running = true
        ready++
      }
    }
    if (reason === 'Completed' && running) reason = hasCondition(status.conditions, 'Ready') ? 'Running' : 'NotReady'
  }
  if (pod.metadata.deletionTimestamp != null) {
    const ended = status.phase === 'Failed' || status.phase === 'Succeeded'
    if (status.reason === 'NodeLost') reason = 'Unknown'
    else if (!ended) reason = 'Terminating'
  }
  return { ready, total, reason, restarts: restarts.count, lastRestart: restarts.last }
}

const none = (text: string | undefined): string => text || '<none>'
const specOf = (pod: KubeObject): PodSpec => (pod['spec'] ?? {}) as PodSpec
const statusOf = (pod: KubeObject): PodStatus => (pod['status'] ?? {}) as PodStatus

function readinessGates(pod: KubeObject): string {
  const gates = specOf(pod).readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const conditions = statusOf(pod).conditions ?? []
  const met = gates.filter((gate) => conditions.find((c) => c.type === gate.conditionType)?.status === 'True')
  return `${met.length}/${gates.length}`
}

function restartsCell(pod: KubeObject, now: number): string {
  const { restarts, lastRestart } = summarizePod(pod)
  if (restarts === 0 || lastRestart === undefined) return String(restarts)
  return `${restarts} (${translateTimestampSince(lastRestart, now)} ago)`
}

export const podColumns: readonly TableColumn[] = [
  nameColumn,
  column('Ready', 'string', 'How many of the containers are ready.', (pod) => {
    const { ready, total } = summarizePod(pod)
    return `${ready}/${total}`
  }),
  column('Status', 'string', 'What the pod as a whole is doing, or why it is not.', (pod) => summarizePod(pod).reason),
  column(
    'Restarts',
    'string',
    'How often containers were started again, and how long ago the last time.',
    restartsCell,
  ),
  ageColumn,
  column('IP', 'string', 'Address of the pod.', (pod) => none(statusOf(pod).podIPs?.[0]?.ip), 1),
  column('Node', 'string', 'Node on which the pod runs.', (pod) => none(specOf(pod).nodeName), 1),
  column(
    'Nominated Node',
    'string',
    'Node on which room is being made for the pod.',
    (pod) => none(statusOf(pod).nominatedNodeName),
    1,
  ),
  column('Readiness Gates', 'string', 'How many of the further conditions for readiness are met.', readinessGates, 1),
]
