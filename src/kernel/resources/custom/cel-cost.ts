import type { ASTNode } from '@marcbachmann/cel-js'
import { callCost } from './cel-call-cost.ts'
import { capped, type Estimate, exactly, type Size, scalar, TRAVERSAL, times, UNKNOWN } from './cel-estimate.ts'
import { DYN, SCALAR, type Sized, TEXT } from './cel-size.ts'

/**
 * What an expression may cost at worst, in cel-go's units (checker/cost.go), before it is ever run. Sizes come from the
 * schema's maxLength, maxItems and maxProperties; where they are not set, from what fits into a request.
 */

const LIST_COST = 10
const MAP_COST = 30

const BINARY = ['&&', '||', '==', '!=', '<', '<=', '>', '>=', 'in', '+', '-', '*', '/', '%'] as const
type Binary = Extract<ASTNode, { op: (typeof BINARY)[number] }>
const isBinary = (node: ASTNode): node is Binary => (BINARY as readonly string[]).includes(node.op)

type Scope = ReadonlyMap<string, Pick<Estimate, 'path' | 'type'>>

/** `root`: what `self` and `oldSelf` are. */
export function expressionCost(ast: ASTNode, root: Sized): number {
  return new Estimator(root).visit(ast, new Map()).cost
}

/** How often a macro does its body, and what it adds around and for each item. */
const QUANTIFIERS: Readonly<Record<string, { each: number; around: number }>> = {
  all: { each: 3, around: 1 },
  exists: { each: 4, around: 1 },
  exists_one: { each: 2, around: 2 },
  existsOne: { each: 2, around: 2 },
}

class Estimator {
  readonly #root: Sized

  constructor(root: Sized) {
    this.#root = root
  }

  visit(node: ASTNode, scope: Scope): Estimate {
    const inner = (child: ASTNode): Estimate => this.visit(child, scope)
    switch (node.op) {
      case 'value':
        return literal(node.args)
      case 'id':
        return { cost: 1, path: [node.args], type: this.#variable(node.args), ...scope.get(node.args) }
      case '.':
        return select(inner(node.args[0]), node.args[1])
      case '.?':
        return { cost: inner(node.args[0]).cost + 1, path: [], type: DYN }
      case '[]':
        return index(inner(node.args[0]), inner(node.args[1]))
      case '[?]':
        return { cost: inner(node.args[0]).cost + inner(node.args[1]).cost + 1, path: [], type: DYN }
      case 'list':
        return this.#list(node.args.map(inner))
      case 'map':
        return {
          cost: node.args.reduce((sum, [key, value]) => sum + inner(key).cost + inner(value).cost, MAP_COST),
          size: exactly(node.args.length),
          path: [],
          type: { ...DYN, kind: 'map' },
        }
      case '?:':
        return this.#conditional(node.args.map(inner))
      case '!_':
        return scalar(inner(node.args).cost + 1)
      case '-_':
        return scalar(node.args.op === 'value' ? 0 : inner(node.args).cost + 1)
      case 'call':
        return this.#call(node.args[0], node.args[1], scope)
      case 'rcall':
        return this.#memberCall(node.args[0], node.args[1], node.args[2], scope)
      default:
        return this.#chain(node, inner)
    }
  }

  /** a + b + c + …: the left operand of the last is all the others, thousands of them in a long rule. */
  #chain(node: ASTNode, inner: (child: ASTNode) => Estimate): Estimate {
    const chain: Binary[] = []
    let first = node
    for (; isBinary(first); first = first.args[0]) chain.push(first)
    return chain.reduceRight((left, { op, args }) => this.#binary(op, left, inner(args[1])), inner(first))
  }

  #variable(name: string): Sized {
    return name === 'self' || name === 'oldSelf' ? this.#root : DYN
  }

  sizeOf = (estimate: Estimate): Size => {
    return (
      estimate.size ??
      this.#sizeAt(estimate.path) ??
      (estimate.type.kind === 'scalar' ? exactly(1) : undefined) ??
      UNKNOWN
    )
  }

  /** Whatever the path begins with, it leads from the rule's own value: the variables there are both have its schema. */
  #sizeAt(path: readonly string[]): Size | undefined {
    if (path.length === 0) return undefined
    let at: Sized | undefined = this.#root
    for (const step of path.slice(1)) {
      at =
        step === '@items' ? at.items : step === '@keys' ? (at.kind === 'map' ? TEXT : undefined) : at.fields?.get(step)
      if (at === undefined) return undefined
    }
    return { min: 0, max: at.maxElements }
  }

  #list(items: Estimate[]): Estimate {
    return {
      cost: items.reduce((sum, item) => sum + item.cost, LIST_COST),
      size: exactly(items.length),
      path: [],
      type: { ...DYN, kind: 'list', items: items[0]?.type ?? DYN },
    }
  }

  #conditional([condition, yes, no]: Estimate[]): Estimate {
    const [a, b] = [this.sizeOf(yes!), this.sizeOf(no!)]
    return {
      cost: capped(condition!.cost + Math.max(yes!.cost, no!.cost)),
      size: { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) },
      path: [],
      type: yes!.type.kind === no!.type.kind ? yes!.type : DYN,
    }
  }

  #binary(operator: string, left: Estimate, right: Estimate): Estimate {
    const operands = left.cost + right.cost
    const [a, b] = [this.sizeOf(left), this.sizeOf(right)]
    const may = (kind: string): boolean => [left, right].every(({ type }) => type.kind === kind || type.kind === 'dyn')
    const shorter: Size = { min: 0, max: Math.min(a.max, b.max) }
    switch (operator) {
      case '&&':
      case '||':
        return scalar(operands)
      case '==':
      case '!=':
        return scalar(operands + times(shorter, TRAVERSAL))
      case '<':
      case '<=':
      case '>':
      case '>=':
        return scalar(operands + (may('string') || may('bytes') ? Math.max(1, times(shorter, TRAVERSAL)) : 1))
      case 'in':
        return scalar(
          operands + (right.type.kind === 'list' ? b.max : right.type.kind === 'map' ? 1 : Math.max(1, b.max)),
        )
      case '+': {
        const size: Size = { min: a.min + b.min, max: capped(a.max + b.max) }
        if (may('string') || may('bytes'))
          return { ...left, cost: capped(operands + times(size, TRAVERSAL)), size, path: [] }
        return may('list') ? { ...left, cost: operands + 1, size, path: [] } : scalar(operands + 1)
      }
      default:
        return scalar(operands + 1)
    }
  }

  #call(name: string, args: ASTNode[], scope: Scope): Estimate {
    // has() looks, and takes nothing: what is looked for costs nothing, how to get there does.
    if (name === 'has' && args[0]?.op === '.') return scalar(this.visit(args[0].args[0], scope).cost)
    const inner = args.map((arg) => this.visit(arg, scope))
    return callCost(this.sizeOf, name, undefined, inner)
  }

  #memberCall(name: string, target: ASTNode, args: ASTNode[], scope: Scope): Estimate {
    const variable = args[0]?.op === 'id' ? args[0].args : undefined
    if (target.op === 'id' && target.args === 'cel' && name === 'bind' && variable !== undefined) {
      const value = this.visit(args[1]!, scope)
      const body = this.visit(args[2]!, new Map(scope).set(variable, value))
      return { ...body, cost: capped(LIST_COST + value.cost + body.cost) }
    }
    // sets.contains(…), optional.of(…): names, not values.
    if (target.op === 'id' && (target.args === 'sets' || target.args === 'optional') && !scope.has(target.args))
      return callCost(
        this.sizeOf,
        `${target.args}.${name}`,
        undefined,
        args.map((arg) => this.visit(arg, scope)),
      )
    const range = this.visit(target, scope)
    if (variable !== undefined) {
      const macro = this.#macro(name, range, variable, args.slice(1), scope)
      if (macro !== undefined) return macro
    }
    return callCost(
      this.sizeOf,
      name,
      range,
      args.map((arg) => this.visit(arg, scope)),
    )
  }

  /** As cel-go expands them: a loop over the range with an accumulator. Undefined: it is none. */
  #macro(name: string, range: Estimate, variable: string, bodies: ASTNode[], scope: Scope): Estimate | undefined {
    const count = this.sizeOf(range).max
    const isMap = range.type.kind === 'map'
    const item = {
      path: [...range.path, isMap ? '@keys' : '@items'],
      type: isMap ? TEXT : (range.type.items ?? DYN),
    }
    const inside = new Map(scope).set(variable, item)
    const looped = (each: number, around: number): number => capped(range.cost + around + capped(count * each))
    const size = this.sizeOf(range)
    if (Object.hasOwn(QUANTIFIERS, name) && bodies.length === 1) {
      const { each, around } = QUANTIFIERS[name]!
      return scalar(looped(this.visit(bodies[0]!, inside).cost + each, around))
    }
    if (name === 'filter' && bodies.length === 1) {
      const cost = looped(this.visit(bodies[0]!, inside).cost + LIST_COST + 3, LIST_COST + 1)
      return { cost, size, path: [], type: { ...DYN, kind: 'list', items: item.type } }
    }
    if (name === 'map' && (bodies.length === 1 || bodies.length === 2)) {
      const made = this.visit(bodies.at(-1)!, inside)
      const chosen = bodies.length === 2 ? this.visit(bodies[0]!, inside).cost : 0
      const cost = looped(chosen + made.cost + LIST_COST + 2, LIST_COST + 1)
      return { cost, size, path: [], type: { ...DYN, kind: 'list', items: made.type } }
    }
    if ((name === 'optMap' || name === 'optFlatMap') && bodies.length === 1) {
      const made = this.visit(bodies[0]!, new Map(scope).set(variable, { path: [], type: DYN }))
      return { cost: capped(2 * range.cost + LIST_COST + made.cost + 3), path: [], type: DYN }
    }
    return undefined
  }
}

function literal(value: unknown): Estimate {
  if (typeof value === 'string') return { cost: 0, size: exactly([...value].length), path: [], type: TEXT }
  if (value instanceof Uint8Array)
    return { cost: 0, size: exactly(value.length), path: [], type: { ...TEXT, kind: 'bytes' } }
  return { ...scalar(0), size: exactly(1), type: value === null ? DYN : SCALAR }
}

function select(from: Estimate, field: string): Estimate {
  const { kind, fields, items } = from.type
  const type = kind === 'object' ? fields?.get(field) : kind === 'map' ? items : undefined
  return {
    cost: from.cost + (kind === 'object' || kind === 'map' ? 1 : 0),
    path: stepped(from, field),
    type: type ?? DYN,
  }
}

function index(from: Estimate, key: Estimate): Estimate {
  return { cost: from.cost + key.cost + 1, path: stepped(from, '@items'), type: from.type.items ?? DYN }
}

const stepped = ({ path }: Estimate, step: string): string[] => [...path, step]
