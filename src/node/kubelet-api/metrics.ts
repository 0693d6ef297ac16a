import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { KubeletRuntime } from './runtime.ts'

/** First path segments that are counted by their names; all others are one. */
const KNOWN = new Set([
  'healthz',
  'pods',
  'runningpods',
  'metrics',
  'stats',
  'containerLogs',
  'exec',
  'attach',
  'portForward',
])

/** What /metrics tells; names are the kubelet's where it has the same. */
export class KubeletMetrics {
  readonly #registry = new Registry()
  readonly #requests: Counter<'path' | 'code'>
  readonly #durations: Histogram<'path'>

  constructor(runtime: KubeletRuntime, openStreams: () => number) {
    const registers = [this.#registry]
    this.#requests = new Counter({
      name: 'kubelet_http_requests_total',
      help: 'Requests to the kubelet API',
      labelNames: ['path', 'code'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'kubelet_http_requests_duration_seconds',
      help: 'Duration of requests to the kubelet API, streams from their first to their last byte',
      labelNames: ['path'],
      registers,
    })
    const gauge = (name: string, help: string, value: () => number | Promise<number>): void => {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await value())
        },
      })
    }
    gauge('kubelet_desired_pods', 'Pods bound to this machine', () => runtime.pods().length)
    gauge('kubelet_running_pods', 'Pods that have a running sandbox', async () => (await runtime.runningPods()).length)
    gauge('kubelet_http_inflight_streams', 'Logs, execs, attaches and port-forwards that are open', openStreams)
    gauge('process_resident_memory_bytes', 'Resident memory of the agent', () => process.memoryUsage.rss())
    gauge('process_cpu_seconds_total', 'Processor time of the agent', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  request(path: string, code: number, seconds: number): void {
    const name = KNOWN.has(path) ? path : 'other'
    this.#requests.inc({ path: name, code })
    this.#durations.observe({ path: name }, seconds)
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
