import { createHash } from 'node:crypto'
import type { Backoffs } from './backoff.ts'
import { fullName, isSidecar, type Pod, type PodContainer } from './pod.ts'
import { type ContainerRecord, isAlive, latest, type PodRuntime } from './runtime-state.ts'

/** What the probes of a container say, by the container's id. */
export type ProbeVerdicts = {
  /** Its startup probe has succeeded, or it has none. */
  started: (container: PodContainer, id: string) => boolean
  /** Why it must be stopped. */
  failed: (container: PodContainer, id: string) => 'liveness' | 'startup' | undefined
}

export type Start = { container: PodContainer; role: 'init' | 'sidecar' | 'main' | 'ephemeral'; restartCount: number }
export type Kill = { record: ContainerRecord; why: string; reason: 'Killing' | 'Unhealthy' }
export type Waiting = { reason: string; message: string }

/** What is to be done next for a pod that shall run; see computeActions. */
export type Actions = {
  /** Everything of the pod that still lives is stopped, before anything else. */
  killPod: boolean
  createSandbox: { attempt: number } | undefined
  kill: readonly Kill[]
  /** In this order. */
  start: readonly Start[]
  /** Containers that would be started if they had not failed just now. */
  waiting: ReadonlyMap<string, Waiting>
  /** When the first of them may be started; milliseconds since the epoch. */
  wakeAt: number | undefined
  /** Initialization has ended with a failure that the restart policy does not repair, or all containers have ended. */
  finished: boolean
}

export type Situation = { pod: Pod; runtime: PodRuntime; probes: ProbeVerdicts; backoffs: Backoffs; now: number }

/** Name and image are all that can change in a running pod's container. */
export function containerHash(container: Pick<PodContainer, 'name' | 'image'>): string {
  return createHash('sha256')
    .update(JSON.stringify([container.name, container.image]))
    .digest('hex')
    .slice(0, 16)
}

export const backoffKey = (pod: Pod, container: string): string => `${pod.uid}/${container}`

/**
 * From what is wanted and what is there to what is to be done; the kubelet's computePodActions. It changes nothing: who
 * starts a container notes it in the back-offs.
 */
export function computeActions(situation: Situation): Actions {
  const { pod, runtime } = situation
  const plan = new Plan(situation)
  const sandbox = runtime.sandboxes.find(({ ready }) => ready)
  if (sandbox === undefined || runtime.sandboxes[0] !== sandbox) {
    const attempt = runtime.sandboxes.length === 0 ? 0 : runtime.sandboxes[0]!.attempt + 1
    const wanted = pod.containers.filter((c) => mayStart(pod, latest(runtime, c.name), true))
    const alive = runtime.containers.some(isAlive) || runtime.sandboxes.some(({ ready }) => ready)
    if (pod.restartPolicy === 'Never' && attempt > 0 && runtime.containers.length > 0)
      return plan.done({ killPod: alive, finished: true })
    if (wanted.length === 0) return plan.done({ killPod: alive, finished: true })
    // A new sandbox begins from the first init container.
    const first = pod.initContainers[0]
    if (first !== undefined) plan.start(first, isSidecar(first) ? 'sidecar' : 'init')
    else for (const container of wanted) plan.start(container, 'main')
    return plan.done({ killPod: alive, createSandbox: { attempt } })
  }
  for (const container of pod.ephemeralContainers)
    if (latest(runtime, container.name) === undefined) plan.start(container, 'ephemeral')
  const mains = mainsBegun(pod, runtime, sandbox.id)
  const initialized = mains ? keepSidecars(plan, sandbox.id) : initialize(plan, sandbox.id)
  if (initialized === 'failed') return plan.done({ killPod: true, finished: true })
  if (initialized === 'running') return plan.done({})
  let kept = 0
  for (const container of pod.containers) if (keepMain(plan, container)) kept++
  const pending = plan.starts.some(({ role }) => role === 'main') || pod.containers.some((c) => plan.waits.has(c.name))
  if (kept === 0 && !pending) {
    // Sidecars do not keep a pod alive.
    plan.starts = plan.starts.filter(({ role }) => role !== 'sidecar')
    return plan.done({ killPod: true, finished: true })
  }
  return plan.done({})
}

class Plan {
  readonly situation: Situation
  readonly kills: Kill[] = []
  readonly waits: Map<string, Waiting> = new Map()
  starts: Start[] = []
  #wakeAt: number | undefined

  constructor(situation: Situation) {
    this.situation = situation
  }

  /** Unless it has failed just now: then it waits. `afresh`: not because of a failure. */
  start(container: PodContainer, role: Start['role'], afresh = false): void {
    const { pod, runtime, backoffs, now } = this.situation
    const last = latest(runtime, container.name)
    if (last !== undefined && last.state !== 'created' && !afresh) {
      // One that still runs is about to be killed.
      const failedAt = last.state === 'exited' ? last.finishedAt : now
      const waiting = backoffs.waiting(backoffKey(pod, container.name), failedAt, now)
      if (waiting !== undefined) {
        const { waitMs, until } = waiting
        const message = `back-off ${duration(waitMs)} restarting failed container=${container.name} pod=${fullName(pod)}`
        this.waits.set(container.name, { reason: 'CrashLoopBackOff', message })
        this.#wakeAt = Math.min(this.#wakeAt ?? until, until)
        return
      }
    }
    this.starts.push({ container, role, restartCount: last === undefined ? 0 : last.restartCount + 1 })
  }

  done(given: Partial<Actions>): Actions {
    return {
      killPod: false,
      createSandbox: undefined,
      finished: false,
      ...given,
      kill: given.killPod === true ? [] : this.kills,
      start: given.finished === true ? [] : this.starts,
      waiting: this.waits,
      wakeAt: this.#wakeAt,
    }
  }
}

/** Go's time.Duration for whole seconds: 10s, 1m20s, 5m0s. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}

const mainsBegun = (pod: Pod, runtime: PodRuntime, sandboxId: string): boolean =>
  pod.containers.some((c) => runtime.containers.some((r) => r.name === c.name && r.sandboxId === sandboxId))

const inSandbox = (runtime: PodRuntime, name: string, sandboxId: string): ContainerRecord | undefined =>
  runtime.containers.find((r) => r.name === name && r.sandboxId === sandboxId)

/** One init container after the other; a sidecar lets the next one begin once it has started. */
function initialize(plan: Plan, sandboxId: string): 'done' | 'running' | 'failed' {
  const { pod, runtime, probes } = plan.situation
  for (const container of pod.initContainers) {
    const record = inSandbox(runtime, container.name, sandboxId)
    if (isSidecar(container)) {
      keepSidecar(plan, container, record)
      if (record?.state !== 'running' || !probes.started(container, record.id)) return 'running'
      continue
    }
    if (record === undefined || record.state === 'created') {
      plan.start(container, 'init')
      return 'running'
    }
    if (isAlive(record)) return 'running'
    if (record.exitCode === 0) continue
    if (pod.restartPolicy === 'Never') return 'failed'
    plan.start(container, 'init')
    return 'running'
  }
  return 'done'
}

function keepSidecars(plan: Plan, sandboxId: string): 'done' {
  const { pod, runtime } = plan.situation
  for (const container of pod.initContainers)
    if (isSidecar(container)) keepSidecar(plan, container, inSandbox(runtime, container.name, sandboxId))
  return 'done'
}

function keepSidecar(plan: Plan, container: PodContainer, record: ContainerRecord | undefined): void {
  if (record?.state !== 'running') plan.start(container, 'sidecar')
  else if (mustStop(plan, container, record)) plan.start(container, 'sidecar')
}

/** Whether it runs and goes on running. */
function keepMain(plan: Plan, container: PodContainer): boolean {
  const { pod, runtime } = plan.situation
  const record = latest(runtime, container.name)
  if (record?.state !== 'running') {
    if (!mayStart(pod, record, false)) return false
    if (record?.state === 'unknown')
      plan.kills.push({
        record,
        why: 'Container is in unknown state, try killing it before restart',
        reason: 'Killing',
      })
    plan.start(container, 'main')
    return false
  }
  const changed = record.hash !== '' && record.hash !== containerHash(container)
  if (changed)
    plan.kills.push({
      record,
      why: `Container ${container.name} definition changed, will be restarted`,
      reason: 'Killing',
    })
  else if (!mustStop(plan, container, record)) return true
  if (changed || pod.restartPolicy !== 'Never') plan.start(container, 'main', changed)
  // It ends now; whether the pod ends with it is decided when it has.
  return true
}

function mustStop(plan: Plan, container: PodContainer, record: ContainerRecord): boolean {
  const failed = plan.situation.probes.failed(container, record.id)
  if (failed === undefined) return false
  const again = plan.situation.pod.restartPolicy !== 'Never' || isSidecar(container)
  const why = `Container ${container.name} failed ${failed} probe${again ? ', will be restarted' : ''}`
  plan.kills.push({ record, why, reason: 'Unhealthy' })
  return true
}

/** With a new sandbox a container that ran in the old one counts as ended. */
function mayStart(pod: Pod, record: ContainerRecord | undefined, newSandbox: boolean): boolean {
  if (record === undefined || record.state === 'created' || record.state === 'unknown') return true
  if (record.state === 'running') return newSandbox && pod.restartPolicy !== 'Never'
  if (pod.restartPolicy === 'Always') return true
  return pod.restartPolicy === 'OnFailure' && record.exitCode !== 0
}
