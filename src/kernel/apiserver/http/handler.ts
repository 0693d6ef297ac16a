import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Json, JsonObject } from '../../api/object.ts'
import { type FieldRequirement, parseFieldSelector } from '../../api/selectors.ts'
import { ApiError, forbidden } from '../../api/status.ts'
import type { AuditLevel, Auditor, AuditRecord, AuditStage } from '../../audit/types.ts'
import { impersonationChecks, parseImpersonation } from '../../authn/impersonation.ts'
import type { AuthnRequest, AuthnVerdict, UserInfo } from '../../authn/types.ts'
import { ANONYMOUS } from '../../authn/types.ts'
import { forbiddenMessage } from '../../authz/message.ts'
import type { Attributes, Decision } from '../../authz/types.ts'
import { pathSegmentName } from '../../resources/validation/names.ts'
import { BIG_BYTES, BigRequests } from '../big-work.ts'
import type { ApiCore } from '../core.ts'
import type { Metrics } from '../metrics.ts'
import { parseRequest, type RequestInfo } from '../request-info.ts'
import { storeFailure } from '../verbs/commit.ts'
import type { VirtualHandlers } from '../virtual.ts'
import { RequestCaller, warningHeader } from './caller.ts'
import type { Endpoints } from './endpoints.ts'
import { handleResource } from './resource.ts'
import { unknownPath } from './resource-request.ts'
import { sendStatus, statusOf } from './respond.ts'

export type HandlerOptions = {
  core: ApiCore
  virtual: VirtualHandlers
  endpoints: Endpoints
  metrics: Metrics
  auditor: Auditor
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
  authorize: (attributes: Attributes) => Decision | Promise<Decision>
}

/** Paths that answer without credentials: health, and nothing else. */
const ANONYMOUS_PATHS = new Set(['/livez', '/readyz', '/healthz'])
const isAnonymousPath = (path: string): boolean => ANONYMOUS_PATHS.has(path) || /^\/(livez|readyz|healthz)\//.test(path)

/** Mutating requests that may be in work at once; kube-apiserver's defaults. */
const MAX_MUTATING = 400
const MAX_READS = 800

/** Serves one request from its head to the end of the answer. */
export class RequestHandler {
  readonly #o: HandlerOptions
  readonly #longRunning = new Set<() => void>()
  readonly #bigRequests = new BigRequests()
  #mutating = 0
  #reads = 0
  #closing = false

  constructor(options: HandlerOptions) {
    this.#o = options
  }

  handle = (req: IncomingMessage, res: ServerResponse): void => {
    const exchange = new Exchange(this.#o, req, res, this.#longRunning, this.#bigRequests)
    if (this.#closing) res.setHeader('Connection', 'close')
    // What even failing could not handle ends this connection, never the process.
    this.#serve(exchange).catch((error: Error) => {
      this.#o.core.log('error', 'a request could not be ended', { error: error.stack ?? error.message })
      res.destroy()
    })
  }

  async #serve(exchange: Exchange): Promise<void> {
    const mutating = exchange.mutating
    const limited = mutating ? this.#mutating >= MAX_MUTATING : this.#reads >= MAX_READS
    if (mutating) this.#mutating++
    else this.#reads++
    this.#o.metrics.inflight(mutating ? 'mutating' : 'readOnly', 1)
    let counted = true
    const release = (): void => {
      if (!counted) return
      counted = false
      if (mutating) this.#mutating--
      else this.#reads--
      this.#o.metrics.inflight(mutating ? 'mutating' : 'readOnly', -1)
    }
    exchange.release = release
    try {
      if (limited)
        throw new ApiError('TooManyRequests', 'too many requests, please try again later', { retryAfterSeconds: 1 })
      await exchange.run()
    } catch (error) {
      exchange.fail(error)
    } finally {
      release()
      exchange.finish()
    }
  }

  get longRunningCount(): number {
    return this.#longRunning.size
  }

  /** Ends watches, so that their clients go elsewhere. */
  close(): void {
    this.#closing = true
    for (const stop of [...this.#longRunning]) stop()
  }
}

/** One request and its answer. */
class Exchange {
  readonly #o: HandlerOptions
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #receivedAt: number
  readonly #started = performance.now()
  readonly #longRunningSet: Set<() => void>
  readonly #bigRequests: BigRequests
  readonly #auditID: string
  readonly mutating: boolean
  release: () => void = () => undefined
  #endBigWork: () => void = () => undefined
  #info: RequestInfo | undefined
  #user: UserInfo = ANONYMOUS
  #impersonated: UserInfo | undefined
  #attributes: Attributes | undefined
  #caller: RequestCaller | undefined
  #level: AuditLevel = 'None'
  #omitStages: ReadonlySet<AuditStage> = new Set()
  #requestObject: JsonObject | undefined
  #responseObject: JsonObject | undefined
  #failure: { code: number; reason?: string; message?: string } | undefined
  #isLongRunning = false

  constructor(
    options: HandlerOptions,
    req: IncomingMessage,
    res: ServerResponse,
    longRunning: Set<() => void>,
    bigRequests: BigRequests,
  ) {
    this.#o = options
    this.#req = req
    this.#res = res
    this.#longRunningSet = longRunning
    this.#bigRequests = bigRequests
    this.#receivedAt = options.core.clock.now()
    this.mutating = req.method !== 'GET' && req.method !== 'HEAD'
    this.#auditID = auditIdOf(req)
    res.setHeader('Audit-Id', this.#auditID)
  }

  async run(): Promise<void> {
    const { authorize, auditor } = this.#o
    const info = parseRequest(this.#req.method ?? 'GET', this.#req.url ?? '/')
    this.#info = info
    const verdict = this.#o.authenticate({
      socket: this.#req.socket as TLSSocket,
      headers: this.#req.headers,
      path: info.path,
    })
    this.#user = this.#accept(verdict instanceof Promise ? await verdict : verdict, info)
    const impersonating = this.#impersonate(info)
    if (impersonating) await impersonating
    const user = this.#impersonated ?? this.#user
    const attributes = attributesOf(info, user, info.verb)
    this.#attributes = attributes
    const { level, omitStages } = auditor.levelFor(attributes, this.#user)
    this.#level = level
    this.#omitStages = omitStages
    this.#audit('RequestReceived')

    if (!(user === ANONYMOUS && isAnonymousPath(info.path))) {
      const decision = authorize(attributes)
      this.#demand(attributes, decision instanceof Promise ? await decision : decision, info)
    }
    if (!info.isResource) return this.#o.endpoints.serve(info, this.#req, this.#res)
    const kind = this.#o.core.kinds.get(info.group, info.version, info.resource)
    if (kind === undefined) throw unknownPath()
    const caller = new RequestCaller(user, this.#req.headers['user-agent'] ?? '', () =>
      this.#authorizeCreate(info, user),
    )
    this.#caller = caller
    const keepBodies = level === 'Request' || level === 'RequestResponse'
    this.#res.once('close', () => {
      if (!this.#res.writableFinished) caller.abort(new ApiError('Timeout', 'the client went away'))
    })
    if (Number(this.#req.headers['content-length'] ?? 0) > BIG_BYTES) this.#bigRequests.refuseIfFull(user.name)
    await handleResource({
      core: this.#o.core,
      virtual: this.#o.virtual,
      info,
      kind,
      req: this.#req,
      res: this.#res,
      caller,
      onBody: (bytes) => {
        caller.bodyBytes = bytes
        return bytes > BIG_BYTES ? this.#admitBig(user.name) : undefined
      },
      onRequestObject: keepBodies ? (object: Json) => (this.#requestObject = object as JsonObject) : undefined,
      onResponseObject:
        level === 'RequestResponse'
          ? (bytes: Buffer) => (this.#responseObject = JSON.parse(bytes.toString('utf8')))
          : undefined,
      onLongRunning: (stop) => this.#becomeLongRunning(info.verb, stop),
      beforeHead: () => this.#sendWarnings(),
    })
  }

  async #admitBig(user: string): Promise<void> {
    this.#endBigWork = await this.#bigRequests.admit(user)
  }

  #accept(verdict: AuthnVerdict, info: RequestInfo): UserInfo {
    if (verdict.verdict === 'allow') {
      this.#note('authentication.rampart.dev/by', verdict.by)
      return verdict.user
    }
    if (verdict.verdict === 'deny') this.#note('authentication.rampart.dev/denied', `${verdict.by}: ${verdict.reason}`)
    else if (isAnonymousPath(info.path)) return ANONYMOUS
    throw new ApiError('Unauthorized', 'Unauthorized')
  }

  readonly #annotations: Record<string, string> = {}

  #note(key: string, value: string): void {
    this.#annotations[key] = value
  }

  #impersonate(info: RequestInfo): Promise<void> | undefined {
    const wanted = parseImpersonation(this.#req.headers)
    if (wanted === undefined) return undefined
    return (async () => {
      for (const check of impersonationChecks(wanted, this.#user)) {
        const decision = await this.#o.authorize(check)
        this.#attributes = check
        this.#demand(check, decision, info)
      }
      this.#impersonated = wanted.user
    })()
  }

  #demand(attributes: Attributes, decision: Decision, info: RequestInfo): void {
    if (decision.verdict === 'allow') {
      this.#note('authorization.k8s.io/decision', 'allow')
      this.#note('authorization.k8s.io/reason', decision.by.reason)
      return
    }
    this.#note('authorization.k8s.io/decision', 'forbid')
    const reason = decision.verdict === 'deny' ? decision.by.reason : (decision.reason ?? '')
    this.#note('authorization.k8s.io/reason', reason)
    const message = forbiddenMessage(attributes, reason)
    if (attributes.resourceRequest) throw forbidden(attributes.apiGroup, attributes.resource, attributes.name, message)
    throw new ApiError('Forbidden', `forbidden: ${message}`, { kind: info.path })
  }

  async #authorizeCreate(info: RequestInfo, user: UserInfo): Promise<void> {
    const attributes = attributesOf(info, user, 'create')
    this.#demand(attributes, await this.#o.authorize(attributes), info)
  }

  #becomeLongRunning(verb: string, stop: () => void): void {
    this.#isLongRunning = true
    this.release()
    this.#longRunningSet.add(stop)
    this.#o.metrics.longRunning(verb.toUpperCase(), 1)
    this.#audit('ResponseStarted')
    this.#res.once('close', () => {
      this.#longRunningSet.delete(stop)
      this.#o.metrics.longRunning(verb.toUpperCase(), -1)
    })
  }

  #sendWarnings(): void {
    const warnings = this.#caller?.warnings ?? []
    if (warnings.length > 0) this.#res.setHeader('Warning', warnings.map(warningHeader))
  }

  fail(thrown: unknown): void {
    const { status, internal } = statusOf(storeFailure(thrown))
    this.#failure = {
      code: status.code,
      ...(status.reason === undefined ? {} : { reason: status.reason }),
      ...(status.message === undefined ? {} : { message: status.message }),
    }
    if (internal !== undefined)
      this.#o.core.log('error', 'a request failed', {
        method: this.#req.method,
        path: this.#info?.path,
        error: internal.stack ?? internal.message,
      })
    if (this.#res.headersSent) {
      this.#res.destroy()
      return
    }
    if (status.code === 401) this.#res.setHeader('WWW-Authenticate', 'Bearer realm="kubernetes"')
    // A body that was not read would be taken for the next request.
    if (!this.#req.complete) this.#res.setHeader('Connection', 'close')
    this.#sendWarnings()
    sendStatus(this.#res, status)
  }

  finish(): void {
    this.#endBigWork()
    const info = this.#info
    const attributes = this.#attributes
    const code = this.#failure?.code ?? this.#res.statusCode
    const resource = info?.isResource ? info : undefined
    this.#o.metrics.request(
      {
        verb: (info?.verb ?? 'unknown').toUpperCase(),
        group: resource?.group ?? '',
        version: resource?.version ?? '',
        resource:
          resource && this.#o.core.kinds.get(resource.group, resource.version, resource.resource)
            ? resource.resource
            : '',
        subresource: resource?.subresource ?? '',
        scope:
          resource === undefined
            ? ''
            : resource.name !== ''
              ? 'resource'
              : resource.namespace !== ''
                ? 'namespace'
                : 'cluster',
        code,
      },
      this.#isLongRunning ? undefined : (performance.now() - this.#started) / 1000,
    )
    if (attributes === undefined) {
      // Refused before its attributes were known (bad path, bad credentials): still an event.
      const failed: Attributes = {
        resourceRequest: false,
        user: this.#user,
        verb: info?.verb ?? '',
        path: info?.path ?? '',
      }
      this.#attributes = failed
      this.#level = this.#o.auditor.levelFor(failed, this.#user).level
    }
    this.#audit('ResponseComplete')
  }

  #audit(stage: AuditStage): void {
    if (this.#level === 'None' || this.#omitStages.has(stage)) return
    const annotations = { ...this.#annotations, ...this.#caller?.auditAnnotations }
    const record: AuditRecord = {
      auditID: this.#auditID,
      stage,
      requestURI: this.#req.url ?? '',
      verb: this.#info?.verb ?? '',
      user: this.#user,
      sourceIPs: [this.#req.socket.remoteAddress ?? ''],
      userAgent: this.#req.headers['user-agent'] ?? '',
      attributes: this.#attributes!,
      receivedAt: this.#receivedAt,
      now: this.#o.core.clock.now(),
      annotations,
      ...(this.#impersonated === undefined ? {} : { impersonatedUser: this.#impersonated }),
      ...(stage === 'RequestReceived' ? {} : { code: this.#failure?.code ?? this.#res.statusCode }),
      ...(this.#failure?.reason === undefined ? {} : { reason: this.#failure.reason }),
      ...(this.#failure?.message === undefined ? {} : { message: this.#failure.message }),
      ...(this.#requestObject === undefined ? {} : { requestObject: this.#requestObject }),
      ...(this.#responseObject === undefined ? {} : { responseObject: this.#responseObject }),
    }
    this.#o.auditor.record(this.#level, record)
  }
}

const AUDIT_ID = /^[A-Za-z0-9-]{1,64}$/

/** A client may name its own id (Audit-ID header), when it is one. */
function auditIdOf(req: IncomingMessage): string {
  const given = req.headers['audit-id']
  return typeof given === 'string' && AUDIT_ID.test(given) ? given : randomUUID()
}

export function attributesOf(info: RequestInfo, user: UserInfo, verb: string): Attributes {
  if (!info.isResource) return { resourceRequest: false, user, verb, path: info.path }
  const selects = verb === 'list' || verb === 'watch' || verb === 'deletecollection'
  const fieldSelector = selects ? readableSelector(info.query) : undefined
  return {
    resourceRequest: true,
    user,
    verb,
    apiGroup: info.group,
    apiVersion: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name === '' && verb !== 'deletecollection' ? selectedName(fieldSelector) : info.name,
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  }
}

function readableSelector(query: URLSearchParams): readonly FieldRequirement[] | undefined {
  const selector = query.get('fieldSelector')
  if (!selector) return undefined
  try {
    return parseFieldSelector(selector)
  } catch (error) {
    if (error instanceof ApiError) return undefined // the list says what is wrong with it, to who may list
    throw error
  }
}

/** Who may list or watch one name may do so with a field selector that admits no other, as in kube-apiserver. */
function selectedName(selector: readonly FieldRequirement[] | undefined): string {
  const name = selector?.find((f) => f.field === 'metadata.name' && f.equal)?.value ?? ''
  return pathSegmentName(name).length === 0 ? name : ''
}
