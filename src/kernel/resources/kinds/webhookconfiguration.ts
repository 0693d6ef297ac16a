import type { KubeObject } from '../../api/object.ts'
import type { LabelSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { MAX_RULE_BYTES } from '../custom/limits.ts'
import { compileMatchCondition } from '../custom/match-condition.ts'
import type { ResourceDefinition, Strategy } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { validateLabelSelector } from '../validation/meta.ts'
import { dns1035Label, dns1123Subdomain, qualifiedName } from '../validation/names.ts'
import { validateWebhookClientConfig, type WebhookClientConfig } from './webhook-client.ts'

/** One webhook of either configuration, after defaulting. */
export type Webhook = {
  name?: string
  clientConfig?: WebhookClientConfig
  rules?: WebhookRule[]
  failurePolicy?: string
  matchPolicy?: string
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
  sideEffects?: string
  timeoutSeconds?: number
  admissionReviewVersions?: string[]
  matchConditions?: { name?: string; expression?: string }[]
  reinvocationPolicy?: string
}
export type WebhookRule = {
  operations?: string[]
  apiGroups?: string[]
  apiVersions?: string[]
  resources?: string[]
  scope?: string
}

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const SCOPES = ['*', 'Cluster', 'Namespaced']
const NO_SIDE_EFFECTS = ['None', 'NoneOnDryRun']
const REVIEW_VERSIONS = ['v1', 'v1beta1']
const MAX_TIMEOUT_SECONDS = 30

const webhooksOf = (object: KubeObject): Webhook[] => object.webhooks ?? []

function wildcardAlone(values: readonly string[], path: string, what: string): FieldError[] {
  return values.length > 1 && values.includes('*')
    ? [fieldError.invalid(path, values, `if '*' is present, must not specify other ${what}`)]
    : []
}

// `pods`, `pods/status`, `pods/*`, `*/scale`, `*`, `*/*`; a wildcard excludes what it covers.
function validateResources(resources: readonly string[], path: string): FieldError[] {
  if (resources.length === 0) return [fieldError.required(path)]
  const errors: FieldError[] = []
  const wholeResources = new Set<string>()
  const wholeSubresources = new Set<string>()
  resources.forEach((text, i) => {
    if (text === '') errors.push(fieldError.required(`${path}[${i}]`))
    const slash = text.indexOf('/')
    if (slash < 0) return
    const [resource, subresource] = [text.slice(0, slash), text.slice(slash + 1)]
    if (wholeResources.has(resource))
      errors.push(fieldError.invalid(`${path}[${i}]`, text, `if '${resource}/*' is present, must not specify ${text}`))
    if (wholeSubresources.has(subresource))
      errors.push(
        fieldError.invalid(`${path}[${i}]`, text, `if '*/${subresource}' is present, must not specify ${text}`),
      )
    if (subresource === '*') wholeResources.add(resource)
    if (resource === '*') wholeSubresources.add(subresource)
  })
  if (resources.length > 1 && resources.includes('*/*'))
    errors.push(fieldError.invalid(path, resources, "if '*/*' is present, must not specify other resources"))
  const plain = resources.filter((text) => text !== '' && !text.includes('/'))
  if (plain.includes('*') && plain.some((text) => text !== '*'))
    errors.push(
      fieldError.invalid(path, resources, "if '*' is present, must not specify other resources without subresources"),
    )
  return errors
}

function validateRule(rule: WebhookRule, path: string): FieldError[] {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [] } = rule
  const errors: FieldError[] = []
  if (operations.length === 0) errors.push(fieldError.required(`${path}.operations`))
  errors.push(...wildcardAlone(operations, `${path}.operations`, 'operations'))
  operations.forEach((operation, i) => {
    if (!OPERATIONS.includes(operation))
      errors.push(fieldError.notSupported(`${path}.operations[${i}]`, operation, OPERATIONS))
  })
  if (apiGroups.length === 0) errors.push(fieldError.required(`${path}.apiGroups`))
  errors.push(...wildcardAlone(apiGroups, `${path}.apiGroups`, 'API groups'))
  if (apiVersions.length === 0) errors.push(fieldError.required(`${path}.apiVersions`))
  errors.push(...wildcardAlone(apiVersions, `${path}.apiVersions`, 'API versions'))
  apiVersions.forEach((version, i) => {
    if (version === '') errors.push(fieldError.required(`${path}.apiVersions[${i}]`))
  })
  errors.push(...validateResources(resources, `${path}.resources`))
  if (rule.scope !== undefined && !SCOPES.includes(rule.scope))
    errors.push(fieldError.notSupported(`${path}.scope`, rule.scope, SCOPES))
  return errors
}

function validateReviewVersions(versions: readonly string[], path: string): FieldError[] {
  if (versions.length === 0) return [fieldError.required(path, `must specify one of ${REVIEW_VERSIONS.join(', ')}`)]
  const errors = versions.flatMap((version, i) =>
    versions.indexOf(version) < i
      ? [fieldError.invalid(`${path}[${i}]`, version, 'duplicate version')]
      : dns1035Label(version).map((message) => fieldError.invalid(`${path}[${i}]`, version, message)),
  )
  if (!versions.some((version) => REVIEW_VERSIONS.includes(version)))
    errors.push(fieldError.invalid(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`))
  return errors
}

/** Webhook names are domains of three or more labels. */
function validateName(name: string, path: string): FieldError[] {
  if (name === '') return [fieldError.required(path)]
  const messages = dns1123Subdomain(name)
  if (messages.length > 0) return [fieldError.invalid(path, name, messages.join(','))]
  return name.split('.').length < 3
    ? [fieldError.invalid(path, name, 'should be a domain with at least three segments separated by dots')]
    : []
}

function oneOf(value: string | undefined, path: string, allowed: readonly string[]): FieldError[] {
  return value === undefined || allowed.includes(value) ? [] : [fieldError.notSupported(path, value, allowed)]
}

const MAX_MATCH_CONDITIONS = 64

function validateMatchConditions(conditions: NonNullable<Webhook['matchConditions']>, path: string): FieldError[] {
  const errors: FieldError[] = []
  if (conditions.length > MAX_MATCH_CONDITIONS)
    errors.push(fieldError.tooMany(path, conditions.length, MAX_MATCH_CONDITIONS))
  // What is compiled is bounded too: the refusal of too many costs no more than the most that are allowed.
  conditions.slice(0, MAX_MATCH_CONDITIONS).forEach(({ name = '', expression = '' }, i) => {
    const text = expression.trim()
    if (text === '') errors.push(fieldError.required(`${path}[${i}].expression`))
    else errors.push(...validateExpression(text, `${path}[${i}].expression`))
    if (name === '') errors.push(fieldError.required(`${path}[${i}].name`))
    else for (const message of qualifiedName(name)) errors.push(fieldError.invalid(`${path}[${i}].name`, name, message))
    if (name !== '' && conditions.findIndex((other) => other.name === name) < i)
      errors.push(fieldError.duplicate(`${path}[${i}].name`, name))
  })
  return errors
}

function validateExpression(text: string, path: string): FieldError[] {
  if (Buffer.byteLength(text) > MAX_RULE_BYTES) return [fieldError.tooLong(path, MAX_RULE_BYTES)]
  try {
    compileMatchCondition(text)
    return []
  } catch (error) {
    return [fieldError.invalid(path, text, (error as Error).message)]
  }
}

function validateWebhook(hook: Webhook, mutating: boolean, path: string): FieldError[] {
  const errors = validateName(hook.name ?? '', `${path}.name`)
  hook.rules?.forEach((rule, i) => {
    errors.push(...validateRule(rule, `${path}.rules[${i}]`))
  })
  errors.push(
    ...oneOf(hook.failurePolicy, `${path}.failurePolicy`, ['Fail', 'Ignore']),
    ...oneOf(hook.matchPolicy, `${path}.matchPolicy`, ['Equivalent', 'Exact']),
    ...(hook.sideEffects === undefined
      ? [fieldError.required(`${path}.sideEffects`, `must specify one of ${NO_SIDE_EFFECTS.join(', ')}`)]
      : oneOf(hook.sideEffects, `${path}.sideEffects`, NO_SIDE_EFFECTS)),
  )
  const timeout = hook.timeoutSeconds
  if (timeout !== undefined && (timeout < 1 || timeout > MAX_TIMEOUT_SECONDS))
    errors.push(
      fieldError.invalid(`${path}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds'),
    )
  errors.push(
    ...validateLabelSelector(hook.namespaceSelector, `${path}.namespaceSelector`),
    ...validateLabelSelector(hook.objectSelector, `${path}.objectSelector`),
    ...(mutating ? oneOf(hook.reinvocationPolicy, `${path}.reinvocationPolicy`, ['IfNeeded', 'Never']) : []),
    ...validateWebhookClientConfig(hook.clientConfig, `${path}.clientConfig`),
  )
  return errors.concat(
    validateMatchConditions(hook.matchConditions ?? [], `${path}.matchConditions`),
    validateReviewVersions(hook.admissionReviewVersions ?? [], `${path}.admissionReviewVersions`),
  )
}

function strategyOf(mutating: boolean): Strategy {
  return {
    allowUnconditionalUpdate: false,
    unqualifiedFinalizers: true,
    hasGeneration: true,
    defaults(object) {
      for (const hook of webhooksOf(object)) {
        hook.failurePolicy ??= 'Fail'
        hook.matchPolicy ??= 'Equivalent'
        hook.namespaceSelector ??= {}
        hook.objectSelector ??= {}
        hook.timeoutSeconds ??= 10
        if (mutating) hook.reinvocationPolicy ??= 'Never'
        for (const rule of hook.rules ?? []) rule.scope ??= '*'
        if (hook.clientConfig?.service) hook.clientConfig.service.port ??= 443
      }
    },
    validate(object) {
      const names = new Set<string>()
      return webhooksOf(object).flatMap((hook, i) => {
        const errors = validateWebhook(hook, mutating, `webhooks[${i}]`)
        if (hook.name && names.has(hook.name)) errors.push(fieldError.duplicate(`webhooks[${i}].name`, hook.name))
        names.add(hook.name ?? '')
        return errors
      })
    },
  }
}

const columns = [
  nameColumn,
  column('Webhooks', 'integer', 'Number of webhooks in this configuration.', (o) => webhooksOf(o).length),
  ageColumn,
]

export const validatingWebhookConfigurationKind: ResourceDefinition = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  singular: 'validatingwebhookconfiguration',
  categories: ['api-extensions'],
  namespaced: false,
  schema: 'io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration',
  columns,
  strategy: strategyOf(false),
}

export const mutatingWebhookConfigurationKind: ResourceDefinition = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  singular: 'mutatingwebhookconfiguration',
  categories: ['api-extensions'],
  namespaced: false,
  schema: 'io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration',
  columns,
  strategy: strategyOf(true),
}
