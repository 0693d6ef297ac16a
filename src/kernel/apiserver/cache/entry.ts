import type { KubeObject } from '../../api/object.ts'

/**
 * One version of one object: the bytes that every reader gets, and the few facts that lists and watches filter by.
 * The parsed object is made on demand: what is kept in memory is the bytes.
 */
export class Entry {
  /** `namespace/name`, or `name` for cluster-scoped kinds: the order of lists. */
  readonly key: string
  readonly namespace: string
  readonly name: string
  readonly revision: number
  /** JSON with metadata.resourceVersion in it. */
  readonly bytes: Buffer
  readonly labels: Readonly<Record<string, string>> | undefined
  #object: KubeObject | undefined

  constructor(key: string, revision: number, bytes: Buffer, object: KubeObject) {
    this.key = key
    this.namespace = object.metadata.namespace ?? ''
    this.name = object.metadata.name ?? ''
    this.revision = revision
    this.bytes = bytes
    this.labels = object.metadata.labels
    this.#object = object
  }

  /** A parsed copy that the caller may change. */
  copy(): KubeObject {
    return parseStored(this.bytes)
  }

  /** A parsed object that is shared: never change it. */
  shared(): KubeObject {
    return this.#object ?? this.copy()
  }

  /** Called when the event of this version has been handed to everyone: from now on only the bytes are kept. */
  release(): void {
    this.#object = undefined
  }
}

const LARGE_INTEGER = /\d{16}/

/** JSON.parse that keeps integers beyond 2^53 as they were written (JSON.rawJSON). */
export function parseStored(bytes: Buffer): KubeObject {
  return parseExact(bytes.toString('utf8'))
}

/** A deep copy that shares nothing with the original. */
export function cloneObject(object: KubeObject): KubeObject {
  return parseExact(JSON.stringify(object))
}

function parseExact(text: string): KubeObject {
  if (!LARGE_INTEGER.test(text)) return JSON.parse(text) as KubeObject
  return JSON.parse(text, keepLargeIntegers as (key: string, value: unknown) => unknown) as KubeObject
}

function keepLargeIntegers(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || context.source === undefined) return value
  return /^-?\d+$/.test(context.source)
    ? (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON(context.source)
    : value
}

/**
 * Objects are written without resourceVersion, as the store assigns it; it is put back at the place where metadata
 * begins. `object` must have kind, apiVersion, metadata as its first keys, which `orderTopLevel` sees to.
 */
export function serializeForStorage(object: KubeObject): Buffer {
  return Buffer.from(JSON.stringify(orderTopLevel(object)))
}

function orderTopLevel(object: KubeObject): KubeObject {
  const { kind, apiVersion, metadata, ...rest } = object
  const { resourceVersion: _, ...meta } = metadata
  return { kind, apiVersion, metadata: meta, ...rest }
}

const METADATA = Buffer.from('"metadata":{')

/** Inserts `"resourceVersion":"N"` as the first field of metadata. */
export function withResourceVersion(stored: Uint8Array, revision: number): Buffer {
  const source = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const at = source.indexOf(METADATA)
  if (at < 0) throw new Error('stored object has no metadata')
  const start = at + METADATA.length
  const empty = source[start] === 0x7d // '}'
  const insert = `"resourceVersion":"${revision}"${empty ? '' : ','}`
  // Not from Buffer's pool: what is kept for long would hold whole slabs of what is not.
  const out = Buffer.allocUnsafeSlow(source.length + insert.length)
  source.copy(out, 0, 0, start)
  out.write(insert, start, 'latin1')
  source.copy(out, start + insert.length, start)
  return out
}
