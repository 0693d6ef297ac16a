import { ApiError, type StatusCause } from '../api/status.ts'
import { type FieldSet, forEachPath, sizeOf } from './field-set.ts'
import type { Ownership } from './managed-fields.ts'
import { printPath } from './path-element.ts'

/** Fields that the applier wants to change and that another manager owns. */
export type Conflict = { owner: Ownership; fields: FieldSet }

/** So much of paths an answer lists, in characters; the rest is only counted. */
const MAX_LISTED = 256 * 1024

/** 409 with one cause per field, worded as Kubernetes does. Managers come sorted. */
export function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes: StatusCause[] = []
  const lines: string[] = []
  const total = conflicts.reduce((count, { fields }) => count + sizeOf(fields), 0)
  let length = 0
  for (const { owner, fields } of conflicts) {
    const manager = printManager(owner)
    if (length <= MAX_LISTED) lines.push(`conflicts with ${manager}:`)
    forEachPath(fields, (path) => {
      if (length > MAX_LISTED) return false
      const field = printPath(path)
      length += field.length
      causes.push({ reason: 'FieldManagerConflict', message: `conflict with ${manager}`, field })
      lines.push(`- ${field}`)
      return true
    })
  }
  if (causes.length < total) lines.push(`- and ${total - causes.length} more`)
  const [only] = causes
  const message =
    total === 1 && only !== undefined
      ? `Apply failed with 1 conflict: ${only.message}: ${only.field}`
      : `Apply failed with ${total} conflicts: ${lines.join('\n')}`
  return new ApiError('Conflict', message, { causes })
}

function printManager(owner: Ownership): string {
  const subresource = owner.subresource === '' ? '' : ` with subresource ${JSON.stringify(owner.subresource)}`
  const version = owner.operation === 'Update' ? ` using ${owner.apiVersion}` : ''
  return JSON.stringify(owner.manager) + subresource + version
}
