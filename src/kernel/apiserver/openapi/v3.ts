import type { JsonObject } from '../../api/object.ts'
import type { Operation, Path } from './operations.ts'
import { PATCH_BODY, QUERY_PARAMETERS } from './operations.ts'
import { refIn } from './publish.ts'

const MEDIA = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'] as const
const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
] as const

/** OpenAPI v3 Path Item Object. Parameters stand inside operations: clients do not follow references to them. */
export function pathItemV3({ parameters, operations }: Path): JsonObject {
  const out: JsonObject = {}
  for (const operation of operations) out[operation.method] = operationV3(operation)
  if (parameters.length > 0)
    out['parameters'] = parameters.map((name) => ({
      name,
      in: 'path',
      description: name === 'name' ? 'Name of the object.' : 'Namespace of the object.',
      required: true,
      schema: { type: 'string', uniqueItems: true },
    }))
  return out
}

function operationV3(operation: Operation): JsonObject {
  const { group, version } = operation.gvk
  const out: JsonObject = {
    tags: [`${group === '' ? 'core' : group.replace(/\.k8s\.io$/, '')}_${version}`],
    description: operation.description,
    operationId: operation.id,
    parameters: operation.query.map((name) => ({
      name,
      in: 'query',
      description: QUERY_PARAMETERS[name].description,
      schema: { type: QUERY_PARAMETERS[name].type, uniqueItems: true },
    })),
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.gvk,
  }
  if (operation.body !== undefined) {
    const schema = { $ref: refIn('v3', operation.body) }
    const media = operation.body === PATCH_BODY ? PATCHES : (['*/*'] as const)
    out['requestBody'] = {
      content: Object.fromEntries(media.map((type) => [type, { schema }])),
      ...(operation.method === 'delete' ? {} : { required: true }),
    }
  }
  const ok: JsonObject = { description: 'OK' }
  if (operation.answer !== undefined) {
    const schema = { $ref: refIn('v3', operation.answer) }
    ok['content'] = Object.fromEntries(MEDIA.map((type) => [type, { schema }]))
  }
  out['responses'] = { '200': ok, '401': { description: 'Unauthorized' } }
  return out
}
