import type { KnownResource, KnownResources } from './known-resources.ts'
import type { Question } from './question.ts'

export type Asked = {
  verb: string
  /** `pods`, `po`, `deploy.apps`, `deployments.v1.apps`, `pods/exec`, `pods/NAME`, `*`, `/healthz`. */
  resource: string
  name?: string
  subresource?: string
  /** Used for what is namespaced; '' asks about all namespaces at once. */
  namespace: string
}

export type Resolved = { question: Question; remarks: string[] }

/**
 * Reads a resource as `kubectl auth can-i` does, and `RESOURCE/SUBRESOURCE` besides. A name that is not known is taken
 * as typed, with a remark.
 */
export function resolveQuestion({ resources }: KnownResources, asked: Asked): Resolved {
  const { verb, namespace } = asked
  if (asked.resource.startsWith('/')) {
    const remarks =
      asked.name || asked.subresource ? ['a path has neither name nor subresource: they are not looked at'] : []
    return { question: { verb, path: asked.resource }, remarks }
  }
  const remarks: string[] = []
  const [type = '', ...after] = asked.resource.split('/')
  const slash = after.length === 0 ? undefined : after.join('/')
  const known = type === '*' ? undefined : find(resources, type)
  if (type !== '*' && known === undefined) remarks.push(`no resource ${JSON.stringify(type)} is known: taken as typed`)

  let subresource = asked.subresource ?? ''
  let name = asked.name ?? ''
  if (slash !== undefined) {
    const isSubresource = subresource === '' && (known === undefined || known.subresources.includes(slash))
    if (isSubresource) {
      subresource = slash
      if (known !== undefined && name === '')
        remarks.push(
          `${slash} is read as the subresource of ${known.plural}; for an object of that name: ${type} ${slash}`,
        )
    } else if (name === '') name = slash
  }
  if (known !== undefined && subresource !== '' && !known.subresources.includes(subresource))
    remarks.push(`${known.plural} has no subresource ${JSON.stringify(subresource)} that is known: taken as typed`)
  return {
    question: { verb, ...target(known, type), subresource, name, namespace: scope(known, name, namespace) },
    remarks,
  }
}

/** A request about one namespace counts as in that namespace (RequestInfo), one about another cluster-wide kind nowhere. */
function scope(known: KnownResource | undefined, name: string, namespace: string): string {
  if (known === undefined || known.namespaced) return namespace
  return known.group === '' && known.plural === 'namespaces' ? name : ''
}

function target(known: KnownResource | undefined, type: string = ''): { apiGroup: string; resource: string } {
  if (known !== undefined) return { apiGroup: known.group, resource: known.plural }
  if (type === '*') return { apiGroup: '*', resource: '*' }
  const dot = type.indexOf('.')
  return dot < 0 ? { apiGroup: '', resource: type } : { apiGroup: type.slice(dot + 1), resource: type.slice(0, dot) }
}

/** `deploy`, `deployment`, `Deployment`, `deployments.apps`, `deployments.v1.apps`. The first group that has it wins. */
function find(resources: readonly KnownResource[], type: string): KnownResource | undefined {
  const [word = '', ...rest] = type.toLowerCase().split('.')
  const groups = new Set([rest.join('.'), rest.slice(1).join('.')])
  const candidates = rest.length === 0 ? resources : resources.filter(({ group }) => groups.has(group))
  return (
    candidates.find(({ plural }) => plural === word) ??
    candidates.find(({ singular, kind }) => singular === word || kind === word) ??
    candidates.find(({ shortNames }) => shortNames.includes(word))
  )
}
