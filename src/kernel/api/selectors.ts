import type { KubeObject } from './object.ts'
import { badRequest } from './status.ts'

/** metav1.LabelSelector. */
export type LabelSelector = {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'; values?: string[] }[]
}

export type Requirement = {
  key: string
  operator: 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt'
  values: ReadonlySet<string>
}

/** A parsed selector; no requirements selects everything. */
export type Selector = readonly Requirement[]

type Labels = Readonly<Record<string, string>> | undefined

function labelOf(labels: Labels, key: string): string | undefined {
  return labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
}

function meets(labels: Labels, r: Requirement): boolean {
  const value = labelOf(labels, r.key)
  switch (r.operator) {
    case 'in':
      return value !== undefined && r.values.has(value)
    case 'notin':
      return value === undefined || !r.values.has(value)
    case 'exists':
      return value !== undefined
    case '!':
      return value === undefined
    default: {
      if (value === undefined || !/^[+-]?\d+$/.test(value)) return false
      const [bound] = r.values
      const order = BigInt(value) - BigInt(bound ?? '0')
      return r.operator === 'gt' ? order > 0n : order < 0n
    }
  }
}

export function matchesSelector(selector: Selector, labels: Labels): boolean {
  for (const r of selector) if (!meets(labels, r)) return false
  return true
}

/**
 * metav1.LabelSelectorAsSelector: undefined or null selects nothing (returns undefined), {} everything.
 */
export function compileLabelSelector(selector: LabelSelector | null | undefined): Selector | undefined {
  if (selector === undefined || selector === null) return undefined
  const out: Requirement[] = []
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    out.push({ key, operator: 'in', values: new Set([value]) })
  for (const e of selector.matchExpressions ?? []) {
    const operator = ({ In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' } as const)[e.operator]
    out.push({ key: e.key, operator, values: new Set(e.values ?? []) })
  }
  return out
}

const OPERATORS = ['!=', '==', '=', '>', '<'] as const

/** Tokens of the selector grammar of apimachinery/pkg/labels. */
function tokenize(text: string): string[] {
  const tokens: string[] = []
  let i = 0
  while (i < text.length) {
    const c = text[i]!
    if (c === ' ' || c === '\t' || c === '\r' || c === '\n') {
      i++
      continue
    }
    const operator = OPERATORS.find((o) => text.startsWith(o, i))
    if (operator !== undefined) {
      tokens.push(operator)
      i += operator.length
      continue
    }
    if ('(),!'.includes(c)) {
      tokens.push(c)
      i++
      continue
    }
    const word = /[^\s(),!=<>]+/y
    word.lastIndex = i
    const match = word.exec(text)![0]
    tokens.push(match)
    i += match.length
  }
  return tokens
}

const KEY =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/

/** Parses `a=b,c!=d,e in (f,g),!h,i>1`. Throws BadRequest on anything else. */
export function parseLabelSelector(text: string): Selector {
  const tokens = tokenize(text)
  const out: Requirement[] = []
  let at = 0
  const fail = (why: string): never => {
    throw badRequest(`unable to parse requirement: ${why}`)
  }
  const word = (): string => {
    const t = tokens[at]
    if (t === undefined || '(),!'.includes(t) || (OPERATORS as readonly string[]).includes(t)) return ''
    at++
    return t
  }
  const checkedValue = (value: string): string =>
    VALUE.test(value) ? value : fail(`values: Invalid value: "${value}"`)
  while (at < tokens.length) {
    const negated = tokens[at] === '!'
    if (negated) at++
    const key = word()
    if (!KEY.test(key)) fail(`found '${tokens[at] ?? key}', expected: identifier`)
    const next = tokens[at]
    if (negated || next === undefined || next === ',') {
      out.push({ key, operator: negated ? '!' : 'exists', values: new Set() })
    } else if (next === 'in' || next === 'notin') {
      at++
      if (tokens[at++] !== '(') fail(`found '${tokens[at - 1] ?? ''}', expected: '('`)
      const values = new Set<string>()
      for (;;) {
        values.add(checkedValue(word()))
        const t = tokens[at++]
        if (t === ')') break
        if (t !== ',') fail(`found '${t ?? ''}', expected: ',' or ')'`)
      }
      out.push({ key, operator: next, values })
    } else if (next === '>' || next === '<') {
      at++
      const bound = word()
      if (!/^[+-]?\d+$/.test(bound))
        fail(`values[0]: Invalid value: "${bound}": for 'Gt', 'Lt' operators, the value must be an integer`)
      out.push({ key, operator: next === '>' ? 'gt' : 'lt', values: new Set([bound]) })
    } else if (next === '=' || next === '==' || next === '!=') {
      at++
      out.push({ key, operator: next === '!=' ? 'notin' : 'in', values: new Set([checkedValue(word())]) })
    } else fail(`found '${next}', expected: in, notin, =, ==, !=, >, <`)
    if (at < tokens.length && tokens[at++] !== ',') fail(`found '${tokens[at - 1]}', expected: ','`)
    else if (at >= tokens.length && tokens[at - 1] === ',') fail("found '', expected: identifier after ','")
  }
  return out
}

export type FieldRequirement = { field: string; equal: boolean; value: string }

/** Parses `metadata.name=x,status.phase!=Running` (apimachinery/pkg/fields; `\` escapes , = and \). */
export function parseFieldSelector(text: string): FieldRequirement[] {
  if (text === '') return []
  return splitUnescaped(text)
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^((?:[^\\=!]|\\.)*?)(!=|==|=)([\s\S]*)$/.exec(term)
      if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
      return {
        field: match[1]!.trim(),
        equal: match[2] !== '!=',
        value: match[3]!.replace(/\\([\\,=])/g, '$1'),
      }
    })
}

function splitUnescaped(text: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === ',') {
      terms.push(text.slice(start, i))
      start = i + 1
    }
  }
  terms.push(text.slice(start))
  return terms
}

/** `getters` are the kind's selectable fields; metadata.name and metadata.namespace are always there. */
export function fieldMatcher(
  requirements: readonly FieldRequirement[],
  getters: Readonly<Record<string, (object: KubeObject) => string>>,
): (object: KubeObject) => boolean {
  const checks = requirements.map(({ field, equal, value }) => {
    const get = fieldGetter(field, getters)
    return (object: KubeObject): boolean => (get(object) === value) === equal
  })
  return (object) => checks.every((check) => check(object))
}

function fieldGetter(
  field: string,
  getters: Readonly<Record<string, (object: KubeObject) => string>>,
): (object: KubeObject) => string {
  if (field === 'metadata.name') return (o) => o.metadata.name ?? ''
  if (field === 'metadata.namespace') return (o) => o.metadata.namespace ?? ''
  const get = Object.hasOwn(getters, field) ? getters[field] : undefined
  if (get === undefined) throw badRequest(`field label not supported: ${field}`)
  return get
}
