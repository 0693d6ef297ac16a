import { bindingRef, type ObjectRef, refText, roleRefOf, ruleText } from '../../features/rbac/analysis/describe.ts'
import { builtinResources, discoveredResources } from '../../features/rbac/analysis/known-resources.ts'
import type { Question } from '../../features/rbac/analysis/question.ts'
import { type Asked, resolveQuestion } from '../../features/rbac/analysis/resolve.ts'
import type { Grant } from '../../features/rbac/analysis/world-index.ts'
import type { PolicyRule } from '../../features/rbac/index.ts'
import type { RbacWorld } from '../../features/rbac/world.ts'
import type { Client } from '../../kernel/client/client.ts'
import { CliError } from '../error.ts'
import { say } from '../output.ts'

/** Reads what is asked by the cluster's discovery, or by the built-in kinds; remarks go to stderr. */
export async function readQuestion(client: Client | undefined, asked: Asked): Promise<Question> {
  if (asked.verb === '' || asked.resource === '') throw new CliError('VERB and RESOURCE must not be empty', 2)
  const known = client === undefined ? builtinResources() : await discoveredResources(client)
  const { question, remarks } = resolveQuestion(known, asked)
  for (const remark of remarks) say(`note: ${remark}`)
  return question
}

export type Source = { binding: ObjectRef; role: ObjectRef; ruleIndex: number; rule: PolicyRule; at?: string }

/** One rule and the way by which it came to a subject, as -o json gives it. */
export function sourceOf(world: RbacWorld, grant: Grant, ruleIndex: number): Source {
  const at = world.origin(grant.binding)
  return {
    binding: bindingRef(grant),
    role: roleRefOf(grant),
    ruleIndex,
    rule: grant.rules[ruleIndex]!,
    ...(at === undefined ? {} : { at }),
  }
}

/** Cells: binding, role, rule. */
export function sourceCells({ binding, role, rule }: Source): [string, string, string] {
  return [refText(binding), refText(role), ruleText(rule)]
}
