import type { KubeObject } from '../../../kernel/api/object.ts'
import { matchesSelector } from '../../../kernel/api/selectors.ts'
import { GroupIndex, type GroupSource, groupSelects, type PodGroup } from './groups.ts'
import { type Machine, Machines, machineOf, type NodeGroup } from './nodes.ts'
import { addressesOf, isCompleted, type Pod, podKey, podOf, sameFacts } from './pod.ts'
import { type ClusterPolicy, type Groups, groupsOf, type NamespacedPolicy, type Policy, type Rule } from './policy.ts'
import { clusterPolicyKey, readClusterNetworkPolicy } from './read-cluster-policy.ts'
import { namespacedPolicyKey, readNetworkPolicy } from './read-policy.ts'
import type { Direction } from './types.ts'

/** Hears of every change after it has happened, once for each thing that it touches. */
export type ModelListener = {
  /** The pod joined the group or left it. */
  membership: (group: PodGroup, pod: Pod) => void
  /** The pod came, went, or has other addresses, ports, machine or link; or its address is another's now. */
  pod: (now: Pod | undefined, before: Pod | undefined) => void
  policy: (now: Policy | undefined, before: Policy | undefined) => void
  /** The addresses of these machines have changed. */
  nodes: (group: NodeGroup) => void
}

/** What decides about a pod in one direction, in the order in which it is asked. */
export type Decision = {
  /** First match decides; Pass goes on to the policies. */
  admin: readonly Rule[]
  /** When there is one, what none of them allows is dropped, and `baseline` is not asked. */
  isolating: readonly NamespacedPolicy[]
  observed: readonly NamespacedPolicy[]
  baseline: readonly Rule[]
}

type Attachment = { addresses: readonly string[]; link: string | undefined }

const NAME_LABEL = 'kubernetes.io/metadata.name'
const byKey = (a: Policy, b: Policy): number => (a.key < b.key ? -1 : 1)
const byPrecedence = (a: ClusterPolicy, b: ClusterPolicy): number => a.priority - b.priority || byKey(a, b)

/**
 * Policies, pods, namespaces and machines, and who is selected by what. A change touches only the groups that the pod or
 * namespace can be in; the listener hears of each difference.
 */
export class NetworkPolicyModel {
  readonly #pods: (Pod | undefined)[] = []
  readonly #free: number[] = []
  readonly #byKey = new Map<string, Pod>()
  readonly #byNamespace = new Map<string, Set<number>>()
  readonly #byLabel = new Map<string, Set<number>>()
  /** Slots of the pods that claim an address; the last one has it. */
  readonly #claims = new Map<string, number[]>()
  readonly #attachments = new Map<string, Attachment>()
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>()
  /** Namespaces that exist or have had pods. */
  readonly #met = new Set<string>()
  readonly #groups = new GroupIndex()
  readonly #machines = new Machines()
  readonly #policies = new Map<string, Policy>()
  readonly #bySubject = new Map<PodGroup, Set<Policy>>()
  #listener: ModelListener | undefined

  listen(listener: ModelListener): void {
    this.#listener = listener
  }

  upsertPod(object: KubeObject): void {
    const key = podKey(object.metadata.namespace ?? 'default', object.metadata.name ?? '')
    if (isCompleted(object)) {
      this.#removePod(key)
      return
    }
    const before = this.#byKey.get(key)
    const pod = podOf(object, before?.slot ?? this.#free.pop() ?? this.#pods.length)
    this.#putPod(this.#attached(pod), before)
  }

  deletePod(namespace: string, name: string): void {
    this.#attachments.delete(podKey(namespace, name))
    this.#removePod(podKey(namespace, name))
  }

  /**
   * What this machine knows of a pod of its own before the API server does: the addresses it has been given and the
   * machine's end of its link. It holds until `detachPod`, or until the pod is deleted.
   */
  attachPod(namespace: string, name: string, attachment: { addresses: readonly string[]; link?: string }): void {
    const key = podKey(namespace, name)
    this.#attachments.set(key, { addresses: attachment.addresses, link: attachment.link })
    const pod = this.#byKey.get(key)
    if (pod !== undefined) this.#putPod(this.#attached(pod), pod)
  }

  detachPod(namespace: string, name: string): void {
    const key = podKey(namespace, name)
    const pod = this.#byKey.get(key)
    if (!this.#attachments.delete(key) || pod === undefined) return
    this.#putPod({ ...pod, addresses: [], link: undefined }, pod)
  }

  upsertNamespace(object: KubeObject): void {
    this.#relabel(object.metadata.name ?? '', object.metadata.labels ?? {})
  }

  deleteNamespace(name: string): void {
    this.#relabel(name, undefined)
    if (this.#byNamespace.has(name)) return
    this.#met.delete(name)
    for (const group of this.#groups.selecting) this.#groups.leave(group, name)
  }

  upsertNode(object: KubeObject): void {
    this.#setMachine(object.metadata.name ?? '', machineOf(object))
  }

  deleteNode(name: string): void {
    this.#setMachine(name, undefined)
  }

  upsertPolicy(object: KubeObject): void {
    const namespaced = object.kind === 'NetworkPolicy'
    this.#putPolicy(
      namespaced ? readNetworkPolicy(object, this.#acquire) : readClusterNetworkPolicy(object, this.#acquire),
    )
  }

  deletePolicy(namespace: string, name: string): void {
    this.#removePolicy(namespacedPolicyKey(namespace, name))
  }

  deleteClusterPolicy(name: string): void {
    this.#removePolicy(clusterPolicyKey(name))
  }

  pod(namespace: string, name: string): Pod | undefined {
    return this.#byKey.get(podKey(namespace, name))
  }

  podByKey(key: string): Pod | undefined {
    return this.#byKey.get(key)
  }

  podAt(slot: number): Pod | undefined {
    return this.#pods[slot]
  }

  /** The pod that has the address: of several that claim it, the one that did last. */
  owner(address: string): Pod | undefined {
    const claims = this.#claims.get(address)
    return claims && this.#pods[claims.at(-1)!]
  }

  *pods(): Generator<Pod> {
    for (const pod of this.#pods) if (pod !== undefined) yield pod
  }

  policies(): IterableIterator<Policy> {
    return this.#policies.values()
  }

  /** By `NetworkPolicy/namespace/name` or `ClusterNetworkPolicy/name`. */
  policy(key: string): Policy | undefined {
    return this.#policies.get(key)
  }

  machine(name: string): Machine | undefined {
    return this.#machines.get(name)
  }

  machineAt(address: string): Machine | undefined {
    return this.#machines.byAddress(address)
  }

  /** With the name that every namespace carries as a label. */
  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#namespaces.get(name) ?? { [NAME_LABEL]: name }
  }

  /** Groups that the pod is a member of. */
  groupsOf(pod: Pod): PodGroup[] {
    return [...this.#groups.candidates(pod)].filter((group) => group.members.has(pod.slot))
  }

  decision(pod: Pod, direction: Direction): Decision {
    const namespaced: NamespacedPolicy[] = []
    const cluster: ClusterPolicy[] = []
    for (const group of this.#groups.candidates(pod)) {
      if (!group.members.has(pod.slot)) continue
      for (const policy of this.#bySubject.get(group) ?? []) {
        if (policy[direction] === undefined) continue
        if (policy.kind === 'NetworkPolicy') namespaced.push(policy)
        else cluster.push(policy)
      }
    }
    namespaced.sort(byKey)
    cluster.sort(byPrecedence)
    const tier = (name: string): Rule[] => cluster.filter((p) => p.tier === name).flatMap((p) => p[direction]!)
    return {
      admin: tier('Admin'),
      isolating: namespaced.filter((policy) => !policy.observe),
      observed: namespaced.filter((policy) => policy.observe),
      baseline: tier('Baseline'),
    }
  }

  #attached(pod: Pod): Pod {
    const attachment = this.#attachments.get(pod.key)
    if (attachment === undefined || pod.hostNetwork) return pod
    return { ...pod, addresses: addressesOf(attachment.addresses), link: attachment.link }
  }

  /** Labels change before facts do, so that each address leaves the groups that it was in under its own name. */
  #putPod(pod: Pod, before: Pod | undefined): void {
    if (before === undefined || sameFacts(pod, before)) this.#place(pod, before)
    else if (pod.hostNetwork !== before.hostNetwork) {
      this.#removePod(before.key)
      this.#free.pop()
      this.#place(pod, undefined)
    } else {
      const relabelled = { ...before, labels: pod.labels }
      this.#place(relabelled, before)
      this.#place(pod, relabelled)
    }
  }

  #place(pod: Pod, before: Pod | undefined): void {
    const candidates = before === undefined ? new Set<PodGroup>() : this.#groups.candidates(before)
    if (before !== undefined) this.#unindex(before)
    this.#index(pod)
    this.#pods[pod.slot] = pod
    this.#byKey.set(pod.key, pod)
    for (const group of this.#groups.candidates(pod)) candidates.add(group)
    this.#judge(candidates, pod, this.namespaceLabels(pod.namespace))
    if (before === undefined || !sameFacts(pod, before)) this.#reclaim(pod, before)
  }

  #removePod(key: string): void {
    const pod = this.#byKey.get(key)
    if (pod === undefined) return
    this.#byKey.delete(key)
    this.#unindex(pod)
    for (const group of this.#groups.candidates(pod))
      if (group.members.delete(pod.slot)) this.#listener?.membership(group, pod)
    this.#pods[pod.slot] = undefined
    this.#free.push(pod.slot)
    this.#reclaim(undefined, pod)
  }

  #judge(groups: Iterable<PodGroup>, pod: Pod, labels: Readonly<Record<string, string>>): void {
    for (const group of groups) {
      const { members } = group
      const changed = groupSelects(group, pod, labels) ? members.add(pod.slot) : members.delete(pod.slot)
      if (changed) this.#listener?.membership(group, pod)
    }
  }

  /** Moves addresses from one record to the next; who loses one to another, or gets it back, is told of too. */
  #reclaim(now: Pod | undefined, before: Pod | undefined): void {
    const others = new Set<Pod>()
    const keep = new Set(now?.addresses.map(({ text }) => text))
    for (const { text } of before?.addresses ?? []) {
      if (keep.has(text)) continue
      const claims = this.#claims.get(text)?.filter((slot) => slot !== before!.slot) ?? []
      if (claims.length === 0) this.#claims.delete(text)
      else {
        this.#claims.set(text, claims)
        others.add(this.#pods[claims.at(-1)!]!)
      }
    }
    const had = new Set(before?.addresses.map(({ text }) => text))
    for (const { text } of now?.addresses ?? []) {
      if (had.has(text)) continue
      const claims = this.#claims.get(text) ?? []
      if (claims.length > 0) others.add(this.#pods[claims.at(-1)!]!)
      this.#claims.set(text, [...claims, now!.slot])
    }
    this.#listener?.pod(now, before)
    for (const other of others) this.#listener?.pod(other, other)
  }

  #index(pod: Pod): void {
    if (pod.hostNetwork) return
    this.#meet(pod.namespace)
    put(this.#byNamespace, pod.namespace, pod.slot)
    for (const key in pod.labels) put(this.#byLabel, `${key}\0${pod.labels[key]}`, pod.slot)
  }

  #unindex(pod: Pod): void {
    if (pod.hostNetwork) return
    drop(this.#byNamespace, pod.namespace, pod.slot)
    for (const key in pod.labels) drop(this.#byLabel, `${key}\0${pod.labels[key]}`, pod.slot)
  }

  /** The first time that a namespace is spoken of: groups that select namespaces by labels are asked about it. */
  #meet(name: string): void {
    if (this.#met.has(name)) return
    this.#met.add(name)
    const labels = this.namespaceLabels(name)
    for (const group of this.#groups.selecting)
      if (matchesSelector(group.namespaceSelector, labels)) this.#groups.enter(group, name)
  }

  #relabel(name: string, given: Readonly<Record<string, string>> | undefined): void {
    this.#meet(name)
    const before = this.namespaceLabels(name)
    if (given === undefined) this.#namespaces.delete(name)
    else this.#namespaces.set(name, { ...given, [NAME_LABEL]: name })
    const labels = this.namespaceLabels(name)
    for (const group of this.#groups.selecting) {
      const selects = matchesSelector(group.namespaceSelector, labels)
      if (selects === matchesSelector(group.namespaceSelector, before)) continue
      if (selects) this.#groups.enter(group, name)
      for (const slot of this.#byNamespace.get(name) ?? []) this.#judge([group], this.#pods[slot]!, labels)
      if (!selects) this.#groups.leave(group, name)
    }
  }

  #setMachine(name: string, machine: Machine | undefined): void {
    for (const group of this.#machines.set(name, machine)) this.#listener?.nodes(group)
  }

  readonly #acquire: Groups = {
    pods: (source) => {
      const { group, created } = this.#groups.acquire(source)
      if (created) this.#fill(group, source)
      return group
    },
    nodes: (selector) => this.#machines.acquire(selector),
    release: (peer) => {
      if (peer.kind === 'pods') this.#groups.release(peer.group, this.#met)
      else this.#machines.release(peer.group)
    },
  }

  #fill(group: PodGroup, source: GroupSource): void {
    const fits = (slots: Iterable<number>): void => {
      for (const slot of slots) {
        const pod = this.#pods[slot]!
        if (groupSelects(group, pod, this.namespaceLabels(pod.namespace))) group.members.add(slot)
      }
    }
    const demand = group.podSelector.find(({ operator }) => operator === 'in')
    const everywhere = group.namespaceSelector.length === 0
    if (source.namespace !== undefined) fits(this.#byNamespace.get(source.namespace) ?? [])
    else if (everywhere && demand !== undefined)
      for (const value of demand.values) fits(this.#byLabel.get(`${demand.key}\0${value}`) ?? [])
    else
      for (const name of this.#met) {
        if (!matchesSelector(group.namespaceSelector, this.namespaceLabels(name))) continue
        if (!everywhere) this.#groups.enter(group, name)
        fits(this.#byNamespace.get(name) ?? [])
      }
  }

  #putPolicy(policy: Policy): void {
    const before = this.#policies.get(policy.key)
    this.#policies.set(policy.key, policy)
    put(this.#bySubject, policy.subject, policy)
    if (before !== undefined) this.#forget(before)
    this.#listener?.policy(policy, before)
  }

  #removePolicy(key: string): void {
    const policy = this.#policies.get(key)
    if (policy === undefined) return
    this.#policies.delete(key)
    this.#forget(policy)
    this.#listener?.policy(undefined, policy)
  }

  #forget(policy: Policy): void {
    drop(this.#bySubject, policy.subject, policy)
    const { pods, nodes } = groupsOf(policy)
    for (const group of pods) this.#groups.release(group, this.#met)
    for (const group of nodes) this.#machines.release(group)
  }
}

function put<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const found = index.get(key)
  if (found === undefined) index.set(key, new Set([value]))
  else found.add(value)
}

function drop<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const found = index.get(key)
  found?.delete(value)
  if (found?.size === 0) index.delete(key)
}
