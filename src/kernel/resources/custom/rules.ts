import { isDeepStrictEqual } from 'node:util'
import { Optional } from '@marcbachmann/cel-js'
import type { Json } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { BudgetError, celEnvironment, compileExpression, type Expression } from './cel-environment.ts'
import { type CelType, CelTypes } from './cel-schema.ts'
import { isJsonObject } from './json.ts'
import { fieldNames, parseJsonPath } from './json-path.ts'
import { MAX_MESSAGE_BYTES, MAX_OBJECT_RULE_STEPS, MAX_RULE_BYTES, MAX_RULE_STEPS } from './limits.ts'
import { counterpart } from './list-type.ts'
import { type Path, pathText } from './validate.ts'

/** x-kubernetes-validations: rules in CEL over self and, on update, oldSelf (KEP-2876). */

type RawRule = NonNullable<Schema['x-kubernetes-validations']>[number]

type Rule = {
  raw: RawRule
  test: Expression
  message: Expression | undefined
  usesOldSelf: boolean
  fieldPath: readonly string[]
}

/** The parts of a schema under which there are rules. */
type Plan = {
  schema: Schema
  type: CelType | undefined
  rules: Rule[]
  properties: ReadonlyMap<string, Plan>
  items: Plan | undefined
  others: Plan | undefined
}

const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']
const META_FIELDS = new Set(['apiVersion', 'kind', 'metadata'])

const found = new WeakMap<Schema, boolean>()

/** Whether there is any rule in the schema. */
export function hasRules(schema: Schema): boolean {
  const known = found.get(schema)
  if (known !== undefined) return known
  const { items, properties, additionalProperties } = schema
  const any =
    (schema['x-kubernetes-validations']?.length ?? 0) > 0 ||
    (items !== undefined && hasRules(items)) ||
    (typeof additionalProperties === 'object' && hasRules(additionalProperties)) ||
    Object.values(properties ?? {}).some(hasRules)
  found.set(schema, any)
  return any
}

class Compiler {
  readonly errors: FieldError[] = []
  readonly #environment = celEnvironment()
  readonly #types = new CelTypes(this.#environment)

  /** `uncorrelatable`: path of the ancestor whose children of an older object cannot be told apart. */
  compile(schema: Schema, path: string, uncorrelatable: string | undefined, root = false): Plan | undefined {
    if (!hasRules(schema)) return undefined
    // All types of a schema are known to the environment before the first clone locks it.
    const type = this.#types.typeOf(schema, root || schema['x-kubernetes-embedded-resource'] === true)
    const below = schema['x-kubernetes-map-type'] === 'atomic' ? (uncorrelatable ?? path) : uncorrelatable
    const properties = new Map<string, Plan>()
    for (const name in schema.properties) {
      const plan = this.compile(schema.properties[name]!, `${path}.properties[${name}]`, below)
      if (plan !== undefined) properties.set(name, plan)
    }
    const inList = schema['x-kubernetes-list-type'] === 'map' ? uncorrelatable : (uncorrelatable ?? path)
    const { items, additionalProperties } = schema
    return {
      schema,
      type,
      properties,
      items: items && this.compile(items, `${path}.items`, inList),
      others:
        typeof additionalProperties === 'object'
          ? this.compile(additionalProperties, `${path}.additionalProperties`, below)
          : undefined,
      rules: this.#rules(schema, type, `${path}.x-kubernetes-validations`, uncorrelatable),
    }
  }

  #rules(schema: Schema, type: CelType | undefined, path: string, uncorrelatable: string | undefined): Rule[] {
    const rules = schema['x-kubernetes-validations'] ?? []
    const compiled: Rule[] = []
    rules.forEach((raw, i) => {
      const at = `${path}[${i}]`
      const before = this.errors.length
      this.errors.push(...checkForm(raw, schema, at))
      if (this.errors.length > before) return
      if (type === undefined) {
        this.errors.push(fieldError.invalid(`${at}.rule`, raw, 'rules need a value whose schema has a type'))
        return
      }
      const rule = this.#rule(raw, type, at)
      if (rule === undefined) return
      if (rule.usesOldSelf && uncorrelatable !== undefined)
        this.errors.push(
          fieldError.invalid(
            `${at}.rule`,
            raw.rule,
            `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable}`,
          ),
        )
      else if (!rule.usesOldSelf && raw.optionalOldSelf !== undefined)
        this.errors.push(
          fieldError.invalid(
            `${at}.optionalOldSelf`,
            raw.optionalOldSelf,
            'may not be set if oldSelf is not used in rule',
          ),
        )
      compiled.push(rule)
    })
    return compiled
  }

  #rule(raw: RawRule, type: CelType, at: string): Rule | undefined {
    const environment = this.#environment
      .clone()
      .registerVariable('self', type.name)
      .registerVariable('oldSelf', raw.optionalOldSelf ? `optional<${type.name}>` : type.name)
    const compile = (field: 'rule' | 'messageExpression', wanted: string): Expression | undefined => {
      try {
        const expression = compileExpression(environment, raw[field]!)
        if (expression.type === wanted || expression.type === 'dyn') return expression
        this.errors.push(fieldError.invalid(`${at}.${field}`, raw, `must evaluate to a ${wanted}`))
      } catch (error) {
        // cel-go's words for a field that the schema does not have.
        const message = (error as Error).message.replace(/^No such key: (\S+)/, "undefined field '$1'")
        this.errors.push(fieldError.invalid(`${at}.${field}`, raw, `compilation failed: ${message}`))
      }
      return undefined
    }
    const test = compile('rule', 'bool')
    const message = raw.messageExpression ? compile('messageExpression', 'string') : undefined
    if (test === undefined) return undefined
    const fieldPath = raw.fieldPath ? (fieldNames(parseJsonPath(raw.fieldPath)) ?? []) : []
    return { raw, test, message, usesOldSelf: test.uses('oldSelf'), fieldPath }
  }
}

function namesOf(path: string): string[] | undefined {
  try {
    return fieldNames(parseJsonPath(path))
  } catch {
    return undefined
  }
}

/** What can be said about a rule without reading it. */
function checkForm(raw: RawRule, schema: Schema, at: string): FieldError[] {
  const errors: FieldError[] = []
  const { rule = '', message, messageExpression, reason, fieldPath } = raw
  const breaks = (text: string): boolean => /[\n\r]/.test(text)
  const text = message?.trim() ?? ''
  if (rule.trim() === '') errors.push(fieldError.required(`${at}.rule`, 'rule is not specified'))
  else if (message && text === '')
    errors.push(fieldError.invalid(`${at}.message`, message, 'message must be non-empty if specified'))
  else if (breaks(text))
    errors.push(fieldError.invalid(`${at}.message`, message, 'message must not contain line breaks'))
  else if (breaks(rule.trim()) && text === '')
    errors.push(fieldError.required(`${at}.message`, 'message must be specified if rule contains line breaks'))
  for (const [field, value] of [
    ['rule', rule],
    ['messageExpression', messageExpression ?? ''],
  ] as const)
    if (Buffer.byteLength(value) > MAX_RULE_BYTES) errors.push(fieldError.tooLong(`${at}.${field}`, MAX_RULE_BYTES))
  if (messageExpression && messageExpression.trim() === '')
    errors.push(fieldError.required(`${at}.messageExpression`, 'messageExpression must be non-empty if specified'))
  if (reason !== undefined && !REASONS.includes(reason))
    errors.push(fieldError.notSupported(`${at}.reason`, reason, REASONS))
  if (fieldPath) {
    const invalid = (detail: string): void => {
      errors.push(fieldError.invalid(`${at}.fieldPath`, fieldPath, detail))
    }
    const names = namesOf(fieldPath)
    if (fieldPath.trim() === '') invalid('fieldPath must be non-empty if specified')
    else if (breaks(fieldPath)) invalid('fieldPath must not contain line breaks')
    else if (names === undefined || !isField(schema, names)) invalid('fieldPath must be a valid path')
  }
  return errors
}

function isField(schema: Schema, names: readonly string[]): boolean {
  let node: Schema | undefined = schema
  for (const name of names) {
    const next: Schema | boolean | undefined = node?.properties?.[name] ?? node?.additionalProperties
    node = typeof next === 'object' ? next : undefined
  }
  return names.length > 0 && node !== undefined
}

/** Errors in the rules of a version's schema. */
export function validateRules(schema: Schema, path: string): FieldError[] {
  if (!hasRules(schema)) return []
  const compiler = new Compiler()
  compiler.compile(schema, path, undefined, true)
  return compiler.errors
}

const plans = new WeakMap<Schema, Plan>()

function planOf(schema: Schema): Plan {
  const known = plans.get(schema)
  if (known !== undefined) return known
  const compiler = new Compiler()
  const plan = compiler.compile(schema, '', undefined, true)
  // Definitions are validated before they are served: rules that cannot be read were never accepted.
  if (plan === undefined || compiler.errors.length > 0)
    throw new Error(`validation rules cannot be compiled: ${compiler.errors[0]?.detail ?? 'there are none'}`)
  plans.set(schema, plan)
  return plan
}

/** What the rules of the schema say about an object that is otherwise valid. */
export function runRules(schema: Schema, object: Json, old: Json | undefined): FieldError[] {
  const run = new RuleRun()
  run.visit(planOf(schema), object, old, undefined, undefined)
  return run.errors
}

/** A value in CEL's form, made when the first rule needs it. */
type Lazy = () => unknown

class RuleRun {
  readonly errors: FieldError[] = []
  #steps = MAX_OBJECT_RULE_STEPS
  #stopped = false

  visit(plan: Plan, value: Json, old: Json | undefined, path: Path | undefined, converted: Lazy | undefined): void {
    if (this.#stopped || value === null) return
    const self = converted ?? once(() => plan.type!.convert(value))
    if (plan.rules.length > 0) this.#runRules(plan, value, old, path, self)
    const atomic = plan.schema['x-kubernetes-map-type'] === 'atomic'
    if (isJsonObject(value)) {
      const before = isJsonObject(old) && !atomic ? old : undefined
      for (const key of Object.keys(value)) {
        const next = plan.properties.get(key) ?? plan.others
        if (next === undefined || (path === undefined && META_FIELDS.has(key))) continue
        const oldValue = before !== undefined && Object.hasOwn(before, key) ? before[key] : undefined
        this.visit(next, value[key] as Json, oldValue, { parent: path, key }, undefined)
      }
    } else if (Array.isArray(value) && plan.items !== undefined)
      for (let i = 0; i < value.length; i++)
        this.visit(plan.items, value[i]!, counterpart(plan.schema, value[i]!, old), { parent: path, key: i }, undefined)
  }

  #runRules(plan: Plan, value: Json, old: Json | undefined, path: Path | undefined, self: Lazy): void {
    const hasOld = old !== undefined && old !== null
    const unchanged = hasOld && isDeepStrictEqual(value, old)
    const oldSelf = once(() => (hasOld ? plan.type!.convert(old) : undefined))
    for (const rule of plan.rules) {
      if (this.#stopped) return
      const optional = rule.raw.optionalOldSelf === true
      if (rule.usesOldSelf ? !hasOld && !optional : unchanged) continue
      const before = optional ? () => (hasOld ? Optional.of(oldSelf()) : Optional.none()) : oldSelf
      const detail = this.#failure(rule, self, rule.usesOldSelf ? before : () => undefined)
      if (detail !== undefined) this.#report(rule, plan.schema, path, detail)
    }
  }

  /** Why the rule does not hold; undefined: it holds. */
  #failure(rule: Rule, self: Lazy, oldSelf: Lazy): string | undefined {
    const text = rule.raw.message?.trim() || rule.raw.rule.trim()
    try {
      const variables = { self: self(), oldSelf: oldSelf() }
      const value = this.#evaluate(rule.test, variables)
      if (value === true) return undefined
      return this.#message(rule, variables)
    } catch (error) {
      if (error instanceof BudgetError) {
        this.#stopped = true
        return `'${error.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${text}`
      }
      const [why = ''] = (error as Error).message.split('\n')
      return why.startsWith('no such overload')
        ? `'${why}': call arguments did not match a supported operator, function or macro signature for rule: ${text}`
        : `${why} evaluating rule: ${text}`
    }
  }

  #evaluate(expression: Expression, variables: Record<string, unknown>): unknown {
    const allowed = Math.min(MAX_RULE_STEPS, this.#steps)
    if (allowed <= 0) throw new BudgetError()
    const { value, steps } = expression.evaluate(variables, allowed)
    this.#steps -= steps
    return value
  }

  #message(rule: Rule, variables: Record<string, unknown>): string {
    const own = rule.raw.message?.trim() || `failed rule: ${rule.raw.rule.trim()}`
    if (rule.message === undefined) return own
    try {
      const text = this.#evaluate(rule.message, variables)
      const usable =
        typeof text === 'string' &&
        text.trim() !== '' &&
        !/[\n\r]/.test(text) &&
        Buffer.byteLength(text) <= MAX_MESSAGE_BYTES
      return usable ? text.trim() : own
    } catch (error) {
      if (error instanceof BudgetError) this.#stopped = true
      return own
    }
  }

  #report(rule: Rule, schema: Schema, path: Path | undefined, detail: string): void {
    let at = path
    for (const key of rule.fieldPath) at = { parent: at, key }
    const field = at === undefined ? '<nil>' : pathText(at)
    const type = schema.type ?? ''
    switch (rule.raw.reason) {
      case 'FieldValueForbidden':
        this.errors.push(fieldError.forbidden(field, detail))
        break
      case 'FieldValueRequired':
        this.errors.push(fieldError.required(field, detail))
        break
      case 'FieldValueDuplicate':
        this.errors.push({ ...fieldError.duplicate(field, type), detail })
        break
      default:
        this.errors.push(fieldError.invalid(field, type, detail))
    }
  }
}

function once(make: () => unknown): Lazy {
  let made = false
  let value: unknown
  return () => {
    if (!made) {
      value = make()
      made = true
    }
    return value
  }
}
