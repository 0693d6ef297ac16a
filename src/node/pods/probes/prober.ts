import type { Timers } from '../../../kernel/controller/timers.ts'
import type { Clock, Log } from '../../../kernel/feature.ts'
import type { Probe } from '../../../kernel/resources/kinds/pod/types.ts'
import type { CriClient } from '../../../platform/cri/index.ts'
import type { ProbeVerdicts } from '../engine/actions.ts'
import { isSidecar, type Pod, type PodContainer } from '../engine/pod.ts'
import { afterOutcome, initialState, type ProbeKind, type ProbeState } from '../engine/probe-state.ts'
import { latest, type PodRuntime } from '../engine/runtime-state.ts'
import { ask } from './handlers.ts'

export type ProberOptions = {
  cri: CriClient
  clock: Clock
  timers: Timers
  random: () => number
  log: Log
  /** A result has changed: the pod wants to be looked at. */
  onChange: (uid: string) => void
  unhealthy: (pod: Pod, container: PodContainer, message: string) => void
}

const PROBE_OF = { startup: 'startupProbe', liveness: 'livenessProbe', readiness: 'readinessProbe' } as const
const KINDS: readonly ProbeKind[] = ['startup', 'liveness', 'readiness']
const NAMES = { startup: 'Startup', liveness: 'Liveness', readiness: 'Readiness' } as const

/** One probe of one run of a container. */
type Worker = {
  pod: Pod
  container: PodContainer
  kind: ProbeKind
  id: string
  startedAt: number
  podIp: string
  state: ProbeState
  stop: AbortController
  cancel: () => void
}

/** Asks the containers' probes at their times and remembers what they said, by the containers' ids. */
export class Prober implements ProbeVerdicts {
  readonly #options: ProberOptions
  /** By container id and kind. */
  readonly #workers: Map<string, Worker> = new Map()
  readonly #ofPod: Map<string, Set<string>> = new Map()

  constructor(options: ProberOptions) {
    this.#options = options
  }

  readonly ready = (container: PodContainer, id: string): boolean =>
    container.readinessProbe == null || this.#workers.get(`${id} readiness`)?.state.result === 'success'

  readonly started = (container: PodContainer, id: string): boolean =>
    container.startupProbe == null || this.#workers.get(`${id} startup`)?.state.result === 'success'

  readonly failed = (container: PodContainer, id: string): 'liveness' | 'startup' | undefined => {
    for (const kind of ['startup', 'liveness'] as const)
      if (container[PROBE_OF[kind]] != null && this.#workers.get(`${id} ${kind}`)?.state.result === 'failure')
        return kind
    return undefined
  }

  /**
   * Begins what has begun to run, ends what has ended. A container that was ready before this agent started is taken to
   * be so until a probe says otherwise.
   */
  sync(pod: Pod, runtime: PodRuntime, podIp: string): void {
    const wanted = new Set<string>()
    const deleted = pod.metadata.deletionTimestamp !== undefined
    for (const container of [...pod.initContainers.filter(isSidecar), ...pod.containers]) {
      const record = latest(runtime, container.name)
      if (record?.state !== 'running') continue
      for (const kind of KINDS) {
        if (container[PROBE_OF[kind]] == null || (deleted && kind !== 'readiness')) continue
        const key = `${record.id} ${kind}`
        wanted.add(key)
        const known = this.#workers.get(key)
        if (known !== undefined) {
          known.pod = pod
          known.podIp = podIp
          continue
        }
        const { id, startedAt } = record
        const stop = new AbortController()
        const state = adopted(pod, container.name, id, kind) ?? initialState(kind)
        const worker: Worker = { pod, container, kind, id, startedAt, podIp, state, stop, cancel: () => undefined }
        this.#workers.set(key, worker)
        this.#schedule(worker, this.#firstDelay(worker))
      }
    }
    for (const key of this.#ofPod.get(pod.uid) ?? []) if (!wanted.has(key)) this.#end(key)
    if (wanted.size === 0) this.#ofPod.delete(pod.uid)
    else this.#ofPod.set(pod.uid, wanted)
  }

  remove(uid: string): void {
    for (const key of this.#ofPod.get(uid) ?? []) this.#end(key)
    this.#ofPod.delete(uid)
  }

  close(): void {
    for (const uid of [...this.#ofPod.keys()]) this.remove(uid)
  }

  #end(key: string): void {
    const worker = this.#workers.get(key)
    worker?.cancel()
    worker?.stop.abort()
    this.#workers.delete(key)
  }

  #firstDelay({ container, kind, startedAt }: Worker): number {
    const { initialDelaySeconds = 0, periodSeconds = 10 } = container[PROBE_OF[kind]]!
    const now = this.#options.clock.now()
    // After a restart of the agent the probes of all pods would come at once.
    const spread = now - startedAt > 10_000 ? this.#options.random() * periodSeconds * 1000 : 0
    return Math.max(startedAt + initialDelaySeconds * 1000 - now, spread, 0)
  }

  #schedule(worker: Worker, ms: number): void {
    worker.cancel = this.#options.timers.after(ms, () => void this.#probe(worker))
  }

  async #probe(worker: Worker): Promise<void> {
    const { container, kind, id, stop } = worker
    const probe = container[PROBE_OF[kind]]!
    const period = (probe.periodSeconds ?? 10) * 1000
    if (stop.signal.aborted) return
    const started = this.started(container, id)
    // The others wait for the startup probe, which ends with its success.
    if (kind === 'startup' ? !started : started) {
      if (!worker.state.held) await this.#ask(worker, probe)
    }
    if (stop.signal.aborted || (kind === 'startup' && this.started(container, id))) return
    this.#schedule(worker, kind !== 'startup' && !started ? Math.min(period, 1000) : period)
  }

  async #ask(worker: Worker, probe: Probe): Promise<void> {
    const { container, kind, id, stop, podIp, pod } = worker
    const { cri, log, unhealthy, onChange } = this.#options
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
    let outcome: 'success' | 'failure'
    try {
      const target = { cri, containerId: id, podIp, ports: container.ports ?? [] }
      const answer = await ask(probe, target, timeoutMs, stop.signal)
      if (stop.signal.aborted) return
      outcome = answer.outcome
      if (answer.outcome === 'failure') unhealthy(pod, container, `${NAMES[kind]} probe failed: ${answer.output}`)
    } catch (error) {
      if (stop.signal.aborted) return
      // The runtime could not be asked: nothing is known about the container.
      log('debug', `${kind} probe of ${pod.namespace}/${pod.name}/${container.name}: ${(error as Error).message}`)
      unhealthy(pod, container, `${NAMES[kind]} probe errored: ${(error as Error).message}`)
      return
    }
    const before = worker.state
    worker.state = afterOutcome(before, kind, probe, outcome)
    if (worker.state.result !== before.result) onChange(pod.uid)
  }
}

type Told = { name?: string; containerID?: string; ready?: boolean; started?: boolean }

function adopted(pod: Pod, name: string, id: string, kind: ProbeKind): ProbeState | undefined {
  if (kind === 'liveness') return undefined
  const all = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])] as Told[]
  const told = all.find((status) => status.name === name && status.containerID === `containerd://${id}`)
  const good = kind === 'readiness' ? told?.ready : told?.started
  return good === true ? { result: 'success', last: undefined, run: 0, held: false } : undefined
}
