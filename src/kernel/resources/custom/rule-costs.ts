import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { expressionCost } from './cel-cost.ts'
import { parseExpression } from './cel-environment.ts'
import { MAX_REQUEST_BYTES, type Sized, sizedOf } from './cel-size.ts'
import { MAX_ESTIMATED_RULE_COST, MAX_ESTIMATED_SCHEMA_COST } from './limits.ts'
import { hasRules } from './rules.ts'

/** How many of the most expensive expressions are named when all of them together cost too much. */
const NAMED = 4

type Observed = { path: string; cost: number }

/**
 * Rules that could cost more than they may, by themselves or together (apiextensions validation, CELSchemaContext). The
 * schema is one whose rules compile.
 */
export function validateRuleCosts(schema: Schema, path: string): FieldError[] {
  if (!hasRules(schema)) return []
  const walk = new CostWalk()
  walk.visit(schema, path, 1, true)
  const total = walk.observed.reduce((sum, { cost }) => sum + cost, 0)
  if (total <= MAX_ESTIMATED_SCHEMA_COST) return walk.errors
  const dearest = walk.observed.sort((a, b) => b.cost - a.cost).slice(0, NAMED)
  return [
    ...walk.errors,
    ...dearest.map((expression) =>
      fieldError.forbidden(
        expression.path,
        'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
      ),
    ),
    fieldError.forbidden(
      path,
      exceeds(
        'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema',
        total,
        MAX_ESTIMATED_SCHEMA_COST,
      ),
    ),
  ]
}

class CostWalk {
  readonly errors: FieldError[] = []
  readonly observed: Observed[] = []

  /** `count`: of the values that have this schema in one object; undefined: as many as a request holds. */
  visit(schema: Schema, path: string, count: number | undefined, root = false): void {
    if (!hasRules(schema)) return
    const resource = root || schema['x-kubernetes-embedded-resource'] === true
    const { properties = {}, items, additionalProperties, maxItems, maxProperties } = schema
    for (const name in properties) this.visit(properties[name]!, `${path}.properties[${name}]`, count)
    if (items) this.visit(items, `${path}.items`, multiplied(count, maxItems))
    if (typeof additionalProperties === 'object')
      this.visit(additionalProperties, `${path}.additionalProperties`, multiplied(count, maxProperties))
    const rules = schema['x-kubernetes-validations'] ?? []
    const sized = rules.length === 0 ? undefined : sizedOf(schema, resource)
    if (sized === undefined) return
    const times = count ?? Math.floor(MAX_REQUEST_BYTES / (sized.minBytes + 1))
    rules.forEach(({ rule, messageExpression }, i) => {
      const at = `${path}.x-kubernetes-validations[${i}]`
      this.#observe(rule, sized, times, `${at}.rule`, 'estimated rule cost')
      // A message is made once: the first rule that fails ends the work.
      if (messageExpression)
        this.#observe(messageExpression, sized, 1, `${at}.messageExpression`, 'estimated messageExpression cost')
    })
  }

  #observe(text: string, sized: Sized, times: number, path: string, what: string): void {
    const cost = expressionCost(parseExpression(text), sized) * times
    this.observed.push({ path, cost })
    if (cost > MAX_ESTIMATED_RULE_COST)
      this.errors.push(fieldError.forbidden(path, exceeds(what, cost, MAX_ESTIMATED_RULE_COST)))
  }
}

const multiplied = (count: number | undefined, most: number | undefined): number | undefined =>
  count === undefined || most === undefined ? undefined : count * Math.max(0, most)

function exceeds(what: string, cost: number, limit: number): string {
  const times = cost / limit
  const factor = times > 100 ? 'more than 100' : times.toFixed(times < 1.5 ? 6 : 1)
  return `${what} exceeds budget by factor of ${factor}x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`
}
