import type { KubeObject } from '../api/object.ts'
import type { ApiCore, Caller } from './core.ts'
import type { Kind } from './kind.ts'

export type VirtualRequest = {
  core: ApiCore
  kind: Kind
  namespace: string
  name: string
  /** Decoded and checked against the schema of the body's kind. */
  body: KubeObject
  dryRun: boolean
  caller: Caller
}

/** Answers a POST whose result is computed, not stored: reviews, token requests, bindings, evictions. */
export type VirtualHandler = (request: VirtualRequest) => KubeObject | Promise<KubeObject>

/** Keyed `group/plural` or `group/plural/subresource`; the core group is ''. */
export type VirtualHandlers = ReadonlyMap<string, VirtualHandler>
