import type { GroupVersionKind, Json, JsonObject, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest } from '../../api/status.ts'
import type { Log } from '../../feature.ts'
import { applyJsonPatch } from '../../merge/json-patch.ts'
import { jsonEqual } from '../../merge/json-value.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { WebhookCallError, type WebhookCaller } from './caller.ts'
import type { CompiledWebhook } from './configuration.ts'
import { type Invocation, invocations, type MatchOptions, selected } from './match.ts'
import { between, denial, inForm, type ReviewAnswer } from './review.ts'

export type WebhookStepOptions = MatchOptions & {
  caller: WebhookCaller
  log: Log
  /**
   * Checks a document against the kind's schema (or that of another kind: Scale, Binding) and applies its defaults;
   * throws ApiError when it does not fit.
   */
  recode: (definition: ResourceDefinition, document: Json, foreign?: GroupVersionKind) => KubeObject
}

/** What the webhooks of one request have done so far; a second `mutate` for it is a reinvocation. */
type Progress = {
  round: number
  /** Webhooks with reinvocationPolicy IfNeeded that were called, and the object as it was after their last call. */
  seen: Map<CompiledWebhook, { calls: number; object: Json | undefined }>
}

/** At most one reinvocation of each webhook (admission registration API, reinvocationPolicy). */
const MAX_CALLS = 2

/**
 * Mutating webhooks: one after the other, each sees what those before it made. Those that ask for it are called once
 * more when the object changed after their call, by other webhooks or by built-in steps.
 */
export function mutatingWebhooks(options: WebhookStepOptions): AdmissionStep {
  const progress = new WeakMap<AdmissionRequest, Progress>()

  async function firstRound(request: AdmissionRequest, state: Progress): Promise<void> {
    for (const [index, invocation] of invocations(options, 'mutating', request).entries())
      await callOne(request, state, invocation, index)
    state.round = 1
  }

  async function nextRound(request: AdmissionRequest, state: Progress): Promise<void> {
    for (const [index, invocation] of invocations(options, 'mutating', request).entries()) {
      const seen = state.seen.get(invocation.webhook)
      if (seen === undefined || seen.calls >= MAX_CALLS) continue
      if (!jsonEqual(seen.object, request.object as Json | undefined)) await callOne(request, state, invocation, index)
    }
  }

  async function callOne(
    request: AdmissionRequest,
    state: Progress,
    invocation: Invocation,
    index: number,
  ): Promise<void> {
    const { webhook } = invocation
    if (!(await selected(options, invocation, request))) return
    const key = `round_${state.round}_index_${index}`
    const changed = await ask(options, request, invocation, key)
    request.annotateAudit(
      `mutation.webhook.admission.k8s.io/${key}`,
      JSON.stringify({ configuration: webhook.configuration, webhook: webhook.name, mutated: changed }),
    )
    if (!webhook.reinvoke) return
    const calls = (state.seen.get(webhook)?.calls ?? 0) + 1
    // Patches make a new object, but built-in steps change theirs in place: keep a copy.
    state.seen.set(webhook, { calls, object: structuredClone(request.object) as Json | undefined })
  }

  return {
    name: 'MutatingAdmissionWebhook',
    reinvoke: true,
    handles: (target) => invocations(options, 'mutating', target).length > 0,
    mutate: async (request) => {
      const state = progress.get(request)
      if (state !== undefined) return await nextRound(request, state)
      const first: Progress = { round: 0, seen: new Map() }
      progress.set(request, first)
      await firstRound(request, first)
    },
  }
}

/** Calls one webhook and takes over its patch; true when that changed the object. */
async function ask(
  options: WebhookStepOptions,
  request: AdmissionRequest,
  invocation: Invocation,
  key: string,
): Promise<boolean> {
  const { webhook } = invocation
  try {
    const answer = await callWebhook(options, request, invocation)
    return applyPatch(options, request, invocation, answer)
  } catch (error) {
    failOpenOrThrow(options, request, webhook, error as Error, `failed-open.mutation.webhook.admission.k8s.io/${key}`)
    return false
  }
}

/** Shared by both kinds: dry run rules, the call, warnings, audit annotations, denial. */
export async function callWebhook(
  options: WebhookStepOptions,
  request: AdmissionRequest,
  invocation: Invocation,
): Promise<ReviewAnswer> {
  const { webhook } = invocation
  if (request.dryRun && !webhook.harmlessOnDryRun)
    throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`)
  const answer = await options.caller.call(invocation, request)
  for (const warning of answer.warnings) request.warn(warning)
  for (const [name, value] of Object.entries(answer.auditAnnotations))
    request.annotateAudit(`${webhook.name}/${name}`, value)
  if (!answer.allowed) throw denial(webhook, answer.status)
  return answer
}

/** A webhook that cannot be asked stops the request unless its failurePolicy is Ignore; a denial always does. */
export function failOpenOrThrow(
  { log }: Pick<WebhookStepOptions, 'log'>,
  request: AdmissionRequest,
  webhook: CompiledWebhook,
  error: Error,
  auditKey: string,
): void {
  if (!(error instanceof WebhookCallError)) throw error
  if (!webhook.ignoreFailures) throw new ApiError('InternalError', `Internal error occurred: ${error.message}`)
  if (request.signal.aborted)
    throw new ApiError(
      'Timeout',
      'Timeout: request did not complete within requested timeout - context deadline exceeded',
    )
  log('warn', `failed open: ${error.message}`, { configuration: webhook.configuration, webhook: webhook.name })
  request.annotateAudit(auditKey, webhook.name)
}

function applyPatch(
  options: WebhookStepOptions,
  request: AdmissionRequest,
  { webhook, as }: Invocation,
  answer: ReviewAnswer,
): boolean {
  const before = request.object
  if (answer.patch === undefined || (Array.isArray(answer.patch) && answer.patch.length === 0)) return false
  if (before === undefined)
    throw fatal(webhook, 'attempted to modify the object, which is not supported for this operation')
  const { definition, kind } = request
  const sent = inForm(before, request, as)!
  const patched = attempt(webhook, 'returned a patch that cannot be applied', () =>
    applyJsonPatch(sent as Json, answer.patch),
  )
  const taken = checked(webhook, before, patched, sent)
  if (jsonEqual(sent as Json, taken as unknown as Json)) return false
  request.object = attempt(webhook, 'returned a patch that leaves an object which does not fit its kind', () => {
    const after = kind === undefined ? between(taken, as, definition) : taken
    // What is connected to has no metadata, and nobody reads its options afterwards.
    if (after.metadata === undefined) return after
    return options.recode(definition, after as unknown as Json, kind)
  })
  return true
}

function attempt<T>(webhook: CompiledWebhook, what: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    const causes = error instanceof ApiError ? (error.details?.causes ?? []) : []
    const why = [(error as Error).message, ...causes.map((cause) => `${cause.field ?? ''}: ${cause.message ?? ''}`)]
    throw fatal(webhook, `${what}: ${why.join(': ')}`)
  }
}

/** What identifies the object and what only the server sets. */
const FIXED_META = [
  'name',
  'generateName',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const

function checked(webhook: CompiledWebhook, before: KubeObject, patched: Json, sent: JsonObject): KubeObject {
  const isObject = typeof patched === 'object' && patched !== null && !Array.isArray(patched)
  if (!isObject) throw fatal(webhook, 'returned a patch that leaves no object')
  const after = patched as unknown as KubeObject
  const meta = after.metadata as unknown
  if (before.metadata === undefined) {
    checkType(webhook, after, sent)
    return after
  }
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta))
    throw fatal(webhook, 'attempted to remove metadata, which is not allowed')
  checkType(webhook, after, sent)
  for (const field of FIXED_META)
    if ((after.metadata[field] ?? undefined) !== (before.metadata[field] ?? undefined))
      throw fatal(webhook, `attempted to change metadata.${field}, which is not allowed`)
  // Who owns which field is the server's own record: what a webhook does to it is dropped, as in Kubernetes.
  if (before.metadata.managedFields === undefined) delete after.metadata.managedFields
  else after.metadata.managedFields = before.metadata.managedFields
  return after
}

function checkType(webhook: CompiledWebhook, after: KubeObject, sent: JsonObject): void {
  for (const field of ['apiVersion', 'kind'])
    if (after[field] !== sent[field]) throw fatal(webhook, `attempted to change ${field}, which is not allowed`)
}

/** Not a matter of failurePolicy: the webhook answered, and what it answered cannot be done. */
function fatal(webhook: CompiledWebhook, what: string): ApiError {
  return new ApiError(
    'InternalError',
    `Internal error occurred: admission webhook ${JSON.stringify(webhook.name)} ${what}`,
  )
}
