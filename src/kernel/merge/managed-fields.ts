import type { JsonObject, ManagedFieldsEntry } from '../api/object.ts'
import { type FieldSet, isLeaf, parseFieldsV1, union } from './field-set.ts'

/** What one manager owns. The manager's identity is its key; the sets of an object never share a key. */
export type Ownership = {
  manager: string
  operation: 'Apply' | 'Update'
  apiVersion: string
  subresource: string
  time: string | undefined
  set: FieldSet
  /** The entry that this was read from, as long as it says the same. */
  entry: ManagedFieldsEntry | undefined
}

export type Managed = Map<string, Ownership>

/** apimachinery/pkg/util/managedfields: DefaultMaxUpdateManagers. */
const MAX_UPDATE_MANAGERS = 10

/** An applier keeps its identity when it changes the version it applies with; an updater does not. */
export function managerKey(
  manager: string,
  operation: 'Apply' | 'Update',
  apiVersion: string,
  subresource: string,
): string {
  return `${manager}\n${operation}\n${operation === 'Apply' ? '' : apiVersion}\n${subresource}`
}

/** Reads entries that this server has written: their sets are taken as they are. */
export function decodeStored(entries: readonly ManagedFieldsEntry[] | undefined): Managed {
  const managed: Managed = new Map()
  for (const entry of entries ?? []) {
    const { manager, operation, apiVersion, time, fieldsV1, subresource = '' } = entry
    if (fieldsV1 === undefined || isLeaf(fieldsV1 as FieldSet)) continue
    const set = fieldsV1 as FieldSet
    const key = managerKey(manager, operation, apiVersion, subresource)
    managed.set(key, { manager, operation, apiVersion, subresource, time, set, entry })
  }
  return managed
}

/** Reads entries that a client has written. Undefined when they are not valid: they then count as not sent. */
export function decodeRequested(entries: unknown): Managed | undefined {
  if (!Array.isArray(entries)) return undefined
  const managed: Managed = new Map()
  for (const raw of entries as JsonObject[]) {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return undefined
    const { manager = '', operation, apiVersion, time, fieldsType, fieldsV1, subresource = '' } = raw
    if (operation !== 'Apply' && operation !== 'Update') return undefined
    if (typeof manager !== 'string' || typeof subresource !== 'string') return undefined
    if (typeof apiVersion !== 'string' || apiVersion === '' || fieldsType !== 'FieldsV1') return undefined
    let set: FieldSet | undefined
    try {
      set = parseFieldsV1(fieldsV1 ?? {})
    } catch (error) {
      if (error instanceof SyntaxError) return undefined
      throw error
    }
    if (set === undefined) continue
    managed.set(managerKey(manager, operation, apiVersion, subresource), {
      manager,
      operation,
      apiVersion,
      subresource,
      time: typeof time === 'string' && !Number.isNaN(Date.parse(time)) ? time : undefined,
      set,
      entry: undefined,
    })
  }
  return managed
}

/** True for `[]` and `[{}]`, by which a client says: forget all managers. */
export function isReset(entries: unknown): boolean {
  if (!Array.isArray(entries)) return false
  if (entries.length === 0) return true
  const [only] = entries as unknown[]
  return entries.length === 1 && typeof only === 'object' && only !== null && Object.keys(only).length === 0
}

/** The entries in Kubernetes' order; undefined when nobody owns anything. */
export function encodeManaged(managed: Managed): ManagedFieldsEntry[] | undefined {
  if (managed.size === 0) return undefined
  const entries = Array.from(managed.values(), encodeEntry)
  return entries.length === 1 ? entries : entries.sort(compareEntries)
}

function encodeEntry(owner: Ownership): ManagedFieldsEntry {
  if (owner.entry !== undefined) return owner.entry
  const { manager, operation, apiVersion, time, set, subresource } = owner
  const fieldsV1 = set as JsonObject
  return {
    manager,
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...(subresource === '' ? {} : { subresource }),
  }
}

const seconds = (time: string | undefined): number => (time === undefined ? 0 : Math.floor(Date.parse(time) / 1000))

const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1)

function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compareText(a.operation, b.operation) ||
    seconds(a.time) - seconds(b.time) ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource ?? '', b.subresource ?? '')
  )
}

/**
 * Keeps the updaters to ten: while there are more, the oldest of each version are merged into one entry named
 * "ancient-changes". Changes `managed`.
 */
export function capUpdaters(managed: Managed): void {
  const updaters = [...managed].filter(([, owner]) => owner.operation === 'Update')
  let count = updaters.length
  if (count <= MAX_UPDATE_MANAGERS) return
  updaters.sort(([a, left], [b, right]) => seconds(left.time) - seconds(right.time) || compareText(a, b))
  const firstOf = new Map<string, string>()
  for (const [key, owner] of updaters) {
    if (count <= MAX_UPDATE_MANAGERS) return
    const first = firstOf.get(owner.apiVersion)
    if (first === undefined) {
      firstOf.set(owner.apiVersion, key)
      continue
    }
    const bucketKey = managerKey('ancient-changes', 'Update', owner.apiVersion, '')
    const bucket = managed.get(bucketKey) ?? managed.get(first)!
    if (!managed.has(bucketKey)) managed.delete(first)
    managed.delete(key)
    managed.set(bucketKey, {
      ...owner,
      manager: 'ancient-changes',
      subresource: '',
      set: union(owner.set, bucket.set)!,
      entry: undefined,
    })
    count--
  }
}
