import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { readScale, type Scale, writeScale } from '../../resources/custom/index.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import type { Kind } from '../kind.ts'

/** Where the built-in kinds that scale have their replicas; their selector is no text and is written out below. */
const BUILT_IN = { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' }

function scaled(kind: Kind): ResourceDefinition {
  return kind.definition.custom ? kind.definition : { ...kind.definition, scale: BUILT_IN }
}

/** autoscaling/v1 Scale of an object of a kind with that subresource. */
export function scaleOf(kind: Kind, object: KubeObject): Scale {
  const scale = readScale(object, scaled(kind))
  const selector = kind.definition.custom ? '' : selectorOf(kind, object)
  if (selector !== '') scale.status.selector = selector
  return scale
}

function selectorOf(kind: Kind, object: KubeObject): string {
  const selector = object['spec']?.selector
  if (kind.definition.kind === 'ReplicationController')
    return Object.entries((selector ?? {}) as Record<string, string>)
      .map(([k, v]) => `${k}=${v}`)
      .sort()
      .join(',')
  return (compileLabelSelector(selector) ?? [])
    .map((r) => {
      const values = [...r.values].sort()
      if (r.operator === 'exists') return r.key
      if (r.operator === '!') return `!${r.key}`
      return r.operator === 'in' && values.length === 1
        ? `${r.key}=${values[0]}`
        : `${r.key} ${r.operator} (${values.join(',')})`
    })
    .sort()
    .join(',')
}

/** The object with the replicas that a written Scale asks for. */
export function withScale(kind: Kind, object: KubeObject, scale: KubeObject): KubeObject {
  writeScale(object, scaled(kind), scale)
  if (scale.metadata?.resourceVersion) object.metadata.resourceVersion = scale.metadata.resourceVersion
  return object
}
