import { ApiError } from '../api/status.ts'
import { type FieldSet, forEachPath } from './field-set.ts'
import type { Ownership } from './managed-fields.ts'
import { type PathElement, printPath } from './path-element.ts'

/** Fields that the applier wants to change and that another manager owns. */
export type Conflict = { owner: Ownership; path: PathElement[] }

export function conflictsWith(owner: Ownership, fields: FieldSet): Conflict[] {
  const conflicts: Conflict[] = []
  forEachPath(fields, (path) => {
    conflicts.push({ owner, path })
  })
  return conflicts
}

/** 409 with one cause per field, worded as Kubernetes does. `conflicts` come grouped by manager, managers sorted. */
export function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes = conflicts.map(({ owner, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${printManager(owner)}`,
    field: printPath(path),
  }))
  return new ApiError('Conflict', conflictMessage(conflicts), { causes })
}

function conflictMessage(conflicts: readonly Conflict[]): string {
  const [only] = conflicts
  if (conflicts.length === 1 && only !== undefined) {
    return `Apply failed with 1 conflict: conflict with ${printManager(only.owner)}: ${printPath(only.path)}`
  }
  const lines: string[] = []
  let last: Ownership | undefined
  for (const { owner, path } of conflicts) {
    if (owner !== last) lines.push(`conflicts with ${printManager(owner)}:`)
    last = owner
    lines.push(`- ${printPath(path)}`)
  }
  return `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`
}

function printManager(owner: Ownership): string {
  const subresource = owner.subresource === '' ? '' : ` with subresource ${JSON.stringify(owner.subresource)}`
  const version = owner.operation === 'Update' ? ` using ${owner.apiVersion}` : ''
  return JSON.stringify(owner.manager) + subresource + version
}
