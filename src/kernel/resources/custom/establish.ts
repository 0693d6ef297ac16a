import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../api/object.ts'
import { type CrdCondition, type CrdNames, type CrdStatus, specOf, statusOf } from './crd.ts'
import { parseSchema } from './schema-parse.ts'
import { validateStructural } from './structural.ts'

/** Names in one group that are taken: resources (plural, singular, short) and kinds (kind, list kind) apart. */
type Taken = { resources: Set<string>; kinds: Set<string> }

function takenBy(others: readonly KubeObject[], crd: KubeObject): Taken {
  const taken: Taken = { resources: new Set(), kinds: new Set() }
  for (const other of others) {
    if (other.metadata.name === crd.metadata.name || specOf(other).group !== specOf(crd).group) continue
    const { plural, singular, shortNames = [], kind, listKind } = statusOf(other).acceptedNames ?? {}
    for (const name of [plural, singular, ...shortNames]) if (name) taken.resources.add(name)
    for (const name of [kind, listKind]) if (name) taken.kinds.add(name)
  }
  return taken
}

type Naming = { accepted: CrdNames; condition: Omit<CrdCondition, 'lastTransitionTime'> }

/** Each name is accepted by itself; one that is taken leaves the name accepted before. */
function acceptNames(names: CrdNames, before: CrdNames, taken: Taken): Naming {
  const accepted: CrdNames = { plural: before.plural ?? '', kind: before.kind ?? '' }
  const conflicts: [string, string][] = []
  const free = (name: string, among: Set<string>, reason: string): boolean => {
    if (!among.has(name)) return true
    conflicts.push([reason, `"${name}" is already in use`])
    return false
  }
  if (free(names.plural ?? '', taken.resources, 'PluralConflict')) accepted.plural = names.plural ?? ''
  if (free(names.singular ?? '', taken.resources, 'SingularConflict')) accepted.singular = names.singular
  else if (before.singular) accepted.singular = before.singular
  const short = names.shortNames ?? []
  const shortFree = short.map((name) => free(name, taken.resources, 'ShortNamesConflict')).every(Boolean)
  const shortNames = shortFree ? short : (before.shortNames ?? [])
  if (shortNames.length > 0) accepted.shortNames = shortNames
  if (free(names.kind ?? '', taken.kinds, 'KindConflict')) accepted.kind = names.kind ?? ''
  if (free(names.listKind ?? '', taken.kinds, 'ListKindConflict')) accepted.listKind = names.listKind
  else if (before.listKind) accepted.listKind = before.listKind
  if (names.categories?.length) accepted.categories = names.categories
  const last = conflicts.at(-1)
  return {
    accepted,
    condition: last
      ? { type: 'NamesAccepted', status: 'False', reason: last[0], message: last[1] }
      : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
  }
}

/** The first thing that keeps a version's schema from being structural. */
function nonStructural(crd: KubeObject): Omit<CrdCondition, 'lastTransitionTime'> | undefined {
  for (const [i, version] of (specOf(crd).versions ?? []).entries()) {
    const raw = version.schema?.openAPIV3Schema
    if (raw === undefined) continue
    const { schema, errors } = parseSchema(raw, `spec.versions[${i}].schema.openAPIV3Schema`)
    const [first] =
      errors.length > 0 ? errors : validateStructural(schema, `spec.versions[${i}].schema.openAPIV3Schema`)
    if (first !== undefined)
      return {
        type: 'NonStructuralSchema',
        status: 'True',
        reason: 'Violations',
        message: `${first.field}: ${first.detail}`,
      }
  }
  return undefined
}

/**
 * The status of a CustomResourceDefinition: which names it got, and whether it is served. `others` are the other
 * definitions (of any group). Established stays once it is true. Nothing changes when nothing is new, so that the
 * result can be compared with the status that is there. `now`: milliseconds since the epoch.
 */
export function establish(crd: KubeObject, others: readonly KubeObject[], now: number = Date.now()): CrdStatus {
  const status = statusOf(crd)
  const before = new Map((status.conditions ?? []).map((c) => [c.type, c]))
  const naming = acceptNames(specOf(crd).names ?? {}, status.acceptedNames ?? {}, takenBy(others, crd))
  const established = before.get('Established')?.status === 'True' || naming.condition.status === 'True'
  const wanted: Omit<CrdCondition, 'lastTransitionTime'>[] = [
    naming.condition,
    established
      ? {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        }
      : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' },
  ]
  const violation = nonStructural(crd)
  if (violation !== undefined) wanted.push(violation)
  const mine = new Set(['NamesAccepted', 'Established', 'NonStructuralSchema'])
  const conditions = [
    ...wanted.map((condition) => transition(condition, before.get(condition.type), now)),
    ...(status.conditions ?? []).filter((c) => !mine.has(c.type)),
  ]
  return {
    ...status,
    acceptedNames: isDeepStrictEqual(naming.accepted, status.acceptedNames) ? status.acceptedNames! : naming.accepted,
    conditions,
  }
}

/** How far the deletion of a definition's objects is (apiextensions pkg/controller/finalizer). */
const TERMINATION = {
  started: { status: 'True', reason: 'InstanceDeletionInProgress', message: 'CustomResource deletion is in progress' },
  waiting: {
    status: 'True',
    reason: 'InstanceDeletionCheck',
    message: 'could not confirm zero CustomResources remaining: timed out waiting for the condition',
  },
  done: { status: 'False', reason: 'InstanceDeletionCompleted', message: 'removed all instances' },
} as const

/** The status with this condition of type Terminating; the same status when it says so already. */
export function withTermination(crd: KubeObject, step: keyof typeof TERMINATION, now: number = Date.now()): CrdStatus {
  const status = statusOf(crd)
  const conditions = status.conditions ?? []
  const before = conditions.find((c) => c.type === 'Terminating')
  const wanted = { type: 'Terminating', ...TERMINATION[step] }
  if (before?.status === wanted.status && before.reason === wanted.reason) return status
  const rest = conditions.filter((c) => c !== before)
  return { ...status, conditions: [...rest, transition(wanted, before, now)] }
}

function transition(
  condition: Omit<CrdCondition, 'lastTransitionTime'>,
  before: CrdCondition | undefined,
  now: number,
): CrdCondition {
  const since = before?.status === condition.status ? before.lastTransitionTime : undefined
  return { lastTransitionTime: since ?? `${new Date(now).toISOString().slice(0, 19)}Z`, ...condition }
}
