import type { LabelSelector } from '../../../api/selectors.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateLabelSelector } from '../../validation/meta.ts'
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from '../../validation/names.ts'
import { semanticEqual } from './equality.ts'
import { invalidEach } from './formats.ts'
import type {
  Affinity,
  NodeAffinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
} from './types.ts'

/** Affinity of pods to nodes and to each other. */

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'

export function validateAffinity(affinity: Affinity, path: string, errors: FieldError[]): void {
  if (affinity.nodeAffinity != null) validateNodeAffinity(affinity.nodeAffinity, `${path}.nodeAffinity`, errors)
  if (affinity.podAffinity != null) validatePodAffinity(affinity.podAffinity, `${path}.podAffinity`, errors)
  if (affinity.podAntiAffinity != null) validatePodAffinity(affinity.podAntiAffinity, `${path}.podAntiAffinity`, errors)
}

function validateWeight(weight: number | undefined, path: string, errors: FieldError[]): void {
  const value = weight ?? 0
  if (value <= 0 || value > 100) errors.push(fieldError.invalid(path, value, 'must be in the range 1-100'))
}

function validateNodeAffinity(affinity: NodeAffinity, path: string, errors: FieldError[]): void {
  if (affinity[REQUIRED] != null) validateNodeSelector(affinity[REQUIRED], `${path}.${REQUIRED}`, errors)
  affinity[PREFERRED]?.forEach((term, i) => {
    const at = `${path}.${PREFERRED}[${i}]`
    validateWeight(term.weight, `${at}.weight`, errors)
    validateTerm(term.preference ?? {}, false, `${at}.preference`, errors)
  })
}

export function validateNodeSelector(selector: NodeSelector, path: string, errors: FieldError[]): void {
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0)
    errors.push(fieldError.required(`${path}.nodeSelectorTerms`, 'must have at least one node selector term'))
  terms.forEach((term, i) => {
    validateTerm(term, true, `${path}.nodeSelectorTerms[${i}]`, errors)
  })
}

/** `strict`: values must be label values. Kubernetes lets preferences carry anything. */
function validateTerm(term: NodeSelectorTerm, strict: boolean, path: string, errors: FieldError[]): void {
  term.matchExpressions?.forEach((requirement, i) => {
    validateRequirement(requirement, strict, `${path}.matchExpressions[${i}]`, errors)
  })
  term.matchFields?.forEach((requirement, i) => {
    validateFieldRequirement(requirement, `${path}.matchFields[${i}]`, errors)
  })
}

function validateRequirement(
  requirement: NodeSelectorRequirement,
  strict: boolean,
  path: string,
  errors: FieldError[],
): void {
  const { key = '', operator = '', values = [] } = requirement
  const at = `${path}.values`
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        errors.push(fieldError.required(at, "must be specified when `operator` is 'In' or 'NotIn'"))
      break
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        errors.push(fieldError.forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
      break
    case 'Gt':
    case 'Lt':
      if (values.length !== 1)
        errors.push(fieldError.required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
      break
    default:
      errors.push(fieldError.invalid(`${path}.operator`, operator, 'not a valid selector operator'))
  }
  invalidEach(errors, `${path}.key`, key, qualifiedName(key))
  if (strict)
    values.forEach((value, i) => {
      invalidEach(errors, `${at}[${i}]`, value, labelValue(value))
    })
}

function validateFieldRequirement(requirement: NodeSelectorRequirement, path: string, errors: FieldError[]): void {
  const { key = '', operator = '', values = [] } = requirement
  if (operator !== 'In' && operator !== 'NotIn')
    errors.push(fieldError.invalid(`${path}.operator`, operator, 'not a valid selector operator'))
  else if (values.length !== 1)
    errors.push(
      fieldError.required(
        `${path}.values`,
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
      ),
    )
  if (key !== 'metadata.name') errors.push(fieldError.invalid(`${path}.key`, key, 'not a valid field selector key'))
  else
    values.forEach((value, i) => {
      invalidEach(errors, `${path}.values[${i}]`, value, dns1123Subdomain(value))
    })
}

function validatePodAffinity(affinity: PodAffinity, path: string, errors: FieldError[]): void {
  affinity[REQUIRED]?.forEach((term, i) => {
    validatePodTerm(term, `${path}.${REQUIRED}[${i}]`, errors)
  })
  affinity[PREFERRED]?.forEach((weighted, i) => {
    const at = `${path}.${PREFERRED}[${i}]`
    validateWeight(weighted.weight, `${at}.weight`, errors)
    validatePodTerm(weighted.podAffinityTerm ?? {}, `${at}.podAffinityTerm`, errors)
  })
}

function validatePodTerm(term: PodAffinityTerm, path: string, errors: FieldError[]): void {
  errors.push(...validateLabelSelector(term.labelSelector, `${path}.labelSelector`))
  errors.push(...validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`))
  for (const namespace of term.namespaces ?? [])
    invalidEach(errors, `${path}.namespace`, namespace, dns1123Label(namespace))
  validateLabelKeys(term, path, errors)
  const key = term.topologyKey ?? ''
  if (key === '') errors.push(fieldError.required(`${path}.topologyKey`, 'can not be empty'))
  invalidEach(errors, `${path}.topologyKey`, key, qualifiedName(key))
}

function validateLabelKeys(term: PodAffinityTerm, path: string, errors: FieldError[]): void {
  const { matchLabelKeys = [], mismatchLabelKeys = [], labelSelector } = term
  for (const field of ['matchLabelKeys', 'mismatchLabelKeys'] as const) {
    const keys = term[field] ?? []
    if (keys.length === 0) continue
    if (labelSelector == null)
      errors.push(fieldError.forbidden(`${path}.${field}`, 'must not be specified when labelSelector is not set'))
    else
      keys.forEach((key, i) => {
        invalidEach(errors, `${path}.${field}[${i}]`, key, qualifiedName(key))
      })
  }
  if (labelSelector != null) refuseSelectedTwice(matchLabelKeys, labelSelector, path, errors)
  matchLabelKeys.forEach((key, i) => {
    if (mismatchLabelKeys.includes(key))
      errors.push(
        fieldError.invalid(`${path}.matchLabelKeys[${i}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'),
      )
  })
}

/** Keys were merged into the selector on creation: once is theirs, twice is a clash. */
function refuseSelectedTwice(
  keys: readonly string[],
  selector: LabelSelector,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set(Object.keys(selector.matchLabels ?? {}))
  for (const { key } of selector.matchExpressions ?? []) {
    const index = keys.indexOf(key)
    if (index >= 0 && seen.has(key))
      errors.push(fieldError.invalid(`${path}[${index}]`, key, 'exists in both matchLabelKeys and labelSelector'))
    seen.add(key)
  }
}

/** A pod that still has scheduling gates may get more node requirements, never other ones. */
export function validateNodeAffinityMutation(
  affinity: NodeAffinity | undefined,
  old: NodeAffinity | undefined,
  path: string,
  errors: FieldError[],
): void {
  const before = old?.[REQUIRED]?.nodeSelectorTerms ?? []
  if (before.length === 0) return
  const now = affinity?.[REQUIRED]?.nodeSelectorTerms ?? []
  const at = `${path}.${REQUIRED}.nodeSelectorTerms`
  if (now.length !== before.length) {
    errors.push(fieldError.invalid(at, now, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'))
    return
  }
  before.forEach((term, i) => {
    if (!onlyAdds(now[i]!, term))
      errors.push(fieldError.invalid(`${at}[${i}]`, now[i], 'only additions are allowed (no mutations or deletions)'))
  })
}

function onlyAdds(now: NodeSelectorTerm, before: NodeSelectorTerm): boolean {
  const lengths = (term: NodeSelectorTerm): number =>
    (term.matchExpressions?.length ?? 0) + (term.matchFields?.length ?? 0)
  if (lengths(before) === 0) return lengths(now) === 0
  return (['matchExpressions', 'matchFields'] as const).every((field) => {
    const kept = before[field] ?? []
    return kept.length === 0 || semanticEqual(now[field]?.slice(0, kept.length), kept)
  })
}
