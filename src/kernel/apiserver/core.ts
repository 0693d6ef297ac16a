import type { AdmissionRequest } from '../admission/types.ts'
import type { UserInfo } from '../authn/types.ts'
import type { Clock, Log } from '../feature.ts'
import type { Store } from '../store/store.ts'
import type { ValueTransformer, WatchCache } from './cache/watch-cache.ts'
import type { KindRegistry } from './kind-registry.ts'
import type { NodeConnection } from './node-proxy/connection.ts'

/** The admission chain as the verbs see it. */
export type AdmissionChain = {
  mutate: (request: AdmissionRequest) => void | Promise<void>
  validate: (request: AdmissionRequest) => void | Promise<void>
}

/** What every verb works on. */
export type ApiCore = {
  store: Store
  cache: WatchCache
  transformer: ValueTransformer
  kinds: KindRegistry
  admission: AdmissionChain
  clock: Clock
  log: Log
  /** undefined: a control plane without machines. */
  kubelet?: NodeConnection | undefined
}

/** Who asks, and where warnings and audit annotations go. */
export type Caller = {
  user: UserInfo
  /** Default name of the field manager: what stands before '/' in User-Agent. */
  userAgent: string
  warn: (message: string) => void
  annotateAudit: (key: string, value: string) => void
  signal: AbortSignal
  /** Of the request's body, where there is one. */
  bodyBytes?: number
  /** Rejects when the caller may not create: update and apply may turn into a create. */
  authorizeCreate: () => void | Promise<void>
}

export type WriteParameters = {
  dryRun: boolean
  fieldManager: string
  /** CreateOptions, UpdateOptions or PatchOptions, for webhooks. */
  options: AdmissionRequest['options']
}

/** Name under which a write owns fields (k8s.io/apiserver handlers.managerOrUserAgent). */
export function managerName(fieldManager: string, userAgent: string): string {
  if (fieldManager !== '') return fieldManager
  const slash = userAgent.indexOf('/')
  const name = (slash < 0 ? userAgent : userAgent.slice(0, slash)).replace(/[^\x20-\x7e]/g, '').slice(0, 128)
  return name === '' ? 'unknown' : name
}
