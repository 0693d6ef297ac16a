import { createHash } from 'node:crypto'
import { type Holder, holderText } from '../diff/holder.ts'

const MAX_PART = 80

/** Readable, and different for different holders: what cannot stand in a name is replaced and made up for by a hash. */
export function roleNamePart(holder: Holder): string {
  const raw =
    holder.kind === 'ServiceAccount'
      ? `sa.${holder.namespace}.${holder.name}`
      : `${holder.kind === 'User' ? 'user' : 'group'}.${holder.name}`
  const clean = raw
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .slice(0, MAX_PART)
    .replace(/[.-]+$/, '')
  return clean === raw ? clean : `${clean}-${createHash('sha256').update(holderText(holder)).digest('hex').slice(0, 8)}`
}

/** Names of roles are segments of a path (rbac/validation: ValidateRBACName). Undefined when fine. */
export function wrongRoleName(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..') return `${JSON.stringify(name)} cannot be the name of a role`
  if (name.length > 150) return 'a name of a role with more than 150 characters'
  return /[/%\s\p{Cc}]/u.test(name) ? 'a name of a role holds no "/", "%" or space' : undefined
}
