import type { KubeObject } from '../api/object.ts'
import type { PodSpec } from '../resources/kinds/pod/types.ts'
import { SYSTEM_CLASSES } from '../resources/kinds/priorityclass.ts'
import type { Lookup } from './lookup.ts'
import { refusal } from './refusal.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

const GROUP = 'scheduling.k8s.io'
const PREEMPT = 'PreemptLowerPriority'
type Resolved = { name: string; priority: number; preemptionPolicy: string }

/** Gives each pod the number of its PriorityClass, and lets only one class be the default (Kubernetes' Priority). */
export function podPriority(lookup: Lookup): AdmissionStep {
  return {
    name: 'Priority',
    reinvoke: true,
    handles: ({ operation, definition, subresource }) =>
      subresource === '' && (operation === 'CREATE' || operation === 'UPDATE') && concerns(definition),
    mutate: (request) => {
      if (request.definition.plural !== 'pods') return
      const spec = (request.object!['spec'] ??= {}) as PodSpec
      if (request.operation === 'CREATE') settle(lookup, request, spec)
      else keep(spec, (request.oldObject?.['spec'] ?? {}) as PodSpec)
    },
    validate: (request) => {
      if (request.definition.plural !== 'priorityclasses' || request.object!['globalDefault'] !== true) return
      const other = defaultClass(lookup)
      if (other === undefined) return
      if (request.operation === 'CREATE' || other.metadata.name !== request.object!.metadata.name)
        throw refusal(
          request,
          `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
        )
    },
  }
}

const concerns = ({ group, plural }: AdmissionRequest['definition']): boolean =>
  (group === '' && plural === 'pods') || (group === GROUP && plural === 'priorityclasses')

/** Clients that do not know the fields leave them out of updates; validation refuses a change of them. */
function keep(spec: PodSpec, old: PodSpec): void {
  if (old.priority !== undefined) spec.priority ??= old.priority
  if (old.preemptionPolicy !== undefined) spec.preemptionPolicy ??= old.preemptionPolicy
}

function settle(lookup: Lookup, request: AdmissionRequest, spec: PodSpec): void {
  const resolved = resolve(lookup, request, spec.priorityClassName ?? '')
  const computed = 'computed %s from the given PriorityClass name'
  if (spec.priority !== undefined && spec.priority !== null && spec.priority !== resolved.priority)
    throw refusal(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; ` +
        `priority admission controller ${computed.replace('%s', String(resolved.priority))}`,
    )
  if (spec.preemptionPolicy && spec.preemptionPolicy !== resolved.preemptionPolicy)
    throw refusal(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; ` +
        `priority admission controller ${computed.replace('%s', resolved.preemptionPolicy)}`,
    )
  if (resolved.name !== '') spec.priorityClassName = resolved.name
  spec.priority = resolved.priority
  spec.preemptionPolicy = resolved.preemptionPolicy
}

function resolve(lookup: Lookup, request: AdmissionRequest, name: string): Resolved {
  const found = name === '' ? defaultClass(lookup) : lookup.get(GROUP, 'priorityclasses', '', name)
  if (found !== undefined)
    return {
      name: found.metadata.name!,
      priority: found['value'] ?? 0,
      preemptionPolicy: found['preemptionPolicy'] ?? PREEMPT,
    }
  if (name === '') return { name, priority: 0, preemptionPolicy: PREEMPT }
  // Known even where nobody has stored them.
  if (Object.hasOwn(SYSTEM_CLASSES, name)) return { name, priority: SYSTEM_CLASSES[name]!, preemptionPolicy: PREEMPT }
  throw refusal(request, `no PriorityClass with name ${name} was found`)
}

/** Of several (two servers may each have let one in) the lowest. */
function defaultClass(lookup: Lookup): KubeObject | undefined {
  let lowest: KubeObject | undefined
  for (const candidate of lookup.list(GROUP, 'priorityclasses'))
    if (candidate['globalDefault'] === true && (lowest === undefined || candidate['value'] < lowest['value']))
      lowest = candidate
  return lowest
}
