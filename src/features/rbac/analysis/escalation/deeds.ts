import type { RoleObject } from '../../engine/types.ts'
import type { AggregatedRoleObject } from '../../world.ts'
import { type SubjectId, subjectKey } from '../subject.ts'
import type { Grant, RoleKind, WorldIndex } from '../world-index.ts'
import { ADMIN, type Deed, type EscalationGraph, type Node } from './graph.ts'
import { type Evidence, Holdings } from './holdings.ts'
import { isFull, type Power } from './powers.ts'

const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client'

type Context = { graph: EscalationGraph; node: Node; held: Holdings; own: readonly Grant[]; world: WorldIndex }

/** Adds what a subject can do with its powers. At least one rule of every deed is the subject's own, not a group's. */
export function addDeeds(
  graph: EscalationGraph,
  node: Node,
  held: Holdings,
  own: readonly Grant[],
  world: WorldIndex,
): void {
  const context = { graph, node, held, own, world }
  const namespaces = [...held.namespaces()]
  for (const namespace of namespaces) inScope(context, namespace)
  if (namespaces.includes('')) everywhere(context)
}

const where = (namespace: string): string => (namespace === '' ? 'in every namespace' : `in namespace ${namespace}`)

const account = (namespace: string, name: string): Node => subjectKey({ kind: 'ServiceAccount', namespace, name })

/** What works on the objects of a namespace; '' for all of them. */
function inScope(context: Context, namespace: string): void {
  const { graph, node, held } = context
  const accounts = `accounts:${namespace}`
  const running = `running:${namespace}`
  const one = (power: Power, to: Node, may: string, so: string): void => {
    const by = held.own(power, namespace)[0]
    if (by !== undefined) graph.add(node, to, { may: `${may} ${where(namespace)}`, so, by: [by] })
  }
  one('run-pods', accounts, 'create pods', 'runs one as')
  one('change-pods', running, 'change running pods', 'puts its own image into one that runs as')
  one('read-secrets', `tokens:${namespace}`, 'read secrets', 'takes the stored token of')
  one('exec', running, 'run commands in pods', 'enters one that runs as')

  /** Powers over accounts, which names may limit. */
  const overAccounts = (power: Power, may: string, so: string): void => {
    for (const by of held.own(power, namespace)) {
      const deed = { may: `${may} ${where(namespace)}`, so, by: [by] }
      if (by.names === undefined) graph.add(node, accounts, deed)
      else if (namespace !== '') for (const name of by.names) graph.add(node, account(namespace, name), deed)
      else for (const to of accountsNamed(context.world, by.names)) graph.add(node, to, deed)
    }
  }
  overAccounts('token', 'create tokens of service accounts', 'takes one of')
  overAccounts('impersonate-serviceaccounts', 'impersonate service accounts', 'acts as')

  both(context, ['create-secrets', 'read-secrets'], namespace, (create, read) => {
    if (create.names === undefined && read.names === undefined)
      graph.add(node, accounts, {
        may: `create and read secrets ${where(namespace)}`,
        so: 'has a token put into a new one for',
        by: [create, read],
      })
  })
  bothOver(context, ['escalate-roles', 'change-roles'], namespace, (escalate, change, names) => {
    if (namespace === '' || !context.own.some((grant) => grant.namespace === namespace && isRole(grant, names))) return
    graph.add(node, accounts, {
      may: `change and escalate roles ${where(namespace)}`,
      so: 'gives itself everything there, also to act as',
      by: [escalate, change],
    })
  })
  both(context, ['bind-clusterroles', 'write-rolebindings'], namespace, (bind, write) => {
    const deed = {
      may: `bind cluster roles ${where(namespace)}`,
      so: 'gives itself everything there, also to act as',
      by: [bind, write],
    }
    for (const role of bindableRoles(context.world, bind))
      if (role === 'full') graph.add(node, accounts, deed)
      else gainRole(context, role, namespace, deed)
  })
  both(context, ['bind-roles', 'write-rolebindings'], namespace, (bind, write) => {
    const { rolesIn } = context.world
    for (const there of namespace === '' ? rolesIn.keys() : [namespace])
      for (const object of rolesIn.get(there) ?? []) {
        if (bind.names !== undefined && !bind.names.includes(object.metadata.name ?? '')) continue
        const role = asHeld(bind.grant, object, 'Role')
        const deed = { may: `bind roles ${where(there)}`, so: 'gives itself everything there, also to act as' }
        if (role === 'full') graph.add(node, `accounts:${there}`, { ...deed, by: [bind, write] })
        else gainRole(context, role, there, { ...deed, by: [bind, write] })
      }
  })
}

/** What works on objects without a namespace. */
function everywhere(context: Context): void {
  const { graph, node, held } = context
  const one = (power: Power, to: Node, may: string, so: string): void => {
    const by = held.own(power, '')[0]
    if (by !== undefined) graph.add(node, to, { may, so, by: [by] })
  }
  one('full', ADMIN, 'do everything', 'is')
  one('nodes-proxy', 'running:', 'use the kubelets’ API', 'runs commands in a pod of')
  one('write-mutating-webhooks', 'accounts:', 'register mutating webhooks', 'changes pods of others to run as')

  for (const by of held.own('impersonate-users', '')) {
    const deed = { may: 'impersonate users', so: 'acts as', by: [by] }
    if (by.names === undefined) graph.add(node, 'users', deed)
    else for (const name of by.names) graph.add(node, subjectKey({ kind: 'User', namespace: '', name }), deed)
  }
  impersonateGroups(context)
  growClusterRoles(context)
  both(context, ['bind-clusterroles', 'write-clusterrolebindings'], '', (bind, write) => {
    const deed = { may: 'bind cluster roles', so: 'binds itself to cluster-admin and is', by: [bind, write] }
    for (const role of bindableRoles(context.world, bind))
      if (role === 'full') graph.add(node, ADMIN, deed)
      else gainRole(context, role, '', deed)
  })
  certificates(context)
}

/** The API server asks for a user to be impersonated along with a group: any will do. */
function impersonateGroups({ graph, node, held }: Context): void {
  const any = [...held.namespaces()].flatMap((namespace) => held.find('impersonate-serviceaccounts', namespace))
  const someone = held.find('impersonate-users', '')[0] ?? any[0]
  if (someone === undefined) return
  for (const by of held.find('impersonate-groups', '')) {
    const deed = { may: 'impersonate users and groups', so: 'acts as', by: by === someone ? [by] : [by, someone] }
    if (by.names === undefined)
      graph.add(node, subjectKey({ kind: 'Group', namespace: '', name: 'system:masters' }), deed)
    else for (const name of by.names) graph.add(node, subjectKey({ kind: 'Group', namespace: '', name }), deed)
  }
}

/** A certificate of any name and groups but system:masters, which admission refuses (CertificateSubjectRestriction). */
function certificates(context: Context): void {
  const { graph, node, held } = context
  const approve = held.find('approve-csr', '')[0]
  const create = held.find('create-csr', '')[0]
  const signer = held
    .find('approve-signer', '')
    .find(({ names }) => names === undefined || names.includes(CLIENT_SIGNER) || names.includes('kubernetes.io/*'))
  if (approve === undefined || create === undefined || signer === undefined) return
  if (![approve, create, signer].some(({ grant }) => context.own.includes(grant))) return
  graph.add(node, 'certificates', {
    may: 'request client certificates and approve them',
    so: 'has one made for',
    by: [...new Set([create, approve, signer])],
  })
}

/** Calls back when both powers are held in the scope and one of them is the subject's own in that very scope. */
function both(
  { held }: Context,
  [first, second]: [Power, Power],
  namespace: string,
  found: (first: Evidence, second: Evidence) => void,
): void {
  if (held.own(first, namespace).length === 0 && held.own(second, namespace).length === 0) return
  const b = held.find(second, namespace)[0]
  if (b === undefined) return
  for (const a of held.find(first, namespace)) found(a, b)
}

/** What a subject adds to a role that it is bound to, it holds. */
const isRole = ({ roleKind, role }: Grant, names: readonly string[] | undefined): boolean =>
  roleKind === 'Role' && (names === undefined || names.includes(role.metadata.name ?? ''))

/** As `both`, for powers over the same object: with the names that both allow, undefined for all. */
function bothOver(
  { held }: Context,
  [first, second]: [Power, Power],
  namespace: string,
  found: (first: Evidence, second: Evidence, names: readonly string[] | undefined) => void,
): void {
  if (held.own(first, namespace).length === 0 && held.own(second, namespace).length === 0) return
  const all = held.unlimited(first, namespace)
  if (all !== undefined) {
    for (const b of held.find(second, namespace)) found(all, b, b.names)
    return
  }
  const byName = new Map<string, Evidence>()
  let any: Evidence | undefined
  for (const b of held.find(second, namespace)) {
    if (b.names === undefined) any = b
    else for (const name of b.names) byName.set(name, b)
  }
  for (const a of held.find(first, namespace))
    if (any !== undefined) found(a, any, a.names)
    else for (const name of a.names ?? []) if (byName.has(name)) found(a, byName.get(name)!, [name])
}

/**
 * Cluster roles that the subject is bound to grow when it may change them, or when another one gets their label: an
 * aggregated role gathers what whoever may `escalate` has written into any role.
 */
function growClusterRoles(context: Context): void {
  const { graph, node, world } = context
  const bound = context.own.filter(({ roleKind }) => roleKind === 'ClusterRole')
  const aggregated = bound.filter(({ role }) => gathers(role))
  const grow = ({ namespace }: Grant, deed: Deed): void => {
    const there = `gives itself everything in namespace ${namespace}, also to act as`
    if (namespace === '') graph.add(node, ADMIN, deed)
    else graph.add(node, `accounts:${namespace}`, { ...deed, so: there })
  }
  bothOver(context, ['escalate-clusterroles', 'change-clusterroles'], '', (escalate, change, names) => {
    const may = 'change and escalate cluster roles'
    const own = { may, so: 'gives a role of its own everything and is', by: [escalate, change] }
    for (const grant of bound)
      if (names === undefined || names.includes(grant.role.metadata.name ?? '')) grow(grant, own)
    const isThere = (name: string): boolean =>
      world.roleOf({ metadata: {}, roleRef: { kind: 'ClusterRole', name } }, 'ClusterRoleBinding') !== undefined
    if (names === undefined || !names.some(isThere)) return
    const labelled = { ...own, so: 'labels one for a role of its own to gather, with everything in it, and is' }
    for (const grant of aggregated) grow(grant, labelled)
  })
  both(context, ['escalate-clusterroles', 'create-clusterroles'], '', (escalate, create) => {
    // The name of what is created is not asked about.
    if (escalate.names !== undefined) return
    const may = 'create and escalate cluster roles'
    const so = 'makes one for a role of its own to gather, with everything in it, and is'
    for (const grant of aggregated) grow(grant, { may, so, by: [escalate, create] })
  })
}

const gathers = (role: AggregatedRoleObject): boolean => (role.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0

/** The roles that may be bound: `full` stands for cluster-admin, which every cluster has. */
function bindableRoles(world: WorldIndex, { names, grant }: Evidence): ('full' | Grant)[] {
  if (names === undefined || names.includes('cluster-admin')) return ['full']
  return names.flatMap((name) => {
    const roleRef = { kind: 'ClusterRole', name }
    const found = world.roleOf({ metadata: {}, roleRef }, 'ClusterRoleBinding')
    return found === undefined ? [] : [asHeld(grant, found.role, found.kind)]
  })
}

function asHeld(grant: Grant, role: RoleObject, roleKind: RoleKind): 'full' | Grant {
  const rules = role.rules ?? []
  return rules.some(isFull) ? 'full' : { ...grant, role, roleKind, rules }
}

/** A role that the subject can bind to itself: a node of its own, from which the role's powers lead on. */
function gainRole(context: Context, role: Grant, namespace: string, deed: Deed): void {
  const { graph, node, world } = context
  const gained = `role:${namespace}/${role.roleKind}/${role.role.metadata.name}`
  const isNew = !graph.has(gained)
  graph.add(node, gained, { ...deed, so: 'gives itself' })
  if (!isNew) return
  const grant = { ...role, namespace }
  addDeeds(graph, gained, new Holdings([grant]), [grant], world)
}

function accountsNamed({ bySubject }: WorldIndex, names: readonly string[]): Node[] {
  const found: Node[] = []
  for (const [key, [grant]] of bySubject) {
    const subject: SubjectId | undefined = grant?.subject
    if (subject?.kind === 'ServiceAccount' && names.includes(subject.name)) found.push(key)
  }
  return found
}
