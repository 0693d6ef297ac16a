import type { KubeObject } from '../../api/object.ts'
import { matchesSelector } from '../../api/selectors.ts'
import { ApiError, notFound } from '../../api/status.ts'
import type { Attributes, Decision } from '../../authz/types.ts'
import type { Client } from '../../client/client.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import type { Lookup } from '../lookup.ts'
import type { AdmissionRequest } from '../types.ts'
import { conditionsMet } from './conditions.ts'
import { type CompiledWebhook, ruleMatches, type WebhookKind, webhooksOf } from './configuration.ts'

const GROUP = 'admissionregistration.k8s.io'
const CONFIGURATIONS: Readonly<Record<WebhookKind, string>> = {
  mutating: 'mutatingwebhookconfigurations',
  validating: 'validatingwebhookconfigurations',
}
/** A webhook that could refuse these could never be taken off again. */
const EXEMPT = new Set([
  'mutatingwebhookconfigurations',
  'validatingwebhookconfigurations',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
])

export type MatchOptions = {
  lookup: Lookup
  client: Pick<Client, 'get'>
  /** Asked by match conditions that name `authorizer`. */
  authorize: (attributes: Attributes) => Decision | Promise<Decision>
  /** Other ways to the same stored objects (versions of a custom kind, both kinds of events), for matchPolicy Equivalent. */
  equivalents: (definition: ResourceDefinition) => readonly ResourceDefinition[]
}

/** A webhook to call, and the definition in whose form it wants the object. */
export type Invocation = { webhook: CompiledWebhook; as: ResourceDefinition }

type Target = Pick<AdmissionRequest, 'operation' | 'definition' | 'subresource'>

/**
 * The webhooks whose rules match, in order: configurations by name, webhooks as listed. What depends on the object
 * (selectors) is left for the moment of the call, since webhooks before may change it.
 */
export function invocations(options: MatchOptions, kind: WebhookKind, target: Target): Invocation[] {
  const { group, plural } = target.definition
  if (group === GROUP && EXEMPT.has(plural)) return []
  const found: Invocation[] = []
  for (const configuration of sorted(options.lookup.list(GROUP, CONFIGURATIONS[kind])))
    for (const webhook of webhooksOf(configuration)) {
      const as = wantedVersion(options, webhook, target)
      if (as !== undefined) found.push({ webhook, as })
    }
  return found
}

function sorted(configurations: Iterable<KubeObject>): KubeObject[] {
  const list = [...configurations]
  return list.length < 2 ? list : list.sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1))
}

function wantedVersion(
  options: MatchOptions,
  webhook: CompiledWebhook,
  target: Target,
): ResourceDefinition | undefined {
  const { definition, subresource } = target
  if (webhook.rules.some((rule) => ruleMatches(rule, target))) return definition
  if (webhook.exact) return undefined
  const others = options
    .equivalents(definition)
    .filter((other) => subresource === '' || other.subresources?.some(({ name }) => name === subresource))
  // Earlier rules first, then earlier kinds.
  for (const rule of webhook.rules)
    for (const other of others) if (ruleMatches(rule, { ...target, definition: other })) return other
  return undefined
}

/**
 * Selectors of the webhook against the object as it is now and against its namespace, then its match conditions.
 * Throws ApiError when those cannot be evaluated and failurePolicy is Fail.
 */
export async function selected(
  options: MatchOptions,
  invocation: Invocation,
  request: AdmissionRequest,
): Promise<boolean> {
  const { webhook } = invocation
  if (webhook.namespaceSelector.length > 0 && !(await namespaceSelected(options, webhook, request))) return false
  if (webhook.objectSelector.length > 0 && !objectSelected(webhook, request)) return false
  return webhook.conditions.length === 0 || conditionsMet(options.authorize, invocation, request)
}

/** What has no metadata (PodExecOptions) has no labels, and no selector but the empty one finds it. */
function objectSelected({ objectSelector }: CompiledWebhook, { object, oldObject }: AdmissionRequest): boolean {
  return [object, oldObject].some(
    (o) => o?.metadata !== undefined && matchesSelector(objectSelector, o.metadata.labels),
  )
}

async function namespaceSelected(
  options: MatchOptions,
  webhook: CompiledWebhook,
  request: AdmissionRequest,
): Promise<boolean> {
  const { definition, operation, namespace } = request
  const isNamespace = definition.group === '' && definition.plural === 'namespaces'
  // What lies in no namespace is never left out by a selector of namespaces.
  if (namespace === '' && !isNamespace) return true
  const writesNamespace = isNamespace && (operation === 'CREATE' || operation === 'UPDATE')
  if (writesNamespace && request.subresource === '')
    return matchesSelector(webhook.namespaceSelector, request.object?.metadata.labels)
  const name = isNamespace ? request.name : namespace
  const found = options.lookup.get('', 'namespaces', '', name) ?? (await live(options, name))
  return matchesSelector(webhook.namespaceSelector, found.metadata.labels)
}

async function live(options: MatchOptions, name: string): Promise<KubeObject> {
  try {
    return await options.client.get({ group: '', version: 'v1', resource: 'namespaces' }, '', name)
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'NotFound') throw notFound('', 'namespaces', name)
    throw error
  }
}
