import { tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateName } from '../../validation/meta.ts'
import { configMapKey, dns1123Subdomain, envVarName, qualifiedName } from '../../validation/names.ts'
import { invalidEach, localDescendingPath } from './formats.ts'
import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  KeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from './types.ts'

/** Environment variables and the downward API. */

const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
const VOLUME_FIELDS = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']
/** Fields that exist in the API; the two lists above say which of them an environment or a volume may use. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  ...ENV_FIELDS,
  ...VOLUME_FIELDS,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
])
const RESOURCE_FIELDS = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const HUGE_PAGES = /^(?:requests|limits)\.hugepages-/
const SUBSCRIPT = /^([^[\]]+)\['([\s\S]*)'\]$/

const BYTE_DIVISORS: ReadonlySet<string> = new Set(
  ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'].map((suffix) => `1${suffix}`),
)
const BYTE_DIVISORS_TEXT = [...BYTE_DIVISORS].join(', ')

export function validateEnv(vars: readonly EnvVar[], path: string, errors: FieldError[]): void {
  for (let i = 0; i < vars.length; i++) {
    const variable = vars[i]!
    const at = `${path}[${i}]`
    if (!variable.name) errors.push(fieldError.required(`${at}.name`))
    else invalidEach(errors, `${at}.name`, variable.name, envVarName(variable.name))
    if (variable.valueFrom != null) validateSource(variable, variable.valueFrom, `${at}.valueFrom`, errors)
  }
}

function validateSource(variable: EnvVar, source: EnvVarSource, path: string, errors: FieldError[]): void {
  let count = 0
  if (source.fieldRef != null) {
    count++
    validateFieldRef(source.fieldRef, ENV_FIELDS, `${path}.fieldRef`, errors)
  }
  if (source.resourceFieldRef != null) {
    count++
    validateResourceFieldRef(source.resourceFieldRef, `${path}.resourceFieldRef`, false, errors)
  }
  if (source.configMapKeyRef != null) {
    count++
    validateKeySelector(source.configMapKeyRef, `${path}.configMapKeyRef`, errors)
  }
  if (source.secretKeyRef != null) {
    count++
    validateKeySelector(source.secretKeyRef, `${path}.secretKeyRef`, errors)
  }
  if (source.fileKeyRef != null) {
    count++
    validateFileKeyRef(source.fileKeyRef, `${path}.fileKeyRef`, errors)
  }
  const why =
    count === 0
      ? 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'
      : variable.value
        ? 'may not be specified when `value` is not empty'
        : count > 1
          ? 'may not have more than one field specified at a time'
          : undefined
  if (why !== undefined) errors.push(fieldError.invalid(path, '', why))
}

function validateKeySelector(selector: KeySelector, path: string, errors: FieldError[]): void {
  invalidEach(errors, `${path}.name`, selector.name ?? '', dns1123Subdomain(selector.name ?? ''))
  if (!selector.key) errors.push(fieldError.required(`${path}.key`))
  else invalidEach(errors, `${path}.key`, selector.key, configMapKey(selector.key))
}

function validateFileKeyRef(ref: NonNullable<EnvVarSource['fileKeyRef']>, path: string, errors: FieldError[]): void {
  if (!ref.volumeName) errors.push(fieldError.required(`${path}.volumeName`))
  if (!ref.path) errors.push(fieldError.required(`${path}.path`))
  else localDescendingPath(ref.path, `${path}.path`, errors)
  if (!ref.key) errors.push(fieldError.required(`${path}.key`))
  else invalidEach(errors, `${path}.key`, ref.key, envVarName(ref.key))
}

/** `fieldRef` of a variable, or of a file in a volume. */
export function validateFieldRef(
  ref: ObjectFieldSelector,
  fields: readonly string[],
  path: string,
  errors: FieldError[],
): void {
  if (!ref.apiVersion) {
    errors.push(fieldError.required(`${path}.apiVersion`))
    return
  }
  if (!ref.fieldPath) {
    errors.push(fieldError.required(`${path}.fieldPath`))
    return
  }
  const subscripted = SUBSCRIPT.exec(ref.fieldPath)
  const field = subscripted?.[1] ?? ref.fieldPath
  const unsupported = unsupportedField(ref.apiVersion, field, ref.fieldPath, subscripted !== null)
  if (unsupported !== undefined)
    errors.push(fieldError.invalid(`${path}.fieldPath`, ref.fieldPath, `error converting fieldPath: ${unsupported}`))
  else if (subscripted !== null) {
    const key = subscripted[2]!
    invalidEach(errors, path, key, qualifiedName(field === 'metadata.annotations' ? key.toLowerCase() : key))
  } else if (!fields.includes(field)) errors.push(fieldError.notSupported(`${path}.fieldPath`, field, fields))
}

function unsupportedField(apiVersion: string, field: string, whole: string, subscripted: boolean): string | undefined {
  if (apiVersion !== 'v1') return `unsupported pod version: ${apiVersion}`
  if (subscripted)
    return field === 'metadata.annotations' || field === 'metadata.labels'
      ? undefined
      : `field label does not support subscript: ${whole}`
  return KNOWN_FIELDS.has(field) ? undefined : `field label not supported: ${whole}`
}

export const volumeFieldRef = (ref: ObjectFieldSelector, path: string, errors: FieldError[]): void =>
  validateFieldRef(ref, VOLUME_FIELDS, path, errors)

/** `inVolume`: the container must be named, since a volume belongs to none. */
export function validateResourceFieldRef(
  ref: ResourceFieldSelector,
  path: string,
  inVolume: boolean,
  errors: FieldError[],
): void {
  const resource = ref.resource ?? ''
  if (inVolume && !ref.containerName) errors.push(fieldError.required(`${path}.containerName`))
  else if (resource === '') errors.push(fieldError.required(`${path}.resource`))
  else if (!RESOURCE_FIELDS.includes(resource) && !HUGE_PAGES.test(resource))
    errors.push(fieldError.notSupported(`${path}.resource`, resource, RESOURCE_FIELDS))
  validateDivisor(resource, ref.divisor, path, errors)
}

function validateDivisor(resource: string, divisor: unknown, path: string, errors: FieldError[]): void {
  if (divisor == null) return
  const quantity = tryQuantity(divisor)
  if (quantity?.nanos === 0n) return
  const text = quantity?.text ?? ''
  const refuse = (why: string): void => {
    errors.push(fieldError.invalid(`${path}.divisor`, resource, `only divisor's values ${why}`))
  }
  if (resource.endsWith('.cpu')) {
    if (text !== '1m' && text !== '1') refuse('1m and 1 are supported with the cpu resource')
  } else if (!BYTE_DIVISORS.has(text)) {
    if (resource.endsWith('.memory')) refuse(`${BYTE_DIVISORS_TEXT} are supported with the memory resource`)
    else if (resource.endsWith('.ephemeral-storage'))
      refuse(`${BYTE_DIVISORS_TEXT} are supported with the local ephemeral storage resource`)
    else if (HUGE_PAGES.test(resource)) refuse(`${BYTE_DIVISORS_TEXT} are supported with the hugepages resource`)
  }
}

export function validateEnvFrom(sources: readonly EnvFromSource[], path: string, errors: FieldError[]): void {
  sources.forEach((source, i) => {
    const at = `${path}[${i}]`
    if (source.prefix) invalidEach(errors, `${at}.prefix`, source.prefix, envVarName(source.prefix))
    let count = 0
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      const ref = source[kind]
      if (ref == null) continue
      count++
      if (!ref.name) errors.push(fieldError.required(`${at}.${kind}.name`))
      else invalidEach(errors, `${at}.${kind}.name`, ref.name, validateName(ref.name, 'dns-subdomain', true))
    }
    if (count === 0) errors.push(fieldError.invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    else if (count > 1)
      errors.push(fieldError.invalid(path, '', 'may not have more than one field specified at a time'))
  })
}
