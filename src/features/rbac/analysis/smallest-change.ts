import type { KubeObject } from '../../../kernel/api/object.ts'
import { RBAC_GROUP } from '../engine/types.ts'
import { qualified } from './describe.ts'
import type { Question } from './question.ts'
import type { SubjectId } from './subject.ts'

export type SmallestChange = {
  /** A role with that one rule, and its binding. */
  objects: [role: KubeObject, binding: KubeObject]
  /** The same as kubectl commands. */
  commands: [string, string]
}

/**
 * What grants exactly the question and nothing more: a Role and a RoleBinding in its namespace; cluster-wide, a
 * ClusterRole and a ClusterRoleBinding. The names are made from the question.
 */
export function smallestChange(subject: SubjectId, question: Question): SmallestChange {
  const namespace = 'path' in question ? '' : question.namespace
  const name = nameFor(subject, question)
  const [roleKind, bindingKind] = namespace === '' ? ['ClusterRole', 'ClusterRoleBinding'] : ['Role', 'RoleBinding']
  const metadata = { name, ...(namespace === '' ? {} : { namespace }) }
  const apiVersion = `${RBAC_GROUP}/v1`
  const rule =
    'path' in question
      ? { nonResourceURLs: [question.path], verbs: [question.verb] }
      : {
          apiGroups: [question.apiGroup],
          resources: [resourceOf(question)],
          ...(question.name === '' ? {} : { resourceNames: [question.name] }),
          verbs: [question.verb],
        }
  const bound =
    subject.kind === 'ServiceAccount'
      ? { kind: 'ServiceAccount', name: subject.name, namespace: subject.namespace }
      : { apiGroup: RBAC_GROUP, kind: subject.kind, name: subject.name }
  const where = namespace === '' ? '' : ` -n ${shell(namespace)}`
  const to =
    subject.kind === 'ServiceAccount'
      ? `--serviceaccount=${shell(`${subject.namespace}:${subject.name}`)}`
      : `--${subject.kind.toLowerCase()}=${shell(subject.name)}`
  return {
    objects: [
      { apiVersion, kind: roleKind, metadata, rules: [rule] },
      {
        apiVersion,
        kind: bindingKind,
        metadata: { ...metadata },
        roleRef: { apiGroup: RBAC_GROUP, kind: roleKind, name },
        subjects: [bound],
      },
    ],
    commands: [
      `kubectl create ${roleKind.toLowerCase()} ${name} --verb=${shell(question.verb)} ${whatFlags(question)}${where}`,
      `kubectl create ${bindingKind.toLowerCase()} ${name} --${roleKind.toLowerCase()}=${name} ${to}${where}`,
    ],
  }
}

function resourceOf(question: Exclude<Question, { path: string }>): string {
  return question.subresource === '' ? question.resource : `${question.resource}/${question.subresource}`
}

function whatFlags(question: Question): string {
  if ('path' in question) return `--non-resource-url=${shell(question.path)}`
  const name = question.name === '' ? '' : ` --resource-name=${shell(question.name)}`
  return `--resource=${shell(qualified(resourceOf(question), question.apiGroup))}${name}`
}

/** `ann-get-pods-exec`: lower case, letters, digits and dashes, at most 63. */
function nameFor(subject: SubjectId, question: Question): string {
  const what = 'path' in question ? question.path : resourceOf(question)
  const plain = `${subject.name}-${question.verb}-${what}`.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return plain.replace(/^-+/, '').slice(0, 63).replace(/-+$/, '')
}

/** Quoted for a POSIX shell where it needs to be. */
function shell(text: string): string {
  return /^[A-Za-z0-9_./:@=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
