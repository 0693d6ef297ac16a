import type { AdmissionRequest } from '../../kernel/admission/types.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { type FieldError, invalid } from '../../kernel/api/status.ts'
import type { Clock } from '../../kernel/feature.ts'
import { jsonEqual } from '../../kernel/merge/json-value.ts'
import type { PodSecurityConfiguration } from './configuration.ts'
import type { Evaluator } from './engine/evaluator.ts'
import {
  compareLevels,
  equivalent,
  isFullyPrivileged,
  LABEL_PREFIX,
  MODES,
  type Policy,
  policyOf,
  printLevelVersion,
  sameLevelVersion,
} from './engine/levels.ts'
import { existingPodsWarnings } from './existing-pods.ts'

export type NamespaceValidation = {
  configuration: PodSecurityConfiguration
  evaluator: Evaluator
  clock: Clock
  podsIn: (namespace: string) => Iterable<KubeObject>
}

/**
 * Refuses labels that cannot be read (on update: unless they were so before), and warns who tightens enforcement of the
 * pods that are there.
 */
export function validateNamespace(
  request: AdmissionRequest,
  { configuration, evaluator, clock, podsIn }: NamespaceValidation,
): void | Promise<void> {
  const { defaults, exemptions } = configuration
  const namespace = request.object!
  const name = namespace.metadata.name ?? ''
  const { policy, errors } = policyOf(namespace.metadata.labels, defaults)
  const before = request.operation === 'UPDATE' ? policyOf(request.oldObject!.metadata.labels, defaults) : undefined
  if (errors.length > 0 && !(before && jsonEqual(plain(errors), plain(before.errors))))
    throw invalid('', 'Namespace', name, errors)
  if (before !== undefined && !isTightened(policy, before.policy)) return
  if (exemptions.namespaces.has(request.namespace || name)) {
    if (!isFullyPrivileged(policy) && !equivalent(policy, defaults))
      request.warn(exemptionWarning(name, policy, namespace.metadata.labels ?? {}))
    return
  }
  if (before === undefined) return
  return existingPodsWarnings(name, podsIn(name), policy.enforce, {
    evaluator,
    exemptions,
    clock,
    signal: request.signal,
  }).then((warnings) => {
    for (const warning of warnings) request.warn(warning)
  })
}

const plain = (errors: FieldError[]): string[] => errors.map(({ field, value }) => `${field}=${value}`)

/** Whether pods that were let in may now be refused: stricter, or of another version. */
function isTightened({ enforce }: Policy, { enforce: before }: Policy): boolean {
  if (enforce.level === 'privileged' || sameLevelVersion(enforce, before)) return false
  return enforce.version !== before.version || compareLevels(enforce.level, before.level) > 0
}

/** Prints what the labels ask for, not what the defaults add. */
function exemptionWarning(name: string, policy: Policy, labels: Readonly<Record<string, string>>): string {
  const asked = MODES.filter(
    (mode) =>
      policy[mode].level !== 'privileged' &&
      (labels[LABEL_PREFIX + mode] !== undefined || labels[`${LABEL_PREFIX}${mode}-version`] !== undefined),
  ).map((mode) => `${mode}=${printLevelVersion(policy[mode])}`)
  return `namespace "${name}" is exempt from Pod Security, and the policy (${asked.join(', ')}) will be ignored`
}
