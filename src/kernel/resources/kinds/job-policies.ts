import { type FieldError, fieldError } from '../../api/status.ts'
import { qualifiedName } from '../validation/names.ts'
import { parseIndexes } from './job-indexes.ts'
import type { JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from './job-types.ts'
import { invalidEach, nonNegative, oneOfIfSet } from './pod/formats.ts'

/** When a job counts as failed or succeeded: podFailurePolicy and successPolicy. */

const MAX_RULES = 20
const MAX_PATTERNS = 20
const MAX_EXIT_CODES = 255
const MAX_INDEXES_BYTES = 64 * 1024
const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore']
const CONDITION_STATUSES = ['False', 'True', 'Unknown']
const OPERATORS = ['In', 'NotIn']

const validValues = (values: readonly string[]): string =>
  `valid values: [${values.map((value) => JSON.stringify(value)).join(' ')}]`

function oneOfNamed(value: string | undefined, values: readonly string[], path: string, errors: FieldError[]): void {
  if (!value) errors.push(fieldError.required(path, validValues(values)))
  else oneOfIfSet(value, values, path, errors)
}

export function validatePodFailurePolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > MAX_RULES) errors.push(fieldError.tooMany(`${path}.rules`, rules.length, MAX_RULES))
  const { containers = [], initContainers = [] } = spec.template?.spec ?? {}
  const names = new Set([...containers, ...initContainers].map((c) => c.name))
  rules.forEach((rule, i) => {
    validateFailureRule(rule, spec, names, `${path}.rules[${i}]`, errors)
  })
}

function validateFailureRule(
  rule: PodFailurePolicyRule,
  spec: JobSpec,
  names: ReadonlySet<string | undefined>,
  path: string,
  errors: FieldError[],
): void {
  if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex == null)
    errors.push(fieldError.invalid(`${path}.action`, rule.action, 'requires the backoffLimitPerIndex to be set'))
  else oneOfNamed(rule.action, ACTIONS, `${path}.action`, errors)
  const conditions = rule.onPodConditions ?? []
  if (rule.onExitCodes != null) validateExitCodes(rule.onExitCodes, names, `${path}.onExitCodes`, errors)
  if (conditions.length > MAX_PATTERNS)
    errors.push(fieldError.tooMany(`${path}.onPodConditions`, conditions.length, MAX_PATTERNS))
  conditions.forEach((pattern, i) => {
    const at = `${path}.onPodConditions[${i}]`
    invalidEach(errors, `${at}.type`, pattern.type ?? '', qualifiedName(pattern.type ?? ''))
    oneOfNamed(pattern.status, CONDITION_STATUSES, `${at}.status`, errors)
  })
  const both = rule.onExitCodes != null && conditions.length > 0
  if (both)
    errors.push(fieldError.invalid(path, rule, 'specifying both OnExitCodes and OnPodConditions is not supported'))
  if (rule.onExitCodes == null && conditions.length === 0)
    errors.push(fieldError.invalid(path, rule, 'specifying one of OnExitCodes and OnPodConditions is required'))
}

function validateExitCodes(
  codes: NonNullable<PodFailurePolicyRule['onExitCodes']>,
  names: ReadonlySet<string | undefined>,
  path: string,
  errors: FieldError[],
): void {
  const values = codes.values ?? []
  oneOfNamed(codes.operator, OPERATORS, `${path}.operator`, errors)
  if (codes.containerName != null && !names.has(codes.containerName))
    errors.push(
      fieldError.invalid(
        `${path}.containerName`,
        codes.containerName,
        'must be one of the container or initContainer names in the pod template',
      ),
    )
  if (values.length === 0) errors.push(fieldError.invalid(`${path}.values`, values, 'at least one value is required'))
  else if (values.length > MAX_EXIT_CODES)
    errors.push(fieldError.tooMany(`${path}.values`, values.length, MAX_EXIT_CODES))
  const seen = new Set<number>()
  values.forEach((value, i) => {
    if (codes.operator === 'In' && value === 0)
      errors.push(fieldError.invalid(`${path}.values[${i}]`, value, 'must not be 0 for the In operator'))
    if (seen.has(value)) errors.push(fieldError.duplicate(`${path}.values[${i}]`, value))
    seen.add(value)
  })
  if (values.some((value, i) => i > 0 && values[i - 1]! > value))
    errors.push(fieldError.invalid(`${path}.values`, values, 'must be ordered'))
}

/** Only Indexed jobs have one, and those say how many completions they want. */
export function validateSuccessPolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const rules = spec.successPolicy?.rules ?? []
  if (rules.length === 0)
    errors.push(
      fieldError.required(`${path}.rules`, 'at least one rules must be specified when the successPolicy is specified'),
    )
  if (rules.length > MAX_RULES) errors.push(fieldError.tooMany(`${path}.rules`, rules.length, MAX_RULES))
  rules.forEach((rule, i) => {
    validateSuccessRule(rule, spec.completions ?? 0, `${path}.rules[${i}]`, errors)
  })
}

function validateSuccessRule(rule: SuccessPolicyRule, completions: number, path: string, errors: FieldError[]): void {
  const { succeededCount: count, succeededIndexes: indexes } = rule
  if (count == null && indexes == null)
    errors.push(fieldError.required(path, 'at least one of succeededCount or succeededIndexes must be specified'))
  let total = 0
  if (indexes != null) {
    const at = `${path}.succeededIndexes`
    if (Buffer.byteLength(indexes) > MAX_INDEXES_BYTES) errors.push(fieldError.tooLong(at, MAX_INDEXES_BYTES))
    const parsed = parseIndexes(indexes, completions)
    if ('error' in parsed)
      errors.push(fieldError.invalid(at, indexes, `error parsing succeededIndexes: ${parsed.error}`))
    else total = parsed.count
  }
  if (count == null) return
  const at = `${path}.succeededCount`
  nonNegative(count, at, errors)
  if (count > completions)
    errors.push(
      fieldError.invalid(
        at,
        count,
        `must be less than or equal to ${completions} (the number of specified completions)`,
      ),
    )
  if (indexes != null && count > total)
    errors.push(
      fieldError.invalid(
        at,
        count,
        `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`,
      ),
    )
}
