import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateLabelSelector } from '../../validation/meta.ts'
import { labelValue, qualifiedName } from '../../validation/names.ts'
import { invalidEach, NOT_POSITIVE, oneOfIfSet } from './formats.ts'
import type { Taint, Toleration, TopologySpreadConstraint } from './types.ts'

/** Taints, tolerations, spreading and gates. Affinity has a file of its own. */

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

export function validateTolerations(tolerations: readonly Toleration[], path: string, errors: FieldError[]): void {
  tolerations.forEach((toleration, i) => {
    const at = `${path}[${i}]`
    const { key, operator, value, effect } = toleration
    if (key) invalidEach(errors, `${at}.key`, key, qualifiedName(key))
    else if (operator !== 'Exists')
      errors.push(
        fieldError.invalid(
          `${at}.operator`,
          operator ?? '',
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      )
    if (toleration.tolerationSeconds != null && effect !== 'NoExecute')
      errors.push(
        fieldError.invalid(`${at}.effect`, effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      )
    if (!operator || operator === 'Equal') {
      const messages = labelValue(value ?? '')
      if (messages.length > 0) errors.push(fieldError.invalid(`${at}.operator`, value, messages.join(';')))
    } else if (operator !== 'Exists')
      errors.push(fieldError.notSupported(`${at}.operator`, operator, ['Equal', 'Exists']))
    else if (value)
      errors.push(fieldError.invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"))
    if (effect) oneOfIfSet(effect, EFFECTS, `${at}.effect`, errors)
  })
}

/** Taints of a node: unique by key and effect. */
export function validateTaints(taints: readonly Taint[], path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  taints.forEach((taint, i) => {
    const at = `${path}[${i}]`
    const { key = '', value = '', effect = '' } = taint
    invalidEach(errors, `${at}.key`, key, qualifiedName(key))
    const messages = labelValue(value)
    if (messages.length > 0) errors.push(fieldError.invalid(`${at}.value`, value, messages.join(';')))
    if (effect === '') errors.push(fieldError.required(`${at}.effect`))
    else oneOfIfSet(effect, EFFECTS, `${at}.effect`, errors)
    const pair = `${effect}\n${key}`
    if (seen.has(pair))
      errors.push({ ...fieldError.duplicate(at, taint), detail: 'taints must be unique by key and effect pair' })
    seen.add(pair)
  })
}

/** An update may add tolerations and change tolerationSeconds, nothing else. */
export function validateOnlyAddedTolerations(
  tolerations: readonly Toleration[],
  old: readonly Toleration[],
  path: string,
  errors: FieldError[],
): void {
  const same = (a: Toleration, b: Toleration): boolean =>
    (['key', 'operator', 'value', 'effect'] as const).every((f) => (a[f] ?? '') === (b[f] ?? ''))
  for (const before of old)
    if (!tolerations.some((t) => same(t, before))) {
      errors.push(fieldError.forbidden(path, 'existing toleration can not be modified except its tolerationSeconds'))
      return
    }
  validateTolerations(tolerations, path, errors)
}

export function validateSchedulingGates(gates: readonly { name?: string }[], path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  gates.forEach((gate, i) => {
    const name = gate.name ?? ''
    invalidEach(errors, `${path}[${i}]`, name, qualifiedName(name))
    if (seen.has(name)) errors.push(fieldError.duplicate(`${path}[${i}]`, name))
    seen.add(name)
  })
}

/** An update may only remove gates. */
export function validateOnlyDeletedGates(
  gates: readonly { name?: string }[],
  old: readonly { name?: string }[],
  path: string,
  errors: FieldError[],
): void {
  const known = new Set(old.map((gate) => gate.name))
  gates.forEach((gate, i) => {
    if (!known.has(gate.name))
      errors.push(
        fieldError.forbidden(
          `${path}[${i}].name`,
          `only deletion is allowed, but found new scheduling gate '${gate.name}'`,
        ),
      )
  })
}

const NODE_POLICIES = ['Honor', 'Ignore']

export function validateTopologySpread(
  constraints: readonly TopologySpreadConstraint[],
  path: string,
  errors: FieldError[],
): void {
  constraints.forEach((constraint, i) => {
    const at = `${path}[${i}]`
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable = '' } = constraint
    if (maxSkew <= 0) errors.push(fieldError.invalid(`${at}.maxSkew`, maxSkew, NOT_POSITIVE))
    if (topologyKey === '') errors.push(fieldError.required(`${at}.topologyKey`, 'can not be empty'))
    oneOfIfSet(whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'], `${at}.whenUnsatisfiable`, errors)
    const repeats = (other: TopologySpreadConstraint): boolean =>
      (other.topologyKey ?? '') === topologyKey && (other.whenUnsatisfiable ?? '') === whenUnsatisfiable
    if (constraints.slice(i + 1).some(repeats))
      errors.push(
        fieldError.duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`),
      )
    validateMinDomains(constraint, at, errors)
    oneOfIfSet(constraint.nodeAffinityPolicy, NODE_POLICIES, `${at}.nodeAffinityPolicy`, errors)
    oneOfIfSet(constraint.nodeTaintsPolicy, NODE_POLICIES, `${at}.nodeTaintsPolicy`, errors)
    validateMatchLabelKeys(constraint, `${at}.matchLabelKeys`, errors)
    errors.push(...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`))
  })
}

function validateMinDomains(constraint: TopologySpreadConstraint, at: string, errors: FieldError[]): void {
  const { minDomains, whenUnsatisfiable = '' } = constraint
  if (minDomains == null) return
  if (minDomains <= 0) errors.push(fieldError.invalid(`${at}.minDomains`, minDomains, NOT_POSITIVE))
  if (whenUnsatisfiable !== 'DoNotSchedule')
    errors.push(
      fieldError.invalid(
        `${at}.minDomains`,
        minDomains,
        `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`,
      ),
    )
}

function validateMatchLabelKeys(constraint: TopologySpreadConstraint, path: string, errors: FieldError[]): void {
  const keys = constraint.matchLabelKeys ?? []
  if (keys.length === 0) return
  const selector = constraint.labelSelector
  if (selector == null) errors.push(fieldError.forbidden(path, 'must not be specified when labelSelector is not set'))
  const selected = new Set([
    ...Object.keys(selector?.matchLabels ?? {}),
    ...(selector?.matchExpressions ?? []).map((e) => e.key),
  ])
  keys.forEach((key, i) => {
    invalidEach(errors, `${path}[${i}]`, key, qualifiedName(key))
    if (selected.has(key))
      errors.push(fieldError.invalid(`${path}[${i}]`, key, 'exists in both matchLabelKeys and labelSelector'))
  })
}
