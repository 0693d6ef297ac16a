import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { FieldPath } from './types.ts'

/** A value's node in a document's source, and how it is reached. */
export type Place = {
  node: Node
  /** The member of a mapping whose value the node is. */
  pair: Pair<Node, Node> | undefined
  parent: YAMLMap | YAMLSeq | undefined
  /** Reached through an alias or merge, or anchored: a change would show elsewhere too. */
  shared: boolean
}

/** Finds values in the text of a YAML or JSON document. */
export class Source {
  readonly text: string
  readonly #document: Document.Parsed
  readonly #members: WeakMap<YAMLMap, Map<string, Pair<Node, Node>>> = new WeakMap()
  readonly #lines: number[] = [0]

  constructor(text: string) {
    this.text = text
    // Every scalar is a string here: what the values are is decided by who decodes them.
    this.#document = parseDocument(text, { schema: 'failsafe', uniqueKeys: false, strict: false, logLevel: 'silent' })
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) this.#lines.push(i + 1)
  }

  get valid(): boolean {
    return this.#document.errors.length === 0
  }

  /** The node at the path, or undefined when it is not in the source as such. */
  find(path: FieldPath): Place | undefined {
    const { places, complete } = this.#walk(path)
    return complete ? places.at(-1) : undefined
  }

  /** 0-based lines on which the value stands: of `offset` within it, and of its beginning. */
  linesOf(path: FieldPath, offset: number): { line: number; head: number } {
    const { places, complete } = this.#walk(path)
    const place = places.at(-1)
    if (place === undefined) return { line: 0, head: 0 }
    const key = place.pair?.key
    const head = this.#lineAt((isNode(key) ? key.range?.[0] : undefined) ?? place.node.range?.[0] ?? 0)
    const line = this.#lineAt(place.node.range?.[0] ?? 0)
    if (!complete || !isScalar(place.node)) return { line, head }
    const scalar = place.node as Scalar
    const inner = newlines(String(scalar.value), offset)
    if (scalar.type === 'BLOCK_LITERAL' || scalar.type === 'BLOCK_FOLDED') return { line: line + 1 + inner, head }
    return { line, head }
  }

  /** The line's text. */
  lineText(line: number): string {
    const start = this.#lines[line] ?? this.text.length
    const end = this.#lines[line + 1]
    return this.text.slice(start, end === undefined ? this.text.length : end - 1)
  }

  /** Characters before the offset in its line. */
  column(offset: number): number {
    return offset - this.#lines[this.#lineAt(offset)]!
  }

  /** Offset at which the line after the one with this offset begins; the text's length in the last line. */
  nextLine(offset: number): number {
    return this.#lines[this.#lineAt(offset) + 1] ?? this.text.length
  }

  #lineAt(offset: number): number {
    let [low, high] = [0, this.#lines.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#lines[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  #walk(path: FieldPath): { places: Place[]; complete: boolean } {
    const root = this.#document.contents
    if (root === null) return { places: [], complete: false }
    const places: Place[] = [this.#place(root, undefined, undefined, false)]
    for (const part of path) {
      const { node, shared } = places.at(-1)!
      let found: Place | undefined
      if (isMap(node) && typeof part === 'string') found = this.#member(node, part, shared)
      else if (isSeq(node) && typeof part === 'number') {
        const item = node.items[part]
        if (isNode(item)) found = this.#place(item, undefined, node, shared)
      }
      if (found === undefined) return { places, complete: false }
      places.push(found)
    }
    return { places, complete: true }
  }

  #place(node: Node, pair: Place['pair'], parent: Place['parent'], shared: boolean): Place {
    if (isAlias(node)) {
      const target = node.resolve(this.#document)
      return { node: target ?? node, pair, parent, shared: true }
    }
    const anchored = 'anchor' in node && node.anchor !== undefined
    return { node, pair, parent, shared: shared || anchored }
  }

  #member(map: YAMLMap, key: string, shared: boolean): Place | undefined {
    const pair = this.#membersOf(map).get(key)
    if (pair !== undefined && isNode(pair.value)) return this.#place(pair.value, pair, map, shared)
    if (pair !== undefined) return undefined
    const merge = this.#membersOf(map).get('<<')
    if (merge === undefined || !isNode(merge.value)) return undefined
    const { node } = this.#place(merge.value, merge, map, true)
    const sources = isSeq(node) ? node.items : [node]
    for (const source of sources) {
      if (!isNode(source)) continue
      const target = this.#place(source, undefined, undefined, true).node
      const inner = isMap(target) ? this.#membersOf(target).get(key) : undefined
      if (inner !== undefined && isNode(inner.value)) return this.#place(inner.value, inner, map, true)
    }
    return undefined
  }

  /** Of repeated keys the last counts, as it does for kubectl. */
  #membersOf(map: YAMLMap): Map<string, Pair<Node, Node>> {
    let members = this.#members.get(map)
    if (members === undefined) {
      members = new Map()
      for (const pair of map.items)
        if (isScalar(pair.key)) members.set(String(pair.key.value), pair as unknown as Pair<Node, Node>)
      this.#members.set(map, members)
    }
    return members
  }
}

function newlines(text: string, to: number): number {
  let count = 0
  for (let i = text.indexOf('\n'); i >= 0 && i < to; i = text.indexOf('\n', i + 1)) count++
  return count
}
