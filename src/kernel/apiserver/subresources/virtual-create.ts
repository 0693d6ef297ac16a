import type { KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import { checkReview } from '../compile-kind.ts'
import type { WriteParameters } from '../core.ts'
import { admissionRequest } from '../verbs/admission-request.ts'
import { bindNamespace } from '../verbs/create.ts'
import type { VirtualHandler, VirtualRequest } from '../virtual.ts'

/**
 * POST of what is answered and not stored. It passes admission as every CREATE does: a TokenRequest, Binding or Eviction
 * as the subresource's own kind, a review as its resource (kube-apiserver's create handler knows no difference).
 */
export async function createVirtual(
  handler: VirtualHandler,
  subresource: string,
  request: VirtualRequest,
  parameters: WriteParameters,
): Promise<KubeObject> {
  const { core, kind, namespace, body, caller } = request
  const foreign = subresource === '' ? undefined : kind.subresource(subresource)?.kind
  if (foreign === undefined) bindNamespace(kind, body, namespace)
  else bindForeignNamespace(body, namespace)
  if (typeof handler !== 'function') handler.defaults?.(body)
  const admitted = admissionRequest(
    'CREATE',
    kind,
    {
      subresource,
      kind: foreign,
      namespace: kind.definition.namespaced ? namespace : '',
      name: request.name || (body.metadata.name ?? ''),
      object: body,
      oldObject: undefined,
    },
    parameters,
    caller,
  )
  const mutating = core.admission.mutate(admitted)
  if (mutating) await mutating
  const changed = { ...request, body: admitted.object! }
  if (foreign === undefined) checkReview(kind, changed.body)
  if (typeof handler !== 'function') handler.prepare(changed)
  const validating = core.admission.validate(admitted)
  if (validating) await validating
  return typeof handler === 'function' ? handler(changed) : handler.answer(changed)
}

/** k8s.io/apiserver rest.EnsureObjectNamespaceMatchesRequestNamespace. */
function bindForeignNamespace({ metadata }: KubeObject, namespace: string): void {
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  if (namespace !== '') metadata.namespace = namespace
}
