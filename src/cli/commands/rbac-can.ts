import { dump } from 'js-yaml'
import { type CanAnswer, can as canIn, listRules } from '../../features/rbac/analysis/can.ts'
import { bindingRef, qualified, refText, ruleText } from '../../features/rbac/analysis/describe.ts'
import type { NearMiss } from '../../features/rbac/analysis/near-miss.ts'
import { type Question, questionText } from '../../features/rbac/analysis/question.ts'
import { type SmallestChange, smallestChange } from '../../features/rbac/analysis/smallest-change.ts'
import { describe, parseUser, type SubjectId, userName } from '../../features/rbac/analysis/subject.ts'
import type { PolicyRule } from '../../features/rbac/index.ts'
import type { RbacWorld } from '../../features/rbac/world.ts'
import { CliError } from '../error.ts'
import { type OutputFormat, outputFormat, print, printTable, printValue, say } from '../output.ts'
import { readQuestion, type Source, sourceCells, sourceOf } from './rbac-question.ts'
import { type RbacSourceOptions, rbacSource } from './rbac-source.ts'

export type CanOptions = RbacSourceOptions & {
  namespace?: string
  allNamespaces?: boolean
  group?: string[]
  subresource?: string
  list?: boolean
  output?: string
}

/** Exit 0 when the user may (with --list: when there is anything that they may), 1 when not. */
export async function can(
  user: string,
  verb: string | undefined,
  resource: string | undefined,
  name: string | undefined,
  options: CanOptions,
): Promise<void> {
  const format = outputFormat(options.output)
  if (options.list ? verb !== undefined : verb === undefined || resource === undefined)
    throw new CliError('give VERB and RESOURCE, or --list alone', 2)
  const source = await rbacSource(options, { workloads: false })
  const namespace = options.allNamespaces ? '' : (options.namespace ?? source.namespace)
  const subject = parseUser(user, namespace)
  if (subject === undefined) throw new CliError(`${JSON.stringify(user)} is not a service account's name`, 2)
  if (options.list) {
    list(source.world, subject, options.group ?? [], namespace, format)
    return
  }
  const question = await readQuestion(source.client, {
    verb: verb!,
    resource: resource!,
    namespace,
    ...(name === undefined ? {} : { name }),
    ...(options.subresource === undefined ? {} : { subresource: options.subresource }),
  })
  answer(source.world, subject, options.group ?? [], question, format)
}

function answer(
  world: RbacWorld,
  subject: SubjectId,
  groups: readonly string[],
  question: Question,
  format: OutputFormat,
): void {
  const result = canIn(world, subject, groups, question)
  process.exitCode = result.allowed ? 0 : 1
  if (format === 'name') print(result.allowed ? 'yes' : 'no')
  else if (format === 'json' || format === 'yaml')
    printValue(format, {
      user: userName(subject),
      groups,
      question,
      ...(result.allowed ? yesValue(world, result) : noValue(world, result, smallestChange(subject, question))),
    })
  else if (result.allowed) printYes(world, result)
  else printNo(result, subject, question, format)
}

type Yes = Extract<CanAnswer, { allowed: true }>
type No = Extract<CanAnswer, { allowed: false }>

function yesValue(world: RbacWorld, { allowed, by }: Yes): object {
  return { allowed, by: by === 'system:masters' ? by : sourceOf(world, by.grant, by.ruleIndex) }
}

function noValue(world: RbacWorld, { allowed, errors, nearMisses }: No, change: SmallestChange): object {
  const misses = nearMisses.map(({ reason, grant, ruleIndex }) => ({
    reason,
    namespace: grant.namespace === '' ? '*' : grant.namespace,
    ...sourceOf(world, grant, ruleIndex),
  }))
  return { allowed, nearMisses: misses, errors, smallestChange: change }
}

function printYes(world: RbacWorld, { by }: Yes): void {
  print('yes')
  if (by === 'system:masters') {
    print('member of the group system:masters, whom no rule binds')
    return
  }
  const source = sourceOf(world, by.grant, by.ruleIndex)
  const [binding, role, rule] = sourceCells(source)
  print(`binding   ${binding}${source.at === undefined ? '' : ` (${source.at})`}`)
  print(`role      ${role}`)
  print(`rule      ${rule}`)
}

function printNo(result: No, subject: SubjectId, question: Question, format: OutputFormat): void {
  print(`no\nno rule lets ${describe(subject)} ${questionText(question)}`)
  for (const error of result.errors) say(`note: a binding grants nothing: ${error}`)
  if (subject.kind === 'User' && subject.name.startsWith('system:node:'))
    say('note: what the pods of a machine need, the Node authorizer allows it; this is about RBAC alone')
  if (result.nearMisses.length > 0) print(`\nnearly:\n${result.nearMisses.map(nearly).join('\n')}`)
  const change = smallestChange(subject, question)
  print(`\nto allow exactly this:\n  ${change.commands.join('\n  ')}`)
  if (format === 'wide') print(`\n${change.objects.map((object) => dump(object, { noRefs: true })).join('---\n')}`)
}

const DIFFERS: Readonly<Record<NearMiss['reason'], string>> = {
  verb: 'has other verbs',
  name: 'is limited to other names',
  namespace: 'counts in another namespace',
  resource: 'is for other resources',
  apiGroup: 'is for another API group',
  subresource: 'is for the resource without, or with another, subresource',
  path: 'is for other paths',
}

function nearly({ reason, grant, rule }: NearMiss): string {
  const where = reason === 'namespace' && grant.namespace !== '' ? ` (${grant.namespace})` : ''
  return `  ${ruleText(rule)}: ${DIFFERS[reason]}${where}; by ${refText(bindingRef(grant))}`
}

function list(
  world: RbacWorld,
  subject: SubjectId,
  groups: readonly string[],
  namespace: string,
  format: OutputFormat,
): void {
  const rules = listRules(world, subject, groups, namespace)
  process.exitCode = rules.length > 0 ? 0 : 1
  const entries = rules.map(({ grant, ruleIndex }) => sourceOf(world, grant, ruleIndex))
  if (format === 'json' || format === 'yaml')
    printValue(format, { user: userName(subject), groups, namespace, rules: entries })
  else if (format === 'name') print([...new Set(entries.map(({ rule }) => ruleText(rule)))].join('\n'))
  else printRules(entries)
}

function printRules(entries: readonly Source[]): void {
  const cell = (values: readonly string[] | undefined): string => `[${(values ?? []).join(' ')}]`
  const resources = (rule: PolicyRule): string =>
    (rule.apiGroups ?? []).flatMap((group) => (rule.resources ?? []).map((r) => qualified(r, group))).join(',')
  printTable(
    ['RESOURCES', 'NON-RESOURCE URLS', 'RESOURCE NAMES', 'VERBS', 'BINDING', 'ROLE'],
    entries.map((entry) => {
      const { rule } = entry
      const [binding, role] = sourceCells(entry)
      return [resources(rule), cell(rule.nonResourceURLs), cell(rule.resourceNames), cell(rule.verbs), binding, role]
    }),
  )
}
