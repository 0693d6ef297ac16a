import type { KubeObject } from '../../api/object.ts'
import type { Container, PodSpec, ResourceList } from '../../resources/kinds/pod/types.ts'
import type { LimitItem } from './types.ts'

/** Tells the reader of a pod what was not in what he wrote. */
const ANNOTATION = 'kubernetes.io/limit-ranger'

/** Fills requests and limits that containers leave open. In place. */
export function applyDefaults(pod: KubeObject, items: readonly LimitItem[]): void {
  const requests: ResourceList = {}
  const limits: ResourceList = {}
  for (const item of items) {
    if (item.type !== 'Container') continue
    Object.assign(requests, item.defaultRequest)
    Object.assign(limits, item.default)
  }
  const spec = (pod['spec'] ?? {}) as PodSpec
  const told: string[] = []
  for (const [what, containers] of [
    ['container', spec.containers],
    ['init container', spec.initContainers],
  ] as const)
    for (const container of containers ?? []) {
      const setLimits = fill(container, 'limits', limits)
      const setRequests = fill(container, 'requests', requests)
      if (setRequests !== '') told.push(`${setRequests} request for ${what} ${container.name}`)
      if (setLimits !== '') told.push(`${setLimits} limit for ${what} ${container.name}`)
    }
  if (told.length > 0)
    pod.metadata.annotations = {
      ...pod.metadata.annotations,
      [ANNOTATION]: `LimitRanger plugin set: ${told.join('; ')}`,
    }
}

/** The names that were set, in order. */
function fill(container: Container, field: 'limits' | 'requests', defaults: ResourceList): string {
  const present = container.resources?.[field] ?? {}
  const missing = Object.keys(defaults)
    .filter((name) => !Object.hasOwn(present, name))
    .sort()
  if (missing.length === 0) return ''
  const added = Object.fromEntries(missing.map((name) => [name, defaults[name]!]))
  container.resources = { ...container.resources, [field]: { ...present, ...added } }
  return missing.join(', ')
}
