import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../../kernel/api/object.ts'
import { createInformer, type Informer } from '../../kernel/controller/informer.ts'
import { runReconciler } from '../../kernel/controller/reconciler.ts'
import { sleep, systemTimers, type Timers } from '../../kernel/controller/timers.ts'
import { WorkQueue } from '../../kernel/controller/workqueue.ts'
import { type CriClient, createCriClient } from '../../platform/cri/index.ts'
import type { NodeContext, NodeTask, NodeTaskFactory } from '../task.ts'
import { Checkpoints } from './checkpoint.ts'
import { type PodParts, podEvent } from './context.ts'
import { Backoffs } from './engine/backoff.ts'
import { parseResolvConf } from './engine/dns.ts'
import { type Pod, podOf } from './engine/pod.ts'
import type { PodRuntime } from './engine/runtime-state.ts'
import { createEventRecorder } from './events.ts'
import { Images } from './images.ts'
import { KnownServices } from './known-services.ts'
import { rotateLog } from './log-rotation.ts'
import { readMachine } from './machine.ts'
import { ObjectSource } from './objects.ts'
import { PodSync } from './pod-sync.ts'
import { Prober } from './probes/prober.ts'
import { RuntimeCache } from './runtime-cache.ts'
import { PODS, StatusWriter } from './status-writer.ts'
import { terminationMessage } from './termination-message.ts'
import { PodVolumes } from './volumes/pod-volumes.ts'
import { ServiceAccountTokens } from './volumes/tokens.ts'

const RELIST_MS = 1000
const HOUSEKEEPING_MS = 60_000
/** Pods that can be worked on at a time: stopping one waits for its grace. */
const WORKERS = 250
const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
/** How long a new agent waits for the API server before it goes by its checkpoints. */
const PATIENCE_MS = 3000
/** Longest that stopping the agent waits for what is under way. */
const STOP_MS = 3000

/** The node's pods, for the other parts of the agent; see createPods. */
export type Pods = {
  task: NodeTask
  cri: CriClient
  /** The pods of this node with the statuses that the agent has computed; shared, not to be changed. */
  list: () => KubeObject[]
  /** What the runtime has of a pod, as last seen. */
  runtimeOf: (uid: string) => PodRuntime
}

/** Runs this node's pods through the container runtime. */
export function createPods(context: NodeContext, timers: Timers = systemTimers): Pods {
  return new NodePods(context, timers)
}

export const podTask: NodeTaskFactory = (context) => createPods(context).task

class NodePods implements Pods {
  readonly task: NodeTask
  readonly cri: CriClient
  readonly #context: NodeContext
  readonly #timers: Timers
  readonly #parts: PodParts
  readonly #sync: PodSync
  readonly #writer: StatusWriter
  readonly #checkpoints: Checkpoints
  readonly #queue: WorkQueue
  readonly #informer: Informer
  readonly #services: KnownServices
  readonly #pods: Map<string, Pod> = new Map()
  /** Pods that have left the API, as they were, until their remains are removed. */
  readonly #gone: Map<string, Pod> = new Map()
  readonly #stop: AbortController = new AbortController()
  readonly #running: Promise<unknown>[] = []
  #runtimeAway = false

  constructor(context: NodeContext, timers: Timers) {
    const { config, client, clock, log } = context
    this.#context = context
    this.#timers = timers
    this.cri = createCriClient(config.containerRuntimeEndpoint)
    this.#queue = new WorkQueue({ timers, baseDelayMs: 500, maxDelayMs: 10_000 })
    this.#writer = new StatusWriter(client, timers, log)
    const podsFolder = join(config.stateFolder, 'pods')
    for (const folder of [config.stateFolder, podsFolder]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    mkdirSync(config.podLogFolder, { recursive: true, mode: 0o755 })
    this.#checkpoints = new Checkpoints(join(config.stateFolder, 'checkpoints'))
    const look = (uid: string): void => this.#queue.add(uid)
    const cache = new RuntimeCache({ cri: this.cri, terminationMessage, onChange: look })
    const machine = readMachine()
    const objects = new ObjectSource(client, clock)
    const allocatable = { milliCpu: machine.cpus * 1000, memoryBytes: machine.memoryBytes }
    const tokens = new ServiceAccountTokens(client, clock, log)
    const events = createEventRecorder({ client, host: config.nodeName, clock, log })
    const selected = { client, log, timers }
    this.#informer = createInformer({ ...selected, resource: PODS, fieldSelector: `spec.nodeName=${config.nodeName}` })
    this.#services = new KnownServices({ ...selected, file: join(config.stateFolder, 'services.json') })
    this.#parts = {
      cri: this.cri,
      client,
      clock,
      timers,
      log,
      cache,
      objects,
      events,
      volumes: new PodVolumes({ podsFolder, objects, tokens, clock, allocatable }),
      images: new Images(this.cri, clock),
      prober: new Prober({
        cri: this.cri,
        clock,
        timers,
        random: Math.random,
        log,
        onChange: look,
        unhealthy: (pod, container, message) => podEvent(this.#parts, pod, 'Warning', 'Unhealthy', message, container),
      }),
      backoffs: new Backoffs(),
      services: () => this.#services.list(),
      settings: {
        cgroupParent: config.cgroupParent,
        podLogFolder: config.podLogFolder,
        seccompFolder: join(config.stateFolder, 'seccomp'),
        nodeHostname: machine.hostname,
        resolver: parseResolvConf(existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf', 'utf8') : ''),
        memoryCapacity: machine.memoryBytes,
      },
      allocatable,
      nodeAddress: config.nodeAddress,
    }
    this.#sync = new PodSync(this.#parts, this.#writer, this.#checkpoints)
    this.task = { name: 'pods', start: (signal) => this.#start(signal), stop: () => this.#end() }
  }

  list(): KubeObject[] {
    return [...this.#pods.values()].map((pod) => {
      const status = this.#sync.statusOf(pod.uid)
      return status === undefined ? pod.object : { ...pod.object, status }
    })
  }

  runtimeOf(uid: string): PodRuntime {
    return this.#parts.cache.get(uid)
  }

  /** Resolves when the runtime has been looked at: pods that ran before are known again, with or without API server. */
  async #start(signal: AbortSignal): Promise<void> {
    const { log } = this.#context
    signal.addEventListener('abort', () => this.#stop.abort(), { once: true })
    const stop = this.#stop.signal
    for (const object of this.#checkpoints.load(log)) this.#pods.set(object.metadata.uid!, podOf(object))
    while (!stop.aborted && !(await this.#relist())) await sleep(this.#timers, RELIST_MS, stop)
    if (stop.aborted) return
    this.#informer.addHandler({
      onAdd: (object) => this.#changed(object),
      onUpdate: (object) => this.#changed(object),
      onDelete: (object) => this.#deleted(object),
    })
    this.#running.push(this.#services.run(stop), this.#informer.run(stop))
    void this.#informer.synced().then(() => this.#adopt())
    const reconcile = (uid: string): Promise<{ requeueAfterMs: number } | undefined> => this.#reconcile(uid)
    const work = async (): Promise<void> => {
      await this.#firstWord()
      for (const uid of this.#pods.keys()) this.#queue.add(uid)
      await runReconciler({ queue: this.#queue, reconcile, workers: WORKERS, signal: stop, log })
    }
    this.#running.push(work(), this.#relistForever(stop), this.#keepHouse(stop))
  }

  /** What the API server says counts before what was remembered, when it says it soon. */
  async #firstWord(): Promise<void> {
    const spoken = Promise.all([this.#informer.synced(), this.#services.synced()])
    const waited = new Promise<void>((resolve) => {
      const cancel = this.#timers.after(PATIENCE_MS, resolve)
      this.#stop.signal.addEventListener('abort', () => {
        cancel()
        resolve()
      })
      void spoken.then(cancel)
    })
    await Promise.race([spoken, waited])
  }

  async #end(): Promise<void> {
    this.#stop.abort()
    this.#sync.giveUpAll()
    this.#parts.prober.close()
    this.#writer.close()
    const timeout = new Promise<void>((resolve) => this.#timers.after(STOP_MS, resolve))
    await Promise.race([Promise.allSettled(this.#running), timeout])
    this.cri.close()
  }

  #changed(object: KubeObject): void {
    const pod = podOf(object)
    const before = this.#pods.get(pod.uid)
    this.#pods.set(pod.uid, pod)
    this.#gone.delete(pod.uid)
    this.#checkpoints.save(object)
    const { deletionTimestamp, deletionGracePeriodSeconds: grace } = pod.metadata
    if (deletionTimestamp !== undefined) {
      this.#sync.giveUpStarting(pod.uid)
      const { deletionGracePeriodSeconds: earlier, deletionTimestamp: known } = before?.metadata ?? {}
      if (known !== undefined && grace !== undefined && grace < (earlier ?? grace)) this.#sync.hurry(pod.uid, grace)
    }
    this.#queue.add(pod.uid)
  }

  #deleted(object: KubeObject): void {
    const pod = podOf(object)
    this.#pods.delete(pod.uid)
    this.#gone.set(pod.uid, pod)
    this.#sync.giveUpStarting(pod.uid)
    if (pod.metadata.deletionGracePeriodSeconds === 0) this.#sync.hurry(pod.uid, 1)
    this.#queue.add(pod.uid)
  }

  /** The API server has spoken: checkpointed pods that it does not know are gone, and so is whatever else runs. */
  #adopt(): void {
    const known = new Set([...this.#informer.store.list()].map(({ metadata }) => metadata.uid))
    for (const [uid, pod] of this.#pods)
      if (!known.has(uid)) {
        this.#pods.delete(uid)
        this.#gone.set(uid, pod)
      }
    this.#sweep()
  }

  #sweep(): void {
    if (!this.#informer.hasSynced) return
    const { cache, volumes, objects } = this.#parts
    objects.sweep()
    const { podLogFolder } = this.#context.config
    const logs = existsSync(podLogFolder) ? readdirSync(podLogFolder).map((name) => name.split('_').at(-1)!) : []
    for (const uid of new Set([...cache.uids(), ...volumes.uids(), ...logs, ...this.#gone.keys()]))
      if (UID.test(uid) && !this.#pods.has(uid)) this.#queue.add(uid)
  }

  async #reconcile(uid: string): Promise<{ requeueAfterMs: number } | undefined> {
    const pod = this.#pods.get(uid)
    if (pod !== undefined) {
      const again = await this.#sync.sync(pod)
      return again === undefined ? undefined : { requeueAfterMs: Math.max(1, again.at - this.#context.clock.now()) }
    }
    if (!this.#informer.hasSynced) return undefined
    await this.#sync.remove(uid, this.#gone.get(uid))
    this.#gone.delete(uid)
    return undefined
  }

  /** False when the runtime did not answer. */
  async #relist(): Promise<boolean> {
    const { log } = this.#context
    try {
      await this.#parts.cache.relist()
      if (this.#runtimeAway) log('info', 'the container runtime answers again')
      this.#runtimeAway = false
      return true
    } catch (error) {
      if (!this.#runtimeAway) log('warn', `the container runtime does not answer: ${(error as Error).message}`)
      this.#runtimeAway = true
      return false
    }
  }

  async #relistForever(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(this.#timers, RELIST_MS, stop)
      if (!stop.aborted) await this.#relist()
    }
  }

  async #keepHouse(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(this.#timers, HOUSEKEEPING_MS, stop)
      if (stop.aborted) return
      this.#sweep()
      await this.#rotateLogs()
    }
  }

  async #rotateLogs(): Promise<void> {
    const { cache, clock } = this.#parts
    for (const uid of this.#pods.keys())
      for (const { id, state, logPath } of cache.get(uid).containers) {
        if (state !== 'running' || logPath === '') continue
        try {
          await rotateLog(logPath, new Date(clock.now()), () => this.cri.reopenContainerLog(id))
        } catch (error) {
          this.#context.log('warn', `log ${logPath} was not rotated: ${(error as Error).message}`)
        }
      }
  }
}
