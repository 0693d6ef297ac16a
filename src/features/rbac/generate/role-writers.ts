import { holderText } from '../diff/holder.ts'
import { printable } from '../diff/report.ts'
import { RBAC_GROUP } from '../engine/types.ts'
import type { Generated, GeneratedRole } from './roles.ts'

const WRITES = ['create', 'update', 'patch']
/** What else it takes to write it, beside the rules that it grants. */
const VERB: Readonly<Record<string, string>> = {
  roles: 'escalate',
  clusterroles: 'escalate',
  rolebindings: 'bind',
  clusterrolebindings: 'bind',
}

/**
 * One line for each generated role whose holder wrote roles or bindings. The escalation check asks such writers for what
 * they grant; it leaves no trace in a log, so what is generated does not allow that work by itself.
 */
export function roleWriterRemarks({ roles }: Generated): string[] {
  return roles.flatMap((role) => {
    const written = writtenBy(role)
    if (written.length === 0) return []
    const where = role.namespace === '' ? 'cluster-wide' : `in namespace ${printable(role.namespace)}`
    const verbs = [...new Set(written.map((resource) => VERB[resource]!))].join(' or ')
    return [
      `${printable(holderText(role.holder))} wrote ${written.join(', ')} ${where}: that takes the rules that they grant, too, or the verb ${verbs}, which no log shows`,
    ]
  })
}

function writtenBy({ rules }: GeneratedRole): string[] {
  const written = rules
    .filter(({ rule }) => rule.apiGroups?.includes(RBAC_GROUP) && WRITES.some((verb) => rule.verbs?.includes(verb)))
    .flatMap(({ rule }) => rule.resources ?? [])
  return Object.keys(VERB).filter((resource) => written.includes(resource))
}
