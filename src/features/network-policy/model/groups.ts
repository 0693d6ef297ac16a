import {
  compileLabelSelector,
  type LabelSelector,
  matchesSelector,
  type Selector,
} from '../../../kernel/api/selectors.ts'
import { BitSet } from './bit-set.ts'
import type { Pod } from './pod.ts'

/** The pods that one selector selects, kept up to date. Policies that select alike share it, as subject and as peer. */
export type PodGroup = {
  key: string
  /** In this namespace only; undefined where `namespaceSelector` says which. */
  namespace: string | undefined
  namespaceSelector: Selector
  podSelector: Selector
  /** Slots. */
  members: BitSet
  references: number
  /** The group as its policies wrote it, for explanations. */
  source: { namespaceSelector: LabelSelector | undefined; podSelector: LabelSelector }
}

export type GroupSource = {
  namespace?: string
  namespaceSelector?: LabelSelector | undefined
  podSelector: LabelSelector
}

export function selectorKey(selector: LabelSelector): string {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`)
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values }) => `${key} ${operator} ${[...new Set(values)].sort().join(',')}`,
  )
  return [...new Set([...labels, ...expressions])].sort().join(';')
}

const groupKey = ({ namespace, namespaceSelector, podSelector }: GroupSource): string =>
  `${namespace ?? ''}|${namespace === undefined ? selectorKey(namespaceSelector ?? {}) : ''}|${selectorKey(podSelector)}`

/** Groups that may select a pod, found by one of the labels they demand. */
class LabelIndex {
  readonly #byLabel = new Map<string, Set<PodGroup>>()
  readonly #rest = new Set<PodGroup>()

  add(group: PodGroup): void {
    const pivots = pivotsOf(group.podSelector)
    if (pivots === undefined) this.#rest.add(group)
    for (const pivot of pivots ?? []) {
      const found = this.#byLabel.get(pivot)
      if (found === undefined) this.#byLabel.set(pivot, new Set([group]))
      else found.add(group)
    }
  }

  delete(group: PodGroup): void {
    this.#rest.delete(group)
    for (const pivot of pivotsOf(group.podSelector) ?? []) {
      const found = this.#byLabel.get(pivot)
      found?.delete(group)
      if (found?.size === 0) this.#byLabel.delete(pivot)
    }
  }

  collect(labels: Readonly<Record<string, string>>, into: Set<PodGroup>): void {
    for (const group of this.#rest) into.add(group)
    if (this.#byLabel.size === 0) return
    for (const key in labels) for (const group of this.#byLabel.get(`${key}\0${labels[key]}`) ?? []) into.add(group)
  }
}

/** Labels one of which every selected pod has; undefined when the selector demands no value. */
function pivotsOf(selector: Selector): string[] | undefined {
  const demand = selector.find(({ operator }) => operator === 'in')
  return demand && [...demand.values].map((value) => `${demand.key}\0${value}`)
}

const EVERYWHERE = ''

/** All groups, and which of them concern a namespace. */
export class GroupIndex {
  readonly #groups = new Map<string, PodGroup>()
  /** By namespace; under '' those that select all of them. */
  readonly #indexes = new Map<string, LabelIndex>()
  /** Groups whose namespaces are selected by labels. */
  readonly #selecting = new Set<PodGroup>()

  /** The group that selects so. `created` when its members have yet to be found. */
  acquire(source: GroupSource): { group: PodGroup; created: boolean } {
    const key = groupKey(source)
    const found = this.#groups.get(key)
    if (found !== undefined) {
      found.references++
      return { group: found, created: false }
    }
    const group: PodGroup = {
      key,
      namespace: source.namespace,
      namespaceSelector: compileLabelSelector(source.namespaceSelector ?? {})!,
      podSelector: compileLabelSelector(source.podSelector)!,
      members: new BitSet(),
      references: 1,
      source: { namespaceSelector: source.namespaceSelector, podSelector: source.podSelector },
    }
    this.#groups.set(key, group)
    if (group.namespace !== undefined) this.#index(group.namespace).add(group)
    else if (group.namespaceSelector.length === 0) this.#index(EVERYWHERE).add(group)
    else this.#selecting.add(group)
    return { group, created: true }
  }

  /** Groups without users are forgotten. `namespaces`: those that exist. */
  release(group: PodGroup, namespaces: Iterable<string>): void {
    if (--group.references > 0) return
    this.#groups.delete(group.key)
    this.#selecting.delete(group)
    if (group.namespace !== undefined) this.#index(group.namespace).delete(group)
    else if (group.namespaceSelector.length === 0) this.#index(EVERYWHERE).delete(group)
    else for (const namespace of namespaces) this.#indexes.get(namespace)?.delete(group)
  }

  /** Groups whose namespaces are selected by labels: the caller tells which select which. */
  get selecting(): ReadonlySet<PodGroup> {
    return this.#selecting
  }

  enter(group: PodGroup, namespace: string): void {
    this.#index(namespace).add(group)
  }

  leave(group: PodGroup, namespace: string): void {
    this.#indexes.get(namespace)?.delete(group)
  }

  /** Every group that could have this pod as a member, and some that cannot. */
  candidates(pod: Pod): Set<PodGroup> {
    const found = new Set<PodGroup>()
    this.#indexes.get(pod.namespace)?.collect(pod.labels, found)
    this.#indexes.get(EVERYWHERE)?.collect(pod.labels, found)
    return found
  }

  #index(namespace: string): LabelIndex {
    let index = this.#indexes.get(namespace)
    if (index === undefined) this.#indexes.set(namespace, (index = new LabelIndex()))
    return index
  }
}

/** Whether the selectors select the pod; `namespaceLabels` are those of its namespace. */
export function groupSelects(group: PodGroup, pod: Pod, namespaceLabels: Readonly<Record<string, string>>): boolean {
  if (pod.hostNetwork) return false
  if (group.namespace !== undefined) {
    if (group.namespace !== pod.namespace) return false
  } else if (!matchesSelector(group.namespaceSelector, namespaceLabels)) return false
  return matchesSelector(group.podSelector, pod.labels)
}
