import { QUANTITY_FORMAT_MESSAGE, type Quantity, roundUpToMilli, tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Label } from '../../validation/names.ts'
import { invalidEach, NOT_NEGATIVE } from './formats.ts'
import {
  containerResourceName,
  isHugePageMultiple,
  isHugePageResource,
  isIntegerResource,
  isOvercommitAllowed,
} from './resource-names.ts'
import type { ResourceList, ResourceRequirements } from './types.ts'

/** Amounts of resources: canonical form, requests and limits. */

const MILLI_NANOS = 1_000_000n
const UNIT_NANOS = 1_000_000_000n

/** Brings the amounts into the form that the API stores: canonical, nothing finer than a thousandth. */
export function canonicalizeResourceList(list: ResourceList | null | undefined): void {
  if (list == null) return
  for (const name in list) {
    const quantity = tryQuantity(list[name])
    if (quantity === undefined) continue
    const text = (quantity.nanos % MILLI_NANOS === 0n ? quantity : roundUpToMilli(quantity)).text
    if (text !== list[name]) list[name] = text
  }
}

export function canonicalizeRequirements(requirements: ResourceRequirements | null | undefined): void {
  if (requirements == null) return
  canonicalizeResourceList(requirements.limits)
  canonicalizeResourceList(requirements.requests)
}

/** An error, and undefined, for what is not a quantity. */
export function readQuantity(value: string | number, path: string, errors: FieldError[]): Quantity | undefined {
  const quantity = tryQuantity(value)
  if (quantity === undefined) errors.push(fieldError.invalid(path, value, QUANTITY_FORMAT_MESSAGE))
  return quantity
}

/** An amount of `resource`: readable, not negative, and whole where the resource is counted. */
export function resourceQuantity(
  resource: string,
  value: string | number,
  path: string,
  errors: FieldError[],
): Quantity | undefined {
  const quantity = readQuantity(value, path, errors)
  if (quantity === undefined) return undefined
  if (quantity.nanos < 0n) errors.push(fieldError.invalid(path, quantity.text, NOT_NEGATIVE))
  if (quantity.nanos % UNIT_NANOS !== 0n && isIntegerResource(resource))
    errors.push(fieldError.invalid(path, quantity.text, 'must be an integer'))
  return quantity
}

type NameCheck = (name: string, path: string, errors: FieldError[]) => void

/**
 * Requests and limits. `claimNames` are the names in the pod's spec.resourceClaims; `checkName` decides which resources
 * may appear.
 */
export function validateResourceRequirements(
  requirements: ResourceRequirements | null | undefined,
  claimNames: ReadonlySet<string>,
  path: string,
  errors: FieldError[],
  checkName: NameCheck = containerResourceName,
): void {
  if (requirements == null) return
  const { limits, requests } = requirements
  let hugePages = false
  let computes = false
  const note = (name: string, quantity: Quantity | undefined, at: string): void => {
    if (name === 'cpu' || name === 'memory') computes = true
    if (!isHugePageResource(name)) return
    hugePages = true
    if (quantity !== undefined && !isHugePageMultiple(name, quantity.nanos))
      errors.push(fieldError.invalid(at, quantity.text, `${quantity.text} is not positive integer multiple of ${name}`))
  }
  for (const name in limits) {
    const at = `${path}.limits[${name}]`
    checkName(name, at, errors)
    note(name, resourceQuantity(name, limits[name]!, at, errors), at)
  }
  for (const name in requests) {
    const at = `${path}.requests[${name}]`
    checkName(name, at, errors)
    const quantity = resourceQuantity(name, requests[name]!, at, errors)
    if (quantity !== undefined) checkAgainstLimit(name, quantity, limits, path, errors)
    note(name, quantity, at)
  }
  if (hugePages && !computes) errors.push(fieldError.forbidden(path, 'HugePages require cpu or memory'))
  if (requirements.claims != null) validateClaims(requirements.claims, claimNames, `${path}.claims`, errors)
}

function checkAgainstLimit(
  name: string,
  request: Quantity,
  limits: ResourceList | undefined,
  path: string,
  errors: FieldError[],
): void {
  const overcommit = isOvercommitAllowed(name)
  if (limits == null || !Object.hasOwn(limits, name)) {
    if (!overcommit)
      errors.push(fieldError.required(`${path}.limits`, 'Limit must be set for non overcommitable resources'))
    return
  }
  const limit = tryQuantity(limits[name])
  if (limit === undefined) return
  const rule =
    !overcommit && request.nanos !== limit.nanos
      ? 'equal to'
      : request.nanos > limit.nanos
        ? 'less than or equal to'
        : undefined
  if (rule !== undefined)
    errors.push(fieldError.invalid(`${path}.requests`, request.text, `must be ${rule} ${name} limit of ${limit.text}`))
}

function validateClaims(
  claims: readonly { name?: string; request?: string }[],
  claimNames: ReadonlySet<string>,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  claims.forEach((claim, i) => {
    const at = `${path}[${i}]`
    const name = claim.name ?? ''
    if (name === '') {
      errors.push(fieldError.required(at))
      return
    }
    const key = claim.request ? `${name}/${claim.request}` : name
    if (claim.request) invalidEach(errors, `${at}.request`, claim.request, dns1123Label(claim.request))
    const overlaps = !claim.request && [...seen].some((k) => k.startsWith(`${name}/`))
    if (seen.has(name) || seen.has(key) || overlaps)
      errors.push(fieldError.duplicate(at, seen.has(name) || overlaps ? name : key))
    seen.add(key)
    if (claimNames.has(name)) return
    const known = claimNames.size === 0 ? ' which is empty' : `: ${[...claimNames].sort().join(', ')}`
    errors.push({
      ...fieldError.notFound(at, name),
      detail: `must be one of the names in pod.spec.resourceClaims${known}`,
    })
  })
}
