import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector, type LabelSelector, type Selector } from '../../api/selectors.ts'
import { compileMatchCondition, type Expression } from '../../resources/custom/match-condition.ts'
import type { AdmissionRequest } from '../types.ts'

export type WebhookKind = 'mutating' | 'validating'

/** What a webhook of a stored configuration says, made ready once for each version of the configuration. */
export type CompiledWebhook = {
  kind: WebhookKind
  configuration: string
  /** Position within the configuration, so that two webhooks are told apart whatever they are called. */
  index: number
  name: string
  rules: readonly CompiledRule[]
  ignoreFailures: boolean
  exact: boolean
  namespaceSelector: Selector
  objectSelector: Selector
  conditions: readonly CompiledCondition[]
  /** May be called for a dry run. */
  harmlessOnDryRun: boolean
  timeoutMs: number
  reinvoke: boolean
  reviewVersion: 'v1' | 'v1beta1'
  client: WebhookClientConfig
}

export type WebhookClientConfig = {
  url?: string
  service?: { namespace: string; name: string; path?: string; port?: number }
  /** Base64 of a PEM bundle. */
  caBundle?: string
}

export type CompiledCondition = {
  name: string
  text: string
  /** Compiled when it is first evaluated. Throws an Error that says why it cannot be. */
  expression: () => Expression
}

export type CompiledRule = {
  anyOperation: boolean
  operations: ReadonlySet<string>
  anyGroup: boolean
  groups: ReadonlySet<string>
  anyVersion: boolean
  versions: ReadonlySet<string>
  resources: readonly { resource: string; subresource: string }[]
  scope: 'Cluster' | 'Namespaced' | '*'
}

type Webhook = {
  name?: string
  clientConfig?: WebhookClientConfig
  rules?: {
    operations?: string[]
    apiGroups?: string[]
    apiVersions?: string[]
    resources?: string[]
    scope?: CompiledRule['scope']
  }[]
  failurePolicy?: string
  matchPolicy?: string
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
  sideEffects?: string
  timeoutSeconds?: number
  admissionReviewVersions?: string[]
  reinvocationPolicy?: string
  matchConditions?: { name?: string; expression?: string }[]
}

/** A changed configuration is another object, so what was compiled hangs on the object and goes with it. */
const compiled = new WeakMap<KubeObject, readonly CompiledWebhook[]>()

export function webhooksOf(configuration: KubeObject): readonly CompiledWebhook[] {
  let webhooks = compiled.get(configuration)
  if (webhooks === undefined) {
    const kind = configuration.kind === 'MutatingWebhookConfiguration' ? 'mutating' : 'validating'
    const name = configuration.metadata.name ?? ''
    const list = (configuration['webhooks'] ?? []) as Webhook[]
    compiled.set(configuration, (webhooks = list.map((webhook, index) => compile(kind, name, webhook, index))))
  }
  return webhooks
}

function compile(kind: WebhookKind, configuration: string, webhook: Webhook, index: number): CompiledWebhook {
  return {
    kind,
    configuration,
    index,
    name: webhook.name ?? '',
    rules: (webhook.rules ?? []).map(compileRule),
    ignoreFailures: webhook.failurePolicy === 'Ignore',
    exact: webhook.matchPolicy === 'Exact',
    namespaceSelector: compileLabelSelector(webhook.namespaceSelector) ?? [],
    objectSelector: compileLabelSelector(webhook.objectSelector) ?? [],
    conditions: (webhook.matchConditions ?? []).map(({ name = '', expression = '' }) =>
      compileCondition(name, expression),
    ),
    harmlessOnDryRun: webhook.sideEffects === 'None' || webhook.sideEffects === 'NoneOnDryRun',
    timeoutMs: (webhook.timeoutSeconds ?? 10) * 1000,
    reinvoke: webhook.reinvocationPolicy === 'IfNeeded',
    reviewVersion: (webhook.admissionReviewVersions ?? []).find((v) => v === 'v1' || v === 'v1beta1') ?? 'v1',
    client: webhook.clientConfig ?? {},
  }
}

function compileCondition(name: string, text: string): CompiledCondition {
  let expression: Expression | undefined
  return { name, text, expression: () => (expression ??= compileMatchCondition(text)) }
}

function compileRule(rule: NonNullable<Webhook['rules']>[number]): CompiledRule {
  const operations = new Set(rule.operations)
  const groups = new Set(rule.apiGroups)
  const versions = new Set(rule.apiVersions)
  return {
    anyOperation: operations.has('*'),
    operations,
    anyGroup: groups.has('*'),
    groups,
    anyVersion: versions.has('*'),
    versions,
    resources: (rule.resources ?? []).map((text) => {
      const slash = text.indexOf('/')
      return slash < 0
        ? { resource: text, subresource: '' }
        : { resource: text.slice(0, slash), subresource: text.slice(slash + 1) }
    }),
    scope: rule.scope ?? '*',
  }
}

type Target = Pick<AdmissionRequest, 'operation' | 'definition' | 'subresource'>

/** Whether a rule speaks of a request for this kind. */
export function ruleMatches(rule: CompiledRule, { operation, definition, subresource }: Target): boolean {
  return (
    (rule.anyOperation || rule.operations.has(operation)) &&
    (rule.anyGroup || rule.groups.has(definition.group)) &&
    (rule.anyVersion || rule.versions.has(definition.version)) &&
    (rule.scope === '*' || (rule.scope === 'Namespaced') === definition.namespaced) &&
    rule.resources.some(
      (r) =>
        (r.resource === '*' || r.resource === definition.plural) &&
        (r.subresource === '*' || r.subresource === subresource),
    )
  )
}
