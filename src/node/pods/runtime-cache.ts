import {
  CONTAINER_STATE,
  type CriClient,
  type CriContainer,
  type CriContainerStatus,
  isCriError,
  type PodSandbox,
  SANDBOX_STATE,
} from '../../platform/cri/index.ts'
import { ANNOTATION, LABEL } from './engine/pod.ts'
import { type ContainerRecord, NO_RUNTIME, type PodRuntime, type SandboxRecord } from './engine/runtime-state.ts'

const NS_PER_MS = 1_000_000
const STATES = {
  [CONTAINER_STATE.created]: 'created',
  [CONTAINER_STATE.running]: 'running',
  [CONTAINER_STATE.exited]: 'exited',
} as const

export type RuntimeCacheOptions = {
  cri: CriClient
  /** The message that an exited container left behind. */
  terminationMessage: (status: CriContainerStatus) => string
  /** Something of the pod has changed since it was last looked at. */
  onChange: (uid: string) => void
}

/**
 * What the runtime has, pod by pod: looked at as a whole every second (the kubelet's PLEG), and for one pod right after
 * the agent has done something. Details of a container are asked for once in each of its states.
 */
export class RuntimeCache {
  readonly #options: RuntimeCacheOptions
  readonly #pods: Map<string, PodRuntime> = new Map()
  readonly #containers: Map<string, { state: number; record: ContainerRecord }> = new Map()
  readonly #ips: Map<string, readonly string[]> = new Map()
  /** The look that last said something about a pod: an older one that ends later is not believed. */
  readonly #lookOf: Map<string, number> = new Map()
  #looks = 0

  constructor(options: RuntimeCacheOptions) {
    this.#options = options
  }

  get(uid: string): PodRuntime {
    return this.#pods.get(uid) ?? NO_RUNTIME
  }

  uids(): IterableIterator<string> {
    return this.#pods.keys()
  }

  /** Looks at everything; rejects with CriError when the runtime is away. */
  async relist(): Promise<void> {
    const look = ++this.#looks
    const { cri } = this.#options
    const [sandboxes, containers] = await Promise.all([cri.listPodSandbox(), cri.listContainers()])
    const grouped = new Map<string, { sandboxes: PodSandbox[]; containers: CriContainer[] }>()
    const group = (uid: string | undefined): { sandboxes: PodSandbox[]; containers: CriContainer[] } | undefined => {
      if (uid === undefined) return undefined
      const found = grouped.get(uid) ?? { sandboxes: [], containers: [] }
      grouped.set(uid, found)
      return found
    }
    for (const sandbox of sandboxes) group(sandbox.labels[LABEL.podUid])?.sandboxes.push(sandbox)
    for (const container of containers) group(container.labels[LABEL.podUid])?.containers.push(container)
    for (const [uid, found] of grouped) await this.#take(uid, found.sandboxes, found.containers, look)
    for (const uid of this.#pods.keys()) if (!grouped.has(uid)) await this.#take(uid, [], [], look)
    const alive = new Set(containers.map(({ id }) => id))
    for (const id of this.#containers.keys()) if (!alive.has(id)) this.#containers.delete(id)
    const standing = new Set(sandboxes.map(({ id }) => id))
    for (const id of this.#ips.keys()) if (!standing.has(id)) this.#ips.delete(id)
  }

  /** Looks at one pod, now. */
  async refresh(uid: string): Promise<PodRuntime> {
    const look = ++this.#looks
    const { cri } = this.#options
    const labelSelector = { [LABEL.podUid]: uid }
    const [sandboxes, containers] = await Promise.all([
      cri.listPodSandbox({ labelSelector }),
      cri.listContainers({ labelSelector }),
    ])
    await this.#take(uid, sandboxes, containers, look)
    return this.get(uid)
  }

  async #take(uid: string, sandboxes: PodSandbox[], containers: CriContainer[], look: number): Promise<void> {
    const before = this.#pods.get(uid)
    const runtime: PodRuntime = {
      sandboxes: (await Promise.all(sandboxes.map((sandbox) => this.#sandbox(sandbox)))).sort(
        (a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt,
      ),
      containers: (await Promise.all(containers.map((container) => this.#container(container))))
        .filter((record) => record !== undefined)
        .sort((a, b) => b.restartCount - a.restartCount || b.createdAt - a.createdAt),
    }
    if (look < (this.#lookOf.get(uid) ?? 0)) return
    this.#lookOf.set(uid, look)
    if (runtime.sandboxes.length === 0 && runtime.containers.length === 0) {
      this.#pods.delete(uid)
      this.#lookOf.delete(uid)
      if (before !== undefined) this.#options.onChange(uid)
      return
    }
    this.#pods.set(uid, runtime)
    if (before === undefined || signature(before) !== signature(runtime)) this.#options.onChange(uid)
  }

  async #sandbox(sandbox: PodSandbox): Promise<SandboxRecord> {
    const ready = sandbox.state === SANDBOX_STATE.ready
    let ips = this.#ips.get(sandbox.id)
    if (ips === undefined) {
      try {
        const { network } = await this.#options.cri.podSandboxStatus(sandbox.id)
        ips = [network?.ip ?? '', ...(network?.additionalIps.map(({ ip }) => ip) ?? [])].filter((ip) => ip !== '')
        this.#ips.set(sandbox.id, ips)
      } catch (error) {
        if (!isCriError(error, 'NOT_FOUND')) throw error
        ips = []
      }
    }
    const { attempt = 0 } = sandbox.metadata ?? {}
    return { id: sandbox.id, attempt, ready, createdAt: sandbox.createdAt / NS_PER_MS, ips }
  }

  async #container(container: CriContainer): Promise<ContainerRecord | undefined> {
    const known = this.#containers.get(container.id)
    if (known?.state === container.state) return known.record
    try {
      const status = await this.#options.cri.containerStatus(container.id)
      const record = this.#record(container, status)
      this.#containers.set(container.id, { state: status.state, record })
      return record
    } catch (error) {
      if (isCriError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }

  #record(container: CriContainer, status: CriContainerStatus): ContainerRecord {
    const state = STATES[status.state as keyof typeof STATES] ?? 'unknown'
    const said = state === 'exited' ? this.#options.terminationMessage(status) : ''
    return {
      id: container.id,
      name: container.labels[LABEL.container] ?? container.metadata?.name ?? '',
      sandboxId: container.podSandboxId,
      state,
      restartCount: Number(container.annotations[ANNOTATION.restartCount] ?? container.metadata?.attempt ?? 0),
      createdAt: status.createdAt / NS_PER_MS,
      startedAt: status.startedAt / NS_PER_MS,
      finishedAt: status.finishedAt / NS_PER_MS,
      exitCode: status.exitCode,
      reason: status.reason,
      message: [status.message, said].filter((part) => part !== '').join(': '),
      image: status.image?.image ?? '',
      imageRef: status.imageRef,
      hash: container.annotations[ANNOTATION.hash] ?? '',
      logPath: status.logPath,
    }
  }
}

const signature = ({ sandboxes, containers }: PodRuntime): string =>
  sandboxes.map(({ id, ready }) => `${id}${ready ? '+' : '-'}`).join() +
  containers.map(({ id, state }) => `${id}${state}`).join()
