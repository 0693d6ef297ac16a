import { addQuantity, compareQuantity, type Quantity, quantityOf, tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { isOvercommitAllowed, isPodLevelResource, podResourceName } from './resource-names.ts'
import { validateResourceRequirements } from './resources.ts'
import type { Container, PodSpec } from './types.ts'

/** Resources of a pod as a whole (KEP-2837), beside those of its containers. */

const ZERO = quantityOf(0)

const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always'

function requestsOf(container: Container): [string, Quantity][] {
  return Object.entries(container.resources?.requests ?? {}).flatMap(([name, value]) => {
    const quantity = tryQuantity(value)
    return quantity === undefined ? [] : [[name, quantity] as [string, Quantity]]
  })
}

/**
 * What the containers together request: those that run side by side are summed; an init container counts while it
 * runs, beside the sidecars started before it.
 */
export function aggregateContainerRequests(spec: PodSpec): Map<string, Quantity> {
  const total = new Map<string, Quantity>()
  const add = (to: Map<string, Quantity>, container: Container): void => {
    for (const [name, quantity] of requestsOf(container)) to.set(name, addQuantity(to.get(name) ?? ZERO, quantity))
  }
  for (const container of spec.containers ?? []) add(total, container)
  const sidecars = new Map<string, Quantity>()
  const atInit = new Map<string, Quantity>()
  for (const container of spec.initContainers ?? []) {
    const now = new Map(sidecars)
    add(now, container)
    if (isSidecar(container)) {
      add(sidecars, container)
      add(total, container)
    }
    takeLarger(atInit, now)
  }
  takeLarger(total, atInit)
  return total
}

function takeLarger(to: Map<string, Quantity>, from: ReadonlyMap<string, Quantity>): void {
  for (const [name, quantity] of from) if (compareQuantity(quantity, to.get(name) ?? ZERO) > 0) to.set(name, quantity)
}

/** Requests that a pod with limits leaves open: those of its containers, else its limits. */
export function defaultPodRequests(spec: PodSpec): void {
  const limits = spec.resources?.limits
  if (limits == null || Object.keys(limits).length === 0) return
  const requests = { ...spec.resources?.requests }
  for (const [name, quantity] of aggregateContainerRequests(spec))
    if (!Object.hasOwn(requests, name) && isPodLevelResource(name) && isOvercommitAllowed(name))
      requests[name] = quantity.text
  for (const name in limits)
    if (!Object.hasOwn(requests, name) && isPodLevelResource(name)) requests[name] = limits[name]!
  spec.resources!.requests = requests
}

export function validatePodResources(
  spec: PodSpec,
  claimNames: ReadonlySet<string>,
  path: string,
  errors: FieldError[],
): void {
  const resources = spec.resources!
  if (resources.claims != null)
    errors.push(fieldError.forbidden(`${path}.claims`, 'claims cannot be set for Resources at pod-level'))
  validateResourceRequirements(resources, claimNames, path, errors, podResourceName)
  for (const [name, sum] of aggregateContainerRequests(spec)) {
    if (!isPodLevelResource(name)) continue
    const request = tryQuantity(resources.requests?.[name] ?? 0)
    if (request !== undefined && compareQuantity(sum, request) > 0)
      errors.push(
        fieldError.invalid(
          `${path}.requests[${name}]`,
          request.text,
          `must be greater than or equal to aggregate container requests of ${sum.text}`,
        ),
      )
  }
  spec.containers?.forEach((container, i) => {
    for (const [name, value] of Object.entries(container.resources?.limits ?? {})) {
      const limit = tryQuantity(value)
      const ofPod = tryQuantity(resources.limits?.[name])
      if (limit !== undefined && ofPod !== undefined && compareQuantity(limit, ofPod) > 0)
        errors.push(
          fieldError.invalid(
            `${path}.containers[${i}][${name}].limits`,
            limit.text,
            `must be less than or equal to pod limits of ${ofPod.text}`,
          ),
        )
    }
  })
}
