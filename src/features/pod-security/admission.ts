import type { Lookup } from '../../kernel/admission/lookup.ts'
import { refusal } from '../../kernel/admission/refusal.ts'
import type { AdmissionRequest, AdmissionStep } from '../../kernel/admission/types.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError, type FieldError, fieldErrorMessage } from '../../kernel/api/status.ts'
import type { Client } from '../../kernel/client/client.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import type { ResourceDefinition } from '../../kernel/resources/definition.ts'
import type { PodSecurityConfiguration } from './configuration.ts'
import type { PodUnderTest } from './engine/check.ts'
import { type Evaluator, forbiddenDetail, type PodSecurityVerdict } from './engine/evaluator.ts'
import {
  isFullyPrivileged,
  LABEL_PREFIX,
  type LevelVersion,
  type Policy,
  policyOf,
  printLevelVersion,
} from './engine/levels.ts'
import type { Recorder } from './metrics.ts'
import { validateNamespace } from './namespaces.ts'
import { hasPodTemplate, isSignificantUpdate, podOfTemplate, podUnderTest } from './pod-template.ts'

export type PodSecurityOptions = {
  configuration: PodSecurityConfiguration
  evaluator: Evaluator
  lookup: Lookup
  /** Asked only for a namespace that the lookup does not know (yet). */
  client: Pick<Client, 'get'>
  clock: Clock
  log: Log
  recorder: Recorder
}

/** Every other subresource of a pod carries the pod, which is looked at: so that no new one becomes a way around. */
const IGNORED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'exec',
  'attach',
  'binding',
  'eviction',
  'log',
  'portforward',
  'proxy',
  'status',
])

const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' }
const isCore = ({ group, plural }: ResourceDefinition, resource: string): boolean => group === '' && plural === resource

/**
 * Kubernetes' PodSecurity: pods are let in, audited and warned of by the labels of their namespace; what makes pods is
 * audited and warned of.
 */
export function podSecurityStep(options: PodSecurityOptions): AdmissionStep {
  const { configuration, evaluator, clock, lookup } = options
  const podsIn = (namespace: string): Iterable<KubeObject> => lookup.list('', 'pods', namespace)
  return {
    name: 'PodSecurity',
    handles: ({ operation, definition, subresource }) => {
      if (operation !== 'CREATE' && operation !== 'UPDATE') return false
      if (isCore(definition, 'pods')) return !IGNORED_SUBRESOURCES.has(subresource)
      return subresource === '' && (isCore(definition, 'namespaces') || hasPodTemplate(definition))
    },
    validate: (request) => {
      if (isCore(request.definition, 'namespaces'))
        return validateNamespace(request, { configuration, evaluator, clock, podsIn })
      const exemption = exemptionOf(request, configuration.exemptions)
      if (exemption !== undefined) return exempt(options, request, exemption)
      const namespace = lookup.get('', 'namespaces', '', request.namespace)
      if (namespace !== undefined) return validatePodIn(options, request, namespace)
      return options.client.get(NAMESPACES, '', request.namespace).then(
        (found) => validatePodIn(options, request, found),
        (error: Error) => namespaceUnknown(options, request, error),
      )
    },
  }
}

function exemptionOf(
  { namespace, user }: AdmissionRequest,
  exemptions: PodSecurityConfiguration['exemptions'],
): 'namespace' | 'user' | undefined {
  if (exemptions.namespaces.has(namespace)) return 'namespace'
  return exemptions.usernames.has(user.name) ? 'user' : undefined
}

function exempt({ recorder }: PodSecurityOptions, request: AdmissionRequest, why: string): void {
  recorder.exempted(request)
  annotate(request, 'exempt', why)
}

const annotate = (request: AdmissionRequest, key: string, value: string): void =>
  request.annotateAudit(LABEL_PREFIX + key, value)

/** A pod is not let in by a policy that nobody knows; what makes pods is. */
function namespaceUnknown({ log, recorder }: PodSecurityOptions, request: AdmissionRequest, error: Error): void {
  const { namespace } = request
  log('error', 'PodSecurity cannot look up a namespace', { namespace, error: error.message })
  recorder.failed(true, request)
  if (isCore(request.definition, 'pods'))
    throw new ApiError('InternalError', `Internal error occurred: failed to lookup namespace "${namespace}"`)
  annotate(request, 'error', `failed to lookup namespace "${namespace}": ${error.message}`)
}

function validatePodIn(options: PodSecurityOptions, request: AdmissionRequest, namespace: KubeObject): void {
  const { policy, errors } = policyOf(namespace.metadata.labels, options.configuration.defaults)
  const enforces = isCore(request.definition, 'pods')
  if (errors.length === 0 && !enforces && policy.warn.level === 'privileged' && policy.audit.level === 'privileged')
    return
  if (errors.length === 0 && enforces && isFullyPrivileged(policy)) {
    options.recorder.evaluated('allow', policy.enforce, 'enforce', request)
    annotate(request, 'enforce-policy', 'privileged:latest')
    return
  }
  const pod = enforces ? podUnderTest(request.object!) : podOfTemplate(request.definition, request.object!)
  if (pod === undefined) return
  if (enforces && request.operation === 'UPDATE' && !isSignificantUpdate(pod, podUnderTest(request.oldObject!))) return
  if (options.configuration.exemptions.runtimeClasses.has(pod.spec.runtimeClassName ?? ''))
    exempt(options, request, 'runtimeClass')
  else evaluate(options, request, pod, policy, errors, enforces)
}

function evaluate(
  { evaluator, recorder }: PodSecurityOptions,
  request: AdmissionRequest,
  pod: PodUnderTest,
  policy: Policy,
  errors: readonly FieldError[],
  enforces: boolean,
): void {
  if (errors.length > 0) {
    annotate(request, 'error', `Failed to parse policy: ${aggregate(errors)}`)
    recorder.failed(false, request)
  }
  const verdicts = new Map<string, PodSecurityVerdict>()
  /** What the policy has against the pod, as Kubernetes words it. */
  const violationOf = (asked: LevelVersion): string | undefined => {
    const printed = printLevelVersion(asked)
    let verdict = verdicts.get(printed)
    if (verdict === undefined) verdicts.set(printed, (verdict = evaluator(asked, pod)))
    return verdict.allowed ? undefined : `PodSecurity "${printed}": ${forbiddenDetail(verdict)}`
  }
  const enforced = enforces ? violationOf(policy.enforce) : undefined
  if (enforces) {
    annotate(request, 'enforce-policy', printLevelVersion(policy.enforce))
    recorder.evaluated(enforced === undefined ? 'allow' : 'deny', policy.enforce, 'enforce', request)
  }
  const audited = violationOf(policy.audit)
  if (audited !== undefined) {
    annotate(request, 'audit-violations', `would violate ${audited}`)
    recorder.evaluated('deny', policy.audit, 'audit', request)
  }
  if (enforced !== undefined) throw refusal(request, `violates ${enforced}`)
  const warned = violationOf(policy.warn)
  if (warned === undefined) return
  request.warn(`would violate ${warned}`)
  recorder.evaluated('deny', policy.warn, 'warn', request)
}

function aggregate(errors: readonly FieldError[]): string {
  const messages = [...new Set(errors.map(fieldErrorMessage))]
  return messages.length === 1 ? messages[0]! : `[${messages.join(', ')}]`
}
