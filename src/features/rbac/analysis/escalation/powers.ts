import { resourceQuery, ruleAllowsResource } from '../../engine/rules.ts'
import { type PolicyRule, RBAC_GROUP } from '../../engine/types.ts'

/** What a rule gives that can be turned into somebody else's rights. */
export type Power =
  | 'full'
  | 'run-pods'
  | 'change-pods'
  | 'exec'
  | 'nodes-proxy'
  | 'token'
  | 'read-secrets'
  | 'create-secrets'
  | 'impersonate-users'
  | 'impersonate-groups'
  | 'impersonate-serviceaccounts'
  | 'escalate-clusterroles'
  | 'change-clusterroles'
  | 'create-clusterroles'
  | 'escalate-roles'
  | 'change-roles'
  | 'bind-clusterroles'
  | 'bind-roles'
  | 'write-clusterrolebindings'
  | 'write-rolebindings'
  | 'create-csr'
  | 'approve-csr'
  | 'approve-signer'
  | 'write-mutating-webhooks'

/** `verbs group resources`, as rule-line.ts has it. A request that names no object is not covered by rules with names. */
type Request = { verbs: readonly string[]; group: string; resources: readonly string[] }

const of = (verbs: string, group: string, resources: string): Request => ({
  verbs: verbs.split(','),
  group,
  resources: resources.split(','),
})

/** A power is there when one of its requests is allowed. Cluster-wide ones are of kinds without a namespace. */
const POWERS: readonly [Exclude<Power, 'full'>, 'namespaced' | 'cluster', ...Request[]][] = [
  [
    'run-pods',
    'namespaced',
    of('create', '', 'pods'),
    of('create,update,patch', 'apps', 'deployments,statefulsets,daemonsets,replicasets'),
    of('create,update,patch', '', 'replicationcontrollers'),
    of('create,update,patch', 'batch', 'cronjobs'),
    of('create', 'batch', 'jobs'),
  ],
  ['change-pods', 'namespaced', of('update,patch', '', 'pods')],
  [
    'exec',
    'namespaced',
    // Until Kubernetes 1.35 a WebSocket asks for the verb get.
    of('create,get', '', 'pods/exec,pods/attach'),
    of('update,patch', '', 'pods/ephemeralcontainers'),
  ],
  ['nodes-proxy', 'cluster', of('create,get', '', 'nodes/proxy')],
  ['token', 'namespaced', of('create', '', 'serviceaccounts/token')],
  ['read-secrets', 'namespaced', of('get,list,watch', '', 'secrets')],
  ['create-secrets', 'namespaced', of('create', '', 'secrets')],
  ['impersonate-users', 'cluster', of('impersonate', '', 'users')],
  ['impersonate-groups', 'cluster', of('impersonate', '', 'groups')],
  ['impersonate-serviceaccounts', 'namespaced', of('impersonate', '', 'serviceaccounts')],
  ['escalate-clusterroles', 'cluster', of('escalate', RBAC_GROUP, 'clusterroles')],
  ['change-clusterroles', 'cluster', of('update,patch', RBAC_GROUP, 'clusterroles')],
  ['create-clusterroles', 'cluster', of('create', RBAC_GROUP, 'clusterroles')],
  ['escalate-roles', 'namespaced', of('escalate', RBAC_GROUP, 'roles')],
  ['change-roles', 'namespaced', of('update,patch', RBAC_GROUP, 'roles')],
  // Asked in the binding's namespace, so that a RoleBinding can give it.
  ['bind-clusterroles', 'namespaced', of('bind', RBAC_GROUP, 'clusterroles')],
  ['bind-roles', 'namespaced', of('bind', RBAC_GROUP, 'roles')],
  ['write-clusterrolebindings', 'cluster', of('create,update,patch', RBAC_GROUP, 'clusterrolebindings')],
  ['write-rolebindings', 'namespaced', of('create,update,patch', RBAC_GROUP, 'rolebindings')],
  ['create-csr', 'cluster', of('create', 'certificates.k8s.io', 'certificatesigningrequests')],
  ['approve-csr', 'cluster', of('update,patch', 'certificates.k8s.io', 'certificatesigningrequests/approval')],
  ['approve-signer', 'cluster', of('approve', 'certificates.k8s.io', 'signers')],
  [
    'write-mutating-webhooks',
    'cluster',
    of('create,update,patch', 'admissionregistration.k8s.io', 'mutatingwebhookconfigurations'),
  ],
]

const NEEDS_CLUSTER: ReadonlySet<Power> = new Set([
  'full',
  ...POWERS.filter(([, scope]) => scope === 'cluster').map(([power]) => power),
])

/** Whether a power means nothing when it is held in a namespace only. */
export const needsCluster = (power: Power): boolean => NEEDS_CLUSTER.has(power)

export type HeldPower = {
  power: Power
  ruleIndex: number
  /** Only for these names; undefined for all. */
  names: readonly string[] | undefined
}

const known = new WeakMap<readonly PolicyRule[], readonly HeldPower[]>()

/** The powers that a role's rules give; unlimited ones before those for some names. Remembered by the list of rules. */
export function powersOf(rules: readonly PolicyRule[]): readonly HeldPower[] {
  let powers = known.get(rules)
  if (powers === undefined) known.set(rules, (powers = find(rules)))
  return powers
}

function find(rules: readonly PolicyRule[]): HeldPower[] {
  const found: HeldPower[] = []
  for (const [ruleIndex, rule] of rules.entries()) {
    if (isFull(rule)) found.push({ power: 'full', ruleIndex, names: undefined })
    const names = (rule.resourceNames?.length ?? 0) > 0 ? rule.resourceNames : undefined
    for (const [power, , ...requests] of POWERS)
      if (requests.some((request) => allows(rule, request))) found.push({ power, ruleIndex, names })
  }
  return found.sort((a, b) => Number(a.names !== undefined) - Number(b.names !== undefined))
}

export function isFull(rule: PolicyRule): boolean {
  return (
    (rule.resourceNames?.length ?? 0) === 0 &&
    [rule.verbs, rule.apiGroups, rule.resources].every((list) => list?.includes('*') === true)
  )
}

/** Of an object whose name the request does not carry: create, but not of a subresource. */
const nameless = (verb: string, resource: string): boolean => verb === 'create' && !resource.includes('/')

function allows(rule: PolicyRule, { verbs, group, resources }: Request): boolean {
  const named = (rule.resourceNames?.length ?? 0) > 0
  return resources.some((resource) =>
    verbs.some((verb) => {
      if (named && nameless(verb, resource)) return false
      const [plain = '', sub = ''] = resource.split('/')
      return ruleAllowsResource(rule, resourceQuery(verb, group, plain, sub, rule.resourceNames?.[0] ?? ''))
    }),
  )
}
