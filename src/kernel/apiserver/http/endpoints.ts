import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { aggregated, apiGroup, apiGroupList, apiResourceList, apiVersions, wantsAggregated } from '../discovery.ts'
import { type HealthCheck, runChecks } from '../health.ts'
import type { KindRegistry } from '../kind-registry.ts'
import type { Metrics } from '../metrics.ts'
import type { OpenApi } from '../openapi/openapi.ts'
import type { RequestInfo } from '../request-info.ts'
import { methodNotAllowed, unknownPath } from './resource-request.ts'
import { sendBytes } from './respond.ts'

/** version.Info: what `kubectl version` shows. */
export type VersionInfo = {
  major: string
  minor: string
  gitVersion: string
  gitCommit: string
  gitTreeState: string
  buildDate: string
  goVersion: string
  compiler: string
  platform: string
}

export type EndpointOptions = {
  kinds: KindRegistry
  metrics: Metrics
  openapi: OpenApi
  version: VersionInfo
  /** `host:port` that clients are told in /api. */
  serverAddress: string
  checks: { livez: readonly HealthCheck[]; readyz: readonly HealthCheck[] }
  /** JSON documents under fixed paths: OIDC discovery and JWKS. */
  documents: ReadonlyMap<string, { contentType: string; body: () => object }>
}

type Cached = { generation: number; bytes: Buffer; etag: string }

/** Everything that is not a resource: discovery, OpenAPI, health, metrics, version. */
export class Endpoints {
  readonly #o: EndpointOptions
  readonly #cached = new Map<string, Cached>()

  constructor(options: EndpointOptions) {
    this.#o = options
  }

  async serve(info: RequestInfo, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { path } = info
    const accept = req.headers.accept
    if (req.method !== 'GET' && req.method !== 'HEAD') throw this.#isKnown(path) ? methodNotAllowed() : unknownPath()
    const health = /^\/(livez|readyz|healthz)(?:\/(.+))?$/.exec(path)
    if (health !== null) return this.#health(health[1]!, health[2], info.query, res)
    switch (path) {
      case '/metrics':
        return sendBytes(
          res,
          200,
          Buffer.from(await this.#o.metrics.registry.metrics()),
          this.#o.metrics.registry.contentType,
        )
      case '/version':
      case '/version/':
        return sendBytes(res, 200, Buffer.from(JSON.stringify(this.#o.version)))
      case '/':
        return sendBytes(res, 200, Buffer.from(JSON.stringify({ paths: this.#paths() })))
    }
    const document = this.#o.documents.get(path)
    if (document !== undefined)
      return sendBytes(res, 200, Buffer.from(JSON.stringify(document.body())), document.contentType)
    if (path.startsWith('/openapi/') || path.startsWith('/swagger')) return this.#o.openapi.serve(path, req, res)
    return this.#discovery(path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path, accept, req, res)
  }

  /** The discovery document at a path, for clients in this process. */
  document(path: string): object {
    const { kinds, serverAddress } = this.#o
    const segments = path.split('/').slice(1)
    if (path === '/api') return apiVersions(kinds, serverAddress)
    if (path === '/apis') return apiGroupList(kinds)
    if (segments[0] === 'api' && segments.length === 2 && kinds.hasGroupVersion('', segments[1]!))
      return apiResourceList(kinds, '', segments[1]!)
    if (segments[0] === 'apis' && segments.length === 2 && kinds.groups().includes(segments[1]!))
      return { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(kinds, segments[1]!) }
    if (segments[0] === 'apis' && segments.length === 3 && kinds.hasGroupVersion(segments[1]!, segments[2]!))
      return apiResourceList(kinds, segments[1]!, segments[2]!)
    throw unknownPath()
  }

  #isKnown(path: string): boolean {
    return this.#paths().includes(path)
  }

  #paths(): string[] {
    const { kinds } = this.#o
    const groups = kinds.groups().flatMap((g) => [`/apis/${g}`, ...kinds.versions(g).map((v) => `/apis/${g}/${v}`)])
    return [
      ...this.#o.documents.keys(),
      '/api',
      ...kinds.versions('').map((v) => `/api/${v}`),
      '/apis',
      ...groups,
      '/healthz',
      '/livez',
      '/metrics',
      '/openapi/v2',
      '/openapi/v3',
      '/readyz',
      '/version',
    ].sort()
  }

  async #health(probe: string, one: string | undefined, query: URLSearchParams, res: ServerResponse): Promise<void> {
    const all = probe === 'livez' ? this.#o.checks.livez : this.#o.checks.readyz
    const checks = one === undefined ? all : all.filter((c) => c.name === one)
    if (checks.length === 0) throw unknownPath()
    const { code, text } = await runChecks(`/${probe}`, checks, query)
    res.setHeader('X-Content-Type-Options', 'nosniff')
    sendBytes(res, code, Buffer.from(text), 'text/plain; charset=utf-8')
  }

  #discovery(path: string, accept: string | undefined, req: IncomingMessage, res: ServerResponse): void {
    const { kinds } = this.#o
    if (path === '/api' || path === '/apis') {
      const version = wantsAggregated(accept)
      res.setHeader('Vary', 'Accept')
      if (version !== undefined) {
        const contentType = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
        this.#send(`${path}#${version}`, () => aggregated(kinds, version, path === '/api'), req, res, contentType)
        return
      }
    }
    const document = this.document(path)
    this.#send(path, () => document, req, res)
  }

  #send(key: string, make: () => object, req: IncomingMessage, res: ServerResponse, contentType?: string): void {
    let cached = this.#cached.get(key)
    if (cached === undefined || cached.generation !== this.#o.kinds.generation) {
      const bytes = Buffer.from(JSON.stringify(make()))
      const etag = `"${createHash('sha256').update(bytes).digest('hex').toUpperCase()}"`
      cached = { generation: this.#o.kinds.generation, bytes, etag }
      if (this.#cached.size > 1000) this.#cached.clear()
      this.#cached.set(key, cached)
    }
    if (key.includes('#')) {
      res.setHeader('ETag', cached.etag)
      if (req.headers['if-none-match'] === cached.etag) {
        res.writeHead(304)
        res.end()
        return
      }
    }
    sendBytes(res, 200, cached.bytes, contentType)
  }
}
