import type { JsonObject, KubeObject } from '../api/object.ts'
import type { FieldError } from '../api/status.ts'
import type { UserInfo } from '../authn/types.ts'
import type { Schema } from './schema.ts'

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch'
export const ALL_VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
]

/** metav1.TableColumnDefinition plus how to compute the cell. */
export type TableColumn = {
  name: string
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  format?: 'name' | ''
  description: string
  /** 0 is always shown, 1 and above only with -o wide. */
  priority: number
  /**
   * The cell's value. `now` is milliseconds since the epoch: ages are printed server-side in Kubernetes'
   * HumanDuration form ("5m12s", "3d4h").
   */
  cell: (object: KubeObject, now: number) => string | number | boolean | null
}

export type StrategyContext = {
  /** Milliseconds since the epoch. */
  now: number
  /** '' for the main resource, otherwise the subresource that is written. */
  subresource: string
  /** Name of the user who writes. */
  user: string
  /** Everything known about that user, for kinds that record it (CertificateSigningRequest). */
  userInfo?: UserInfo
}

/**
 * What a kind does around a write, in Kubernetes' order: defaults → prepareForCreate/Update → (admission) → validate.
 * Functions change the object in place; they never do I/O. Schema defaults are already applied when `defaults` runs.
 */
export type Strategy = {
  /** Defaults which depend on other fields. Idempotent. */
  defaults?: (object: KubeObject) => void
  prepareForCreate?: (object: KubeObject, context: StrategyContext) => void
  /**
   * Clear or restore what this write may not change. The API server itself already resets `status` on writes to the
   * main resource of kinds with a status subresource, and everything but `status` and metadata on writes to
   * /status (of custom kinds metadata too).
   */
  prepareForUpdate?: (object: KubeObject, old: KubeObject, context: StrategyContext) => void
  /** What a delete leaves on the object before it is decided whether something holds it back. */
  prepareForDelete?: (object: KubeObject, context: StrategyContext) => void
  validate?: (object: KubeObject) => FieldError[]
  validateUpdate?: (object: KubeObject, old: KubeObject, context: StrategyContext) => FieldError[]
  /** Warning header texts on create (old undefined) and update. */
  warnings?: (object: KubeObject, old: KubeObject | undefined) => string[]
  /**
   * 'dns-subdomain' (RFC 1123 subdomain, the default), 'dns-label' (namespaces, services as RFC 1035 'dns-1035'),
   * 'path-segment' (RBAC: anything but '/', '%', '.', '..').
   */
  nameFormat?: 'dns-subdomain' | 'dns-label' | 'dns-1035' | 'path-segment'
  /** True for kinds whose PUT may create (Kubernetes' AllowCreateOnUpdate, e.g. Lease, Event, Endpoints). */
  allowCreateOnUpdate?: boolean
  /** True for kinds whose update may omit resourceVersion (Kubernetes' AllowUnconditionalUpdate; default true). */
  allowUnconditionalUpdate?: boolean
  /**
   * By subresource ('' the object itself): fields whose changes through it are not kept, so that who writes there does
   * not come to own them (Kubernetes' GetResetFields). Without an entry: `spec` through /status, `status` otherwise.
   */
  resetFields?: Readonly<Record<string, readonly (readonly string[])[]>>
  /** Finalizers need no domain. True for kinds that Kubernetes validates outside of its core package. */
  unqualifiedFinalizers?: boolean
  /** True where metadata.generation counts changes of the spec. */
  hasGeneration?: boolean
  /** It counts those of annotations too (Deployment alone). */
  generationCountsAnnotations?: boolean
  /**
   * Seconds of grace that a delete gives when the request names none: 30 for pods (its spec decides). Undefined: the
   * kind is deleted at once.
   */
  gracePeriodSeconds?: (object: KubeObject) => number
}

export type SubresourceDefinition = {
  /** 'status', 'scale', 'token', 'approval', 'finalize', 'binding', 'eviction', 'log', 'exec', ... */
  name: string
  /** Kind of the body when it differs from the parent's: TokenRequest, Scale, Eviction, Binding. */
  kind?: { group: string; version: string; kind: string }
  verbs: readonly string[]
}

/**
 * A kind: from this one value come discovery, OpenAPI, validation, tables, storage and the
 * CustomResourceDefinition for a real cluster.
 */
export type ResourceDefinition = {
  group: string
  version: string
  kind: string
  /** Defaults to `${kind}List`. */
  listKind?: string
  plural: string
  singular: string
  shortNames?: readonly string[]
  categories?: readonly string[]
  namespaced: boolean
  /** Defaults to ALL_VERBS. Review kinds have only 'create'. */
  verbs?: readonly Verb[]
  /** Name in the definitions (`io.k8s.api.core.v1.Pod`) or, for kinds of our own and CRDs, a structural schema. */
  schema: string | Schema
  subresources?: readonly SubresourceDefinition[]
  /** Columns after the implicit Name; the first must be Name itself. Empty: Name and Created At as Kubernetes does. */
  columns: readonly TableColumn[]
  /** Field selector keys beyond metadata.name and metadata.namespace. */
  selectableFields?: Readonly<Record<string, (object: KubeObject) => string>>
  strategy?: Strategy
  /** False for review kinds (SubjectAccessReview, TokenReview …): answered, never stored. Default true. */
  stored?: boolean
  /** Warning sent on create, e.g. for kinds that are stored but have no controller here. */
  createWarning?: string
  /** True when it came from a CustomResourceDefinition: unstructured, merge patch only, pruning by schema. */
  custom?: boolean
  /** Its CustomResourceDefinition is being deleted, and its objects with it: nothing new may be created. */
  terminating?: boolean
  /** Versions of a custom kind that share storage with this one (conversion None). The storage version writes. */
  storageVersion?: string
  /**
   * Served on the objects of another kind: stored as that kind and converted on the way, so that each is read and
   * written through either (events.k8s.io Event on the core group's). The conversions change the object in place.
   */
  view?: {
    of: { group: string; version: string; plural: string; kind: string }
    toStored: (object: KubeObject) => KubeObject
    fromStored: (object: KubeObject) => KubeObject
  }
  /** Values of a custom kind's `scale` subresource paths. */
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string }
  /** Extra facts that a kind's owner needs; never read by the kernel. */
  annotations?: JsonObject
}

/** '' prefix for the core group: `secrets`, otherwise `roles.rbac.authorization.k8s.io`. */
export function qualifiedResource(definition: Pick<ResourceDefinition, 'group' | 'plural'>): string {
  return definition.group === '' ? definition.plural : `${definition.plural}.${definition.group}`
}
