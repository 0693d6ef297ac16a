import type { GroupVersionKind, KubeObject } from '../api/object.ts'
import type { UserInfo } from '../authn/types.ts'
import type { ResourceDefinition } from '../resources/definition.ts'

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

export type AdmissionRequest = {
  operation: AdmissionOperation
  definition: ResourceDefinition
  subresource: string
  /** Kind of the objects where it is not the resource's own: Scale, Binding, Eviction, TokenRequest, PodExecOptions. */
  kind?: GroupVersionKind | undefined
  namespace: string
  /** May be '' on create with generateName, and on deletecollection. */
  name: string
  /** The new object; mutating steps change it in place or replace it. Undefined on DELETE. */
  object: KubeObject | undefined
  oldObject: KubeObject | undefined
  user: UserInfo
  dryRun: boolean
  /** CreateOptions, UpdateOptions (of a PATCH too) or DeleteOptions with what the caller said; undefined on CONNECT. */
  options: KubeObject | undefined
  /** Sent to the client as Warning headers. */
  warn: (message: string) => void
  /** Key of the form `step.name/key`. */
  annotateAudit: (key: string, value: string) => void
  /** Aborted when the request's time is over or the client is gone. */
  signal: AbortSignal
}

/**
 * A step refuses by throwing ApiError (forbidden(...) mostly). Order is that of the list: all `mutate`, then — after
 * validation — all `validate`. `reinvoke` marks mutating steps to run again when a later one replaced the object: webhooks
 * do when they change it, other steps change it in place. A step whose `handles` is false costs nothing.
 */
export type AdmissionStep = {
  name: string
  handles: (request: Pick<AdmissionRequest, 'operation' | 'definition' | 'subresource'>) => boolean
  /** Run `mutate` again when a later step replaced the object; it must be idempotent. */
  reinvoke?: boolean
  mutate?: (request: AdmissionRequest) => void | Promise<void>
  validate?: (request: AdmissionRequest) => void | Promise<void>
}
