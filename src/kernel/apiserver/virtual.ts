import type { KubeObject } from '../api/object.ts'
import type { ApiCore, Caller } from './core.ts'
import type { Kind } from './kind.ts'

export type VirtualRequest = {
  core: ApiCore
  kind: Kind
  namespace: string
  name: string
  /** Decoded, checked against the schema of the body's kind, and as mutating admission left it. */
  body: KubeObject
  dryRun: boolean
  caller: Caller
}

export type VirtualAnswer = (request: VirtualRequest) => KubeObject | Promise<KubeObject>

/** Answers a POST whose result is computed, not stored: reviews, token requests, bindings, evictions. */
export type VirtualHandler =
  | VirtualAnswer
  | {
      /** Of the body's kind, before mutating admission (in place). */
      defaults?: (body: KubeObject) => void
      /** Before validating admission: checks, and what is to be seen by it (in place). Throws ApiError. */
      prepare: (request: VirtualRequest) => void
      /** Only once admission has let it pass. */
      answer: VirtualAnswer
    }

/** Keyed `group/plural` or `group/plural/subresource`; the core group is ''. */
export type VirtualHandlers = ReadonlyMap<string, VirtualHandler>
