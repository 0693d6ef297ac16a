import { mkdirSync, rmSync } from 'node:fs'
import { ApiError } from '../../kernel/api/status.ts'
import { said } from '../../platform/cri/index.ts'
import { removeCgroup } from './cgroups.ts'
import type { Checkpoints } from './checkpoint.ts'
import { type PodMemory, type PodParts, podEvent } from './context.ts'
import { type Actions, backoffKey, computeActions, type Kill } from './engine/actions.ts'
import { fullName, isTerminalPhase, type Pod } from './engine/pod.ts'
import { podCgroup } from './engine/resources.ts'
import { isAlive, type PodRuntime, readySandbox } from './engine/runtime-state.ts'
import { podLogFolder, sandboxConfig } from './engine/sandbox-config.ts'
import { podStatus } from './engine/status.ts'
import type { PodStatus } from './engine/status-types.ts'
import { removeLogs } from './log-rotation.ts'
import { Semaphore } from './semaphore.ts'
import { StartError, startContainer } from './start-container.ts'
import { PODS, type StatusWriter } from './status-writer.ts'
import { gone, stopContainer, stopPod } from './termination.ts'

/** Volumes are refreshed once in this time, plus up to half as long again. */
const REFRESH_MS = 60_000
/** Sandboxes that are made at a time. */
const PARALLEL_STARTS = 6

/** Look at the pod again then; milliseconds since the epoch. */
export type Again = { at: number } | undefined

/** Brings one pod from what runs to what is wanted, and tells the API server. */
export class PodSync {
  readonly #parts: PodParts
  readonly #writer: StatusWriter
  readonly #checkpoints: Checkpoints
  readonly #memories: Map<string, PodMemory> = new Map()
  readonly #starts: Semaphore = new Semaphore(PARALLEL_STARTS)
  readonly #statuses: Map<string, PodStatus> = new Map()

  constructor(parts: PodParts, writer: StatusWriter, checkpoints: Checkpoints) {
    this.#parts = parts
    this.#writer = writer
    this.#checkpoints = checkpoints
  }

  /** The status as the agent has it; undefined before the first round. */
  statusOf(uid: string): PodStatus | undefined {
    return this.#statuses.get(uid)
  }

  /** The pod shall be stopped now: what still starts it is given up. */
  giveUpStarting(uid: string): void {
    this.#memories.get(uid)?.starting.abort()
  }

  /** Less time is left than was thought. */
  hurry(uid: string, graceSeconds: number): void {
    this.#memories.get(uid)?.stopping.abort()
    for (const record of this.#parts.cache.get(uid).containers)
      if (isAlive(record))
        void gone(this.#parts.cri.stopContainer(record.id, graceSeconds)).catch((error: Error) =>
          this.#parts.log('debug', `stopping sooner: ${error.message}`),
        )
  }

  giveUpAll(): void {
    for (const { starting, stopping } of this.#memories.values()) {
      starting.abort()
      stopping.abort()
    }
  }

  /** One round for a pod that exists in the API. */
  async sync(pod: Pod): Promise<Again> {
    const { cache, clock, prober } = this.#parts
    const memory = this.#memory(pod)
    this.#judge(pod, memory)
    if (pod.metadata.deletionTimestamp !== undefined) return await this.#delete(pod, memory)
    if (memory.verdict !== undefined || isTerminalPhase(pod.status.phase)) return await this.#end(pod, memory)
    const runtime = cache.get(pod.uid)
    prober.sync(pod, runtime, this.#podIp(pod, runtime))
    const actions = computeActions(this.#situation(pod, runtime))
    if (actions.finished) return await this.#end(pod, memory)
    const again = await this.#run(pod, memory, runtime, actions)
    const deadline = pod.spec.activeDeadlineSeconds
    const times = [again?.at, memory.refreshAt, deadline == null ? undefined : memory.startTime + deadline * 1000]
    return { at: Math.max(clock.now() + 10, Math.min(...times.filter((time) => time !== undefined))) }
  }

  /** Takes away what is left of a pod that does not exist in the API; `pod` is how it was last known. */
  async remove(uid: string, pod: Pod | undefined): Promise<void> {
    const { cri, cache, volumes, prober, images, backoffs, settings } = this.#parts
    prober.remove(uid)
    let runtime = await cache.refresh(uid)
    if (runtime.containers.some(isAlive) || readySandbox(runtime) !== undefined) {
      const grace = Math.max(1, pod?.metadata.deletionGracePeriodSeconds ?? 1)
      if (pod !== undefined) await stopPod(this.#parts, pod, runtime, this.#memories.get(uid), grace)
      else {
        await Promise.all(runtime.containers.filter(isAlive).map(({ id }) => gone(cri.stopContainer(id, grace))))
        for (const { id } of runtime.sandboxes) await gone(cri.stopPodSandbox(id))
      }
      runtime = await cache.refresh(uid)
    }
    const logs = new Set(runtime.containers.map(({ logPath }) => logFolderOf(logPath, settings.podLogFolder, uid)))
    for (const { id } of runtime.containers) await gone(cri.removeContainer(id))
    for (const { id } of runtime.sandboxes) {
      await gone(cri.stopPodSandbox(id))
      await gone(cri.removePodSandbox(id))
    }
    if (pod !== undefined) logs.add(podLogFolder(pod, settings.podLogFolder))
    for (const folder of logs) if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    await volumes.remove(uid)
    for (const qosClass of ['Guaranteed', 'Burstable', 'BestEffort'])
      removeCgroup(podCgroup({ uid, status: { qosClass } }, settings.cgroupParent))
    this.#checkpoints.remove(uid)
    images.forget(uid)
    backoffs.forget(`${uid}/`)
    this.#writer.forget(uid)
    this.#memories.delete(uid)
    this.#statuses.delete(uid)
    await cache.refresh(uid)
  }

  #memory(pod: Pod): PodMemory {
    const known = this.#memories.get(pod.uid)
    if (known !== undefined) return known
    const told = Date.parse((pod.status as { startTime?: string }).startTime ?? '')
    const memory: PodMemory = {
      startTime: Number.isNaN(told) ? this.#parts.clock.now() : told,
      waiting: new Map(),
      verdict: undefined,
      starting: new AbortController(),
      stopping: new AbortController(),
      refreshAt: 0,
      volumes: undefined,
      ended: false,
      deleteSent: false,
    }
    this.#memories.set(pod.uid, memory)
    return memory
  }

  #judge(pod: Pod, memory: PodMemory): void {
    const { activeDeadlineSeconds: seconds } = pod.spec
    if (seconds == null || memory.verdict !== undefined || isTerminalPhase(pod.status.phase)) return
    if (this.#parts.clock.now() < memory.startTime + seconds * 1000) return
    const message = 'Pod was active on the node longer than the specified deadline'
    memory.verdict = { reason: 'DeadlineExceeded', message }
    podEvent(this.#parts, pod, 'Normal', 'DeadlineExceeded', message)
  }

  #situation(pod: Pod, runtime: PodRuntime): Parameters<typeof computeActions>[0] {
    const { prober, backoffs, clock } = this.#parts
    return { pod, runtime, probes: prober, backoffs, now: clock.now() }
  }

  #podIp(pod: Pod, runtime: PodRuntime): string {
    if (pod.spec.hostNetwork === true) return this.#parts.nodeAddress
    return runtime.sandboxes[0]?.ips[0] ?? ''
  }

  #publish(pod: Pod, memory: PodMemory, ended: boolean): void {
    const { cache, prober, nodeAddress, clock } = this.#parts
    const status = podStatus({
      pod,
      runtime: cache.get(pod.uid),
      waiting: memory.waiting,
      ready: prober.ready,
      started: prober.started,
      hostIP: nodeAddress,
      startTime: memory.startTime,
      now: clock.now(),
      verdict: memory.verdict,
      ended,
    })
    this.#statuses.set(pod.uid, status)
    this.#writer.set(pod.object, status)
  }

  async #run(pod: Pod, memory: PodMemory, before: PodRuntime, actions: Actions): Promise<Again> {
    const { cache, clock } = this.#parts
    let runtime = before
    for (const [name, { message }] of actions.waiting) {
      if (memory.waiting.get(name)?.message === message) continue
      const container = [...pod.initContainers, ...pod.containers].find((c) => c.name === name)
      const told = `Back-off restarting failed container ${name} in pod ${fullName(pod)}`
      podEvent(this.#parts, pod, 'Warning', 'BackOff', told, container)
    }
    memory.waiting = new Map(actions.waiting)
    const first = runtime.sandboxes.length === 0
    if (first) this.#publish(pod, memory, false)
    let failure: Error | undefined
    let retryAt: number | undefined
    try {
      if (actions.killPod) {
        await stopPod(this.#parts, pod, runtime, undefined, pod.spec.terminationGracePeriodSeconds ?? 30)
        runtime = await cache.refresh(pod.uid)
      }
      for (const kill of actions.kill)
        await stopContainer(this.#parts, pod, kill.record, undefined, graceOf(pod, kill), kill.why)
      const starts = actions.createSandbox !== undefined || actions.start.length > 0
      if (starts || memory.refreshAt <= clock.now()) await this.#mount(pod, memory, runtime, first ? 1000 : REFRESH_MS)
      if (actions.createSandbox !== undefined) {
        const { attempt } = actions.createSandbox
        await this.#starts.run(() => this.#createSandbox(pod, attempt))
        runtime = await cache.refresh(pod.uid)
        // The first time is the first that the pod's own address is known.
        if (needsAddresses(pod)) await this.#mount(pod, memory, runtime, REFRESH_MS)
      }
      const sandbox = readySandbox(runtime)
      for (const start of sandbox === undefined ? [] : actions.start) {
        if (memory.starting.signal.aborted) break
        if (start.restartCount > 0) {
          const last = runtime.containers.find(({ name }) => name === start.container.name)
          const now = clock.now()
          this.#parts.backoffs.next(backoffKey(pod, start.container.name), last?.finishedAt || now, now)
        }
        try {
          const input = { pod, start, sandbox: sandbox!, runtime, memory, volumes: memory.volumes ?? new Map() }
          await this.#starts.run(() => startContainer(this.#parts, input))
        } catch (error) {
          if (!(error instanceof StartError)) throw error
          memory.waiting.set(start.container.name, { reason: error.reason, message: error.message })
          if (error.retryAt !== undefined) retryAt = Math.min(retryAt ?? error.retryAt, error.retryAt)
          else failure ??= error
          // Init containers are started one at a time: there is no next one.
        }
      }
    } catch (error) {
      failure = error as Error
    }
    runtime = await cache.refresh(pod.uid)
    if (actions.start.length > 0) this.#quickLooks(pod.uid)
    this.#parts.prober.sync(pod, runtime, this.#podIp(pod, runtime))
    this.#publish(pod, memory, false)
    await this.#tidy(runtime)
    if (failure !== undefined && !memory.starting.signal.aborted) throw failure
    const times = [actions.wakeAt, retryAt].filter((time) => time !== undefined)
    return times.length === 0 ? undefined : { at: Math.min(...times) }
  }

  async #mount(pod: Pod, memory: PodMemory, runtime: PodRuntime, maxAgeMs: number): Promise<void> {
    const { volumes, clock, nodeAddress } = this.#parts
    const podIPs = pod.spec.hostNetwork === true ? [nodeAddress] : (readySandbox(runtime)?.ips ?? [])
    try {
      const { paths, problems } = await volumes.mount(pod, { podIPs, hostIP: nodeAddress }, maxAgeMs)
      memory.volumes = paths
      for (const problem of problems) podEvent(this.#parts, pod, 'Warning', 'FailedMount', problem)
      const wait = problems.length > 0 ? REFRESH_MS / 4 : REFRESH_MS
      memory.refreshAt = clock.now() + wait * (1 + Math.random() / 2)
    } catch (error) {
      podEvent(this.#parts, pod, 'Warning', 'FailedMount', (error as Error).message)
      throw error
    }
  }

  async #createSandbox(pod: Pod, attempt: number): Promise<void> {
    const { cri, settings } = this.#parts
    mkdirSync(podLogFolder(pod, settings.podLogFolder), { recursive: true, mode: 0o755 })
    try {
      await cri.runPodSandbox(sandboxConfig(pod, attempt, settings))
    } catch (error) {
      const message = `Failed to create pod sandbox: ${said(error)}`
      podEvent(this.#parts, pod, 'Warning', 'FailedCreatePodSandBox', message)
      throw error
    }
  }

  /** What was just started may have ended at once: sooner than the next look at everything. */
  #quickLooks(uid: string): void {
    const { timers, cache, log } = this.#parts
    for (const ms of [80, 250, 600])
      timers.after(ms, () => void cache.refresh(uid).catch((error: Error) => log('debug', error.message)))
  }

  /** Keeps, of each container, the run that counts and the one before; of the sandboxes, the newest. */
  async #tidy(runtime: PodRuntime): Promise<void> {
    const { cri } = this.#parts
    const seen = new Map<string, number>()
    for (const record of runtime.containers) {
      const count = (seen.get(record.name) ?? 0) + 1
      seen.set(record.name, count)
      if (count <= 2 || isAlive(record)) continue
      await gone(cri.removeContainer(record.id))
      removeLogs(record.logPath)
    }
    for (const { id, ready } of runtime.sandboxes.slice(1)) {
      if (ready) await gone(cri.stopPodSandbox(id))
      if (!runtime.containers.some(({ sandboxId }) => sandboxId === id)) await gone(cri.removePodSandbox(id))
    }
  }

  /** Stops what runs; the pod's containers stay for their logs until the pod is deleted. */
  async #end(pod: Pod, memory: PodMemory, grace?: number): Promise<Again> {
    const { cache, volumes, prober } = this.#parts
    let runtime = cache.get(pod.uid)
    const alive = runtime.containers.some(isAlive) || runtime.sandboxes.some(({ ready }) => ready)
    if (alive) {
      const seconds = grace ?? pod.spec.terminationGracePeriodSeconds ?? 30
      await stopPod(this.#parts, pod, runtime, memory, seconds)
      runtime = await cache.refresh(pod.uid)
      if (runtime.containers.some(isAlive)) throw new Error(`a container of ${pod.namespace}/${pod.name} did not stop`)
    }
    if (memory.ended && !alive) return undefined
    prober.remove(pod.uid)
    memory.waiting = new Map()
    // What the API server has been told of an ended pod is final: files that it was read from may be gone.
    if (alive || !isTerminalPhase(pod.status.phase)) this.#publish(pod, memory, true)
    await volumes.unmount(pod.uid)
    memory.ended = true
    return undefined
  }

  async #delete(pod: Pod, memory: PodMemory): Promise<Again> {
    const { client } = this.#parts
    if (memory.deleteSent) return undefined
    this.giveUpStarting(pod.uid)
    await this.#end(
      pod,
      memory,
      pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30,
    )
    await this.#writer.flush(pod.uid)
    try {
      await client.delete(PODS, pod.namespace, pod.name, { gracePeriodSeconds: 0, preconditions: { uid: pod.uid } })
    } catch (error) {
      const over = error instanceof ApiError && (error.reason === 'NotFound' || error.reason === 'Conflict')
      if (!over) throw error
    }
    memory.deleteSent = true
    return undefined
  }
}

/** A probe may give less time, or more, than the pod does (KEP-2238). */
function graceOf(pod: Pod, { record, reason }: Kill): number {
  const container = [...pod.initContainers, ...pod.containers].find(({ name }) => name === record.name)
  const { livenessProbe, startupProbe } = container ?? {}
  const ofProbe = livenessProbe?.terminationGracePeriodSeconds ?? startupProbe?.terminationGracePeriodSeconds
  const ofPod = pod.spec.terminationGracePeriodSeconds ?? 30
  return reason === 'Unhealthy' ? (ofProbe ?? ofPod) : ofPod
}

/** Whether a volume shows the pod's own address, which is known once its sandbox stands. */
function needsAddresses(pod: Pod): boolean {
  return JSON.stringify(pod.spec.volumes ?? []).includes('"status.podIP')
}

/** The pod's folder of logs, when the path lies in one below the root. */
function logFolderOf(path: string, root: string, uid: string): string | undefined {
  if (!path.startsWith(`${root}/`)) return undefined
  const name = path.slice(root.length + 1).split('/')[0]!
  return name.endsWith(`_${uid}`) ? `${root}/${name}` : undefined
}
