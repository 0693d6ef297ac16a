import type { KubeObject, ManagedFieldsEntry, ObjectMeta, OwnerReference } from '../../api/object.ts'
import { parseApiVersion } from '../../api/object.ts'
import type { LabelSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition, Strategy } from '../definition.ts'
import { dns1035Label, dns1123Label, dns1123Subdomain, labelValue, pathSegmentName, qualifiedName } from './names.ts'

/** Rules of apimachinery/pkg/api/validation and pkg/apis/meta/v1/validation, texts of Kubernetes 1.32. */

export const IMMUTABLE = 'field is immutable'
const ANNOTATIONS_MAX_BYTES = 256 * 1024
const FIELD_MANAGER_MAX_BYTES = 128
const SUBRESOURCE_MAX_BYTES = 256

type NameFormat = NonNullable<Strategy['nameFormat']>
const NAME_FORMATS: Record<NameFormat, (value: string) => string[]> = {
  'dns-subdomain': dns1123Subdomain,
  'dns-label': dns1123Label,
  'dns-1035': dns1035Label,
  'path-segment': pathSegmentName,
}

/** A generateName may end in '-': the suffix follows. */
const withoutTrailingDash = (name: string): string =>
  name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name

/** What is wrong with `name` as a name of this kind; `prefix`: it is a generateName. */
export function validateName(name: string, format: NameFormat = 'dns-subdomain', prefix = false): string[] {
  if (format === 'path-segment') return pathSegmentName(name, prefix)
  return NAME_FORMATS[format](prefix ? withoutTrailingDash(name) : name)
}

/** Metadata on creation, after the name has been generated. */
export function validateObjectMeta(
  object: KubeObject,
  definition: Pick<ResourceDefinition, 'namespaced' | 'strategy' | 'custom'>,
): FieldError[] {
  const meta = object.metadata
  const errors: FieldError[] = []
  const format = definition.strategy?.nameFormat
  if (meta.generateName !== undefined && meta.generateName !== '')
    for (const message of validateName(meta.generateName, format, true))
      errors.push(fieldError.invalid('metadata.generateName', meta.generateName, message))
  if (meta.name === undefined || meta.name === '')
    errors.push(fieldError.required('metadata.name', 'name or generateName is required'))
  else
    for (const message of validateName(meta.name, format))
      errors.push(fieldError.invalid('metadata.name', meta.name, message))
  if (!definition.namespaced) {
    if (meta.namespace) errors.push(fieldError.forbidden('metadata.namespace', 'not allowed on this type'))
  } else if (!meta.namespace) errors.push(fieldError.required('metadata.namespace'))
  else
    for (const message of dns1123Label(meta.namespace))
      errors.push(fieldError.invalid('metadata.namespace', meta.namespace, message))
  if (meta.generation !== undefined && meta.generation < 0)
    errors.push(fieldError.invalid('metadata.generation', meta.generation, 'must be greater than or equal to 0'))
  validateCommon(meta, errors)
  validateFinalizersInto(meta.finalizers, 'metadata.finalizers', errors)
  if (definition.custom !== true && definition.strategy?.unqualifiedFinalizers !== true)
    meta.finalizers?.forEach((finalizer, i) => {
      errors.push(...validateKubeFinalizer(finalizer, `metadata.finalizers[${i}]`))
    })
  return errors
}

/**
 * Metadata on update. Fields that the server fills in when the writer leaves them out (uid, creationTimestamp,
 * deletionTimestamp, deletionGracePeriodSeconds) must have been filled in before.
 */
export function validateObjectMetaUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const meta = object.metadata
  const before = old.metadata
  const errors: FieldError[] = []
  if (before.deletionTimestamp !== undefined && meta.finalizers !== undefined) {
    const known = new Set(before.finalizers)
    const added = [...new Set(meta.finalizers.filter((f) => !known.has(f)))].sort()
    if (added.length > 0)
      errors.push(
        fieldError.forbidden(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers ${goStrings(added)}`,
        ),
      )
  }
  if ((meta.generation ?? 0) < (before.generation ?? 0))
    errors.push(fieldError.invalid('metadata.generation', meta.generation ?? 0, 'must not be decremented'))
  for (const field of IMMUTABLE_META)
    if ((meta[field] ?? undefined) !== (before[field] ?? undefined))
      errors.push(fieldError.invalid(`metadata.${field}`, meta[field], IMMUTABLE))
  validateCommon(meta, errors)
  return errors
}

const IMMUTABLE_META = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const

/** A list of strings as Go's %#v prints it. */
const goStrings = (values: readonly string[]): string => `[]string{${values.map((v) => JSON.stringify(v)).join(', ')}}`

function validateCommon(meta: ObjectMeta, errors: FieldError[]): void {
  if (meta.labels !== undefined) validateLabelsInto(meta.labels, 'metadata.labels', errors)
  if (meta.annotations !== undefined) validateAnnotationsInto(meta.annotations, 'metadata.annotations', errors)
  if (meta.ownerReferences !== undefined) errors.push(...validateOwnerReferences(meta.ownerReferences))
  if (meta.managedFields !== undefined) errors.push(...validateManagedFields(meta.managedFields))
}

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, path: string): FieldError[] {
  const errors: FieldError[] = []
  if (labels) validateLabelsInto(labels, path, errors)
  return errors
}

function validateLabelsInto(labels: Readonly<Record<string, string>>, path: string, errors: FieldError[]): void {
  for (const key in labels) {
    const value = labels[key] ?? ''
    for (const message of qualifiedName(key)) errors.push(fieldError.invalid(path, key, message))
    for (const message of labelValue(value)) errors.push(fieldError.invalid(path, value, message))
  }
}

/** Keys in any case; keys and values together at most 256 KiB. */
export function validateAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = []
  if (annotations) validateAnnotationsInto(annotations, path, errors)
  return errors
}

function validateAnnotationsInto(
  annotations: Readonly<Record<string, string>>,
  path: string,
  errors: FieldError[],
): void {
  let bytes = 0
  for (const key in annotations) {
    for (const message of qualifiedName(key.toLowerCase())) errors.push(fieldError.invalid(path, key, message))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? '')
  }
  if (bytes > ANNOTATIONS_MAX_BYTES) errors.push(fieldError.tooLong(path, ANNOTATIONS_MAX_BYTES))
}

export function validateOwnerReferences(
  references: readonly OwnerReference[] | undefined,
  path = 'metadata.ownerReferences',
): FieldError[] {
  const errors: FieldError[] = []
  let controller = ''
  for (const reference of references ?? []) {
    const { group, version } = parseApiVersion(reference.apiVersion ?? '')
    if (version === '')
      errors.push(fieldError.invalid(`${path}.apiVersion`, reference.apiVersion ?? '', 'version must not be empty'))
    for (const field of ['kind', 'name', 'uid'] as const)
      if (!reference[field])
        errors.push(fieldError.invalid(`${path}.${field}`, reference[field] ?? '', 'must not be empty'))
    if (group === '' && version === 'v1' && reference.kind === 'Event')
      errors.push(fieldError.invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'))
    if (reference.controller !== true) continue
    const name = `${reference.kind}/${reference.name}`
    if (controller === '') controller = name
    else
      errors.push(
        fieldError.invalid(
          path,
          references,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
        ),
      )
  }
  return errors
}

export function validateFinalizers(
  finalizers: readonly string[] | undefined,
  path = 'metadata.finalizers',
): FieldError[] {
  const errors: FieldError[] = []
  validateFinalizersInto(finalizers, path, errors)
  return errors
}

function validateFinalizersInto(finalizers: readonly string[] | undefined, path: string, errors: FieldError[]): void {
  if (finalizers === undefined) return
  for (const finalizer of finalizers)
    for (const message of qualifiedName(finalizer)) errors.push(fieldError.invalid(path, finalizer, message))
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion'))
    errors.push(fieldError.invalid(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
}

const STANDARD_FINALIZERS = ['kubernetes', 'orphan', 'foregroundDeletion']

/** Built-in kinds accept finalizers without a domain only from Kubernetes itself. */
export function validateKubeFinalizer(finalizer: string, path: string): FieldError[] {
  return finalizer.includes('/') || STANDARD_FINALIZERS.includes(finalizer)
    ? []
    : [fieldError.invalid(path, finalizer, 'name is neither a standard finalizer name nor is it fully qualified')]
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[]): FieldError[] {
  const errors: FieldError[] = []
  entries.forEach((entry, i) => {
    const path = `metadata.managedFields[${i}]`
    if (entry.operation !== 'Apply' && entry.operation !== 'Update')
      errors.push(fieldError.invalid(`${path}.operation`, entry.operation ?? '', 'must be `Apply` or `Update`'))
    if ((entry.fieldsType as string | undefined) && entry.fieldsType !== 'FieldsV1')
      errors.push(fieldError.invalid(`${path}.fieldsType`, entry.fieldsType, 'must be `FieldsV1`'))
    errors.push(...validateFieldManager(entry.manager ?? '', `${path}.manager`))
    if (Buffer.byteLength(entry.subresource ?? '') > SUBRESOURCE_MAX_BYTES)
      errors.push(fieldError.tooLong(`${path}.subresource`, SUBRESOURCE_MAX_BYTES))
  })
  return errors
}

/** At most 128 bytes, all printable; also the rule of the `fieldManager` query parameter. */
export function validateFieldManager(manager: string, path = 'fieldManager'): FieldError[] {
  const errors: FieldError[] = []
  if (Buffer.byteLength(manager) > FIELD_MANAGER_MAX_BYTES)
    errors.push(fieldError.tooLong(path, FIELD_MANAGER_MAX_BYTES))
  if (/^[ -~]*$/.test(manager)) return errors
  let position = 0
  for (const character of manager) {
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) {
      const point = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
      errors.push(fieldError.invalid(path, manager, `invalid character U+${point} (at position ${position})`))
    }
    position += Buffer.byteLength(character)
  }
  return errors
}

/** metav1.LabelSelector; null and undefined are fine (they select nothing). */
export function validateLabelSelector(selector: LabelSelector | null | undefined, path: string): FieldError[] {
  if (selector === undefined || selector === null) return []
  const errors = validateLabels(selector.matchLabels, `${path}.matchLabels`)
  selector.matchExpressions?.forEach((expression, i) => {
    const at = `${path}.matchExpressions[${i}]`
    const count = expression.values?.length ?? 0
    switch (expression.operator) {
      case 'In':
      case 'NotIn':
        if (count === 0)
          errors.push(fieldError.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
        break
      case 'Exists':
      case 'DoesNotExist':
        if (count > 0)
          errors.push(
            fieldError.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
          )
        break
      default:
        errors.push(fieldError.invalid(`${at}.operator`, expression.operator ?? '', 'not a valid selector operator'))
    }
    for (const message of qualifiedName(expression.key ?? ''))
      errors.push(fieldError.invalid(`${at}.key`, expression.key ?? '', message))
  })
  return errors
}
