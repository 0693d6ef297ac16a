import { isAscii, isUtf8 } from 'node:buffer'
import type { Json } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import { JsonSyntaxError, scanDuplicates } from './json-scan.ts'

/**
 * Kubernetes allows 10,000 levels; no kind comes near, and everything that walks objects here may recurse a few
 * frames a level.
 */
export const MAX_DEPTH = 1000

export type Decoded = {
  value: Json
  /** In the words of Kubernetes' strict errors: `duplicate field "metadata.name"`. The last value wins. */
  duplicates: string[]
}

/**
 * Reads one JSON document. Integers of the int64 range that a double cannot hold become `JSON.rawJSON` values, which
 * `JSON.stringify` writes as they were.
 *
 * Throws ApiError BadRequest for invalid UTF-8, syntax errors (never quoting the document, which may hold secrets),
 * more than MAX_DEPTH levels, numbers that a double cannot hold, and fields named `__proto__`, which no kind has and
 * which copying in JavaScript would turn into prototypes.
 */
export function decodeJson(bytes: Uint8Array): Decoded {
  if (!isUtf8(bytes)) throw badRequest('json parse error: the document is not valid UTF-8')
  const scan = scanBytes(bytes)
  if (scan.depth > MAX_DEPTH) throw badRequest(`json parse error: exceeded max depth of ${MAX_DEPTH}`)
  const text = toText(bytes)
  const value = parse(text, scan.longNumber)
  const members = countMembers(value)
  return { value, duplicates: members === scan.members ? [] : scanDuplicates(text) }
}

function parse(text: string, longNumber: boolean): Json {
  try {
    return longNumber ? source.parse(text, exactIntegers) : JSON.parse(text)
  } catch {
    // V8's messages quote the document; find the place ourselves.
    try {
      scanDuplicates(text)
    } catch (error) {
      if (error instanceof JsonSyntaxError) throw badRequest(`json parse error: ${error.message}`)
      throw error
    }
    throw badRequest('json parse error: invalid document')
  }
}

function toText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString(isAscii(bytes) ? 'latin1' : 'utf8')
}

type Scan = {
  /** Colons outside strings: in a valid document the number of its members, repeated names included. */
  members: number
  depth: number
  /** Whether some number has so many digits that a double may not hold it exactly. */
  longNumber: boolean
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** One pass over the bytes; tells nothing about whether they are valid JSON. */
function scanBytes(bytes: Uint8Array): Scan {
  let members = 0
  let level = 0
  let depth = 0
  let digits = 0
  let longNumber = false
  const end = bytes.length
  for (let i = 0; i < end; i++) {
    const c = bytes[i]!
    if (c === QUOTE) {
      digits = 0
      for (i++; i < end; i++) {
        const s = bytes[i]!
        if (s === QUOTE) break
        if (s === BACKSLASH) i++
      }
    } else if (c >= 0x30 && c <= 0x39) {
      if (++digits === 16) longNumber = true
    } else {
      digits = 0
      if (c === 0x3a) members++
      else if (c === 0x7b || c === 0x5b) {
        if (++level > depth) depth = level
      } else if (c === 0x7d || c === 0x5d) level--
    }
  }
  return { members, depth, longNumber }
}

/** Members of all objects in the value; its depth is bounded. */
function countMembers(value: Json): number {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw badRequest('json parse error: a number does not fit into float64')
    return 0
  }
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item = value[i]!
      if (typeof item !== 'string') count += countMembers(item)
    }
    return count
  }
  if (isRawJson(value)) return 0
  for (const key in value) {
    if (key === '__proto__') throw badRequest('json parse error: field name "__proto__" is not allowed')
    count++
    const member = value[key]!
    if (typeof member !== 'string') count += countMembers(member)
  }
  return count
}

// TypeScript's library does not know the source text access of ECMAScript 2026 yet.
type JsonSource = {
  parse: (text: string, reviver: (key: string, value: Json, context: { source?: string }) => Json) => Json
  rawJSON: (text: string) => Json
  isRawJSON: (value: unknown) => boolean
}
const source = JSON as unknown as JsonSource

/** Whether the value is an integer beyond 2^53, kept as it was written. `rawJSON` holds its text. */
export function isRawJson(value: unknown): value is { rawJSON: string } {
  return source.isRawJSON(value)
}

/** The JSON value of an int64: a number, or raw JSON where a double cannot hold it. */
export function int64ToJson(value: bigint): Json {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : source.rawJSON(value.toString())
}

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

function exactIntegers(_key: string, value: Json, context: { source?: string }): Json {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const text = context.source
  if (text === undefined || text === String(value) || !/^-?\d+$/.test(text)) return value
  const exact = BigInt(text)
  return exact > INT64_MAX || exact < INT64_MIN ? value : source.rawJSON(text)
}
