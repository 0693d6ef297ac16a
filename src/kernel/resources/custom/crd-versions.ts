import type { Json } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { jsonEqual } from '../../merge/json-value.ts'
import type { Schema } from '../schema.ts'
import { dns1035Label } from '../validation/names.ts'
import { type CrdScale, type CrdSubresources, type CrdVersion, sharedByAll } from './crd.ts'
import { fieldNames, parseJsonPath } from './json-path.ts'
import { MAX_SELECTABLE_FIELDS } from './limits.ts'
import { COLUMN_FORMATS, COLUMN_TYPES, type PrinterColumn } from './printer-columns.ts'
import { validateRuleCosts } from './rule-costs.ts'
import { validateRules } from './rules.ts'
import { parseSchema } from './schema-parse.ts'
import { validateDefaults, validateSchemaRules } from './schema-rules.ts'
import { validateStructural } from './structural.ts'

/** spec.versions of a CustomResourceDefinition. */

/** Fields that may stand beside `properties` at the root of a version with a status subresource. */
const AT_ROOT =
  '[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]'
const NOT_AT_ROOT: readonly (keyof Schema)[] = [
  'additionalProperties',
  'allOf',
  'anyOf',
  'default',
  'enum',
  'maxProperties',
  'minProperties',
  'not',
  'nullable',
  'oneOf',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
]

/** Where errors in a version's schema are. Kubernetes names what all versions share by its one place in the internal form. */
function schemaPaths(versions: readonly CrdVersion[]): { shared: boolean; pathOf: (index: number) => string } {
  const shared = sharedByAll(versions, (v) => v.schema as never)
  return {
    shared,
    pathOf: (i) => (shared ? 'spec.validation.openAPIV3Schema' : `spec.versions[${i}].schema.openAPIV3Schema`),
  }
}

/**
 * Rules that cost too much, in schemas that no version had `before`: who stored a definition when there was no such
 * limit can still change its labels, and give it up.
 */
export function validateCosts(versions: readonly CrdVersion[], before: readonly CrdVersion[]): FieldError[] {
  const { shared, pathOf } = schemaPaths(versions)
  return versions.flatMap((version, i) => {
    const raw = version.schema?.openAPIV3Schema
    if (raw === undefined || (shared && i > 0)) return []
    if (before.some((v) => jsonEqual(v.schema?.openAPIV3Schema as Json, raw as Json))) return []
    const path = pathOf(i)
    const { schema, errors } = parseSchema(raw, path)
    return errors.length > 0 || validateRules(schema, path).length > 0 ? [] : validateRuleCosts(schema, path)
  })
}

export function validateVersions(versions: readonly CrdVersion[]): FieldError[] {
  const errors: FieldError[] = []
  const schemas = schemaPaths(versions)
  const shared = {
    schema: schemas.shared,
    subresources: sharedByAll(versions, (v) => v.subresources as never),
    columns: sharedByAll(
      versions,
      (v) => (v.additionalPrinterColumns?.length ? v.additionalPrinterColumns : undefined) as never,
    ),
    selectable: sharedByAll(versions, (v) => (v.selectableFields?.length ? v.selectableFields : undefined) as never),
  }
  versions.forEach((version, i) => {
    const at = `spec.versions[${i}]`
    const place = (isShared: boolean, top: string, own: string): string => (isShared ? `spec.${top}` : `${at}.${own}`)
    const messages = dns1035Label(version.name ?? '')
    if (messages.length > 0) errors.push(fieldError.invalid(`${at}.name`, version.name ?? '', messages.join(',')))
    errors.push(...validateDeprecation(version, `${at}.deprecationWarning`))
    const schema = version.schema?.openAPIV3Schema
    if (schema === undefined) errors.push(fieldError.required(`${at}.schema.openAPIV3Schema`, 'schemas are required'))
    const repeated = i > 0
    if (schema !== undefined && !(shared.schema && repeated))
      errors.push(...validateSchema(schema, version, schemas.pathOf(i)))
    if (!(shared.subresources && repeated))
      errors.push(
        ...validateSubresources(version.subresources, place(shared.subresources, 'subresources', 'subresources')),
      )
    if (!(shared.columns && repeated))
      version.additionalPrinterColumns?.forEach((column, j) => {
        const path = place(shared.columns, 'additionalPrinterColumns', 'additionalPrinterColumns')
        errors.push(...validateColumn(column, `${path}[${j}]`))
      })
    if (schema !== undefined && !(shared.selectable && shared.schema && repeated))
      errors.push(
        ...validateSelectableFields(version, place(shared.selectable, 'selectableFields', 'selectableFields')),
      )
  })
  const names = versions.map((v) => v.name)
  if (new Set(names).size < names.length)
    errors.push(fieldError.invalid('spec.versions', versions, 'must contain unique version names'))
  if (versions.filter((v) => v.storage === true).length !== 1)
    errors.push(
      fieldError.invalid('spec.versions', versions, 'must have exactly one version marked as storage version'),
    )
  return errors
}

function validateDeprecation(version: CrdVersion, path: string): FieldError[] {
  const warning = version.deprecationWarning
  if (warning === undefined) return []
  const invalid = (detail: string): FieldError => fieldError.invalid(path, warning, detail)
  if (!version.deprecated) return [invalid('can only be set for deprecated versions')]
  const errors: FieldError[] = []
  if (Buffer.byteLength(warning) > 256) errors.push(invalid('must be <= 256 characters long'))
  if (warning === '') errors.push(invalid('must not be an empty string'))
  const odd = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(warning)
  if (odd !== null)
    errors.push(
      invalid(
        `must only contain printable UTF-8 characters; non-printable character found at index ${Buffer.byteLength(warning.slice(0, odd.index))}`,
      ),
    )
  return errors
}

function validateSchema(raw: unknown, version: CrdVersion, path: string): FieldError[] {
  const { schema, errors } = parseSchema(raw, path)
  if (errors.length > 0) return errors
  const found: FieldError[] = []
  if (version.subresources?.status !== undefined) {
    if (schema.type !== undefined && schema.type !== 'object')
      found.push(
        fieldError.invalid(
          `${path}.type`,
          schema.type,
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        ),
      )
    else if (NOT_AT_ROOT.some((keyword) => schema[keyword] !== undefined && schema[keyword] !== false))
      found.push(
        fieldError.invalid(
          path,
          raw,
          `only ${AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled`,
        ),
      )
  }
  if (schema.nullable) found.push(fieldError.forbidden(`${path}.nullable`, 'nullable cannot be true at the root'))
  const structural = validateStructural(schema, path)
  found.push(...structural, ...(structural.length === 0 ? validateDefaults(schema, path) : []))
  found.push(...validateSchemaRules(schema, path))
  // Rules are read only where the schema gives their values a type.
  return found.length > 0 ? found : validateRules(schema, path)
}

/** A path of fields below the object: `.spec.replicas`. */
function simplePath(path: string, at: string): FieldError[] {
  if (path === '') return [fieldError.invalid(at, path, 'must not be empty')]
  return path.startsWith('.') ? [] : [fieldError.invalid(at, path, 'must be a simple json path starting with .')]
}

function validateSubresources(subresources: CrdSubresources | undefined, path: string): FieldError[] {
  const scale: CrdScale | undefined = subresources?.scale
  if (!scale) return []
  const errors: FieldError[] = []
  const check = (field: keyof CrdScale, under: readonly string[], detail: string): void => {
    const value = scale[field] ?? ''
    const at = `${path}.scale.${field}`
    const simple = simplePath(value, at)
    if (simple.length > 0) errors.push(...simple)
    else if (!under.some((prefix) => value.startsWith(prefix))) errors.push(fieldError.invalid(at, value, detail))
    else if (namesOf(value) === undefined)
      errors.push(fieldError.invalid(at, value, 'must be a json path in the dot notation'))
  }
  if (!scale.specReplicasPath) errors.push(fieldError.required(`${path}.scale.specReplicasPath`))
  else check('specReplicasPath', ['.spec.'], 'should be a json path under .spec')
  if (!scale.statusReplicasPath) errors.push(fieldError.required(`${path}.scale.statusReplicasPath`))
  else check('statusReplicasPath', ['.status.'], 'should be a json path under .status')
  if (scale.labelSelectorPath)
    check('labelSelectorPath', ['.spec.', '.status.'], 'should be a json path under either .spec or .status')
  return errors
}

function namesOf(path: string): string[] | undefined {
  try {
    return fieldNames(parseJsonPath(path))
  } catch {
    return undefined
  }
}

function validateColumn(column: Partial<PrinterColumn>, path: string): FieldError[] {
  const errors: FieldError[] = []
  if (!column.name) errors.push(fieldError.required(`${path}.name`))
  const types = `must be one of ${COLUMN_TYPES.join(',')}`
  if (!column.type) errors.push(fieldError.required(`${path}.type`, types))
  else if (!COLUMN_TYPES.includes(column.type)) errors.push(fieldError.invalid(`${path}.type`, column.type, types))
  if (column.format && !COLUMN_FORMATS.includes(column.format))
    errors.push(fieldError.invalid(`${path}.format`, column.format, `must be one of ${COLUMN_FORMATS.join(',')}`))
  if (!column.jsonPath) errors.push(fieldError.required(`${path}.JSONPath`))
  else errors.push(...simplePath(column.jsonPath, `${path}.JSONPath`))
  return errors
}

function validateSelectableFields(version: CrdVersion, path: string): FieldError[] {
  const fields = version.selectableFields ?? []
  if (fields.length === 0) return []
  const { schema } = parseSchema(version.schema?.openAPIV3Schema, path)
  const errors: FieldError[] = []
  const seen = new Set<string>()
  fields.forEach(({ jsonPath = '' }, i) => {
    const at = `${path}[${i}].jsonPath`
    if (jsonPath === '') {
      errors.push(fieldError.required(at))
      return
    }
    const names = namesOf(jsonPath)
    if (names === undefined || names.length === 0) {
      errors.push(fieldError.invalid(at, jsonPath, 'is an invalid path: must be a path of fields'))
      return
    }
    if (names[0] === 'metadata') errors.push(fieldError.invalid(at, jsonPath, 'must not point to fields in metadata'))
    const target = names.reduce<Schema | undefined>((s, name) => s?.properties?.[name], schema)
    if (target === undefined)
      errors.push(fieldError.invalid(at, jsonPath, 'is an invalid path: does not refer to a valid field'))
    else if (!['string', 'boolean', 'integer'].includes(target.type ?? ''))
      errors.push(
        fieldError.invalid(
          at,
          jsonPath,
          'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        ),
      )
    if (seen.has(names.join('.'))) errors.push(fieldError.duplicate(at, jsonPath))
    seen.add(names.join('.'))
  })
  if (seen.size > MAX_SELECTABLE_FIELDS) errors.push(fieldError.tooMany(path, seen.size, MAX_SELECTABLE_FIELDS))
  return errors
}
