import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { StrategyContext } from '../definition.ts'
import { validateWebhookClientConfig } from '../kinds/webhook-client.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { dns1035Label, dns1123Subdomain } from '../validation/names.ts'
import { type CrdNames, type CrdSpec, type CrdVersion, hasCondition, specOf, statusOf } from './crd.ts'
import { validateCosts, validateVersions } from './crd-versions.ts'
import { isKnownFormat } from './formats.ts'
import { parseSchema } from './schema-parse.ts'
import { formatWarnings } from './schema-rules.ts'

const APPROVED = 'api-approved.kubernetes.io'
/** A CustomResourceDefinition by itself, after defaulting. */
export function validateCustomResourceDefinition(crd: KubeObject): FieldError[] {
  const spec = specOf(crd)
  const errors: FieldError[] = []
  const name = crd.metadata.name ?? ''
  if (name !== `${spec.names?.plural ?? ''}.${spec.group ?? ''}`)
    errors.push(fieldError.invalid('metadata.name', name, 'must be spec.names.plural+"."+spec.group'))
  errors.push(
    ...validateSpec(spec),
    ...validateNames(statusOf(crd).acceptedNames ?? {}, 'status.acceptedNames'),
    ...validateStoredVersions(statusOf(crd).storedVersions ?? [], spec.versions ?? []),
    ...validateApproval(crd, spec),
  )
  // Updates are compared with what was there, by the function below.
  if (errors.length === 0 && !crd.metadata.resourceVersion) errors.push(...validateCosts(spec.versions ?? [], []))
  return errors
}

/** What an update may not change. */
export function validateCustomResourceDefinitionUpdate(
  crd: KubeObject,
  old: KubeObject,
  { subresource }: StrategyContext,
): FieldError[] {
  if (subresource === 'status') return []
  const [spec, before] = [specOf(crd), specOf(old)]
  const errors: FieldError[] = []
  const immutable = (field: string, value: unknown, was: unknown): void => {
    if (value !== was) errors.push(fieldError.invalid(`spec.${field}`, value ?? '', IMMUTABLE))
  }
  if (hasCondition(old, 'Established')) {
    immutable('scope', spec.scope, before.scope)
    immutable('names.kind', spec.names?.kind, before.names?.kind)
  }
  immutable('group', spec.group, before.group)
  immutable('names.plural', spec.names?.plural, before.names?.plural)
  errors.push(...validateCosts(spec.versions ?? [], before.versions ?? []))
  return errors
}

function validateSpec(spec: CrdSpec): FieldError[] {
  const { group = '', scope = '', names = {}, versions = [] } = spec
  const errors: FieldError[] = []
  if (group === '') errors.push(fieldError.required('spec.group'))
  else if (dns1123Subdomain(group).length > 0)
    errors.push(fieldError.invalid('spec.group', group, dns1123Subdomain(group).join(',')))
  else if (!group.includes('.'))
    errors.push(fieldError.invalid('spec.group', group, 'should be a domain with at least one dot'))
  if (scope === '') errors.push(fieldError.required('spec.scope'))
  else if (scope !== 'Cluster' && scope !== 'Namespaced')
    errors.push(fieldError.notSupported('spec.scope', scope, ['Cluster', 'Namespaced']))
  if (spec.preserveUnknownFields)
    errors.push(
      fieldError.invalid(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    )
  errors.push(...validateVersions(versions))
  for (const field of ['plural', 'singular', 'kind', 'listKind'] as const)
    if (!names[field]) errors.push(fieldError.required(`spec.names.${field}`))
  return errors.concat(validateNames(names, 'spec.names'), validateConversion(spec.conversion))
}

function validateNames(names: CrdNames, path: string): FieldError[] {
  const errors: FieldError[] = []
  const label = (field: string, value: string): void => {
    const messages = dns1035Label(value)
    if (messages.length > 0) errors.push(fieldError.invalid(`${path}.${field}`, value, messages.join(',')))
  }
  const camel = (field: string, value: string): void => {
    const messages = dns1035Label(value.toLowerCase())
    if (messages.length > 0)
      errors.push(
        fieldError.invalid(
          `${path}.${field}`,
          value,
          `may have mixed case, but should otherwise match: ${messages.join(',')}`,
        ),
      )
  }
  if (names.plural) label('plural', names.plural)
  if (names.singular) label('singular', names.singular)
  if (names.kind) camel('kind', names.kind)
  if (names.listKind) camel('listKind', names.listKind)
  names.shortNames?.forEach((name, i) => {
    label(`shortNames[${i}]`, name)
  })
  if (names.kind && names.kind === names.listKind)
    errors.push(fieldError.invalid(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'))
  names.categories?.forEach((name, i) => {
    label(`categories[${i}]`, name)
  })
  return errors
}

function validateConversion(conversion: CrdSpec['conversion']): FieldError[] {
  if (conversion === undefined) return []
  const path = 'spec.conversion'
  const { strategy = '', webhook } = conversion
  if (strategy === '') return [fieldError.required(`${path}.strategy`)]
  if (strategy === 'None')
    return webhook === undefined
      ? []
      : [fieldError.forbidden(`${path}.webhookClientConfig`, 'should not be set when strategy is not set to Webhook')]
  if (strategy !== 'Webhook') return [fieldError.notSupported(`${path}.strategy`, strategy, ['None', 'Webhook'])]
  return [
    ...validateWebhookClientConfig(webhook?.clientConfig, `${path}.webhookClientConfig`),
    // Versions that are never converted would be handed out as they are stored: refused rather than wrong.
    fieldError.forbidden(`${path}.strategy`, 'conversion by webhook is not supported by this server; use None'),
  ]
}

function validateStoredVersions(stored: readonly string[], versions: readonly CrdVersion[]): FieldError[] {
  const path = 'status.storedVersions'
  if (stored.length === 0) return [fieldError.invalid(path, stored, 'must have at least one stored version')]
  const errors: FieldError[] = []
  for (const version of versions)
    if (version.storage && !stored.includes(version.name ?? ''))
      errors.push(fieldError.invalid(path, stored, `must have the storage version ${version.name}`))
  stored.forEach((name, i) => {
    if (!versions.some((v) => v.name === name))
      errors.push(
        fieldError.invalid(
          `${path}[${i}]`,
          name,
          `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
        ),
      )
  })
  return errors
}

/** Groups of Kubernetes itself need a note of who approved the API (KEP-1111). */
function validateApproval(crd: KubeObject, { group = '' }: CrdSpec): FieldError[] {
  const isProtected = ['k8s.io', 'kubernetes.io'].some((domain) => group === domain || group.endsWith(`.${domain}`))
  if (!isProtected) return []
  const path = `metadata.annotations[${APPROVED}]`
  const value = crd.metadata.annotations?.[APPROVED]
  const text = `protected groups must have approval annotation "${APPROVED}"`
  if (!value) return [fieldError.required(path, `${text}, see https://github.com/kubernetes/enhancements/pull/1111`)]
  if (value.startsWith('unapproved') || (URL.canParse(value) && new URL(value).host !== '')) return []
  return [
    fieldError.invalid(
      path,
      value,
      `${text} with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111`,
    ),
  ]
}

/** Formats that are not checked, and why the definition is accepted all the same. */
export function customResourceDefinitionWarnings(crd: KubeObject): string[] {
  return (specOf(crd).versions ?? []).flatMap((version, i) => {
    const path = `spec.versions[${i}].schema.openAPIV3Schema`
    const raw = version.schema?.openAPIV3Schema
    return raw === undefined ? [] : formatWarnings(parseSchema(raw, path).schema, path, isKnownFormat)
  })
}
