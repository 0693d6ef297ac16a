import type { Agent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '../api/object.ts'
import type { Clock, Log } from '../feature.ts'
import { HttpsJsonError, postJson } from './https-json.ts'
import { fieldSelectorAttributes } from './review-selectors.ts'
import type { Attributes, Authorizer, Decision } from './types.ts'

export type WebhookAuthorizerOptions = {
  /** Named in decisions and logs. */
  name: string
  /** https only. */
  url: URL
  /** Holds the CA that the webhook's certificate must come from, and the client certificate shown to it. */
  agent: Agent
  /** Headers such as Authorization. */
  headers?: Readonly<Record<string, string>>
  clock: Clock
  log: Log
  /** What an unreachable or broken webhook means: nothing, or no. */
  failurePolicy: 'NoOpinion' | 'Deny'
  timeoutMs?: number
  /** Default five minutes. 0: not cached. */
  authorizedTtlMs?: number
  /** Default thirty seconds. 0: not cached. */
  unauthorizedTtlMs?: number
  /** Delay before the first repetition of a call that failed for a moment; grows by half each time. */
  retryMs?: number
}

/** kube-apiserver's defaults. */
const TIMEOUT_MS = 30_000
const AUTHORIZED_TTL_MS = 300_000
const UNAUTHORIZED_TTL_MS = 30_000
const RETRY_MS = 500
const ATTEMPTS = 5
const MAX_ENTRIES = 8192
/** Questions longer than this are not kept, so that callers cannot fill the memory with them. */
const MAX_KEY_LENGTH = 10_000
const MAX_RESPONSE_BYTES = 1024 * 1024

type Cached = { decision: Decision; until: number }

/**
 * Asks another service by SubjectAccessReview (authorization.k8s.io/v1). Answers are kept for a while, those that allow
 * longer than the others; equal questions at the same time share one call.
 */
export function webhookAuthorizer(options: WebhookAuthorizerOptions): Authorizer {
  const { name, clock, log } = options
  const cache = new Map<string, Cached>()
  const asking = new Map<string, Promise<Decision>>()

  async function ask(key: string, spec: JsonObject): Promise<Decision> {
    try {
      const decision = readStatus(name, await post(options, spec))
      keep(key, decision)
      return decision
    } catch (error) {
      const why = `${name} could not be asked: ${(error as Error).message}`
      log('error', why)
      return options.failurePolicy === 'Deny'
        ? { verdict: 'deny', by: { authorizer: name, reason: why } }
        : { verdict: 'next' }
    } finally {
      asking.delete(key)
    }
  }

  function keep(key: string, decision: Decision): void {
    const ttl =
      decision.verdict === 'allow'
        ? (options.authorizedTtlMs ?? AUTHORIZED_TTL_MS)
        : (options.unauthorizedTtlMs ?? UNAUTHORIZED_TTL_MS)
    if (ttl <= 0 || key.length > MAX_KEY_LENGTH) return
    cache.delete(key)
    cache.set(key, { decision, until: clock.now() + ttl })
    if (cache.size > MAX_ENTRIES) cache.delete(cache.keys().next().value!)
  }

  return {
    name,
    authorize: (attributes) => {
      const spec = specOf(attributes)
      const key = JSON.stringify(spec)
      const cached = cache.get(key)
      if (cached !== undefined && cached.until > clock.now()) return cached.decision
      let pending = asking.get(key)
      if (pending === undefined) asking.set(key, (pending = ask(key, spec)))
      return pending
    },
    rulesFor: () => ({
      resourceRules: [],
      nonResourceRules: [],
      incomplete: 'webhook authorizer does not support user rule resolution',
    }),
  }
}

function specOf(attributes: Attributes): JsonObject {
  const { user, verb } = attributes
  const {
    apiGroup: group,
    apiVersion: version,
    resource,
    subresource,
    namespace,
    name,
  } = {
    apiGroup: '',
    apiVersion: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    ...attributes,
  }
  const selector = attributes.resourceRequest ? (attributes.fieldSelector ?? []) : []
  return {
    ...(attributes.resourceRequest
      ? {
          resourceAttributes: {
            ...withoutEmpty({ namespace, verb, group, version, resource, subresource, name }),
            ...(selector.length === 0 ? {} : { fieldSelector: fieldSelectorAttributes(selector) }),
          },
        }
      : { nonResourceAttributes: { path: attributes.path, verb } }),
    user: user.name,
    groups: [...user.groups],
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.extra === undefined
      ? {}
      : { extra: Object.fromEntries(Object.entries(user.extra).map(([k, values]) => [k, [...values]])) }),
  }
}

function withoutEmpty(fields: Record<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
}

async function post(options: WebhookAuthorizerOptions, spec: JsonObject): Promise<unknown> {
  const body = JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec })
  for (let attempt = 1; ; attempt++) {
    try {
      return await postJson({
        url: options.url,
        ...(options.headers === undefined ? {} : { headers: options.headers }),
        body,
        agent: options.agent,
        timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
        maxResponseBytes: MAX_RESPONSE_BYTES,
      })
    } catch (error) {
      if (attempt === ATTEMPTS || !isPassing(error)) throw error
      await sleep((options.retryMs ?? RETRY_MS) * 1.5 ** (attempt - 1))
    }
  }
}

/** Errors which may be gone a moment later (apiserver/pkg/util/webhook, DefaultShouldRetry). */
function isPassing(error: unknown): boolean {
  if (!(error instanceof HttpsJsonError)) return false
  const { status } = error
  if (status !== undefined) return status === 429 || status === 500 || status === 504
  return (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET'
}

function readStatus(name: string, body: unknown): Decision {
  const status = (body as { status?: unknown } | null)?.status
  if (typeof status !== 'object' || status === null) throw new Error('the answer has no status')
  const { allowed, denied, reason } = status as { allowed?: unknown; denied?: unknown; reason?: unknown }
  const why = typeof reason === 'string' ? reason : ''
  if (allowed === true && denied === true)
    throw new Error('webhook subject access review returned both allow and deny response')
  if (denied === true) return { verdict: 'deny', by: { authorizer: name, reason: why } }
  if (allowed === true) return { verdict: 'allow', by: { authorizer: name, reason: why } }
  return { verdict: 'next', reason: why }
}
