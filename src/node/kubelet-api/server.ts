import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ApiError } from '../../kernel/api/status.ts'
import { BASE_TLS, createListener } from '../../kernel/apiserver/http/listener.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import { type KubeletAccess, nodeSubresources, verbOf } from './access.ts'
import { logRequest, serveContainerLogs } from './container-logs.ts'
import { KubeletMetrics } from './metrics.ts'
import { KubeletError } from './pod-lookup.ts'
import type { KubeletRuntime, ServingCertificate } from './runtime.ts'
import { serveContainerStream, servePortForward } from './streams.ts'

export type KubeletServerOptions = {
  host: string
  /** 0: any free port. */
  port: number
  /** PEM of the anchors of client certificates; asked for again whenever the serving certificate changes. */
  clientCa: () => string
  certificate: ServingCertificate
  access: KubeletAccess
  runtime: KubeletRuntime
  clock: Clock
  log: Log
}

export type KubeletServer = { port: number; close: () => Promise<void> }

const GRACE_MS = 2000

/** The machine's HTTPS server for the API server: nothing is answered before it is known who asks and that they may. */
export async function startKubeletServer(o: KubeletServerOptions): Promise<KubeletServer> {
  const streams = new Set<() => void>()
  const metrics = new KubeletMetrics(o.runtime, () => streams.size)
  const context = (): object => ({ ...BASE_TLS, ...o.certificate.context(), ca: o.clientCa() })
  const { server, sockets } = createListener(context(), (req, res) => {
    void new KubeletRequest(o, metrics, streams, req, res).serve()
  })
  const stopListening = o.certificate.onChange(() => {
    try {
      server.setSecureContext(context())
    } catch (error) {
      o.log('error', 'the new serving certificate cannot be used', { error: (error as Error).message })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(o.port, o.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      stopListening()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const stop of [...streams]) stop()
      server.closeIdleConnections()
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, GRACE_MS)
      await closed
      clearTimeout(timer)
    },
  }
}

/** One request, from who asks to the end of the answer. */
class KubeletRequest {
  readonly #o: KubeletServerOptions
  readonly #metrics: KubeletMetrics
  readonly #streams: Set<() => void>
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #path: string
  readonly #query: URLSearchParams

  constructor(
    o: KubeletServerOptions,
    metrics: KubeletMetrics,
    streams: Set<() => void>,
    req: IncomingMessage,
    res: ServerResponse,
  ) {
    this.#o = o
    this.#metrics = metrics
    this.#streams = streams
    this.#req = req
    this.#res = res
    const target = req.url ?? '/'
    const mark = target.indexOf('?')
    this.#path = mark < 0 ? target : target.slice(0, mark)
    this.#query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))
  }

  async serve(): Promise<void> {
    const started = performance.now()
    try {
      const segments = pathSegments(this.#path)
      await this.#admit()
      await this.#route(segments)
    } catch (error) {
      this.#fail(error)
    }
    this.#metrics.request(this.#path.split('/')[1] ?? '', this.#res.statusCode, (performance.now() - started) / 1000)
  }

  async #admit(): Promise<void> {
    const { access, log } = this.#o
    const socket = this.#req.socket as TLSSocket
    const verdict = await access.authenticate({ socket, headers: this.#req.headers, path: this.#path })
    if (verdict.verdict !== 'allow') {
      if (verdict.verdict === 'deny')
        log('warn', 'a caller of the kubelet API was refused', { by: verdict.by, reason: verdict.reason })
      throw new KubeletError(401, 'Unauthorized')
    }
    const method = this.#req.method ?? ''
    const { user } = verdict
    const { allowed, reason } = await access.authorize(user, method, this.#path)
    if (allowed) return
    log('warn', 'a caller of the kubelet API may not', { user: user.name, method, path: this.#path, reason })
    const subresources = nodeSubresources(this.#path).join(' ')
    throw new KubeletError(
      403,
      `Forbidden (user=${user.name}, verb=${verbOf(method)}, resource=nodes, subresource(s)=[${subresources}])`,
    )
  }

  async #route(segments: readonly string[]): Promise<void> {
    const [first, ...rest] = segments
    const reads = this.#req.method === 'GET' || this.#req.method === 'HEAD'
    const { runtime } = this.#o
    const front = {
      runtime,
      query: this.#query,
      req: this.#req,
      res: this.#res,
      onOpen: (stop: () => void): void => this.#keep(stop),
    }
    switch (first) {
      case 'healthz':
        this.#demand(reads && (rest.length === 0 || (rest.length === 1 && ['ping', 'log'].includes(rest[0]!))))
        return this.#send('text/plain; charset=utf-8', 'ok')
      case 'pods':
        this.#demand(reads && rest.length === 0)
        return this.#json({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: runtime.pods() })
      case 'runningpods':
        this.#demand(reads && rest.length === 0)
        return this.#json({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: await runtime.runningPods() })
      case 'metrics':
        this.#demand(reads && rest.length === 0)
        return this.#send(this.#metrics.contentType, await this.#metrics.text())
      case 'stats':
        this.#demand(reads && rest.length === 1 && rest[0] === 'summary' && runtime.statsSummary !== undefined)
        return this.#json(await runtime.statsSummary!())
      case 'containerLogs': {
        this.#demand(reads && rest.length === 3)
        this.#keep(() => this.#res.destroy())
        const wanted = logRequest(this.#query, this.#o.clock.now())
        return serveContainerLogs(runtime, rest as unknown as [string, string, string], wanted, this.#res)
      }
      case 'exec':
      case 'attach':
        this.#demand(this.#streaming() && (rest.length === 3 || rest.length === 4))
        return serveContainerStream(front, first, rest)
      case 'portForward':
        this.#demand(this.#streaming() && (rest.length === 2 || rest.length === 3))
        return servePortForward(front, rest)
      default:
        return this.#demand(false)
    }
  }

  #streaming(): boolean {
    return this.#req.method === 'GET' || this.#req.method === 'POST'
  }

  #demand(there: boolean): void {
    if (!there) throw new KubeletError(404, '404 page not found')
  }

  #keep(stop: () => void): void {
    this.#streams.add(stop)
    this.#res.once('close', () => this.#streams.delete(stop))
  }

  #json(value: object): void {
    this.#send('application/json', JSON.stringify(value))
  }

  #send(contentType: string, body: string): void {
    this.#res.writeHead(200, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) })
    this.#res.end(this.#req.method === 'HEAD' ? undefined : body)
  }

  #fail(error: unknown): void {
    if (this.#res.headersSent) {
      this.#res.destroy()
      return
    }
    let [code, message] = [500, 'an internal error happened; it is in the log of the machine']
    if (error instanceof KubeletError || error instanceof ApiError) [code, message] = [error.code, error.message]
    else this.#o.log('error', 'a request to the kubelet API failed', { path: this.#path, error: String(error) })
    const body = Buffer.from(`${message}\n`)
    if (!this.#req.complete) this.#res.setHeader('Connection', 'close')
    this.#res.writeHead(code, {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
      'Content-Length': body.length,
      ...(code === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
    })
    this.#res.end(body)
  }
}

/** Throws KubeletError 400 for paths that could mean two things. */
function pathSegments(path: string): string[] {
  const raw = path.split('/').slice(1)
  if (raw.at(-1) === '') raw.pop()
  return raw.map((segment) => {
    let decoded: string
    try {
      decoded = decodeURIComponent(segment)
    } catch {
      throw new KubeletError(400, 'the path has a broken percent-encoding')
    }
    if (decoded === '' || decoded === '.' || decoded === '..' || /[/\0]/.test(decoded))
      throw new KubeletError(400, 'the path has a segment that is not allowed')
    return decoded
  })
}
