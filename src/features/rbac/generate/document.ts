import type { KubeObject } from '../../../kernel/api/object.ts'
import { holderText } from '../diff/holder.ts'
import { ruleOf } from '../diff/permission.ts'
import { printable, ruleText } from '../diff/report.ts'
import type { PolicyRule } from '../engine/types.ts'
import { roleWriterRemarks } from './role-writers.ts'
import { type Generated, type GeneratedRole, type LeftOut, manifestsOf, type UsedRule } from './roles.ts'
import type { UsageSummary, Use } from './usage.ts'

/** What stands in metadata.annotations, since comments do not survive `kubectl apply`. */
const OBSERVED = 'rbac.rampart.dev/observed'

const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)
const usedText = ({ count, last }: Use): string => `used ${times(count)}, last ${time(last)}`

/** A List that kubectl applies. */
export function generatedList(generated: Generated): KubeObject {
  const items = generated.roles.flatMap((role) => {
    const [object, binding] = manifestsOf(role)
    return [{ ...object, metadata: { ...object.metadata, annotations: { [OBSERVED]: observed(role) } } }, binding]
  })
  return { apiVersion: 'v1', kind: 'List', metadata: {}, items }
}

/** YAML documents that kubectl applies, with what each rule was used for above it. */
export function generatedYaml(generated: Generated, summary: UsageSummary): string {
  const head = [
    `# Made from ${summary.used} of ${summary.events} audit events${period(summary)}.`,
    '# What was not done in that time is not allowed: look through it before you apply it.',
    ...roleWriterRemarks(generated).map((remark) => `# ${remark}.`),
  ]
  const documents = generated.roles.map((role) => roleYaml(role))
  const leftOut =
    generated.leftOut.length === 0 ? [] : ['# Left out, used too seldom:', ...generated.leftOut.map(leftOutLine)]
  return `${[...head, ...leftOut].join('\n')}\n${documents.map((text) => `---\n${text}`).join('')}`
}

function period({ first, last }: UsageSummary): string {
  return first === undefined || last === undefined ? '' : `, from ${time(first)} to ${time(last)}`
}

function leftOutLine({ holder, namespace, permission, use }: LeftOut): string {
  const where = namespace === '' ? 'cluster-wide' : `in ${printable(namespace)}`
  return `#   ${printable(holderText(holder))}: ${ruleText(ruleOf(permission))} ${where}, ${usedText(use)}`
}

function observed(role: GeneratedRole): string {
  const count = role.rules.reduce((sum, { use }) => sum + use.count, 0)
  return usedText({ count, last: Math.max(...role.rules.map(({ use }) => use.last)) })
}

function roleYaml(role: GeneratedRole): string {
  const [object, binding] = manifestsOf(role)
  const metadata = (extra: string[] = []): string[] => [
    'metadata:',
    `  name: ${scalar(object.metadata.name)}`,
    ...(object.metadata.namespace === undefined ? [] : [`  namespace: ${scalar(object.metadata.namespace)}`]),
    ...extra,
  ]
  const subject = binding.subjects![0]!
  return [
    `# ${printable(holderText(role.holder))}`,
    `apiVersion: ${object.apiVersion}`,
    `kind: ${object.kind}`,
    ...metadata(['  annotations:', `    ${OBSERVED}: ${scalar(observed(role))}`]),
    'rules:',
    ...role.rules.flatMap(ruleYaml),
    '---',
    `apiVersion: ${binding.apiVersion}`,
    `kind: ${binding.kind}`,
    ...metadata(),
    'roleRef:',
    ...fields(binding.roleRef!, '  '),
    'subjects:',
    ...fields(subject, '  ').map((line, i) => (i === 0 ? line.replace('  ', '- ') : line)),
    '',
  ].join('\n')
}

function ruleYaml({ rule, use, byVerb }: UsedRule): string[] {
  const verbs = byVerb.length > 1 ? ` (${byVerb.map(([verb, count]) => `${printable(verb)} ${count}`).join(', ')})` : ''
  const order: (keyof PolicyRule)[] = ['apiGroups', 'resources', 'resourceNames', 'nonResourceURLs', 'verbs']
  const lines = order
    .filter((field) => rule[field] !== undefined)
    .map((field) => `  ${field}: [${rule[field]!.map(scalar).join(', ')}]`)
  return [`# ${usedText(use)}${verbs}`, ...lines.map((line, i) => (i === 0 ? line.replace('  ', '- ') : line))]
}

function fields(object: object, indent: string): string[] {
  return Object.entries(object).map(([key, value]) => `${indent}${key}: ${scalar(String(value))}`)
}

const PLAIN = /^[a-z](?:[a-z0-9./-]*[a-z0-9])?$/i
/** YAML 1.1, which kubectl reads, takes these for something else than text. */
const RESERVED = /^(?:y|n|yes|no|on|off|true|false|null)$/i

/** Everything that is not plainly a word goes into JSON quotes, which are YAML's too. */
function scalar(text: string): string {
  return PLAIN.test(text) && !RESERVED.test(text)
    ? text
    : JSON.stringify(text).replace(/[\x7f-\x9f\u2028\u2029\ufeff]/g, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
