import type { JsonObject, KubeObject, ManagedFieldsEntry } from '../api/object.ts'
import { parseApiVersion } from '../api/object.ts'
import { badRequest, fieldError, invalid } from '../api/status.ts'
import type { Schema, Schemas } from '../resources/schema.ts'
import { type Conflict, conflictError } from './conflict.ts'
import {
  difference,
  type FieldSet,
  intersection,
  isSubset,
  recursiveDifference,
  setOf,
  setsEqual,
  union,
} from './field-set.ts'
import { boundedDepth, jsonEqual } from './json-value.ts'
import { syncLastApplied, upgradableFields } from './last-applied.ts'
import {
  capUpdaters,
  decodeRequested,
  decodeStored,
  encodeManaged,
  isReset,
  type Managed,
  managerKey,
} from './managed-fields.ts'
import { compileType, type FieldType, type MergeType } from './merge-type.ts'
import { fieldElement } from './path-element.ts'
import { type Comparison, compare } from './typed-compare.ts'
import { mergeTyped, removeFields } from './typed-merge.ts'
import { fieldSetOf, withDeclaredFields } from './typed-set.ts'
import { validateTyped } from './typed-validate.ts'

export type FieldManagerOptions = {
  schema: Schema
  schemas: Schemas
  /** The version that this manager's requests are in, e.g. `apps/v1`. */
  apiVersion: string
  /** '' for the main resource. */
  subresource: string
  /** Paths of fields that writes to this (sub)resource reset, and so never own: `[['status']]`. */
  resetFields?: readonly (readonly string[])[]
  /** True for kinds from a CustomResourceDefinition. */
  custom: boolean
}

/**
 * Keeps metadata.managedFields, as apimachinery/pkg/util/managedfields does. Never changes `live`. What it returns may
 * share managedFields entries with `live`, which nobody may change in place.
 */
export type FieldManager = {
  /**
   * For create (live undefined), update and every patch but apply: sets `newObject.metadata.managedFields` from what
   * the write changed, and returns newObject. Also for what mutating admission did to an object: live is then the
   * object before admission.
   *
   * @param nowIso RFC 3339, whole seconds, UTC
   */
  update(live: KubeObject | undefined, newObject: KubeObject, manager: string, nowIso: string): KubeObject
  /**
   * Server-side apply. Returns a new object: live (undefined: nothing) with the configuration merged in, before
   * defaults. Throws 409 Conflict for fields that others own (unless `force`), 400 for a configuration that does not
   * fit the schema, 422 when no manager is named.
   */
  apply(live: KubeObject | undefined, config: KubeObject, manager: string, force: boolean, nowIso: string): KubeObject
}

export function createFieldManager(options: FieldManagerOptions): FieldManager {
  const engine = new Engine(options)
  return {
    update: (live, newObject, manager, nowIso) => boundedDepth(() => engine.update(live, newObject, manager, nowIso)),
    apply: (live, config, manager, force, nowIso) =>
      boundedDepth(() => engine.apply(live, config, manager, force, nowIso)),
  }
}

/** Fields that the server keeps and nobody owns. */
const SYSTEM_METADATA = [
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'clusterName',
  'generation',
  'managedFields',
  'resourceVersion',
]
const UNOWNED = setOf(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...SYSTEM_METADATA.map((name) => ['f:metadata', fieldElement(name)]),
)

const EMPTY: JsonObject = Object.freeze({})

class Engine {
  readonly #apiVersion: string
  readonly #subresource: string
  readonly #custom: boolean
  readonly #reset: FieldSet | undefined
  /** The kind's type, and the same without the fields that the server keeps, for comparing. */
  readonly #type: MergeType
  readonly #compared: MergeType

  constructor(options: FieldManagerOptions) {
    this.#apiVersion = options.apiVersion
    this.#subresource = options.subresource
    this.#custom = options.custom
    this.#reset = setOf(...(options.resetFields ?? []).map((path) => path.map(fieldElement)))
    this.#type = compileType(options.schema, options.schemas, options.custom)
    this.#compared = withoutSystemFields(this.#type)
  }

  update(live: KubeObject | undefined, newObject: KubeObject, manager: string, now: string): KubeObject {
    const stored = live?.metadata.managedFields
    const managed = this.#managedFor(live, newObject)
    // An object that is not tracked stays so until somebody applies it.
    if (live !== undefined && managed.size === 0) return withEntries(newObject, undefined)
    const changed = this.#track(managed, live, newObject, manager || 'unknown', now)
    const fromStored = [...managed.values()].every((owner) => owner.entry !== undefined)
    if (!changed && fromStored && stored !== undefined && stored.length === managed.size) {
      return withEntries(newObject, stored)
    }
    return withEntries(newObject, encodeManaged(managed))
  }

  /** The owners before this write: what the request says of them, if it says anything valid, else the live object's. */
  #managedFor(live: KubeObject | undefined, newObject: KubeObject): Managed {
    const stored = live?.metadata.managedFields
    const requested = newObject.metadata.managedFields
    if (this.#subresource !== '' || requested === undefined || requested === null || requested === stored) {
      return decodeStored(stored)
    }
    if (isReset(requested)) return new Map()
    if (stored !== undefined && jsonEqual(requested as JsonObject[], stored as JsonObject[]))
      return decodeStored(stored)
    const managed = decodeRequested(requested)
    return managed === undefined || managed.size === 0 ? decodeStored(stored) : managed
  }

  /** Moves what the write changed to `manager`. Changes `managed`; returns whether it did. */
  #track(managed: Managed, live: KubeObject | undefined, newObject: KubeObject, manager: string, now: string): boolean {
    const found = this.#compare(live, newObject)
    if (found === undefined) return false
    const set = union(found.added, found.modified)
    let changed = takeAway(managed, union(set, found.removed), undefined)
    if (set === undefined) return changed
    changed = true
    const key = managerKey(manager, 'Update', this.#apiVersion, this.#subresource)
    managed.set(key, {
      manager,
      operation: 'Update',
      apiVersion: this.#apiVersion,
      subresource: this.#subresource,
      time: now,
      set: union(managed.get(key)?.set, set)!,
      entry: undefined,
    })
    capUpdaters(managed)
    return changed
  }

  #compare(live: KubeObject | undefined, newObject: KubeObject): Comparison | undefined {
    const found = compare(this.#compared, (live as JsonObject | undefined) ?? EMPTY, newObject as JsonObject)
    if (found === undefined || this.#reset === undefined) return found
    return {
      added: recursiveDifference(found.added, this.#reset),
      modified: recursiveDifference(found.modified, this.#reset),
      removed: recursiveDifference(found.removed, this.#reset),
    }
  }

  apply(live: KubeObject | undefined, config: KubeObject, manager: string, force: boolean, now: string): KubeObject {
    this.#checkRequest(config, manager)
    const managed = decodeStored(live?.metadata.managedFields)
    // What was there before anyone applied belongs to nobody in particular, but to somebody.
    if (live !== undefined && managed.size === 0) this.#track(managed, undefined, live, 'before-first-apply', now)
    let result = this.#tryApply(live, config, managed, manager, force, now)
    if ('conflicts' in result && manager === 'kubectl' && live !== undefined) {
      const allowed = upgradableFields(this.#type, live, this.#apiVersion)
      const conflicts = result.conflicts.flatMap(({ owner, fields }) => {
        const rest = difference(fields, allowed)
        return rest === undefined ? [] : [{ owner, fields: rest }]
      })
      result = conflicts.length > 0 ? { conflicts } : this.#tryApply(live, config, managed, manager, true, now)
    }
    if ('conflicts' in result) throw conflictError(result.conflicts)
    if (manager === 'kubectl') syncLastApplied(result.object, config)
    return result.object
  }

  #checkRequest(config: KubeObject, manager: string): void {
    if (manager === '') {
      const missing = fieldError.required('fieldManager', 'is required for apply patch')
      throw invalid('meta.k8s.io', 'PatchOptions', '', [missing])
    }
    const { group, version } = parseApiVersion(config.apiVersion)
    const kind = `${group}/${version}, Kind=${config.kind}`
    if (config.apiVersion !== this.#apiVersion) throw badRequest(`invalid object type: ${kind}`)
    const requested: unknown = config.metadata.managedFields
    if (requested !== undefined && requested !== null) throw badRequest('metadata.managedFields must be nil')
    const errors = validateTyped(this.#type, config as JsonObject)
    if (errors.length > 0) {
      const { namespace = '', name = '' } = config.metadata
      const text = errors.length === 1 ? errors[0] : ['errors:', ...errors.map((error) => `  ${error}`)].join('\n')
      throw badRequest(`failed to create typed patch object (${namespace}/${name}; ${kind}): ${text}`)
    }
  }

  #tryApply(
    live: KubeObject | undefined,
    config: KubeObject,
    before: Managed,
    manager: string,
    force: boolean,
    now: string,
  ): { object: KubeObject } | { conflicts: Conflict[] } {
    const key = managerKey(manager, 'Apply', this.#apiVersion, this.#subresource)
    const last = before.get(key)
    const applied = recursiveDifference(fieldSetOf(this.#type, config as JsonObject), this.#reset)
    const managed: Managed = new Map(before)
    managed.delete(key)

    const source = live === undefined ? EMPTY : { ...live, metadata: { ...live.metadata, managedFields: undefined } }
    const merged = mergeTyped(this.#type, source as JsonObject, config as JsonObject, this.#custom)
    const pruned = this.#prune(merged, managed, applied, last?.set)
    // An empty list is owned by nobody, and so is gone even where the configuration has it.
    const object = (
      pruned === merged ? merged : mergeTyped(this.#type, pruned, config as JsonObject, this.#custom)
    ) as KubeObject
    const found = this.#compare(live, object)
    if (found !== undefined) {
      const changed = union(found.added, found.modified)
      if (!force) {
        const conflicts = [...managed]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .flatMap(([, owner]) => {
            const fields = intersection(owner.set, changed)
            return fields === undefined ? [] : [{ owner, fields }]
          })
        if (conflicts.length > 0) return { conflicts }
      }
      takeAway(managed, union(changed, found.removed), key)
    }
    const set = difference(applied, UNOWNED)
    if (set !== undefined) {
      const same = found === undefined && last?.apiVersion === this.#apiVersion && setsEqual(last.set, set)
      managed.set(
        key,
        same
          ? last
          : {
              manager,
              operation: 'Apply',
              apiVersion: this.#apiVersion,
              subresource: this.#subresource,
              time: now,
              set,
              entry: undefined,
            },
      )
    }
    return { object: withEntries(object, encodeManaged(managed)) }
  }

  /**
   * Removes what the applier set last time, does not set now, and nobody else owns. Containers go with their last
   * member; what lies in a removed item and belongs to nobody goes with the item.
   */
  #prune(merged: JsonObject, others: Managed, applied: FieldSet | undefined, last: FieldSet | undefined): JsonObject {
    if (last === undefined || isSubset(last, applied)) return merged
    const type = this.#type
    const declared = (set: FieldSet | undefined): FieldSet | undefined => withDeclaredFields(type, set)
    const lastAll = declared(last)!
    let owned = applied
    for (const owner of others.values()) owned = union(owned, owner.set)
    const mergedSet = declared(fieldSetOf(type, merged))
    const without = (set: FieldSet | undefined): JsonObject =>
      set === undefined ? merged : ((removeFields(type, merged, set) ?? {}) as JsonObject)

    const bare = declared(fieldSetOf(type, without(lastAll)))
    const kept = without(difference(mergedSet, union(bare, declared(owned))))
    const keptSet = declared(fieldSetOf(type, kept))
    return without(intersection(difference(mergedSet, keptSet), lastAll))
  }
}

/** Takes `fields` from every owner but `except`; owners that are left with nothing vanish. Returns whether any lost. */
function takeAway(managed: Managed, fields: FieldSet | undefined, except: string | undefined): boolean {
  if (fields === undefined) return false
  let changed = false
  for (const [key, owner] of managed) {
    if (key === except) continue
    const set = difference(owner.set, fields)
    if (set === owner.set) continue
    changed = true
    if (set === undefined) managed.delete(key)
    else managed.set(key, { ...owner, set, entry: undefined })
  }
  return changed
}

function withEntries(object: KubeObject, entries: ManagedFieldsEntry[] | undefined): KubeObject {
  if (entries !== undefined) object.metadata.managedFields = entries
  else if (object.metadata.managedFields !== undefined) delete object.metadata.managedFields
  return object
}

function withoutSystemFields(type: MergeType): MergeType {
  const root = type.map
  const metadata = root?.fields.get('metadata')
  if (root === undefined || metadata?.type.map === undefined) return type
  const fields = new Map(root.fields)
  const ignore = (map: Map<string, FieldType>, names: readonly string[]): void => {
    for (const name of names) {
      const field = map.get(name)
      if (field !== undefined) map.set(name, { ...field, ignored: true })
    }
  }
  const metadataFields = new Map(metadata.type.map.fields)
  ignore(metadataFields, SYSTEM_METADATA)
  ignore(fields, ['apiVersion', 'kind'])
  const metadataType = { ...metadata.type, map: { ...metadata.type.map, fields: metadataFields } }
  fields.set('metadata', { ...metadata, type: metadataType, implied: EMPTY })
  return { ...type, map: { ...root, fields } }
}
