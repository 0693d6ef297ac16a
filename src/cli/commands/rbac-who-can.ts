import type { ChainStep } from '../../features/rbac/analysis/escalation/chain-steps.ts'
import { type IndirectHolder, indirectHolders } from '../../features/rbac/analysis/indirect.ts'
import { questionText } from '../../features/rbac/analysis/question.ts'
import { subjectName } from '../../features/rbac/analysis/subject.ts'
import { type Holder, whoCan as whoCanIn } from '../../features/rbac/analysis/who-can.ts'
import type { RbacWorld } from '../../features/rbac/world.ts'
import { outputFormat, print, printTable, printValue, say } from '../output.ts'
import { readQuestion, sourceCells, sourceOf } from './rbac-question.ts'
import { type RbacSourceOptions, rbacSource } from './rbac-source.ts'

export type WhoCanOptions = RbacSourceOptions & {
  namespace?: string
  allNamespaces?: boolean
  subresource?: string
  indirect?: boolean
  output?: string
}

/** Exit 0 when somebody may, 1 when nobody. */
export async function whoCan(
  verb: string,
  resource: string,
  name: string | undefined,
  options: WhoCanOptions,
): Promise<void> {
  const format = outputFormat(options.output)
  const source = await rbacSource(options, { workloads: options.indirect === true })
  const { world } = source
  const anywhere = options.allNamespaces === true
  const question = await readQuestion(source.client, {
    verb,
    resource,
    namespace: anywhere ? '' : (options.namespace ?? source.namespace),
    ...(name === undefined ? {} : { name }),
    ...(options.subresource === undefined ? {} : { subresource: options.subresource }),
  })
  const { holders, named } = whoCanIn(world, question, anywhere)
  const indirect = options.indirect ? indirectHolders(world, holders) : []
  process.exitCode = holders.length + indirect.length > 0 ? 0 : 1
  const subjects = [
    ...new Set([...holders.map(({ grant }) => grant.subject), ...indirect.map((i) => i.subject)].map(subjectName)),
  ]
  if (format === 'json' || format === 'yaml')
    printValue(format, {
      question,
      holders: holders.map((holder) => entryOf(world, holder)),
      limitedToNames: named.map((holder) => entryOf(world, holder)),
      ...(options.indirect ? { indirect } : {}),
    })
  else if (subjects.length === 0) say(`nobody may ${questionText(question)}`)
  else if (format === 'name') print(subjects.join('\n'))
  else {
    if (holders.length > 0) printHolders(world, holders, format === 'wide')
    if (indirect.length > 0) printIndirect(indirect)
  }
  for (const { grant, rule } of named)
    say(`note: only for names ${rule.resourceNames!.join(', ')}: ${subjectName(grant.subject)}`)
  if (!subjects.includes('group/system:masters'))
    say('note: members of the group system:masters may do everything, whatever the bindings say')
}

function printHolders(world: RbacWorld, holders: readonly Holder[], wide: boolean): void {
  printTable(
    ['SUBJECT', 'NAMESPACE', 'BINDING', 'ROLE', 'RULE', ...(wide ? ['AT'] : [])],
    holders.map(({ grant, ruleIndex }) => {
      const from = sourceOf(world, grant, ruleIndex)
      const where = grant.namespace === '' ? '*' : grant.namespace
      return [subjectName(grant.subject), where, ...sourceCells(from), ...(wide ? [from.at ?? ''] : [])]
    }),
  )
}

function printIndirect(indirect: readonly IndirectHolder[]): void {
  print('\nindirectly:')
  for (const { subject, chain } of indirect) print(`  ${subjectName(subject)}: ${chain.map(deedText).join('; then ')}`)
}

const deedText = ({ subject, may, so }: ChainStep, i: number): string =>
  `${i === 0 ? '' : `${subject} `}may ${may} and ${so}`

function entryOf(world: RbacWorld, { grant, ruleIndex }: Holder): object {
  const { kind, namespace, name } = grant.subject
  return {
    subject: { kind, ...(namespace === '' ? {} : { namespace }), name },
    namespace: grant.namespace === '' ? '*' : grant.namespace,
    ...sourceOf(world, grant, ruleIndex),
  }
}
