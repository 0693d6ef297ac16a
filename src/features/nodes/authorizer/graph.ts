import type { KubeObject } from '../../../kernel/api/object.ts'
import { isMirrorPod, podReferences } from '../pod-references.ts'

type Known = { node: string; references: readonly string[] }

/**
 * What each machine's pods refer to, kept as pods come and go: whether a machine is related to an object costs one look.
 * Keys are `resource/namespace/name`, pods among them.
 */
export class NodeGraph {
  readonly #pods = new Map<string, Known>()
  /** machine → object → how many of its pods refer to it */
  readonly #byNode = new Map<string, Map<string, number>>()

  upsertPod(pod: KubeObject): void {
    const key = keyOf(pod)
    this.#forget(key)
    const node = (pod['spec']?.nodeName ?? '') as string
    if (node === '') return
    const references = [`pods/${key}`]
    if (!isMirrorPod(pod))
      for (const reference of podReferences(pod)) {
        const slash = reference.indexOf('/')
        references.push(`${reference.slice(0, slash)}/${pod.metadata.namespace}${reference.slice(slash)}`)
      }
    let related = this.#byNode.get(node)
    if (related === undefined) this.#byNode.set(node, (related = new Map()))
    for (const reference of references) related.set(reference, (related.get(reference) ?? 0) + 1)
    this.#pods.set(key, { node, references })
  }

  deletePod(pod: KubeObject): void {
    this.#forget(keyOf(pod))
  }

  isRelated(node: string, resource: string, namespace: string, name: string): boolean {
    return this.#byNode.get(node)?.has(`${resource}/${namespace}/${name}`) ?? false
  }

  #forget(key: string): void {
    const known = this.#pods.get(key)
    if (known === undefined) return
    this.#pods.delete(key)
    const related = this.#byNode.get(known.node)!
    for (const reference of known.references) {
      const left = related.get(reference)! - 1
      if (left === 0) related.delete(reference)
      else related.set(reference, left)
    }
    if (related.size === 0) this.#byNode.delete(known.node)
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace}/${metadata.name}`
