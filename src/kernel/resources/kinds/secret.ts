import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { base64Bytes, MAX_DATA_BYTES, validateImmutable, validateKeys } from './keyed-data.ts'

const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name'

type Data = Readonly<Record<string, string>>

/** stringData is write-only: its values replace those of the same key in data. */
function mergeStringData(object: KubeObject): void {
  const strings: Record<string, string> | undefined = object.stringData
  if (strings === undefined) return
  delete object.stringData
  const keys = Object.keys(strings)
  if (keys.length === 0) return
  object.data ??= {}
  for (const key of keys) object.data[key] = Buffer.from(strings[key] ?? '').toString('base64')
}

function requireKeys(data: Data, ...keys: string[]): FieldError[] {
  return keys.filter((key) => !Object.hasOwn(data, key)).map((key) => fieldError.required(`data[${key}]`))
}

/** The value must be one JSON object; the error never quotes it. */
function requireJson(data: Data, key: string): FieldError[] {
  if (!Object.hasOwn(data, key)) return [fieldError.required(`data[${key}]`)]
  const redacted = (detail: string): FieldError[] => [
    fieldError.invalid(`data[${key}]`, '<secret contents redacted>', detail),
  ]
  const text = Buffer.from(data[key] ?? '', 'base64').toString()
  if (text.trim() === '') return redacted('unexpected end of JSON input')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return redacted('invalid JSON')
  }
  return value === null || (typeof value === 'object' && !Array.isArray(value))
    ? []
    : redacted(
        `json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type map[string]interface {}`,
      )
}

const TYPE_RULES: Readonly<Record<string, (data: Data, object: KubeObject) => FieldError[]>> = {
  'kubernetes.io/service-account-token': (_data, object) =>
    object.metadata.annotations?.[SERVICE_ACCOUNT_NAME]
      ? []
      : [fieldError.required(`metadata.annotations[${SERVICE_ACCOUNT_NAME}]`)],
  'kubernetes.io/dockercfg': (data) => requireJson(data, '.dockercfg'),
  'kubernetes.io/dockerconfigjson': (data) => requireJson(data, '.dockerconfigjson'),
  'kubernetes.io/basic-auth': (data) =>
    Object.hasOwn(data, 'username') || Object.hasOwn(data, 'password') ? [] : requireKeys(data, 'username', 'password'),
  'kubernetes.io/ssh-auth': (data) => (data['ssh-privatekey'] ? [] : [fieldError.required('data[ssh-privatekey]')]),
  'kubernetes.io/tls': (data) => requireKeys(data, 'tls.crt', 'tls.key'),
}

function validate(object: KubeObject): FieldError[] {
  const data: Data = object.data ?? {}
  const errors: FieldError[] = []
  validateKeys(data, 'data', errors)
  let bytes = 0
  for (const key in data) bytes += base64Bytes(data[key] ?? '')
  if (bytes > MAX_DATA_BYTES) errors.push(fieldError.tooLong('data', MAX_DATA_BYTES))
  const type: string = object.type ?? ''
  const rules = Object.hasOwn(TYPE_RULES, type) ? TYPE_RULES[type] : undefined
  if (rules !== undefined) errors.push(...rules(data, object))
  return errors
}

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const errors = validateImmutable(object, old, ['data'])
  if (object.type !== old.type) errors.unshift(fieldError.invalid('type', object.type ?? '', IMMUTABLE))
  return errors
}

export const secretKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  namespaced: true,
  schema: 'io.k8s.api.core.v1.Secret',
  columns: [
    nameColumn,
    column('Type', 'string', 'Type of the secret: it decides which keys must be there.', (o) => o.type ?? ''),
    column('Data', 'string', 'Number of keys.', (o) => Object.keys(o.data ?? {}).length),
    ageColumn,
  ],
  selectableFields: { type: (o) => o.type ?? '' },
  strategy: {
    defaults(object) {
      mergeStringData(object)
      if (!object.type) object.type = 'Opaque'
    },
    validate,
    validateUpdate,
  },
}
