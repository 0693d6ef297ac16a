import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { ResourceId } from '../../../kernel/client/client.ts'
import { microTime } from '../../../kernel/controller/leader-election.ts'
import { sleep, systemTimers, type Timers } from '../../../kernel/controller/timers.ts'
import { type CriClient, type CriImage, createCriClient, type RuntimeVersion } from '../../../platform/cri/index.ts'
import type { NodeContext, NodeTask, NodeTaskFactory } from '../../task.ts'
import { rfc3339 } from '../engine/status.ts'
import { type Machine, readMachine } from '../machine.ts'
import type { Observation } from './conditions.ts'
import { nodeLabels, nodeObject, nodeStatus, type StatusFacts, withoutHeartbeats } from './node-object.ts'

const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
const LEASE_NAMESPACE = 'kube-node-lease'
const LEASE_SECONDS = 40
const HEARTBEAT_MS = 10_000
const REPORT_MS = 5 * 60_000
/** While the machine is not ready, changes are looked for more often: pods wait for them. */
const UNREADY_MS = 1000
const RETRY_MS = 2000
const IMAGES_MS = 60_000

export const nodeStatusTask: NodeTaskFactory = (context) => createNodeStatus(context)

/**
 * The machine's Node: registered, its status told when it changes and every five minutes, and a Lease renewed every ten
 * seconds to say that the machine lives.
 */
export function createNodeStatus(context: NodeContext, timers: Timers = systemTimers): NodeTask {
  return new NodeStatus(context, timers)
}

class NodeStatus implements NodeTask {
  readonly name = 'node-status'
  readonly #context: NodeContext
  readonly #timers: Timers
  readonly #cri: CriClient
  readonly #machine: Machine = readMachine()
  readonly #stop: AbortController = new AbortController()
  #running: Promise<void>[] = []
  #registered = false
  #uid: string | undefined
  #lease: KubeObject | undefined
  #reportedAt = 0
  #ready = false
  #version: RuntimeVersion | undefined
  #images: { at: number; list: readonly CriImage[] } = { at: Number.NEGATIVE_INFINITY, list: [] }
  readonly #failing: Set<string> = new Set()

  constructor(context: NodeContext, timers: Timers) {
    this.#context = context
    this.#timers = timers
    this.#cri = createCriClient(context.config.containerRuntimeEndpoint)
  }

  /** Tries once; while the API server is away, the rest of the agent is not kept waiting. */
  async start(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#stop.abort(), { once: true })
    await this.#report()
    this.#running = [this.#reportForever(), this.#renewForever()]
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
    this.#cri.close()
  }

  async #reportForever(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const failing = this.#failing.has('status')
      const pause = failing ? RETRY_MS : this.#ready ? HEARTBEAT_MS : UNREADY_MS
      await sleep(this.#timers, pause, signal)
      if (!signal.aborted) await this.#report()
    }
  }

  async #renewForever(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const renewed = this.#registered && (await this.#attempt('lease', () => this.#renew()))
      await sleep(this.#timers, renewed ? HEARTBEAT_MS : RETRY_MS, signal)
    }
  }

  async #report(): Promise<void> {
    const facts = await this.#facts()
    await this.#attempt('status', async () => {
      if (!this.#registered) await this.#register()
      await this.#write(facts)
    })
  }

  /** Logs the first failure of a row, and its end. */
  async #attempt(what: string, work: () => Promise<void>): Promise<boolean> {
    const { log, config } = this.#context
    try {
      await work()
      if (this.#failing.delete(what)) log('info', `node ${config.nodeName}: ${what} is written again`)
      return true
    } catch (error) {
      if (this.#stop.signal.aborted) return false
      const level = this.#failing.has(what) ? 'debug' : 'warn'
      this.#failing.add(what)
      log(level, `node ${config.nodeName}: ${what} was not written: ${(error as Error).message}; trying again`)
      return false
    }
  }

  async #register(): Promise<void> {
    const { client, config } = this.#context
    const wanted = nodeObject(config, this.#machine)
    try {
      await client.create(NODES, wanted)
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error
      const known = await client.get(NODES, '', config.nodeName)
      const labels = nodeLabels(config, this.#machine)
      const different = Object.entries(labels).some(([key, value]) => known.metadata.labels?.[key] !== value)
      if (different) await client.patch(NODES, '', config.nodeName, 'merge', { metadata: { labels } })
    }
    this.#registered = true
  }

  async #write(facts: StatusFacts): Promise<void> {
    const { client, config, clock } = this.#context
    for (let attempt = 0; ; attempt++) {
      // Others write here too, e.g. that the machine was silent: what is there is looked at anew each time.
      const node = await client.get(NODES, '', config.nodeName)
      this.#uid = node.metadata.uid
      const before = (node['status'] ?? {}) as Record<string, unknown>
      const status = nodeStatus(facts, before)
      const due = Math.abs(clock.now() - this.#reportedAt) >= REPORT_MS
      if (!due && isDeepStrictEqual(withoutHeartbeats(status), withoutHeartbeats(before))) return
      try {
        await client.update(NODES, { ...node, status }, { subresource: 'status' })
        this.#reportedAt = clock.now()
        return
      } catch (error) {
        if (!(error instanceof ApiError && error.reason === 'Conflict') || attempt > 4) throw error
      }
    }
  }

  async #renew(): Promise<void> {
    const { client, config, clock } = this.#context
    const spec = {
      holderIdentity: config.nodeName,
      leaseDurationSeconds: LEASE_SECONDS,
      renewTime: microTime(clock.now()),
    }
    try {
      this.#lease ??= await client.get(LEASES, LEASE_NAMESPACE, config.nodeName)
      this.#lease = await client.update(LEASES, { ...this.#lease, spec })
    } catch (error) {
      this.#lease = undefined
      if (!(error instanceof ApiError) || (error.reason !== 'NotFound' && error.reason !== 'Conflict')) throw error
      if (error.reason === 'Conflict') {
        const fresh = await client.get(LEASES, LEASE_NAMESPACE, config.nodeName)
        this.#lease = await client.update(LEASES, { ...fresh, spec })
        return
      }
      const uid = this.#uid
      this.#lease = await client.create(LEASES, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {
          name: config.nodeName,
          namespace: LEASE_NAMESPACE,
          ...(uid === undefined
            ? {}
            : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: config.nodeName, uid }] }),
        },
        spec,
      })
    }
  }

  async #facts(): Promise<StatusFacts> {
    const { config, clock } = this.#context
    const seen = await this.#observe()
    const now = clock.now()
    if (seen.runtime !== undefined && (this.#version === undefined || now - this.#images.at >= IMAGES_MS)) {
      try {
        this.#version = await this.#cri.version()
        this.#images = { at: now, list: await this.#cri.listImages() }
      } catch (error) {
        this.#context.log('debug', `images: ${(error as Error).message}`)
      }
    }
    const { blocks, bsize } = await statfs(config.stateFolder).catch(() => ({ blocks: 0, bsize: 0 }))
    return {
      config,
      machine: this.#machine,
      version: this.#version,
      images: this.#images.list,
      diskBytes: blocks * bsize,
      seen,
      now: rfc3339(now),
    }
  }

  async #observe(): Promise<Observation> {
    const { stateFolder } = this.#context.config
    const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]
    const disk = await statfs(stateFolder).catch(() => undefined)
    const observation = {
      memoryAvailableBytes: available === undefined ? Number.POSITIVE_INFINITY : Number(available) * 1024,
      diskAvailable: disk === undefined || disk.blocks === 0 ? 1 : disk.bavail / disk.blocks,
      inodesAvailable: disk === undefined || disk.files === 0 ? 1 : disk.ffree / disk.files,
    }
    try {
      const runtime = await this.#cri.status()
      this.#ready = runtime.length > 0 && runtime.every(({ status }) => status)
      return { ...observation, runtime, runtimeError: '' }
    } catch (error) {
      this.#ready = false
      return { ...observation, runtime: undefined, runtimeError: (error as Error).message }
    }
  }
}
