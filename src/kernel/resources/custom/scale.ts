import type { KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, invalid } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { isJsonObject, setOwn } from './json.ts'
import { evaluateJsonPath, fieldNames, parseJsonPath } from './json-path.ts'

/** autoscaling/v1 Scale. */
export type Scale = KubeObject & {
  spec: { replicas: number }
  status: { replicas: number; selector?: string }
}

const internal = (message: string): ApiError =>
  new ApiError('InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] })

function pathsOf(definition: ResourceDefinition): NonNullable<ResourceDefinition['scale']> {
  if (definition.scale === undefined) throw new Error(`${definition.plural} has no scale subresource`)
  return definition.scale
}

function integerAt(object: KubeObject, path: string): number | undefined {
  const [value] = evaluateJsonPath(parseJsonPath(path), object)
  if (value === undefined || value === null) return undefined
  if (!Number.isInteger(value)) throw internal(`the field "${path}" is not an integer`)
  return value as number
}

/** The Scale of a custom object. Throws InternalError when the object has no replicas, as Kubernetes does. */
export function readScale(object: KubeObject, definition: ResourceDefinition): Scale {
  const { specReplicasPath, statusReplicasPath, labelSelectorPath } = pathsOf(definition)
  const replicas = integerAt(object, specReplicasPath)
  if (replicas === undefined) throw internal(`the spec replicas field "${specReplicasPath}" does not exist`)
  const [selector] = labelSelectorPath ? evaluateJsonPath(parseJsonPath(labelSelectorPath), object) : []
  if (selector !== undefined && typeof selector !== 'string')
    throw internal(`the field "${labelSelectorPath}" is not a string`)
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
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
    spec: { replicas },
    status: { replicas: integerAt(object, statusReplicasPath) ?? 0, ...(selector ? { selector } : {}) },
  }
}

/** Sets the replicas of `object`, in place, to those of `scale`. Throws BadRequest or Invalid. */
export function writeScale(object: KubeObject, definition: ResourceDefinition, scale: KubeObject): void {
  if (scale.kind !== 'Scale') throw badRequest(`wrong object passed to Scale update: ${scale.kind}`)
  const replicas: unknown = scale.spec?.replicas ?? 0
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) throw badRequest('spec.replicas must be an integer')
  if (replicas < 0)
    throw invalid('autoscaling', 'Scale', object.metadata.name ?? '', [
      {
        type: 'FieldValueInvalid',
        field: 'spec.replicas',
        value: replicas,
        detail: 'should be a non-negative integer',
      },
    ])
  const { specReplicasPath } = pathsOf(definition)
  const names = fieldNames(parseJsonPath(specReplicasPath)) ?? []
  const last = names.pop()
  if (last === undefined) throw internal(`"${specReplicasPath}" names no field`)
  let holder: Record<string, unknown> = object
  for (const name of names) {
    if (!Object.hasOwn(holder, name) || !isJsonObject(holder[name])) setOwn(holder as never, name, {})
    holder = holder[name] as Record<string, unknown>
  }
  setOwn(holder as never, last, replicas)
}
