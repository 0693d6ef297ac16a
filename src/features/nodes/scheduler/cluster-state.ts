import type { JsonObject, KubeObject } from '../../../kernel/api/object.ts'
import { keyOf } from '../../../kernel/controller/store.ts'
import { amountsOf, podRequests } from './resources.ts'
import type { NodeInfo } from './types.ts'

const isOver = (pod: KubeObject): boolean => ['Succeeded', 'Failed'].includes(pod['status']?.phase ?? '')

/**
 * Machines and what runs on them, kept from events. A pod that was just placed counts (`assume`) until its binding is
 * seen or has failed, so that two pods in a row do not both take the last room.
 */
export class ClusterState {
  readonly #nodes = new Map<string, NodeInfo>()
  /** pod → the machine it counts on, which may not exist (yet). */
  readonly #places = new Map<string, { node: string; pod: KubeObject; assumed: boolean }>()

  upsertNode(node: KubeObject): void {
    const name = node.metadata.name!
    const known = this.#nodes.get(name)
    const allocatable = amountsOf((node['status']?.allocatable ?? node['status']?.capacity) as JsonObject | undefined)
    if (known !== undefined) {
      this.#nodes.set(name, { ...known, node, allocatable })
      return
    }
    const info: NodeInfo = { node, allocatable, requested: new Map(), pods: new Map() }
    this.#nodes.set(name, info)
    for (const [key, place] of this.#places) if (place.node === name) count(info, key, place.pod, 1n)
  }

  deleteNode(node: KubeObject): void {
    this.#nodes.delete(node.metadata.name!)
  }

  upsertPod(pod: KubeObject): void {
    const key = keyOf(pod)
    const node = (pod['spec']?.nodeName ?? '') as string
    if (node === '' || isOver(pod)) {
      // What was assumed is not bound yet: an event from before the binding takes nothing back.
      if (node !== '' || this.#places.get(key)?.assumed !== true) this.#remove(key)
      return
    }
    this.#put(key, pod, node, false)
  }

  deletePod(pod: KubeObject): void {
    this.#remove(keyOf(pod))
  }

  assume(pod: KubeObject, node: string): void {
    this.#put(keyOf(pod), pod, node, true)
  }

  /** The binding did not come to be. */
  forget(pod: KubeObject): void {
    const key = keyOf(pod)
    if (this.#places.get(key)?.assumed === true) this.#remove(key)
  }

  /** Machines that are not being deleted. */
  nodes(): NodeInfo[] {
    return [...this.#nodes.values()].filter(({ node }) => node.metadata.deletionTimestamp === undefined)
  }

  #put(key: string, pod: KubeObject, node: string, assumed: boolean): void {
    this.#remove(key)
    this.#places.set(key, { node, pod, assumed })
    const info = this.#nodes.get(node)
    if (info !== undefined) count(info, key, pod, 1n)
  }

  #remove(key: string): void {
    const place = this.#places.get(key)
    if (place === undefined) return
    this.#places.delete(key)
    const info = this.#nodes.get(place.node)
    if (info !== undefined) count(info, key, place.pod, -1n)
  }
}

function count(info: NodeInfo, key: string, pod: KubeObject, sign: 1n | -1n): void {
  if (sign === 1n) info.pods.set(key, pod)
  else info.pods.delete(key)
  for (const [resource, amount] of podRequests(pod))
    info.requested.set(resource, (info.requested.get(resource) ?? 0n) + sign * amount)
}
