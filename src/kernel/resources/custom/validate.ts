import type { Json, JsonObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { formatCheck } from './formats.ts'
import { canonicalJson, type JsonType, jsonType } from './json.ts'
import { MAX_ERRORS, MAX_VALIDATION_VISITS } from './limits.ts'
import { compilePattern } from './pattern.ts'

/**
 * Values against schemas, with the texts of kube-openapi's validator as Kubernetes 1.32 turns them into field errors.
 * A schema is compiled once; validating an object allocates nothing but paths of what is nested, and errors.
 */

export type Path = { parent: Path | undefined; key: string | number }

/** `spec.list[0].name`; the root is ''. */
export function pathText(path: Path | undefined): string {
  if (path === undefined) return ''
  const before = pathText(path.parent)
  if (typeof path.key === 'number') return `${before}[${path.key}]`
  return before === '' ? path.key : `${before}.${path.key}`
}

/** Kubernetes prints errors without a path of their own under this name. */
const NO_PATH = '<nil>'
const named = (path: Path | undefined): string => (path === undefined ? NO_PATH : pathText(path))

/** An error, and the value whose schema made it: that of the holder where a field is missing. */
export type Finding = { error: FieldError; owner: Path | undefined }

/** One validation: its findings and what it may still spend. */
export class Run {
  readonly findings: Finding[] = []
  #visits = MAX_VALIDATION_VISITS

  add(owner: Path | undefined, ...errors: FieldError[]): void {
    for (const error of errors) this.findings.push({ error, owner })
  }

  /** False when validation has done enough. */
  visit(): boolean {
    if (--this.#visits > 0 && this.findings.length < MAX_ERRORS) return true
    if (this.#visits === 0)
      this.add(undefined, fieldError.invalid(NO_PATH, '', 'validating the object takes more steps than are allowed'))
    return false
  }

  /** Runs `check` on the same budget and hands back its errors instead of keeping them. */
  aside(check: () => void): FieldError[] {
    const before = this.findings.length
    check()
    return this.findings.splice(before).map((finding) => finding.error)
  }
}

export type Check = (value: Json, path: Path | undefined, run: Run) => void

const compiled = new WeakMap<Schema, Check>()

/** The check of this schema and all below it. */
export function compileSchema(schema: Schema): Check {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const check = compile(schema)
  compiled.set(schema, check)
  return check
}

function compile(schema: Schema): Check {
  const common = [typeCheck(schema), junctorCheck(schema)]
  const byType: Partial<Record<'string' | 'number' | 'array' | 'object', Check>> = {
    string: stringCheck(schema),
    number: numberCheck(schema),
    array: arrayCheck(schema),
    object: objectCheck(schema),
  }
  const checkEnum = enumCheck(schema)
  return (value, path, run) => {
    if (!run.visit()) return
    if (value === null) {
      common[0]?.(value, path, run)
      checkEnum?.(value, path, run)
      return
    }
    for (const check of common) check?.(value, path, run)
    const type = typeof value
    if (type === 'string') byType.string?.(value, path, run)
    else if (type === 'number') byType.number?.(value, path, run)
    else if (Array.isArray(value)) byType.array?.(value, path, run)
    checkEnum?.(value, path, run)
    if (type === 'object' && !Array.isArray(value)) byType.object?.(value, path, run)
  }
}

function typeCheck(schema: Schema): Check | undefined {
  const intOrString = schema['x-kubernetes-int-or-string'] === true
  const allowed: readonly string[] = intOrString ? ['integer', 'string'] : schema.type ? [schema.type] : []
  if (allowed.length === 0) return undefined
  const names = allowed.join(',')
  const nullable = schema.nullable === true
  const integers = allowed.includes('integer') || allowed.includes('number')
  return (value, path, run) => {
    const type: JsonType = jsonType(value)
    if (type === 'null' ? nullable : allowed.includes(type) || (type === 'integer' && integers)) return
    run.add(
      path,
      fieldError.typeInvalid(named(path), type, `${pathText(path)} in body must be of type ${names}: "${type}"`),
    )
  }
}

const composite = (message: string): FieldError => fieldError.invalid(NO_PATH, '', message)

function junctorCheck(schema: Schema): Check | undefined {
  const { allOf, anyOf, oneOf, not } = schema
  const all = allOf?.map(compileSchema)
  const any = anyOf?.map(compileSchema)
  const one = oneOf?.map(compileSchema)
  const none = not && compileSchema(not)
  if (!all && !any && !one && !none) return undefined
  return (value, path, run) => {
    const attempt = (check: Check): FieldError[] => run.aside(() => check(value, path, run))
    if (any) {
      let first: FieldError[] | undefined
      const found = any.some((check) => {
        const errors = attempt(check)
        first ??= errors
        return errors.length === 0
      })
      if (!found) run.add(path, composite(`"${pathText(path)}" must validate at least one schema (anyOf)`), ...first!)
    }
    if (one) {
      const results = one.map(attempt)
      const valid = results.filter((errors) => errors.length === 0).length
      const must = `"${pathText(path)}" must validate one and only one schema (oneOf). Found`
      if (valid === 0) run.add(path, composite(`${must} none valid`), ...results[0]!)
      else if (valid > 1) run.add(path, composite(`${must} ${valid} valid alternatives`))
    }
    if (all) {
      const results = all.map(attempt)
      const valid = results.filter((errors) => errors.length === 0).length
      for (const errors of results) run.add(path, ...errors)
      if (valid < all.length)
        run.add(
          path,
          composite(
            `"${pathText(path)}" must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`,
          ),
        )
    }
    if (none && attempt(none).length === 0)
      run.add(path, composite(`"${pathText(path)}" must not validate the schema (not)`))
  }
}

function codePoints(text: string): number {
  let count = text.length
  for (let i = 0; i < text.length - 1; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0xd800 || unit > 0xdbff) continue
    const next = text.charCodeAt(i + 1)
    if (next >= 0xdc00 && next <= 0xdfff) {
      count--
      i++
    }
  }
  return count
}

function stringCheck(schema: Schema): Check | undefined {
  const { maxLength, minLength, pattern, format } = schema
  const expression = pattern ? compilePattern(pattern) : undefined
  const inFormat = format ? formatCheck(format) : undefined
  if (maxLength === undefined && minLength === undefined && !expression && !inFormat) return undefined
  const limits = (text: string, path: Path | undefined): FieldError | undefined => {
    if (maxLength !== undefined && text.length > maxLength && codePoints(text) > maxLength)
      return fieldError.tooLong(named(path), maxLength)
    if (minLength !== undefined && codePoints(text) < minLength)
      return fieldError.invalid(
        named(path),
        text,
        `${pathText(path)} in body should be at least ${minLength} chars long`,
      )
    if (expression === undefined) return undefined
    if ('error' in expression)
      return fieldError.invalid(named(path), text, `pattern cannot be used: ${expression.error}`)
    const result = expression.match(text)
    if (result === true) return undefined
    return fieldError.invalid(
      named(path),
      result === 'too-long' ? '' : text,
      result === 'too-long'
        ? `${pathText(path)} in body is too long to be matched against '${pattern}'`
        : `${pathText(path)} in body should match '${pattern}'`,
    )
  }
  return (value, path, run) => {
    const text = value as string
    const error = limits(text, path)
    if (error !== undefined) run.add(path, error)
    if (inFormat !== undefined && !inFormat(text))
      run.add(
        path,
        fieldError.typeInvalid(
          named(path),
          text,
          `${pathText(path)} in body must be of type ${format}: ${JSON.stringify(text)}`,
        ),
      )
  }
}

const INT32 = 2 ** 31
/** Largest number that a float64 can hold below 2^63. */
const INT64 = 2 ** 63
const FLOAT32 = 3.4028234663852886e38

function outOfRange(schema: Schema): (value: number) => boolean {
  if (schema.type === 'integer') {
    const bound = schema.format === 'int32' ? INT32 : INT64
    return (value) => value < -bound || value >= bound
  }
  if (schema.format === 'float' || schema.format === 'float32') return (value) => Math.abs(value) > FLOAT32
  return () => false
}

function multipleOf(value: number, divisor: number): boolean {
  if (Number.isInteger(divisor) && Number.isInteger(value)) return value % divisor === 0
  const quotient = value / divisor
  return Math.abs(quotient - Math.round(quotient)) < 1e-9
}

function numberCheck(schema: Schema): Check | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf: divisor, type, format } = schema
  const beyond = outOfRange(schema)
  return (value, path, run) => {
    const number = value as number
    const fail = (detail: string): void => {
      run.add(path, fieldError.invalid(named(path), number, `${pathText(path)} in body should be ${detail}`))
    }
    if (beyond(number))
      run.add(
        path,
        composite(
          format
            ? `Checked value must be of type ${type} with format ${format} in ${pathText(path)}`
            : `Checked value must be of type ${type} (default format) in ${pathText(path)}`,
        ),
      )
    if (divisor !== undefined && divisor > 0 && !multipleOf(number, divisor)) fail(`a multiple of ${divisor}`)
    if (maximum !== undefined && (exclusiveMaximum ? number >= maximum : number > maximum))
      fail(exclusiveMaximum ? `less than ${maximum}` : `less than or equal to ${maximum}`)
    if (minimum !== undefined && (exclusiveMinimum ? number <= minimum : number < minimum))
      fail(exclusiveMinimum ? `greater than ${minimum}` : `greater than or equal to ${minimum}`)
  }
}

function arrayCheck(schema: Schema): Check | undefined {
  const { items, minItems, maxItems, uniqueItems } = schema
  // A hostile schema may refer to itself only through parsing, which it cannot: compiling ends.
  const check = items && compileSchema(items)
  if (!check && minItems === undefined && maxItems === undefined && !uniqueItems) return undefined
  return (value, path, run) => {
    const list = value as Json[]
    if (maxItems !== undefined && list.length > maxItems) {
      // Too long a list is not looked into: its length alone may be the attack.
      run.add(path, fieldError.tooMany(named(path), list.length, maxItems))
      return
    }
    if (check) for (let i = 0; i < list.length; i++) check(list[i]!, { parent: path, key: i }, run)
    if (minItems !== undefined && list.length < minItems)
      run.add(
        path,
        fieldError.invalid(
          named(path),
          list.length,
          `${pathText(path)} in body should have at least ${minItems} items`,
        ),
      )
    if (uniqueItems && new Set(list.map(canonicalJson)).size < list.length)
      run.add(path, fieldError.invalid(named(path), '', `${pathText(path)} in body shouldn't contain duplicates`))
  }
}

function enumCheck(schema: Schema): Check | undefined {
  const values = schema.enum
  if (values === undefined || values.length === 0) return undefined
  const allowed = new Set(values.map(canonicalJson))
  const texts = values.map((v) => (typeof v === 'string' ? v : JSON.stringify(v)))
  return (value, path, run) => {
    if (!allowed.has(canonicalJson(value))) run.add(path, fieldError.notSupported(named(path), value, texts))
  }
}

function objectCheck(schema: Schema): Check | undefined {
  const { properties, additionalProperties, required = [], minProperties, maxProperties } = schema
  const known = new Map(Object.entries(properties ?? {}).map(([name, s]) => [name, compileSchema(s)]))
  const others = typeof additionalProperties === 'object' ? compileSchema(additionalProperties) : undefined
  const closed = additionalProperties === false
  if (
    known.size === 0 &&
    !others &&
    !closed &&
    required.length === 0 &&
    minProperties === undefined &&
    maxProperties === undefined
  )
    return undefined
  const counts = (count: number, path: Path | undefined): FieldError | undefined => {
    if (minProperties !== undefined && count < minProperties)
      return fieldError.invalid(
        named(path),
        count,
        `${pathText(path)} in body should have at least ${minProperties} properties`,
      )
    return maxProperties !== undefined && count > maxProperties
      ? fieldError.tooMany(named(path), count, maxProperties)
      : undefined
  }
  return (value, path, run) => {
    const object = value as JsonObject
    const keys = Object.keys(object)
    if (minProperties !== undefined || maxProperties !== undefined) {
      const error = counts(keys.length, path)
      if (error !== undefined) {
        run.add(path, error)
        return
      }
    }
    for (const name of required)
      if (!Object.hasOwn(object, name)) run.add(path, fieldError.required(pathText({ parent: path, key: name })))
    for (const key of keys) {
      const check = known.get(key) ?? others
      if (check !== undefined) check(object[key]!, { parent: path, key }, run)
      else if (closed) run.add(path, composite(`${pathText({ parent: path, key })} in body is a forbidden property`))
    }
  }
}

/** All that is wrong with `value`; `under` is the path to it in the object, '' for the object itself. */
export function validateValue(schema: Schema, value: Json, under = ''): FieldError[] {
  return findings(schema, value, under === '' ? undefined : { parent: undefined, key: under }).map((f) => f.error)
}

export function findings(schema: Schema, value: Json, path?: Path): Finding[] {
  const run = new Run()
  compileSchema(schema)(value, path, run)
  return run.findings
}
