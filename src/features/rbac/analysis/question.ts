import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes } from '../../../kernel/authz/types.ts'
import { resourceQuery, ruleAllowsPath, ruleAllowsResource } from '../engine/rules.ts'
import type { PolicyRule } from '../engine/types.ts'
import { qualified } from './describe.ts'

/** What is asked about: a verb on a resource, or on a path that is no resource. */
export type Question =
  | {
      verb: string
      apiGroup: string
      resource: string
      subresource: string
      /** '' for no one in particular, which rules limited to names do not cover. */
      name: string
      /** '' for cluster-scoped resources, and for all namespaces at once. */
      namespace: string
    }
  | { verb: string; path: string }

export function attributesOf(question: Question, user: UserInfo): Attributes {
  return 'path' in question
    ? { resourceRequest: false, user, ...question }
    : { resourceRequest: true, user, apiVersion: '*', ...question }
}

/** Whether a rule, wherever it counts, allows what is asked. */
export function ruleMatcher(question: Question): (rule: PolicyRule) => boolean {
  if ('path' in question) return (rule) => ruleAllowsPath(rule, question.verb, question.path)
  const { verb, apiGroup, resource, subresource, name } = question
  const query = resourceQuery(verb, apiGroup, resource, subresource, name)
  return (rule) => ruleAllowsResource(rule, query)
}

/** `get secrets "a" in namespace shop`. */
export function questionText(question: Question): string {
  if ('path' in question) return `${question.verb} ${question.path}`
  const { verb, apiGroup, resource, subresource, name, namespace } = question
  const what = qualified(subresource === '' ? resource : `${resource}/${subresource}`, apiGroup)
  const where = namespace === '' ? '' : ` in namespace ${namespace}`
  return `${verb} ${what}${name === '' ? '' : ` ${JSON.stringify(name)}`}${where}`
}
