import type { PolicyRule } from '../engine/types.ts'

/**
 * A rule in one line: `VERBS GROUPS RESOURCES [NAMES]` or `VERBS URLS`, each a comma-separated list; `core` is the
 * group without a name.
 */
export type RuleLine = string

export const READ = 'get,list,watch'
export const WRITE = 'create,delete,deletecollection,patch,update'
export const ALL = 'create,delete,deletecollection,get,list,patch,update,watch'
/** What everyone who reports events needs. */
export const EVENTS: RuleLine = 'create,patch,update core,events.k8s.io events'

export type Rule = {
  verbs: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

export function parseRuleLine(line: RuleLine): Rule & PolicyRule {
  const [verbs = '', second = '', resources, names, ...rest] = line.split(' ')
  if (verbs === '' || second === '' || rest.length > 0) throw new Error(`rule line ${JSON.stringify(line)}`)
  if (resources === undefined) return { verbs: verbs.split(','), nonResourceURLs: second.split(',') }
  return {
    verbs: verbs.split(','),
    apiGroups: second.split(',').map((group) => (group === 'core' ? '' : group)),
    resources: resources.split(','),
    ...(names === undefined ? {} : { resourceNames: names.split(',') }),
  }
}
