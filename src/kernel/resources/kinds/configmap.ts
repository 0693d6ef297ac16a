import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { base64Bytes, MAX_DATA_BYTES, validateImmutable, validateKeys } from './keyed-data.ts'

function validate(object: KubeObject): FieldError[] {
  const data: Readonly<Record<string, string>> = object.data ?? {}
  const binary: Readonly<Record<string, string>> = object.binaryData ?? {}
  const errors: FieldError[] = []
  let bytes = 0
  validateKeys(data, 'data', errors)
  for (const key in data) {
    if (Object.hasOwn(binary, key))
      errors.push(fieldError.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    bytes += Buffer.byteLength(data[key] ?? '')
  }
  validateKeys(binary, 'binaryData', errors)
  for (const key in binary) {
    if (Object.hasOwn(data, key))
      errors.push(fieldError.invalid(`binaryData[${key}]`, key, 'duplicate of key present in data'))
    bytes += base64Bytes(binary[key] ?? '')
  }
  // Kubernetes' path of the whole object prints as an empty index.
  if (bytes > MAX_DATA_BYTES) errors.push(fieldError.tooLong('[]', MAX_DATA_BYTES))
  return errors
}

export const configMapKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.ConfigMap',
  columns: [
    nameColumn,
    column(
      'Data',
      'string',
      'Number of keys in data and binaryData.',
      (o) => Object.keys(o.data ?? {}).length + Object.keys(o.binaryData ?? {}).length,
    ),
    ageColumn,
  ],
  strategy: {
    validate,
    validateUpdate: (object, old) => validateImmutable(object, old, ['data', 'binaryData']),
  },
}
