import type { JsonObject } from '../api/object.ts'
import { canonicalElement, inOrder, type PathElement } from './path-element.ts'

/**
 * A set of field paths, held directly as the FieldsV1 object that goes over the wire, so that reading and writing
 * managedFields costs nothing. A node maps path elements to nodes:
 *
 * - `{}`: the path that leads here is a member and has nothing below it
 * - with `.`: the path is a member, and the other elements continue below it
 * - without `.`: the path itself is no member
 *
 * Sets are never changed once made, and share their parts. Elements come in Kubernetes' order. In every function
 * below, undefined is the empty set; the root's own membership means nothing.
 */
export type FieldSet = { readonly [element: PathElement]: FieldSet }
export type MutableFieldSet = { [element: PathElement]: FieldSet }

export const LEAF: FieldSet = Object.freeze({})

export function isLeaf(node: FieldSet): boolean {
  for (const _ in node) return false
  return true
}

const isMember = (node: FieldSet): boolean => node['.'] !== undefined || isLeaf(node)

const hasChildren = (node: FieldSet): boolean => {
  for (const element in node) if (element !== '.') return true
  return false
}

/** Brings the elements of a node just made into Kubernetes' order. */
export function ordered(node: MutableFieldSet): FieldSet {
  const elements = Object.keys(node)
  const sorted = inOrder(elements)
  if (sorted === elements) return node
  const out: MutableFieldSet = {}
  for (const element of sorted) out[element] = node[element]!
  return out
}

/** The node for a path that is a member or not, with what is below it; undefined when that is nothing. */
function combine(member: boolean, children: FieldSet | undefined): FieldSet | undefined {
  if (children === undefined || !hasChildren(children)) return member ? LEAF : undefined
  if (member === (children['.'] !== undefined)) return children
  const out: MutableFieldSet = member ? { '.': LEAF } : {}
  for (const element in children) if (element !== '.') out[element] = children[element]!
  return out
}

/** Builds a set from paths; for set-up, not for the write path. */
export function setOf(...paths: readonly (readonly PathElement[])[]): FieldSet | undefined {
  let out: FieldSet | undefined
  for (const path of paths)
    out = union(
      out,
      path.reduceRight<FieldSet>((below, element) => ({ [element]: below }), LEAF),
    )
  return out
}

export function has(set: FieldSet | undefined, path: readonly PathElement[]): boolean {
  let node = set
  for (const element of path) node = node?.[element]
  return node !== undefined && path.length > 0 && isMember(node)
}

/** Returns `a` itself when it already holds all of `b`. */
export function union(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (a === undefined) return b
  if (b === undefined || a === b) return a
  let out: MutableFieldSet | undefined
  for (const element in b) {
    if (element === '.') continue
    const right = b[element]!
    const left = (out ?? a)[element]
    const both = left === undefined ? right : unionNodes(left, right)
    if (both === left) continue
    out ??= { ...a }
    out[element] = both
  }
  return out === undefined ? a : ordered(out)
}

function unionNodes(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a
  if (!hasChildren(b)) return isMember(a) ? a : combine(true, a)!
  if (!hasChildren(a)) return isMember(b) ? b : combine(true, b)!
  return combine(isMember(a) || isMember(b), union(a, b))!
}

export function intersection(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (a === undefined || b === undefined) return undefined
  const out: MutableFieldSet = {}
  let empty = true
  for (const element in a) {
    const right = b[element]
    if (element === '.' || right === undefined) continue
    const left = a[element]!
    const both = combine(isMember(left) && isMember(right), intersection(left, right))
    if (both === undefined) continue
    out[element] = both
    empty = false
  }
  return empty ? undefined : out
}

/** The members of `a` that are not members of `b`; returns `a` itself when none is. */
export function difference(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  return subtract(a, b, false)
}

/** As difference, but a member of `b` also takes away everything below it. */
export function recursiveDifference(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  return subtract(a, b, true)
}

function subtract(a: FieldSet | undefined, b: FieldSet | undefined, recursive: boolean): FieldSet | undefined {
  if (a === undefined || b === undefined) return a
  let out: MutableFieldSet | undefined
  for (const element in b) {
    const left = a[element]
    if (element === '.' || left === undefined) continue
    const rest = subtractNodes(left, b[element]!, recursive)
    if (rest === left) continue
    out ??= { ...a }
    if (rest === undefined) delete out[element]
    else out[element] = rest
  }
  if (out === undefined) return a
  return hasChildren(out) ? out : undefined
}

function subtractNodes(a: FieldSet, b: FieldSet, recursive: boolean): FieldSet | undefined {
  const taken = isMember(b)
  if (taken && recursive) return undefined
  if (!hasChildren(a)) return taken ? undefined : a
  return combine(isMember(a) && !taken, subtract(a, b, recursive))
}

/** True when every member of `a` is one of `b`. */
export function isSubset(a: FieldSet | undefined, b: FieldSet | undefined): boolean {
  if (a === b) return true
  for (const element in a) {
    if (element === '.') continue
    const left = a[element]!
    const right = b?.[element]
    if (right === undefined) return false
    if (left === right) continue
    if (isMember(left) && !isMember(right)) return false
    if (!isLeaf(left) && !isSubset(left, right)) return false
  }
  return true
}

export function setsEqual(a: FieldSet | undefined, b: FieldSet | undefined): boolean {
  if (a === b) return true
  return isSubset(a, b) && isSubset(b, a)
}

/** The members that have no member below them. */
export function leaves(set: FieldSet | undefined): FieldSet | undefined {
  if (set === undefined) return undefined
  const out: MutableFieldSet = {}
  let empty = true
  for (const element in set) {
    if (element === '.') continue
    const node = set[element]!
    const below = hasChildren(node) ? leaves(node) : LEAF
    if (below === undefined) continue
    out[element] = below
    empty = false
  }
  return empty ? undefined : out
}

/** How many members a set has. */
export function sizeOf(set: FieldSet | undefined): number {
  let count = 0
  for (const element in set) {
    if (element === '.') continue
    const node = set[element]!
    if (isMember(node)) count++
    if (!isLeaf(node)) count += sizeOf(node)
  }
  return count
}

/**
 * Calls `visit` for each member in Kubernetes' order, until it returns false: the members of a node come before what
 * lies below them. The path is reused: copy it to keep it.
 */
export function forEachPath(set: FieldSet | undefined, visit: (path: readonly PathElement[]) => unknown): void {
  if (set !== undefined) walk(set, [], visit)
}

function walk(node: FieldSet, path: PathElement[], visit: (path: PathElement[]) => unknown): boolean {
  for (const element in node) {
    if (element === '.' || !isMember(node[element]!)) continue
    path.push(element)
    const more = visit(path)
    path.pop()
    if (more === false) return false
  }
  for (const element in node) {
    if (element === '.' || !hasChildren(node[element]!)) continue
    path.push(element)
    const more = walk(node[element]!, path, visit)
    path.pop()
    if (!more) return false
  }
  return true
}

/**
 * Reads FieldsV1 that a client wrote. Unknown kinds of elements are dropped, as Kubernetes does.
 * Throws SyntaxError when it is not FieldsV1.
 */
export function parseFieldsV1(fields: unknown): FieldSet | undefined {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new SyntaxError('not an object')
  const source = fields as JsonObject
  let out: MutableFieldSet | undefined
  for (const key of Object.keys(source)) {
    if (key === '.') continue
    const element = canonicalElement(key)
    if (element === undefined) continue
    const node = parseNode(source[key])
    out ??= {}
    const other = out[element]
    out[element] = other === undefined ? node : unionNodes(other, node)
  }
  return out === undefined ? undefined : ordered(out)
}

function parseNode(fields: unknown): FieldSet {
  const children = parseFieldsV1(fields)
  return combine(children === undefined || Object.hasOwn(fields as object, '.'), children) ?? LEAF
}
