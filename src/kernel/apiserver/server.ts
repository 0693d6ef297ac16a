import type { Server } from 'node:https'
import { type AddressInfo, createServer, type Server as TcpServer } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { createAdmissionChain } from '../admission/chain.ts'
import type { AdmissionStep } from '../admission/types.ts'
import type { Auditor } from '../audit/types.ts'
import type { AuthnRequest, AuthnVerdict, UserInfo } from '../authn/types.ts'
import { type AuthorizerChain, createAuthorizerChain } from '../authz/chain.ts'
import type { Authorizer } from '../authz/types.ts'
import type { Client } from '../client/client.ts'
import { createLocalClient } from '../client/local.ts'
import type { Clock, Log, ServerContext } from '../feature.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import { type Store, StoreError } from '../store/store.ts'
import { identityTransformer, type ValueTransformer, WatchCache } from './cache/watch-cache.ts'
import type { AdmissionChain, ApiCore } from './core.ts'
import { CustomResources } from './custom-resources.ts'
import type { HealthCheck } from './health.ts'
import { Endpoints, type VersionInfo } from './http/endpoints.ts'
import { RequestHandler } from './http/handler.ts'
import { BASE_TLS, createListener, type WhoseConnection } from './http/listener.ts'
import { KindRegistry } from './kind-registry.ts'
import { Metrics } from './metrics.ts'
import type { NodeConnection } from './node-proxy/connection.ts'
import { OpenApi } from './openapi/openapi.ts'
import { evictPod } from './subresources/eviction.ts'
import { bindPod } from './subresources/pod-writes.ts'
import type { VirtualHandler } from './virtual.ts'

/** What the server's wiring gets to build its access control from. */
export type AccessContext = ServerContext & { core: ApiCore }

/** What decides about requests; made after the cache is loaded, before the first request is served. */
export type Access = {
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
  authorizers: readonly Authorizer[]
  admission: readonly AdmissionStep[]
  /** Reviews and token requests, keyed as VirtualHandlers; they see the finished authorizer chain. */
  virtual: (authorize: AuthorizerChain) => ReadonlyMap<string, VirtualHandler>
  /** OIDC discovery and JWKS documents. */
  documents: ReadonlyMap<string, { contentType: string; body: () => object }>
  checks?: readonly HealthCheck[]
}

export type ApiServerOptions = {
  store: Store
  transformer?: ValueTransformer
  definitions: readonly ResourceDefinition[]
  access: (context: AccessContext) => Promise<Access>
  auditor: Auditor
  clock: Clock
  log: Log
  version: VersionInfo
  host: string
  /** 0: any free port. */
  port: number
  /** File descriptor of a TCP socket that listens already, perhaps in another network namespace: served as well. */
  inheritedListener?: number
  /** Certificate, key, client CAs; replaced later with `setSecureContext`. */
  tls: SecureContextOptions
  /** How kubelets are reached and verified; without it there are no machines. */
  kubelet?: NodeConnection
  /** How long a peer may take nothing of what waits for it; default one minute. */
  stalledMs?: number
  /** Address clients are told in /api; default host:port. */
  serverAddress?: string
}

export type ApiServer = {
  port: number
  core: ApiCore
  client: Client
  authorize: AuthorizerChain
  setSecureContext: (options: SecureContextOptions) => void
  /** Ends the open connections of client certificates, whatever is under way on them. Returns how many. */
  disconnect: (whose: WhoseConnection) => number
  /** Readiness goes false, watches end, requests in work finish (at most `graceMs`), the port closes. */
  close: (graceMs?: number) => Promise<void>
}

/** The user as which the server's own parts write. */
export const LOOPBACK_USER: UserInfo = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }

export async function startApiServer(o: ApiServerOptions): Promise<ApiServer> {
  const cache = new WatchCache(o.store, o.transformer ?? identityTransformer, (message, fields) =>
    o.log('error', message, fields),
  )
  await cache.start()
  const kinds = new KindRegistry(o.definitions)
  let admission: AdmissionChain = { mutate: () => undefined, validate: () => undefined }
  const core: ApiCore = {
    store: o.store,
    cache,
    transformer: o.transformer ?? identityTransformer,
    kinds,
    clock: o.clock,
    log: o.log,
    kubelet: o.kubelet,
    get admission() {
      return admission
    },
  }
  const virtual = new Map<string, VirtualHandler>([
    ['/pods/binding', bindPod],
    ['/pods/eviction', evictPod],
  ])
  const client = createLocalClient({
    core,
    virtual,
    user: LOOPBACK_USER,
    fieldManager: 'rampart',
    raw: async (_method, path) => endpoints.document(path),
  })
  const metrics = new Metrics(cache)
  let closing = false
  const customResources = new CustomResources(cache, kinds, client, o.log)
  const readiness: HealthCheck[] = [
    { name: 'ping', check: () => undefined },
    { name: 'etcd', check: () => serves(o.store) },
    {
      name: 'watch-cache',
      check: () => {
        if (cache.failure) throw cache.failure
      },
    },
    {
      name: 'shutdown',
      check: () => {
        if (closing) throw new Error('the server is shutting down')
      },
    },
  ]
  const access = await o.access({ client, clock: o.clock, log: o.log, core, metrics: metrics.registry })
  readiness.push(...(access.checks ?? []))
  const authorizer = createAuthorizerChain(access.authorizers)
  admission = createAdmissionChain(access.admission)
  for (const [key, handler] of access.virtual(authorizer)) virtual.set(key, handler)
  const endpoints = new Endpoints({
    kinds,
    metrics,
    openapi: new OpenApi(kinds, o.version.gitVersion),
    version: o.version,
    serverAddress: o.serverAddress ?? `${o.host}:${o.port}`,
    checks: { livez: [readiness[0]!, readiness[2]!], readyz: readiness },
    documents: access.documents,
  })
  customResources.start()
  const handler = new RequestHandler({
    core,
    virtual,
    endpoints,
    metrics,
    auditor: o.auditor,
    authenticate: access.authenticate,
    authorize: (attributes) => authorizer.authorize(attributes),
  })
  const { server, sockets, disconnect } = createListener(o.tls, handler.handle, { log: o.log, stalledMs: o.stalledMs })
  await listen(server, o.host, o.port)
  const inherited = o.inheritedListener === undefined ? undefined : await listenToo(server, o.inheritedListener)
  return {
    port: (server.address() as AddressInfo).port,
    core,
    client,
    authorize: authorizer,
    disconnect,
    setSecureContext: (options) => server.setSecureContext({ ...BASE_TLS, ...options }),
    close: async (graceMs = 5000) => {
      closing = true
      handler.close()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      inherited?.close()
      server.closeIdleConnections()
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, graceMs)
      await closed
      clearTimeout(timer)
      await customResources.close()
      cache.close()
      await o.auditor.close()
    },
  }
}

/** With a full disk reads and deletes go on: that is ready, as a kube-apiserver is whose etcd is out of space. */
async function serves(store: Store): Promise<void> {
  try {
    await store.health()
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'no-space') throw error
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, 4096, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Connections to the socket are handed to the server, which limits and serves them as its own. */
function listenToo(server: Server, fd: number): Promise<TcpServer> {
  const second = createServer({ noDelay: true }, (socket) => void server.emit('connection', socket))
  second.maxConnections = server.maxConnections
  return new Promise((resolve, reject) => {
    second.once('error', reject)
    second.listen({ fd }, () => {
      second.off('error', reject)
      resolve(second)
    })
  })
}
