import { apiVersionOf, type GroupVersionKind, type Json, type JsonObject, type KubeObject } from '../../api/object.ts'
import { ApiError, REASONS, type Reason, type StatusDetails } from '../../api/status.ts'
import { cloneObject } from '../../apiserver/cache/entry.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import type { AdmissionRequest } from '../types.ts'
import type { CompiledWebhook } from './configuration.ts'
import type { Invocation } from './match.ts'

/** What a webhook said, checked against admission.k8s.io's rules. */
export type ReviewAnswer = {
  allowed: boolean
  /** JSON patch (RFC 6902), not yet looked into; undefined: none. */
  patch: unknown
  status: { code?: number; reason?: string; message?: string; status?: string; details?: StatusDetails } | undefined
  warnings: readonly string[]
  auditAnnotations: Readonly<Record<string, string>>
}

/** AdmissionReview with the request; `uid` pairs it with its answer. */
export function reviewRequest(
  uid: string,
  { webhook, as }: Invocation,
  request: AdmissionRequest,
): KubeObject | JsonObject {
  return {
    apiVersion: `admission.k8s.io/${webhook.reviewVersion}`,
    kind: 'AdmissionReview',
    request: {
      uid,
      ...requestAttributes(as, request),
      object: inForm(request.object, request, as),
      oldObject: inForm(request.oldObject, request, as),
    },
  }
}

/** What an AdmissionRequest says about the request, without the objects. */
export function requestAttributes(as: ResourceDefinition, request: AdmissionRequest): JsonObject {
  const { definition, subresource, user } = request
  return {
    kind: kindOf(request.kind ?? as),
    resource: resourceOf(as),
    ...(subresource === '' ? {} : { subResource: subresource, requestSubResource: subresource }),
    requestKind: kindOf(request.kind ?? definition),
    requestResource: resourceOf(definition),
    ...(request.name === '' ? {} : { name: request.name }),
    ...(request.namespace === '' ? {} : { namespace: request.namespace }),
    operation: request.operation,
    userInfo: {
      username: user.name,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
      groups: [...user.groups],
      ...(user.extra === undefined
        ? {}
        : { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }),
    },
    dryRun: request.dryRun,
    options: (request.options ?? null) as Json,
  }
}

const kindOf = ({ group, version, kind }: GroupVersionKind): JsonObject => ({ group, version, kind })
const resourceOf = ({ group, version, plural }: ResourceDefinition): JsonObject => ({
  group,
  version,
  resource: plural,
})

/**
 * An object of the request in the form of the definition that the webhook's rules name: another version of the kind
 * differs in name only (conversion None), a view is converted. Scale, Binding and the like have one form.
 */
export function inForm(
  object: KubeObject | undefined,
  { definition, kind }: Pick<AdmissionRequest, 'definition' | 'kind'>,
  as: ResourceDefinition,
): JsonObject | null {
  if (object === undefined) return null
  return (kind === undefined ? between(object, definition, as) : object) as JsonObject
}

/** The object of `from` as one of `to`; it is not changed itself. */
export function between(object: KubeObject, from: ResourceDefinition, to: ResourceDefinition): KubeObject {
  if (from === to || object.kind !== from.kind) return object
  if (from.view === undefined && to.view === undefined)
    return { ...object, apiVersion: apiVersionOf(to.group, to.version) }
  const stored = cloneObject(object)
  const core = from.view === undefined ? stored : from.view.toStored(stored)
  return to.view === undefined ? core : to.view.fromStored(core)
}

/** Throws an Error that says what is wrong with the answer; the caller names the webhook. */
export function readAnswer(webhook: CompiledWebhook, uid: string, body: unknown): ReviewAnswer {
  const review = asObject(body, 'the answer')
  const wanted = `admission.k8s.io/${webhook.reviewVersion}`
  const strict = webhook.reviewVersion === 'v1'
  if (strict && (review['apiVersion'] !== wanted || review['kind'] !== 'AdmissionReview'))
    throw new Error(
      `expected webhook response of ${wanted}, Kind=AdmissionReview, got ${text(review['apiVersion'])}, Kind=${text(review['kind'])}`,
    )
  if (review['response'] === undefined || review['response'] === null) throw new Error('webhook response was absent')
  const response = asObject(review['response'], 'response')
  if (strict && response['uid'] !== uid)
    throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response['uid'] ?? '')}`)
  if (typeof (response['allowed'] ?? false) !== 'boolean') throw new Error('response.allowed is not a boolean')
  return {
    allowed: response['allowed'] === true,
    patch: readPatch(webhook, response),
    status: readStatus(response['status']),
    warnings: readStrings(response['warnings'], 'response.warnings'),
    auditAnnotations: readAnnotations(response['auditAnnotations']),
  }
}

function readPatch(webhook: CompiledWebhook, response: JsonObject): unknown {
  const patch = response['patch'] ?? ''
  const type = response['patchType'] ?? undefined
  if (typeof patch !== 'string') throw new Error('response.patch is not a base64 string')
  if (webhook.kind === 'validating') {
    if (patch !== '') throw new Error('validating webhook may not return response.patch')
    if (type !== undefined) throw new Error('validating webhook may not return response.patchType')
    return undefined
  }
  if (patch === '') {
    if (type !== undefined) throw new Error('webhook returned response.patchType but not response.patch')
    return undefined
  }
  if (type === undefined && webhook.reviewVersion === 'v1')
    throw new Error('webhook returned response.patch but not response.patchType')
  if (type !== undefined && type !== 'JSONPatch')
    throw new Error(`webhook returned invalid response.patchType of ${JSON.stringify(type)}`)
  try {
    return JSON.parse(Buffer.from(patch, 'base64').toString('utf8'))
  } catch (error) {
    throw new Error(`response.patch is not base64 of JSON: ${(error as Error).message}`)
  }
}

function readStatus(value: Json | undefined): ReviewAnswer['status'] {
  if (value === undefined || value === null) return undefined
  const { code, reason, message, status, details } = asObject(value, 'response.status')
  return {
    ...(typeof code === 'number' ? { code } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    ...(typeof status === 'string' ? { status } : {}),
    ...(typeof details === 'object' && details !== null ? { details: details as StatusDetails } : {}),
  }
}

function readStrings(value: Json | undefined, what: string): string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    throw new Error(`${what} is not a list of strings`)
  return value as string[]
}

function readAnnotations(value: Json | undefined): Record<string, string> {
  if (value === undefined || value === null) return {}
  const object = asObject(value, 'response.auditAnnotations')
  for (const [key, item] of Object.entries(object))
    if (typeof item !== 'string') throw new Error(`response.auditAnnotations[${key}] is not a string`)
  return object as Record<string, string>
}

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  throw new Error(`${what} is not a JSON object`)
}

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

/** What a refused caller gets: the webhook's own status, never a success, never below 400. */
export function denial(webhook: CompiledWebhook, status: ReviewAnswer['status']): ApiError {
  const by = `admission webhook ${JSON.stringify(webhook.name)} denied the request`
  const { code = 0, reason = '', message = '', details } = status ?? {}
  const why = message || reason
  // Without a reason of the webhook there is none: kubectl then prints the message alone.
  const shown = (Object.hasOwn(REASONS, reason) ? reason : '') as Reason
  const http = Number.isInteger(code) && code >= 400 && code <= 599 ? code : 400
  return new ApiError(shown, why === '' ? `${by} without explanation` : `${by}: ${why}`, details, http)
}
