import type { ObjectMeta, OwnerReference } from '../../api/object.ts'
import type { AbsentOwners } from './absent-owners.ts'

/** Which object: an owner reference and the namespace that it is looked up in ('' for cluster-scoped). */
export type Identity = { apiVersion: string; kind: string; namespace: string; name: string; uid: string }

export const FOREGROUND = 'foregroundDeletion'
export const ORPHAN = 'orphan'

export type GraphNode = {
  identity: Identity
  owners: readonly OwnerReference[]
  readonly dependents: Set<GraphNode>
  /** Known only from a dependent's owner reference; nobody has seen it yet. */
  virtual: boolean
  beingDeleted: boolean
  /** It waits with the finalizer foregroundDeletion until its blocking dependents are gone. */
  deletingDependents: boolean
  /** How often a virtual node was looked up live. */
  checks: number
}

/** Nodes that are to be looked at, by uid. */
export type GraphWork = {
  /** Perhaps the object is garbage, or its foreground deletion can go on. */
  attemptToDelete: (uid: string) => void
  /** Its dependents are to be released from it. */
  attemptToOrphan: (uid: string) => void
  /** The dependent names an owner which lies in another namespace. */
  invalidNamespace: (dependent: Identity, owner: OwnerReference) => void
}

type Meta = Pick<ObjectMeta, 'ownerReferences' | 'finalizers' | 'deletionTimestamp'>

/**
 * Who owns whom, by uid. It is fed what informers see and decides what is worth looking at; it never decides that
 * something is garbage, for it may be behind: that is found out live. (kube-controller-manager's graph builder.)
 */
export class OwnerGraph {
  readonly #nodes: Map<string, GraphNode> = new Map()
  readonly #work: GraphWork
  readonly #absent: AbsentOwners

  constructor(work: GraphWork, absent: AbsentOwners) {
    this.#work = work
    this.#absent = absent
  }

  get size(): number {
    return this.#nodes.size
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid)
  }

  /** An informer has seen the object as it is now. */
  observe(identity: Identity, meta: Meta): void {
    const owners = meta.ownerReferences ?? []
    const known = this.#nodes.get(identity.uid)
    const node = known ?? this.#insert(identity, false)
    if (known === undefined) {
      node.owners = owners
      this.#addToOwners(node, owners)
    } else {
      if (node.virtual) this.#becomesReal(node, identity)
      node.identity = identity
      this.#changeOwners(node, owners)
    }
    this.#followDeletion(node, meta)
  }

  /** An informer has seen that the object is gone. */
  forget(identity: Identity): void {
    const node = this.#nodes.get(identity.uid)
    if (node !== undefined) this.#remove(node, identity)
  }

  /** The server says that there is no such object; the node may be virtual, or known under another name. */
  forgetAbsent(identity: Identity): void {
    const node = this.#nodes.get(identity.uid)
    if (node === undefined) return
    const [matching, others] = partition(node.dependents, identity)
    if (!node.virtual && sameIdentity(node.identity, identity)) this.#remove(node, identity)
    else if (node.virtual && others.length === 0) this.#remove(node, identity)
    else {
      // Those who name the owner like this are wrong; what the others say is still open.
      if (matching.length > 0) this.#absent.add(identity)
      for (const dependent of matching) this.#work.attemptToDelete(dependent.identity.uid)
      if (node.virtual && sameIdentity(node.identity, identity)) {
        const other = alternative(others, identity)
        if (other !== undefined) {
          node.identity = other
          this.#work.attemptToDelete(other.uid)
        }
      }
    }
  }

  #insert(identity: Identity, virtual: boolean): GraphNode {
    const node: GraphNode = {
      identity,
      owners: [],
      dependents: new Set(),
      virtual,
      beingDeleted: false,
      deletingDependents: false,
      checks: 0,
    }
    this.#nodes.set(identity.uid, node)
    return node
  }

  #remove(node: GraphNode, identity: Identity): void {
    this.#nodes.delete(node.identity.uid)
    for (const owner of node.owners) this.#nodes.get(owner.uid)?.dependents.delete(node)
    if (node.dependents.size > 0) this.#absent.add(identity)
    for (const dependent of node.dependents) this.#work.attemptToDelete(dependent.identity.uid)
    for (const { uid } of node.owners)
      if (this.#nodes.get(uid)?.deletingDependents === true) this.#work.attemptToDelete(uid)
  }

  #becomesReal(node: GraphNode, identity: Identity): void {
    node.virtual = false
    if (sameIdentity(node.identity, identity)) return
    const [, wrong] = partition(node.dependents, identity)
    for (const dependent of wrong) {
      if (identity.namespace !== '' && dependent.identity.namespace !== identity.namespace)
        this.#reportNamespace(dependent, identity.uid)
      this.#work.attemptToDelete(dependent.identity.uid)
    }
  }

  #changeOwners(node: GraphNode, owners: readonly OwnerReference[]): void {
    const before = node.owners
    if (sameOwners(before, owners)) return
    node.owners = owners
    const added = owners.filter((owner) => !before.some((old) => old.uid === owner.uid))
    for (const old of before) {
      const now = owners.find((owner) => owner.uid === old.uid)
      // An owner in foreground deletion that this one held up need not wait for it any more.
      if (old.blockOwnerDeletion === true && now?.blockOwnerDeletion !== true && this.#nodes.has(old.uid))
        this.#work.attemptToDelete(old.uid)
    }
    this.#addToOwners(node, added)
    for (const old of before)
      if (!owners.some((owner) => owner.uid === old.uid)) this.#nodes.get(old.uid)?.dependents.delete(node)
  }

  #addToOwners(node: GraphNode, owners: readonly OwnerReference[]): void {
    let doubtful = false
    for (const owner of owners) {
      const known = this.#nodes.get(owner.uid)
      const ownerNode = known ?? this.#insert(identityOf(owner, node.identity.namespace), true)
      ownerNode.dependents.add(node)
      if (known === undefined) this.#work.attemptToDelete(owner.uid)
      else doubtful = this.#isDoubtful(node, owner, known) || doubtful
    }
    if (doubtful) this.#work.attemptToDelete(node.identity.uid)
  }

  /** True when the reference does not fit what is known of the owner: then it is verified live. */
  #isDoubtful(node: GraphNode, reference: OwnerReference, owner: GraphNode): boolean {
    const { namespace } = owner.identity
    if (namespace !== '' && namespace !== node.identity.namespace) {
      if (!owner.virtual) this.#reportNamespace(node, reference.uid)
      return true
    }
    return !names(reference, owner.identity) || (owner.virtual && namespace !== node.identity.namespace)
  }

  #reportNamespace(node: GraphNode, ownerUid: string): void {
    const reference = node.owners.find((owner) => owner.uid === ownerUid)
    if (reference !== undefined) this.#work.invalidNamespace(node.identity, reference)
  }

  #followDeletion(node: GraphNode, meta: Meta): void {
    if (meta.deletionTimestamp === undefined) return
    node.beingDeleted = true
    const { uid } = node.identity
    if (meta.finalizers?.includes(ORPHAN) === true) {
      this.#work.attemptToOrphan(uid)
      return
    }
    if (meta.finalizers?.includes(FOREGROUND) !== true || node.deletingDependents) return
    node.deletingDependents = true
    for (const dependent of node.dependents) this.#work.attemptToDelete(dependent.identity.uid)
    this.#work.attemptToDelete(uid)
  }
}

/** Those dependents that hold up the foreground deletion of `owner`: not itself, which could never go then. */
export function blockingDependents(owner: GraphNode): GraphNode[] {
  return [...owner.dependents].filter(
    (dependent) =>
      dependent !== owner &&
      dependent.owners.some((o) => o.uid === owner.identity.uid && o.blockOwnerDeletion === true),
  )
}

const identityOf = (owner: OwnerReference, namespace: string): Identity => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  namespace,
  name: owner.name,
  uid: owner.uid,
})

const names = (reference: OwnerReference, identity: Identity): boolean =>
  reference.name === identity.name && reference.kind === identity.kind && reference.apiVersion === identity.apiVersion

function sameIdentity(a: Identity, b: Identity): boolean {
  return (
    a.uid === b.uid &&
    a.name === b.name &&
    a.kind === b.kind &&
    a.apiVersion === b.apiVersion &&
    a.namespace === b.namespace
  )
}

/** Dependents whose reference fits this identity of their owner, and the others. */
function partition(dependents: Iterable<GraphNode>, owner: Identity): [GraphNode[], GraphNode[]] {
  const matching: GraphNode[] = []
  const others: GraphNode[] = []
  for (const dependent of dependents) {
    const reference = dependent.owners.find((o) => o.uid === owner.uid)
    const reachable = owner.namespace === '' || owner.namespace === dependent.identity.namespace
    if (reference !== undefined && reachable && names(reference, owner)) matching.push(dependent)
    else others.push(dependent)
  }
  return [matching, others]
}

/** Another identity that these dependents give to the owner: the next after `not` in order, so that all have a turn. */
function alternative(dependents: readonly GraphNode[], not: Identity): Identity | undefined {
  const print = (i: Identity): string => [i.namespace, i.apiVersion, i.kind, i.name].join('\n')
  const found = new Map<string, Identity>()
  for (const dependent of dependents) {
    const reference = dependent.owners.find((o) => o.uid === not.uid)
    if (reference === undefined) continue
    const identity = identityOf(reference, dependent.identity.namespace)
    found.set(print(identity), identity)
  }
  const keys = [...found.keys()].filter((key) => key !== print(not)).sort()
  const next = keys.find((key) => key > print(not)) ?? keys[0]
  return next === undefined ? undefined : found.get(next)
}

function sameOwners(a: readonly OwnerReference[], b: readonly OwnerReference[]): boolean {
  return (
    a === b ||
    (a.length === b.length &&
      a.every((x, i) => {
        const y = b[i]!
        return (
          x.uid === y.uid &&
          x.name === y.name &&
          x.kind === y.kind &&
          x.apiVersion === y.apiVersion &&
          x.controller === y.controller &&
          x.blockOwnerDeletion === y.blockOwnerDeletion
        )
      }))
  )
}
