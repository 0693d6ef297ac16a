import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector } from '../../api/selectors.ts'
import { badRequest, invalid } from '../../api/status.ts'
import type { Kind } from '../kind.ts'

type ScalePaths = { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string }

const BUILT_IN: ScalePaths = { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' }

function at(object: unknown, path: string): unknown {
  let value = object
  for (const field of path.split('.').slice(1)) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, field)) return undefined
    value = (value as Record<string, unknown>)[field]
  }
  return value
}

function setAt(object: KubeObject, path: string, value: number): void {
  const fields = path.split('.').slice(1)
  let target = object as Record<string, unknown>
  for (const field of fields.slice(0, -1)) {
    if (!Object.hasOwn(target, field) || typeof target[field] !== 'object' || target[field] === null)
      Object.defineProperty(target, field, { value: {}, enumerable: true, configurable: true, writable: true })
    target = target[field] as Record<string, unknown>
  }
  target[fields.at(-1)!] = value
}

/** autoscaling/v1 Scale of an object of a kind with that subresource. */
export function scaleOf(kind: Kind, object: KubeObject): KubeObject {
  const paths = kind.definition.scale ?? BUILT_IN
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const selector = selectorOf(kind, object, paths)
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      creationTimestamp,
    },
    spec: { replicas: Number(at(object, paths.specReplicasPath) ?? 0) },
    status: { replicas: Number(at(object, paths.statusReplicasPath) ?? 0), ...(selector === '' ? {} : { selector }) },
  }
}

function selectorOf(kind: Kind, object: KubeObject, paths: ScalePaths): string {
  if (kind.definition.custom) return String(paths.labelSelectorPath ? (at(object, paths.labelSelectorPath) ?? '') : '')
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
  const replicas: unknown = scale['spec']?.replicas ?? 0
  if (scale.kind !== 'Scale') throw badRequest(`expected a Scale, got ${scale.kind}`)
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) throw badRequest('spec.replicas must be an integer')
  if (replicas < 0)
    throw invalid('autoscaling', 'Scale', object.metadata.name ?? '', [
      {
        type: 'FieldValueInvalid',
        field: 'spec.replicas',
        value: replicas,
        detail: 'must be greater than or equal to 0',
      },
    ])
  if (scale.metadata?.resourceVersion) object.metadata.resourceVersion = scale.metadata.resourceVersion
  setAt(object, (kind.definition.scale ?? BUILT_IN).specReplicasPath, replicas)
  return object
}
