import type { KubeObject, OwnerReference } from '../../api/object.ts'
import type { Client, DeleteOptions } from '../../client/client.ts'
import type { ReconcileResult } from '../../controller/reconciler.ts'
import type { Log } from '../../feature.ts'
import { ifFound, isReason } from '../api-errors.ts'
import type { AbsentOwners } from './absent-owners.ts'
import { blockingDependents, FOREGROUND, type GraphNode, type Identity, ORPHAN, type OwnerGraph } from './graph.ts'
import type { Kinds } from './kinds.ts'

export type CollectorParts = {
  client: Client
  graph: OwnerGraph
  absent: AbsentOwners
  kinds: Kinds
  /** Adds to the queue whose keys come back to attemptToDelete. */
  enqueue: (uid: string) => void
  log: Log
}

type Classified = { solid: OwnerReference[]; dangling: OwnerReference[]; waiting: OwnerReference[] }

/** A virtual owner that exists is looked up again until an informer sees it. */
const CHECK_MS = 250
const CHECK_MAX_MS = 30_000

/** Decides by what the server says now, and acts. Every method may be repeated at any time. */
export class Collector {
  readonly #parts: CollectorParts

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /**
   * Deletes the object when none of its owners exists any more, drops references to absent owners when one does, and
   * carries on its foreground deletion.
   */
  async attemptToDelete(uid: string): Promise<ReconcileResult | undefined> {
    const { graph } = this.#parts
    const node = graph.get(uid)
    if (node === undefined || (node.beingDeleted && !node.deletingDependents)) return undefined
    const latest = await this.#live(node.identity)
    if (latest === undefined || latest.metadata.uid !== uid) {
      graph.forgetAbsent(node.identity)
      return undefined
    }
    if (node.deletingDependents) await this.#continueForeground(node, latest)
    else await this.#judge(node, latest)
    if (!node.virtual) return undefined
    return { requeueAfterMs: Math.min(CHECK_MAX_MS, CHECK_MS * 2 ** Math.min(node.checks++, 10)) }
  }

  /** Takes the owner's reference from its dependents, then its finalizer `orphan`. */
  async attemptToOrphan(uid: string): Promise<void> {
    const owner = this.#parts.graph.get(uid)
    if (owner === undefined) return
    for (const dependent of [...owner.dependents]) {
      const latest = await this.#live(dependent.identity)
      if (latest === undefined || latest.metadata.uid !== dependent.identity.uid) continue
      await this.#keepOwners(dependent.identity, latest, (reference) => reference.uid !== uid)
    }
    const latest = await this.#live(owner.identity)
    if (latest?.metadata.uid === uid) await this.#removeFinalizer(owner.identity, latest, ORPHAN)
  }

  async #continueForeground(node: GraphNode, latest: KubeObject): Promise<void> {
    const blocking = blockingDependents(node)
    if (blocking.length === 0) await this.#removeFinalizer(node.identity, latest, FOREGROUND)
    for (const dependent of blocking) if (!dependent.deletingDependents) this.#parts.enqueue(dependent.identity.uid)
  }

  async #judge(node: GraphNode, latest: KubeObject): Promise<void> {
    const references = latest.metadata.ownerReferences ?? []
    if (references.length === 0) return
    const owners = await this.#classify(node.identity, references)
    if (owners === undefined) return
    const { solid, dangling, waiting } = owners
    if (solid.length > 0) {
      // Owners in foreground deletion would wait for this one for ever.
      if (dangling.length + waiting.length > 0)
        await this.#keepOwners(node.identity, latest, (reference) => solid.includes(reference))
      return
    }
    if (waiting.length > 0 && node.dependents.size > 0) {
      if ([...node.dependents].some((dependent) => dependent.deletingDependents))
        latest = await this.#unblock(node, latest)
      await this.#delete(node, latest, 'Foreground')
      return
    }
    const finalizers = latest.metadata.finalizers ?? []
    const policy = finalizers.includes(ORPHAN)
      ? 'Orphan'
      : finalizers.includes(FOREGROUND)
        ? 'Foreground'
        : 'Background'
    await this.#delete(node, latest, policy)
  }

  /** undefined: the references can never be right, and nothing is to be done. */
  async #classify(item: Identity, references: readonly OwnerReference[]): Promise<Classified | undefined> {
    const owners: Classified = { solid: [], dangling: [], waiting: [] }
    for (const reference of references) {
      const { namespaced } = this.#parts.kinds.resolve(reference.apiVersion, reference.kind)
      if (namespaced && item.namespace === '') {
        this.#parts.log('warn', `garbage collection: ${print(item)} is cluster-scoped and names a namespaced owner`)
        return undefined
      }
      const owner = await this.#owner(reference, namespaced ? item.namespace : '')
      if (owner === undefined) owners.dangling.push(reference)
      else if (
        owner.metadata.deletionTimestamp !== undefined &&
        owner.metadata.finalizers?.includes(FOREGROUND) === true
      )
        owners.waiting.push(reference)
      else owners.solid.push(reference)
    }
    return owners
  }

  async #owner(reference: OwnerReference, namespace: string): Promise<KubeObject | undefined> {
    const { apiVersion, kind, name, uid } = reference
    const identity = { apiVersion, kind, namespace, name, uid }
    if (this.#parts.absent.has(identity)) return undefined
    const owner = await this.#live(identity)
    if (owner?.metadata.uid === uid) return owner
    this.#parts.absent.add(identity)
    return undefined
  }

  async #live(identity: Identity): Promise<KubeObject | undefined> {
    const { id, namespaced } = this.#parts.kinds.resolve(identity.apiVersion, identity.kind)
    // A cluster-scoped object has no namespaced owner: nothing is there.
    if (namespaced && identity.namespace === '') return undefined
    return await ifFound(this.#parts.client.get(id, namespaced ? identity.namespace : '', identity.name))
  }

  async #delete(
    node: GraphNode,
    latest: KubeObject,
    policy: DeleteOptions['propagationPolicy'] & string,
  ): Promise<void> {
    const { identity } = node
    const { id, namespaced } = this.#parts.kinds.resolve(identity.apiVersion, identity.kind)
    // Should the object have changed since it was read, its owners are to be looked at again.
    const preconditions = { uid: identity.uid, resourceVersion: latest.metadata.resourceVersion! }
    try {
      const namespace = namespaced ? identity.namespace : ''
      await this.#parts.client.delete(id, namespace, identity.name, { propagationPolicy: policy, preconditions })
      this.#parts.log('debug', `garbage collection: deleted ${print(identity)} (${policy})`)
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error
      this.#parts.graph.forgetAbsent(identity)
    }
  }

  /** A circle of objects that wait for each other: its references no longer block. */
  async #unblock(node: GraphNode, latest: KubeObject): Promise<KubeObject> {
    const ownerReferences = (latest.metadata.ownerReferences ?? []).map((o) => ({ ...o, blockOwnerDeletion: false }))
    return (await this.#patch(node.identity, latest, { ownerReferences })) ?? latest
  }

  async #keepOwners(
    identity: Identity,
    latest: KubeObject,
    keep: (reference: OwnerReference) => boolean,
  ): Promise<void> {
    const before = latest.metadata.ownerReferences ?? []
    const ownerReferences = before.filter(keep)
    if (ownerReferences.length < before.length) await this.#patch(identity, latest, { ownerReferences })
  }

  async #removeFinalizer(identity: Identity, latest: KubeObject, finalizer: string): Promise<void> {
    const before = latest.metadata.finalizers ?? []
    const finalizers = before.filter((f) => f !== finalizer)
    if (finalizers.length < before.length) await this.#patch(identity, latest, { finalizers })
  }

  async #patch(identity: Identity, latest: KubeObject, fields: object): Promise<KubeObject | undefined> {
    const { id, namespaced } = this.#parts.kinds.resolve(identity.apiVersion, identity.kind)
    const { resourceVersion } = latest.metadata
    const metadata = { uid: identity.uid, resourceVersion, ...fields }
    const namespace = namespaced ? identity.namespace : ''
    return await ifFound(this.#parts.client.patch(id, namespace, identity.name, 'merge', { metadata }))
  }
}

const print = (i: Identity): string => `${i.kind} ${i.namespace === '' ? '' : `${i.namespace}/`}${i.name}`
