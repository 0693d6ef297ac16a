import type { JsonObject } from '../../api/object.ts'
import type { Operation, Path } from './operations.ts'
import { PATCH_BODY, QUERY_PARAMETERS } from './operations.ts'
import { refIn } from './publish.ts'

const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]

/** OpenAPI v2 Path Item Object. */
export function pathItemV2({ parameters, operations }: Path): JsonObject {
  const out: JsonObject = {}
  for (const operation of operations) out[operation.method] = operationV2(operation)
  if (parameters.length > 0)
    out['parameters'] = parameters.map((name) => ({
      name,
      in: 'path',
      description: name === 'name' ? 'Name of the object.' : 'Namespace of the object.',
      required: true,
      type: 'string',
      uniqueItems: true,
    }))
  return out
}

function operationV2(operation: Operation): JsonObject {
  const { group, version } = operation.gvk
  const parameters: JsonObject[] = operation.query.map((name) => ({
    name,
    in: 'query',
    description: QUERY_PARAMETERS[name].description,
    type: QUERY_PARAMETERS[name].type,
    uniqueItems: true,
  }))
  if (operation.body !== undefined)
    parameters.unshift({
      name: 'body',
      in: 'body',
      ...(operation.method === 'delete' ? {} : { required: true }),
      schema: { $ref: refIn('v2', operation.body) },
    })
  const schema = operation.answer === undefined ? { type: 'string' } : { $ref: refIn('v2', operation.answer) }
  return {
    tags: [`${group === '' ? 'core' : group.replace(/\.k8s\.io$/, '')}_${version}`],
    description: operation.description,
    operationId: operation.id,
    produces: ['application/json', 'application/yaml'],
    consumes: operation.body === PATCH_BODY ? PATCHES : ['*/*'],
    parameters,
    responses: { '200': { description: 'OK', schema }, '401': { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.gvk,
  }
}
