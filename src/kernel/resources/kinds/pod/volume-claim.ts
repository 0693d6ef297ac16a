import type { ObjectMeta } from '../../../api/object.ts'
import { QUANTITY_FORMAT_MESSAGE, tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateAnnotations, validateLabelSelector, validateLabels } from '../../validation/meta.ts'
import { dns1123Label, dns1123Subdomain } from '../../validation/names.ts'
import { invalidEach, NOT_POSITIVE, oneOfIfSet } from './formats.ts'
import type { ClaimSpec } from './types.ts'

/** Templates of PersistentVolumeClaims inside pods (ephemeral volumes). */

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']

export function validateClaimTemplate(template: unknown, path: string, errors: FieldError[]): void {
  const { metadata, spec } = template as { metadata?: ObjectMeta; spec?: ClaimSpec }
  errors.push(...validateAnnotations(metadata?.annotations, `${path}.metadata.annotations`))
  errors.push(...validateLabels(metadata?.labels, `${path}.metadata.labels`))
  for (const [field, value] of Object.entries(metadata ?? {}))
    if (field !== 'labels' && field !== 'annotations' && value != null && value !== '')
      errors.push(fieldError.forbidden(`${path}.metadata.${field}`, 'cannot be set'))
  validateClaimSpec(spec ?? {}, `${path}.spec`, errors)
}

export function validateClaimSpec(spec: ClaimSpec, path: string, errors: FieldError[]): void {
  const modes = spec.accessModes ?? []
  if (modes.length === 0) errors.push(fieldError.required(`${path}.accessModes`, 'at least 1 access mode is required'))
  errors.push(...validateLabelSelector(spec.selector, `${path}.selector`))
  for (const mode of modes) oneOfIfSet(mode, ACCESS_MODES, `${path}.accessModes`, errors)
  if (modes.includes('ReadWriteOncePod') && modes.some((m) => m !== 'ReadWriteOncePod' && ACCESS_MODES.includes(m)))
    errors.push(fieldError.forbidden(`${path}.accessModes`, 'may not use ReadWriteOncePod with other access modes'))
  validateStorageRequest(spec.resources?.requests?.['storage'], `${path}.resources[storage]`, errors)
  for (const field of ['storageClassName', 'volumeAttributesClassName'] as const) {
    const name = spec[field]
    if (name) invalidEach(errors, `${path}.${field}`, name, dns1123Subdomain(name))
  }
  oneOfIfSet(spec.volumeMode, ['Block', 'Filesystem'], `${path}.volumeMode`, errors)
  validateDataSources(spec, path, errors)
}

function validateStorageRequest(value: string | number | undefined, path: string, errors: FieldError[]): void {
  if (value == null) {
    errors.push(fieldError.required(path))
    return
  }
  const quantity = tryQuantity(value)
  if (quantity === undefined) errors.push(fieldError.invalid(path, value, QUANTITY_FORMAT_MESSAGE))
  else if (quantity.nanos <= 0n) errors.push(fieldError.invalid(path, quantity.text, NOT_POSITIVE))
}

function validateDataSources(spec: ClaimSpec, path: string, errors: FieldError[]): void {
  for (const field of ['dataSource', 'dataSourceRef'] as const) {
    const source = spec[field]
    if (source == null) continue
    const at = `${path}.${field}`
    if (!source.name) errors.push(fieldError.required(`${at}.name`))
    if (!source.kind) errors.push(fieldError.required(`${at}.kind`))
    if (!source.apiGroup && source.kind !== 'PersistentVolumeClaim')
      errors.push(fieldError.invalid(at, source.kind ?? '', ''))
    if (source.apiGroup) invalidEach(errors, `${at}.apiGroup`, source.apiGroup, dns1123Subdomain(source.apiGroup))
  }
  const namespace = spec.dataSourceRef?.namespace
  if (namespace) invalidEach(errors, `${path}.dataSourceRef.namespace`, namespace, dns1123Label(namespace))
  if (spec.dataSource == null || spec.dataSourceRef == null) return
  const same = (['apiGroup', 'kind', 'name'] as const).every(
    (field) => (spec.dataSource?.[field] ?? '') === (spec.dataSourceRef?.[field] ?? ''),
  )
  if (namespace)
    errors.push(
      fieldError.invalid(path, `${path}.dataSource`, 'may not be specified when dataSourceRef.namespace is specified'),
    )
  else if (!same) errors.push(fieldError.invalid(path, `${path}.dataSource`, 'must match dataSourceRef'))
}
