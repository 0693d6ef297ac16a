import type { KubeObject } from '../../api/object.ts'
import type { PodSpec } from '../../resources/kinds/pod/types.ts'
import type { Lookup } from '../lookup.ts'
import { refusal } from '../refusal.ts'
import type { AdmissionStep } from '../types.ts'
import { violations } from './constraints.ts'
import { applyDefaults } from './defaults.ts'
import { podLimits, podRequests } from './pod-resources.ts'
import type { LimitItem } from './types.ts'

/**
 * Defaults and bounds of a namespace's LimitRanges, for pods and their containers (Kubernetes' LimitRanger). Containers
 * of a pod that exists cannot change their resources here, so only creates are looked at.
 */
export function limitRanger(lookup: Pick<Lookup, 'list'>): AdmissionStep {
  return {
    name: 'LimitRanger',
    reinvoke: true,
    handles: ({ operation, definition, subresource }) =>
      operation === 'CREATE' && subresource === '' && definition.group === '' && definition.plural === 'pods',
    mutate: ({ object, namespace }) => {
      for (const range of rangesOf(lookup, namespace)) applyDefaults(object!, itemsOf(range))
    },
    validate: (request) => {
      for (const range of rangesOf(lookup, request.namespace)) {
        const found = check(itemsOf(range), (request.object!['spec'] ?? {}) as PodSpec)
        if (found.length > 0) throw refusal(request, aggregate(found))
      }
    },
  }
}

const itemsOf = (range: KubeObject): LimitItem[] => range['spec']?.limits ?? []

/** By name, so that which default wins does not depend on chance. */
function rangesOf(lookup: Pick<Lookup, 'list'>, namespace: string): KubeObject[] {
  const ranges = [...lookup.list('', 'limitranges', namespace)]
  return ranges.length < 2 ? ranges : ranges.sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1))
}

function check(items: readonly LimitItem[], spec: PodSpec): string[] {
  const found: string[] = []
  for (const item of items) {
    if (item.type === 'Container')
      for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])])
        found.push(...violations(item, container.resources?.requests ?? {}, container.resources?.limits ?? {}))
    if (item.type === 'Pod') found.push(...violations(item, podRequests(spec), podLimits(spec)))
  }
  return found
}

/** apimachinery/pkg/util/errors: Aggregate. */
function aggregate(messages: readonly string[]): string {
  const distinct = [...new Set(messages)]
  return distinct.length === 1 ? distinct[0]! : `[${distinct.join(', ')}]`
}
