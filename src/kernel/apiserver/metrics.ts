import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { WatchCache } from './cache/watch-cache.ts'

type RequestLabels = {
  verb: string
  group: string
  version: string
  resource: string
  subresource: string
  scope: string
  code: number
}

/** Kubernetes' metric names where they exist. */
export class Metrics {
  readonly registry: Registry = new Registry()
  readonly #requests: Counter
  readonly #durations: Histogram
  readonly #inflight: Gauge
  readonly #longRunning: Gauge
  readonly #objects: Gauge
  readonly #watchers: Gauge
  readonly #revision: Gauge
  readonly #requestChildren = new Map<string, { inc: () => void }>()
  readonly #durationChildren = new Map<string, { observe: (seconds: number) => void }>()

  constructor(cache: WatchCache) {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    const names = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'] as const
    this.#requests = new Counter({
      name: 'apiserver_request_total',
      help: 'Requests by verb, group, version, resource, scope and HTTP code.',
      labelNames: [...names, 'code'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Time from the request head to the end of the answer; watches excepted.',
      labelNames: names,
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    })
    this.#inflight = new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests being served.',
      labelNames: ['request_kind'],
      registers,
    })
    this.#longRunning = new Gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Open watches and streams.',
      labelNames: ['verb'],
      registers,
    })
    this.#objects = new Gauge({
      name: 'apiserver_storage_objects',
      help: 'Stored objects by resource.',
      labelNames: ['resource'],
      registers,
      collect: () => {
        for (const [prefix, resource] of cache.resources())
          this.#objects.set({ resource: resourceName(prefix) }, resource.size)
      },
    })
    this.#watchers = new Gauge({
      name: 'apiserver_registered_watchers',
      help: 'Watchers by resource.',
      labelNames: ['resource'],
      registers,
      collect: () => {
        for (const [prefix, resource] of cache.resources())
          this.#watchers.set({ resource: resourceName(prefix) }, resource.listenerCount)
      },
    })
    this.#revision = new Gauge({
      name: 'apiserver_watch_cache_resource_version',
      help: 'Revision up to which the watch cache is complete.',
      registers,
      collect: () => this.#revision.set(cache.revision),
    })
  }

  request(labels: RequestLabels, seconds: number | undefined): void {
    const { code, ...rest } = labels
    const key = `${rest.verb}|${rest.group}|${rest.version}|${rest.resource}|${rest.subresource}|${rest.scope}`
    const counted = `${key}|${code}`
    let counter = this.#requestChildren.get(counted)
    if (counter === undefined)
      this.#requestChildren.set(counted, (counter = this.#requests.labels({ ...rest, code: String(code) })))
    counter.inc()
    if (seconds === undefined) return
    let histogram = this.#durationChildren.get(key)
    if (histogram === undefined) this.#durationChildren.set(key, (histogram = this.#durations.labels(rest)))
    histogram.observe(seconds)
  }

  inflight(kind: 'mutating' | 'readOnly', delta: 1 | -1): void {
    this.#inflight.inc({ request_kind: kind }, delta)
  }

  longRunning(verb: string, delta: 1 | -1): void {
    this.#longRunning.inc({ verb }, delta)
  }
}

function resourceName(prefix: string): string {
  const [, , group, plural] = prefix.split('/')
  return group === 'core' ? plural! : `${plural}.${group}`
}
