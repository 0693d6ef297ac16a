import { type ASTNode, Environment, EvaluationError, type ParseResult } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { registerAddresses, registerQuantities, registerUrls } from './cel-types.ts'
import { celEqual, weightOf } from './cel-values.ts'
import { MAX_PATTERN_BYTES } from './limits.ts'
import { compilePattern } from './pattern.ts'

/**
 * The Common Expression Language as Kubernetes 1.32 extends it for custom resources: strings, lists, sets, regular
 * expressions (RE2, never JavaScript's), URLs, quantities, IP addresses and optionals. Every evaluation has a budget.
 */

/** Thrown when a rule has used up its steps. */
export class BudgetError extends Error {
  constructor() {
    super('operation cancelled: actual cost limit exceeded')
    this.name = 'BudgetError'
  }
}

type Node = { op: string; args: unknown; evaluate: (evaluator: Evaluator, node: Node, context: unknown) => unknown }
type Evaluator = { run: (node: Node, context: unknown) => unknown }

/** Steps left for the evaluation under way: evaluation is synchronous, so there is one. */
let remaining = 0
const metered = new WeakSet<Evaluator>()
/** Operands of comparisons: comparing costs as much as there is to compare. */
const compared = new WeakSet<Node>()

function meter(evaluator: Evaluator): void {
  if (metered.has(evaluator)) return
  metered.add(evaluator)
  evaluator.run = (node, context) => {
    if (--remaining < 0) throw new BudgetError()
    const value = node.evaluate(evaluator, node, context)
    if (typeof value === 'string') remaining -= value.length >> 5
    else if (typeof value === 'object' && value !== null)
      remaining -= compared.has(node) ? weightOf(value) : Array.isArray(value) ? value.length >> 5 : 0
    return value
  }
}

/** Every expression runs inside this macro, which hands out the evaluator that must be metered. */
const METER = '__metered'
const MATCHES = '__re2_matches'

function pattern(source: string): RE2JS {
  const compiled = compilePattern(source)
  if ('error' in compiled) throw new EvaluationError(compiled.error)
  return RE2JS.compile(source)
}

/** Takes steps from the evaluation under way. Throws BudgetError when there are not so many left. */
export function spend(steps: number): void {
  remaining -= steps
  if (remaining < 0) throw new BudgetError()
}

const charge = (text: string): void => spend(text.length >> 3)

function matches(text: string, source: string): boolean {
  charge(text)
  const compiled = compilePattern(source)
  if ('error' in compiled) throw new EvaluationError(compiled.error)
  const result = compiled.match(text)
  if (result === 'too-long') throw new BudgetError()
  return result
}

function findAll(text: string, source: string, limit: number): string[] {
  charge(text)
  if (source.length > MAX_PATTERN_BYTES || matches(text, source) === false) return []
  const found: string[] = []
  const matcher = pattern(source).matcher(text)
  while ((limit < 0 || found.length < limit) && matcher.find()) {
    if (--remaining < 0) throw new BudgetError()
    found.push(matcher.group() ?? '')
  }
  return found
}

function replace(text: string, from: string, to: string, count: number): string {
  const parts = text.split(from)
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1)
  remaining -= (text.length + times * to.length) >> 5
  if (remaining < 0) throw new BudgetError()
  return (
    parts.slice(0, times + 1).join(to) +
    parts
      .slice(times + 1)
      .map((part) => from + part)
      .join('')
  )
}

const VERBS: Readonly<Record<string, (value: unknown) => string>> = {
  s: (value) => (typeof value === 'string' ? value : Array.isArray(value) ? `[${value.join(', ')}]` : String(value)),
  d: (value) => String(value),
  f: (value) => Number(value).toFixed(6),
  e: (value) => Number(value).toExponential(6),
  b: (value) => (typeof value === 'boolean' ? String(Number(value)) : BigInt(value as bigint).toString(2)),
  x: (value) => (typeof value === 'string' ? Buffer.from(value).toString('hex') : BigInt(value as bigint).toString(16)),
  o: (value) => BigInt(value as bigint).toString(8),
}

function format(template: string, values: unknown[]): string {
  let next = 0
  const text = template.replace(
    /%%|%(?:\.(\d{1,2}))?([a-zA-Z])/g,
    (whole, digits: string | undefined, verb: string) => {
      if (whole === '%%') return '%'
      const print = VERBS[verb.toLowerCase()]
      if (print === undefined) throw new EvaluationError(`unrecognized formatting clause "${verb}"`)
      if (next >= values.length) throw new EvaluationError(`index ${next} out of range`)
      const value = values[next++]
      const printed = verb === 'f' && digits !== undefined ? Number(value).toFixed(Number(digits)) : print(value)
      return verb === 'X' ? printed.toUpperCase() : printed
    },
  )
  charge(text)
  return text
}

function registerStrings(environment: Environment): void {
  environment
    .registerFunction(`string.${MATCHES}(string): bool`, matches)
    .registerFunction(
      'string.find(string): string',
      (text: string, source: string) => findAll(text, source, 1)[0] ?? '',
    )
    .registerFunction('string.findAll(string): list<string>', (text: string, source: string) =>
      findAll(text, source, -1),
    )
    .registerFunction('string.findAll(string, int): list<string>', (text: string, source: string, limit: bigint) =>
      findAll(text, source, Number(limit)),
    )
    .registerFunction('string.charAt(int): string', (text: string, index: bigint) => {
      const points = [...text]
      if (index < 0n || index > BigInt(points.length)) throw new EvaluationError(`index out of range: ${index}`)
      return points[Number(index)] ?? ''
    })
    .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
      replace(text, from, to, -1),
    )
    .registerFunction(
      'string.replace(string, string, int): string',
      (text: string, from: string, to: string, count: bigint) => replace(text, from, to, Number(count)),
    )
    .registerFunction('string.format(list): string', format)
}

type Scalar = string | bigint | number | boolean

function extreme(list: readonly Scalar[], name: string, before: (a: Scalar, b: Scalar) => boolean): Scalar {
  const [first, ...rest] = list
  if (first === undefined) throw new EvaluationError(`${name} called on empty list`)
  let best = first
  for (const value of rest) if (before(value, best)) best = value
  return best
}

function position(list: readonly unknown[], item: unknown, last: boolean): bigint {
  remaining -= weightOf(list)
  const same = (other: unknown): boolean => celEqual(other, item)
  return BigInt(last ? list.findLastIndex(same) : list.findIndex(same))
}

function sum(list: readonly Scalar[]): unknown {
  if (list.length === 0) return 0n
  if (typeof list[0] === 'bigint') return (list as bigint[]).reduce((a, b) => a + b, 0n)
  if (typeof list[0] === 'number') return (list as number[]).reduce((a, b) => a + b, 0)
  throw new EvaluationError('no such overload: sum of a list that holds no numbers')
}

function registerLists(environment: Environment): void {
  environment
    .registerFunction('list.isSorted(): bool', (list: Scalar[]) => list.every((v, i) => i === 0 || list[i - 1]! <= v))
    .registerFunction('list.sum(): dyn', sum)
    .registerFunction('list.min(): dyn', (list: Scalar[]) => extreme(list, 'min', (a, b) => a < b))
    .registerFunction('list.max(): dyn', (list: Scalar[]) => extreme(list, 'max', (a, b) => a > b))
    .registerFunction('list.indexOf(dyn): int', (list: unknown[], item: unknown) => position(list, item, false))
    .registerFunction('list.lastIndexOf(dyn): int', (list: unknown[], item: unknown) => position(list, item, true))
}

/** `sets.contains(a, b)` is a method of this constant. */
class Sets {
  readonly name: string = 'sets'
}

function containsAll(list: readonly unknown[], items: readonly unknown[]): boolean {
  return items.every((item) => {
    remaining -= list.length
    if (remaining < 0) throw new BudgetError()
    return list.some((other) => celEqual(other, item))
  })
}

function registerSets(environment: Environment): void {
  environment
    .registerType('SetsNamespace', { ctor: Sets, fields: {} })
    .registerConstant('sets', 'SetsNamespace', new Sets())
    .registerFunction('SetsNamespace.contains(list, list): bool', (_: Sets, a: unknown[], b: unknown[]) =>
      containsAll(a, b),
    )
    .registerFunction(
      'SetsNamespace.equivalent(list, list): bool',
      (_: Sets, a: unknown[], b: unknown[]) => containsAll(a, b) && containsAll(b, a),
    )
    .registerFunction('SetsNamespace.intersects(list, list): bool', (_: Sets, a: unknown[], b: unknown[]) =>
      a.some((item) => containsAll(b, [item])),
    )
}

type Checker = { check: (node: Node, context: unknown) => unknown }

let base: Environment | undefined

/** A fresh environment with the whole library; types and variables are the caller's. */
export function celEnvironment(): Environment {
  if (base === undefined) {
    base = new Environment({
      enableOptionalTypes: true,
      limits: { maxAstNodes: 10_000, maxDepth: 100, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 16 },
    })
    registerStrings(base)
    registerLists(base)
    registerSets(base)
    registerUrls(base)
    registerQuantities(base)
    registerAddresses(base)
    base.registerFunction(`${METER}(ast): dyn`, ({ args }: { args: [Node] }) => ({
      typeCheck: (checker: Checker, _macro: unknown, context: unknown) => checker.check(args[0], context),
      evaluate(evaluator: Evaluator, _macro: unknown, context: unknown) {
        meter(evaluator)
        return evaluator.run(args[0], context)
      },
      async: false,
    }))
  }
  return base.clone()
}

/** Its parts as they are written, not checked. Throws for what is no expression. */
export function parseExpression(text: string): ASTNode {
  return celEnvironment().parse(text).ast
}

export type Expression = {
  /** Name of the type of its value, as the checker infers it. */
  type: string
  /** Whether it reads the variable. */
  uses: (variable: string) => boolean
  /** Throws BudgetError when `steps` are used up, EvaluationError for what CEL calls errors. */
  evaluate: (variables: Record<string, unknown>, steps: number) => { value: unknown; steps: number }
}

/** Parses and type-checks. Throws an Error whose message says what is wrong. */
export function compileExpression(environment: Environment, text: string): Expression {
  // Checked by itself first: its errors then name positions in what the author wrote.
  const alone = environment.check(text)
  const missing = alone.valid ? undefined : alone.error
  if (missing !== undefined) throw new Error(missing.message)
  const parsed: ParseResult = environment.parse(`${METER}(${text}\n)`)
  const names = prepare(parsed.ast as unknown as Node)
  const { valid, type = 'dyn', error } = parsed.check()
  if (!valid) throw new Error(error?.message ?? 'type check failed')
  return {
    type,
    uses: (variable) => names.has(variable),
    evaluate(variables, steps) {
      remaining = steps
      const value: unknown = parsed(variables as never)
      return { value, steps: steps - remaining }
    },
  }
}

/** Before checking: regular expressions go to RE2, operands of comparisons are remembered, variables collected. */
function prepare(root: Node): Set<string> {
  const names = new Set<string>()
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item)
    else if (isNode(value)) {
      const { op, args } = value
      if (op === 'id') names.add(args as string)
      if (op === 'rcall' && (args as unknown[])[0] === 'matches') (args as unknown[])[0] = MATCHES
      if (op === '==' || op === '!=' || op === 'in') for (const operand of args as Node[]) compared.add(operand)
      visit(args)
    }
  }
  visit(root)
  return names
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value
}
