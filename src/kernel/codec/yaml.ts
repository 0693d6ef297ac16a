import { isUtf8 } from 'node:buffer'
import yaml from 'js-yaml'
import type { Json, JsonObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import type { Decoded } from './json.ts'
import { int64ToJson, isRawJson } from './json.ts'

/** Levels of nesting; js-yaml recurses several frames a level. */
const MAX_DEPTH = 400

/**
 * Reads one YAML document as Kubernetes does, which is YAML 1.1 in the dialect of go-yaml v2: yes, on, y and their
 * kin are booleans, 0777 is octal, timestamps stay strings, `<<` merges.
 *
 * Throws ApiError BadRequest for invalid UTF-8, syntax errors, several documents, too deep nesting, and aliases that
 * would blow the document up.
 */
export function decodeYaml(bytes: Uint8Array): Decoded {
  if (!isUtf8(bytes)) throw badRequest('yaml: the document is not valid UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  // Every alias can make the merge of `<<` copy as many keys as the document has.
  const aliases = text.match(/(?:^|[\s[{,:-])\*[^\s,\]}]/g)?.length ?? 0
  if (aliases * text.length > 50_000_000) throw badRequest('yaml: document contains excessive aliasing')
  const { value, duplicates } = load(text)
  const budget = { left: Math.max(1_000_000, 4 * text.length) }
  return { value: toJson(value, budget, 0), duplicates }
}

function load(text: string): { value: unknown; duplicates: string[] } {
  try {
    return { value: yaml.load(text, OPTIONS), duplicates: [] }
  } catch (error) {
    if (!(error instanceof yaml.YAMLException) || error.reason !== 'duplicated mapping key') throw toApiError(error)
    const { line } = error.mark
    const key = /^[\s?{,-]*(?:"([^"]*)"|'([^']*)'|([^\s:]*))/.exec(text.split('\n', line + 1)[line] ?? '')
    const name = key?.[1] ?? key?.[2] ?? key?.[3] ?? ''
    const duplicate = `yaml: unmarshal errors:\n  line ${line + 1}: key ${JSON.stringify(name)} already set in map`
    try {
      return { value: yaml.load(text, { ...OPTIONS, json: true }), duplicates: [duplicate] }
    } catch (second) {
      throw toApiError(second)
    }
  }
}

/** Where a reason begins to quote. */
const QUOTE = /\s*(?:"|!<|: ).*$/s

function toApiError(error: unknown): Error {
  // The exception's message quotes the document, and its reason names tags and anchors: a password that begins with
  // '!' or '*' and was not quoted.
  if (error instanceof yaml.YAMLException)
    return badRequest(
      `yaml: ${error.mark === undefined ? '' : `line ${error.mark.line + 1}: `}${error.reason.replace(QUOTE, '')}`,
    )
  if (error instanceof RangeError) return badRequest('yaml: nesting is too deep')
  return error instanceof Error ? error : new Error(String(error))
}

/** A tree without sharing; refuses what JSON cannot say and what its budget of characters cannot pay for. */
function toJson(value: unknown, budget: { left: number }, depth: number): Json {
  if (--budget.left < 0) throw badRequest('yaml: document contains excessive aliasing')
  if (typeof value === 'string') {
    budget.left -= value.length
    return value
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw badRequest('yaml: infinity and not-a-number cannot be written as JSON')
    return value
  }
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value
  if (isRawJson(value)) return value as unknown as Json
  if (depth > MAX_DEPTH) throw badRequest('yaml: nesting is too deep')
  if (Array.isArray(value)) return value.map((item) => toJson(item, budget, depth + 1))
  const out: JsonObject = {}
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') throw badRequest('yaml: field name "__proto__" is not allowed')
    budget.left -= key.length
    out[key] = toJson(member, budget, depth + 1)
  }
  return out
}

const INTEGER = /^[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|0|[1-9][0-9_]*)$/
const FLOAT = /^(?:[-+]?(?:[0-9][0-9_]*)?\.?[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*\.(?:[eE][-+]?[0-9]+)?)$/
const TRUE = new Set(['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'])
const FALSE = new Set(['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'])

function integer(text: string): Json {
  const plain = text.replaceAll('_', '')
  const sign = plain.startsWith('-') ? -1n : 1n
  const digits = plain.replace(/^[-+]/, '')
  const value = sign * BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits.toLowerCase())
  return BigInt.asIntN(64, value) === value ? int64ToJson(value) : Number(value)
}

const scalar = (tag: string, resolve: (text: string) => boolean, construct: (text: string) => unknown): yaml.Type =>
  new yaml.Type(`tag:yaml.org,2002:${tag}`, {
    kind: 'scalar',
    resolve: (text: string | null) => (text === null ? tag === 'null' : resolve(text)),
    construct: (text: string | null) => (text === null ? null : construct(text)),
  })

const OPTIONS = {
  maxDepth: MAX_DEPTH,
  schema: yaml.FAILSAFE_SCHEMA.extend({
    implicit: [
      scalar(
        'null',
        (t) => t === '' || t === '~' || t === 'null' || t === 'Null' || t === 'NULL',
        () => null,
      ),
      scalar(
        'bool',
        (t) => TRUE.has(t) || FALSE.has(t),
        (t) => TRUE.has(t),
      ),
      scalar('int', (t) => INTEGER.test(t), integer),
      scalar(
        'float',
        (t) => FLOAT.test(t) || /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/.test(t),
        (t) => (/[iIaA]/.test(t) ? Number.NaN : Number(t.replaceAll('_', ''))),
      ),
      new yaml.Type('tag:yaml.org,2002:merge', { kind: 'scalar', resolve: (t) => t === '<<' || t === null }),
    ],
    explicit: [
      scalar(
        'timestamp',
        () => true,
        (t) => t,
      ),
      scalar(
        'binary',
        () => true,
        (t) => Buffer.from(t, 'base64').toString('utf8'),
      ),
    ],
  }),
}
