/**
 * The part of Kubernetes' JSONPath that printer columns and scale paths use: `.a.b`, `.a['b.c']`, `.a.b\.c`, `.a[0]`,
 * `.a[-1]`, `.a[*]`, `.a[?(@.type=="Ready")].b`. Parsed by hand into steps, evaluated without recursion.
 */

type Step =
  | { kind: 'field'; name: string }
  | { kind: 'index'; index: number }
  | { kind: 'all' }
  | { kind: 'filter'; path: readonly string[]; operator: Operator | undefined; value: string | number | boolean | null }

const OPERATORS = ['==', '!=', '<=', '>=', '<', '>'] as const
type Operator = (typeof OPERATORS)[number]

export type JsonPath = readonly Step[]

const MAX_BYTES = 4096
/** Values that one evaluation may look at. */
const MAX_VALUES = 10_000

/** Throws an Error that says what cannot be read. */
export function parseJsonPath(text: string): JsonPath {
  if (text.length > MAX_BYTES) throw new Error(`path is longer than ${MAX_BYTES} characters`)
  const parser = new Parser(text)
  return parser.steps()
}

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  #fail(why: string): never {
    throw new Error(`${why} at position ${this.#at}`)
  }

  #eat(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#eat(token)) this.#fail(`expected ${token}`)
  }

  #spaces(): void {
    while (this.#text[this.#at] === ' ') this.#at++
  }

  steps(): Step[] {
    const steps: Step[] = []
    while (this.#at < this.#text.length) {
      if (this.#eat('[')) steps.push(this.#bracket())
      else {
        this.#expect('.')
        if (this.#text[this.#at] === '.') this.#fail('recursive descent is not supported')
        if (this.#eat('*')) steps.push({ kind: 'all' })
        else if (this.#at < this.#text.length && this.#text[this.#at] !== '[')
          steps.push({ kind: 'field', name: this.#name('.[') })
      }
    }
    return steps
  }

  /** A name up to one of `ends`; a backslash takes the next character as it is. */
  #name(ends: string): string {
    let name = ''
    for (; this.#at < this.#text.length && !ends.includes(this.#text[this.#at]!); this.#at++) {
      if (this.#text[this.#at] === '\\') this.#at++
      name += this.#text[this.#at] ?? ''
    }
    if (name === '') this.#fail('expected a name')
    return name
  }

  #quoted(quote: string): string {
    let value = ''
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at]!
      if (c === quote) {
        this.#at++
        return value
      }
      if (c === '\\') this.#at++
      value += this.#text[this.#at] ?? ''
    }
    return this.#fail('unterminated string')
  }

  #bracket(): Step {
    if (this.#eat('*')) {
      this.#expect(']')
      return { kind: 'all' }
    }
    if (this.#eat('?(')) return this.#filter()
    for (const quote of ["'", '"'])
      if (this.#eat(quote)) {
        const name = this.#quoted(quote)
        this.#expect(']')
        return { kind: 'field', name }
      }
    const digits = this.#name(']')
    this.#expect(']')
    if (!/^-?\d{1,9}$/.test(digits)) this.#fail(`${digits} is not an index`)
    return { kind: 'index', index: Number(digits) }
  }

  #filter(): Step {
    this.#spaces()
    this.#expect('@')
    const path: string[] = []
    for (;;) {
      if (this.#eat('.')) path.push(this.#name('.[ =!<>)'))
      else if (this.#eat("['")) {
        path.push(this.#quoted("'"))
        this.#expect(']')
      } else break
    }
    this.#spaces()
    const operator = OPERATORS.find((o) => this.#eat(o))
    this.#spaces()
    const value = operator === undefined ? null : this.#literal()
    this.#spaces()
    this.#expect(')]')
    return { kind: 'filter', path, operator, value }
  }

  #literal(): string | number | boolean {
    for (const quote of ["'", '"']) if (this.#eat(quote)) return this.#quoted(quote)
    const word = this.#name(' )')
    if (word === 'true' || word === 'false') return word === 'true'
    if (!/^-?\d+(\.\d+)?$/.test(word)) this.#fail(`${word} is not a value`)
    return Number(word)
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined
}

function holds(item: unknown, step: Extract<Step, { kind: 'filter' }>): boolean {
  const value = step.path.reduce(field, item)
  if (step.operator === undefined) return value !== undefined
  if (typeof value !== typeof step.value) return false
  const [a, b] = [value as string | number, step.value as string | number]
  switch (step.operator) {
    case '==':
      return a === b
    case '!=':
      return a !== b
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    default:
      return a >= b
  }
}

/** Everything that the path finds; missing fields find nothing. */
export function evaluateJsonPath(path: JsonPath, root: unknown): unknown[] {
  let values: unknown[] = [root]
  let looked = 0
  for (const step of path) {
    const next: unknown[] = []
    for (const value of values) {
      if (step.kind === 'field') {
        const found = field(value, step.name)
        if (found !== undefined) next.push(found)
      } else if (step.kind === 'index') {
        const found = Array.isArray(value) ? value.at(step.index) : undefined
        if (found !== undefined) next.push(found)
      } else {
        const items = Array.isArray(value)
          ? value
          : typeof value === 'object' && value !== null
            ? Object.values(value)
            : []
        looked += items.length
        if (looked > MAX_VALUES) return next
        for (const item of items) if (step.kind === 'all' || holds(item, step)) next.push(item)
      }
    }
    values = next
  }
  return values
}

/** The names of a path that consists of fields alone (`.spec.replicas`); undefined for any other. */
export function fieldNames(path: JsonPath): string[] | undefined {
  const names: string[] = []
  for (const step of path) {
    if (step.kind !== 'field') return undefined
    names.push(step.name)
  }
  return names
}
