import type { Json, JsonObject } from '../api/object.ts'
import { ApiError, badRequest } from '../api/status.ts'
import { boundedDepth, deepCopy, isObject, jsonEqual, own, setOwn } from './json-value.ts'

/** apiserver/pkg/endpoints/handlers: maxJSONPatchOperations. */
const MAX_OPERATIONS = 10_000
/** apiserver's JSONPatchMaxCopyBytes: what all copy operations of one patch may add, in characters of JSON. */
const MAX_COPIED = 3 * 1024 * 1024

type Operation = { op: string; path: string; from: string | undefined; value: Json | undefined }

/**
 * JSON patch (RFC 6902) as the API server applies it. `document` is not changed.
 *
 * - a patch that is no list of operations: 400 BadRequest
 * - more than 10,000 operations, or copies of more than 3 MiB: 413 RequestEntityTooLarge
 * - an operation that is wrong in itself, a missing path, a failing test: 422 Invalid with Kubernetes' message; the
 *   cause names the operation's path and what is wrong
 *
 * As in Kubernetes, and looser than the RFC: `replace` of a member that an object does not have adds it, `test` of an
 * absent member equals null, and a negative index counts from the end of its list.
 */
export function applyJsonPatch(document: Json, patch: unknown): Json {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: a JSON patch is a list of operations')
  if (patch.length > MAX_OPERATIONS) {
    throw new ApiError(
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    )
  }
  const operations = patch.map(decode)
  return boundedDepth(() => {
    const run = new Run(deepCopy(document))
    for (const operation of operations) run.apply(operation)
    return run.document
  })
}

function decode(raw: unknown, index: number): Operation {
  if (!isObject(raw)) throw badRequest(`error decoding patch: operation ${index} is not an object`)
  const op = own(raw, 'op')
  const path = own(raw, 'path')
  const from = own(raw, 'from')
  if (typeof path !== 'string') throw rejected('', `operation ${index}: missing path`)
  if (typeof op !== 'string') throw rejected(path, `operation ${index}: missing op`)
  return { op, path, from: typeof from === 'string' ? from : undefined, value: own(raw, 'value') }
}

function rejected(path: string, why: string): ApiError {
  return new ApiError('Invalid', 'the server rejected our request due to an error in our request', {
    causes: [{ field: path, message: why }],
  })
}

/** RFC 6901, section 4. */
function parsePointer(pointer: string): string[] {
  if (pointer === '') return []
  if (!pointer.startsWith('/')) throw rejected(pointer, 'the path must be empty or begin with "/"')
  const parts = pointer.slice(1).split('/')
  return pointer.includes('~') ? parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')) : parts
}

class Run {
  document: Json
  #copied = 0

  constructor(document: Json) {
    this.document = document
  }

  apply({ op, path, from, value }: Operation): void {
    switch (op) {
      case 'add':
        this.#add(path, required(op, path, value))
        return
      case 'remove':
        this.#remove(path)
        return
      case 'replace':
        this.#replace(path, required(op, path, value))
        return
      case 'test': {
        const actual = path === '' ? this.document : this.#get(path)
        if (!jsonEqual(actual ?? null, value ?? null)) throw rejected(path, `testing value ${path} failed: test failed`)
        return
      }
      case 'move': {
        const source = requiredFrom(op, path, from)
        if (path.startsWith(`${source}/`)) throw rejected(path, 'a value cannot be moved into itself')
        if (path === source) this.#existing(source)
        else this.#add(path, this.#remove(source))
        return
      }
      case 'copy':
        this.#add(path, this.#copy(this.#existing(requiredFrom(op, path, from))))
        return
      default:
        throw rejected(path, `unexpected kind: ${op}`)
    }
  }

  /** The list or object that holds the last part of `path`. */
  #container(path: string): { holder: Json[] | JsonObject; key: string } {
    const parts = parsePointer(path)
    const key = parts.pop()
    if (key === undefined) throw rejected(path, 'the operation needs a path below the document')
    let node: Json | undefined = this.document
    for (const part of parts) {
      if (Array.isArray(node)) node = node[indexIn(node.length, part, path)]
      else node = isObject(node) ? own(node, part) : undefined
    }
    if (!Array.isArray(node) && !isObject(node)) throw rejected(path, `doc is missing path: ${path}: missing value`)
    return { holder: node, key }
  }

  #get(path: string): Json | undefined {
    const { holder, key } = this.#container(path)
    return Array.isArray(holder) ? holder[indexIn(holder.length, key, path)] : own(holder, key)
  }

  #existing(path: string): Json {
    const value = path === '' ? this.document : this.#get(path)
    if (value === undefined) throw rejected(path, `doc is missing key: ${path}: missing value`)
    return value
  }

  #add(path: string, value: Json): void {
    if (path === '') {
      this.document = value
      return
    }
    const { holder, key } = this.#container(path)
    if (!Array.isArray(holder)) setOwn(holder, key, value)
    else if (key === '-') holder.push(value)
    else holder.splice(indexIn(holder.length + 1, key, path), 0, value)
  }

  #replace(path: string, value: Json): void {
    if (path === '') {
      this.document = value
      return
    }
    const { holder, key } = this.#container(path)
    if (Array.isArray(holder)) holder[indexIn(holder.length, key, path)] = value
    else setOwn(holder, key, value)
  }

  #remove(path: string): Json {
    const { holder, key } = this.#container(path)
    if (Array.isArray(holder)) return holder.splice(indexIn(holder.length, key, path), 1)[0]!
    const value = own(holder, key)
    if (value === undefined) throw rejected(path, `unable to remove nonexistent key: ${key}: missing value`)
    delete holder[key]
    return value
  }

  #copy(value: Json): Json {
    const text = JSON.stringify(value)
    this.#copied += text.length
    if (this.#copied > MAX_COPIED) {
      throw new ApiError(
        'RequestEntityTooLarge',
        `Request entity too large: Unable to complete the copy, the accumulated size increase of copy is ${this.#copied}, exceeding the limit ${MAX_COPIED}`,
      )
    }
    return deepCopy(value)
  }
}

function required(op: string, path: string, value: Json | undefined): Json {
  if (value === undefined) throw rejected(path, `${op} operation is missing its value`)
  return deepCopy(value)
}

function requiredFrom(op: string, path: string, from: string | undefined): string {
  if (from === undefined) throw rejected(path, `${op} operation is missing its from`)
  return from
}

/** An index below `length`; negative ones count from the end. */
function indexIn(length: number, text: string, path: string): number {
  const index = /^[+-]?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
  const at = index < 0 ? index + length : index
  if (Number.isNaN(at) || at < 0 || at >= length) {
    throw rejected(path, `unable to access invalid index: ${text}: invalid index referenced`)
  }
  return at
}
