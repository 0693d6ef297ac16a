import type { JsonObject } from '../api/object.ts'
import type { UserInfo } from '../authn/types.ts'
import type { Attributes } from '../authz/types.ts'

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse'
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic'

/** What the API server knows of a request; audit turns it into an audit.k8s.io/v1 Event. */
export type AuditRecord = {
  auditID: string
  stage: AuditStage
  requestURI: string
  verb: string
  user: UserInfo
  impersonatedUser?: UserInfo
  sourceIPs: readonly string[]
  userAgent: string
  attributes: Attributes
  /** HTTP status and, for failures, the Status' reason and message. */
  code?: number
  reason?: string
  message?: string
  /** Milliseconds since the epoch. */
  receivedAt: number
  now: number
  /** Parsed bodies; audit drops them below the level, and always for Secrets, ConfigMaps and TokenReviews. */
  requestObject?: JsonObject
  responseObject?: JsonObject
  annotations: Readonly<Record<string, string>>
}

export type Auditor = {
  /** Decides once a request; the API server keeps bodies only when the level needs them. */
  levelFor: (attributes: Attributes, user: UserInfo) => { level: AuditLevel; omitStages: ReadonlySet<AuditStage> }
  /** Never throws and never blocks: it queues; a write that fails is counted and logged. */
  record: (level: AuditLevel, record: AuditRecord) => void
  close: () => Promise<void>
}
