import type { KubeObject } from '../../api/object.ts'
import { matchesSelector } from '../../api/selectors.ts'
import { ApiError, notFound } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import type { Lookup } from '../lookup.ts'
import type { AdmissionRequest } from '../types.ts'
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
  /**
   * Other served versions of the same stored kind (CustomResourceDefinitions with several), for matchPolicy Equivalent.
   */
  equivalents: (definition: ResourceDefinition) => readonly ResourceDefinition[]
}

/** A webhook to call, and the version of the kind in which it wants the object. */
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
  const { definition } = target
  const matches = (version: string): boolean => webhook.rules.some((rule) => ruleMatches(rule, target, version))
  if (matches(definition.version)) return definition
  if (webhook.exact) return undefined
  return options.equivalents(definition).find((other) => matches(other.version))
}

/** Selectors of the webhook against the object as it is now, and against its namespace. */
export async function selected(
  options: MatchOptions,
  webhook: CompiledWebhook,
  request: AdmissionRequest,
): Promise<boolean> {
  if (webhook.namespaceSelector.length > 0 && !(await namespaceSelected(options, webhook, request))) return false
  if (webhook.objectSelector.length === 0) return true
  return [request.object, request.oldObject].some(
    (object) => object !== undefined && matchesSelector(webhook.objectSelector, object.metadata.labels),
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
