import { tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { qualifiedName } from '../../validation/names.ts'
import { invalidEach } from './formats.ts'

/** Which names of resources are allowed where (pkg/apis/core/helper). */

const HUGE_PAGES = 'hugepages-'
const CONTAINER_RESOURCES: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage'])
const COUNTED_OBJECTS = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
]
const INTEGER_RESOURCES: ReadonlySet<string> = new Set(COUNTED_OBJECTS)
const QUOTA_RESOURCES: ReadonlySet<string> = new Set([
  ...COUNTED_OBJECTS,
  'cpu',
  'memory',
  'ephemeral-storage',
  'requests.cpu',
  'requests.memory',
  'requests.storage',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
])
const STANDARD_RESOURCES: ReadonlySet<string> = new Set([...QUOTA_RESOURCES, 'storage'])

export const isHugePageResource = (name: string): boolean => name.startsWith(HUGE_PAGES)
const isQuotaHugePageResource = (name: string): boolean =>
  isHugePageResource(name) || name.startsWith(`requests.${HUGE_PAGES}`)

export const isStandardQuotaResource = (name: string): boolean =>
  QUOTA_RESOURCES.has(name) || isQuotaHugePageResource(name)

/** Resources of Kubernetes itself: no prefix, or one in kubernetes.io. */
export const isNativeResource = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')

/** Resources of devices: with a prefix of their own, and short enough to have `requests.` in front in a quota. */
export function isExtendedResource(name: string): boolean {
  if (isNativeResource(name) || name.startsWith('requests.')) return false
  return qualifiedName(`requests.${name}`).length === 0
}

export const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePageResource(name)

export const isIntegerResource = (name: string): boolean => INTEGER_RESOURCES.has(name) || isExtendedResource(name)

/** True where the amount is a multiple of the page size that the name `hugepages-<size>` carries. */
export function isHugePageMultiple(name: string, nanos: bigint): boolean {
  const size = tryQuantity(name.slice(HUGE_PAGES.length))
  if (size === undefined || size.nanos <= 0n || size.nanos % 1_000_000_000n !== 0n) return false
  return nanos % size.nanos === 0n
}

export function resourceName(name: string, path: string, errors: FieldError[]): void {
  if (CONTAINER_RESOURCES.has(name)) return
  const messages = qualifiedName(name)
  invalidEach(errors, path, name, messages)
  if (messages.length > 0 || name.includes('/')) return
  if (!STANDARD_RESOURCES.has(name) && !isQuotaHugePageResource(name))
    errors.push(fieldError.invalid(path, name, 'must be a standard resource type or fully qualified'))
}

export function containerResourceName(name: string, path: string, errors: FieldError[]): void {
  if (CONTAINER_RESOURCES.has(name)) return
  resourceName(name, path, errors)
  if (!name.includes('/')) {
    if (!isHugePageResource(name))
      errors.push(fieldError.invalid(path, name, 'must be a standard resource for containers'))
  } else if (!isNativeResource(name) && !isExtendedResource(name))
    errors.push(fieldError.invalid(path, name, "doesn't follow extended resource name standard"))
}

const POD_LEVEL_RESOURCES = ['cpu', 'memory']

export const isPodLevelResource = (name: string): boolean =>
  POD_LEVEL_RESOURCES.includes(name) || isHugePageResource(name)

/** Resources that may be given for a pod as a whole. */
export function podResourceName(name: string, path: string, errors: FieldError[]): void {
  const before = errors.length
  resourceName(name, path, errors)
  if (errors.length === before && !isPodLevelResource(name))
    errors.push(fieldError.notSupported(path, name, POD_LEVEL_RESOURCES))
}

export function quotaResourceName(name: string, path: string, errors: FieldError[]): void {
  resourceName(name, path, errors)
  if (!name.includes('/') && !isStandardQuotaResource(name))
    errors.push(fieldError.invalid(path, name, 'must be a standard resource for quota'))
}
