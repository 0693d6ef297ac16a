import type { KubeObject } from '../../../../kernel/api/object.ts'
import type { RbacWorld } from '../../world.ts'
import { impliedGroups, type SubjectId, subjectKey } from '../subject.ts'
import { type Grant, indexWorld } from '../world-index.ts'
import { addDeeds } from './deeds.ts'
import { ADMIN, EscalationGraph, type Node } from './graph.ts'
import { Holdings } from './holdings.ts'

export type Escalation = { graph: EscalationGraph; subjects: ReadonlyMap<Node, SubjectId> }

const MASTERS: SubjectId = { kind: 'Group', namespace: '', name: 'system:masters' }

const built = new WeakMap<RbacWorld, Escalation>()

/** Every subject of the world, and by which deeds it becomes another or the administrator. */
export function escalation(world: RbacWorld): Escalation {
  let known = built.get(world)
  if (known === undefined) built.set(world, (known = build(world)))
  return known
}

function build(world: RbacWorld): Escalation {
  const graph = new EscalationGraph()
  const { bySubject, grants } = indexWorld(world)
  const subjects = new Map<Node, SubjectId>()
  for (const { subject } of grants) subjects.set(subjectKey(subject), subject)
  const accounts = existingAccounts(world, [...subjects.values()])
  for (const account of accounts) subjects.set(subjectKey(account), account)
  subjects.set(subjectKey(MASTERS), MASTERS)

  const groups = new Map<string, Holdings>()
  const groupHoldings = (name: string): Holdings => {
    let holdings = groups.get(name)
    if (holdings === undefined) {
      const key = subjectKey({ kind: 'Group', namespace: '', name })
      groups.set(name, (holdings = new Holdings(bySubject.get(key) ?? [])))
    }
    return holdings
  }
  for (const [node, subject] of subjects) {
    const own: readonly Grant[] = bySubject.get(node) ?? []
    const implied = impliedGroups(subject)
    const holdings =
      subject.kind === 'Group' ? groupHoldings(subject.name) : new Holdings(own, implied.map(groupHoldings))
    addDeeds(graph, node, holdings, own, indexWorld(world))
    // What a group can do, its members can: no deed is needed.
    for (const name of implied) graph.add(node, subjectKey({ kind: 'Group', namespace: '', name }))
    if (subject.kind === 'User') graph.add('users', node)
    if (subject.kind === 'Group' && subject.name !== MASTERS.name) graph.add('groups', node)
  }
  graph.add('certificates', 'users')
  graph.add('certificates', 'groups')
  graph.add(subjectKey(MASTERS), ADMIN)
  addAccounts(graph, accounts)
  addStoredTokens(graph, world)
  addRunning(graph, world)
  return { graph, subjects }
}

/**
 * Service accounts that exist: those of the world; in namespaces whose `default` account is not in it, the world does
 * not list them all, and whatever a binding or a pod names is taken to exist.
 */
function existingAccounts(world: RbacWorld, bound: readonly SubjectId[]): SubjectId[] {
  const found = new Map<string, SubjectId>()
  const add = (namespace: string, name: string): void => {
    const account: SubjectId = { kind: 'ServiceAccount', namespace, name }
    found.set(subjectKey(account), account)
  }
  const complete = new Set<string>()
  for (const { metadata } of world.serviceAccounts) {
    add(metadata.namespace ?? '', metadata.name ?? '')
    if (metadata.name === 'default') complete.add(metadata.namespace ?? '')
  }
  for (const { kind, namespace, name } of bound)
    if (kind === 'ServiceAccount' && !complete.has(namespace)) add(namespace, name)
  for (const workload of world.workloads) {
    const { namespace, name } = accountOf(workload)
    if (!complete.has(namespace)) add(namespace, name)
  }
  return [...found.values()]
}

function addAccounts(graph: EscalationGraph, accounts: readonly SubjectId[]): void {
  const namespaces = new Set<string>()
  for (const account of accounts) {
    graph.add(`accounts:${account.namespace}`, subjectKey(account))
    namespaces.add(account.namespace)
  }
  for (const namespace of namespaces) graph.add('accounts:', `accounts:${namespace}`)
}

/** Accounts that have a token in a Secret, as all had before Kubernetes 1.24: the account lists it. */
function addStoredTokens(graph: EscalationGraph, world: RbacWorld): void {
  for (const account of world.serviceAccounts) {
    const secrets: unknown = 'secrets' in account ? account.secrets : undefined
    if (!Array.isArray(secrets) || !secrets.some((s) => typeof s?.name === 'string' && s.name.includes('-token-')))
      continue
    const { namespace = '', name = '' } = account.metadata
    graph.add(`tokens:${namespace}`, subjectKey({ kind: 'ServiceAccount', namespace, name }))
    graph.add('tokens:', `tokens:${namespace}`)
  }
}

/** Accounts as which something runs: whoever gets into its containers has its token. */
function addRunning(graph: EscalationGraph, world: RbacWorld): void {
  const seen = new Set<string>()
  for (const workload of world.workloads) {
    const account = accountOf(workload)
    const key = subjectKey(account)
    if (seen.has(key) || podSpec(workload)['automountServiceAccountToken'] === false) continue
    seen.add(key)
    graph.add(`running:${account.namespace}`, key)
    graph.add('running:', `running:${account.namespace}`)
  }
}

/** The account as which a pod, or the pods of a workload, run. */
export function accountOf(workload: KubeObject): SubjectId {
  const spec = podSpec(workload)
  const named = spec['serviceAccountName'] ?? spec['serviceAccount']
  const name = typeof named === 'string' && named !== '' ? named : 'default'
  return { kind: 'ServiceAccount', namespace: workload.metadata.namespace ?? '', name }
}

function podSpec(workload: KubeObject): Record<string, unknown> {
  const at = (value: unknown, field: string): unknown =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  let spec: unknown = workload['spec']
  if (workload.kind === 'CronJob') spec = at(at(spec, 'jobTemplate'), 'spec')
  if (workload.kind !== 'Pod') spec = at(at(spec, 'template'), 'spec')
  return typeof spec === 'object' && spec !== null ? (spec as Record<string, unknown>) : {}
}
