import { ApiError, badRequest, notFound } from '../../api/status.ts'
import { namespaceOf, type ResourceRequest } from '../http/resource-request.ts'
import { current } from '../verbs/update.ts'

/** Subresources that lead to what runs behind the object, and never to the object itself. */
export const CONNECT: ReadonlySet<string> = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

/**
 * Always rejects with ApiError. What a pod without a node is answered is Kubernetes' sentence; without machines nothing
 * is behind the others either. The object's own content is not for who may only connect.
 */
export async function connect(r: ResourceRequest): Promise<never> {
  const { core, kind, info } = r
  const { group, plural } = kind.definition
  const entry = await current(core, kind, namespaceOf(r), info.name)
  if (entry === undefined) throw notFound(group, plural, info.name)
  const object = entry.shared()
  if (plural === 'services')
    throw new ApiError('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(info.name)}`)
  const { nodeName } = (object['spec'] ?? {}) as { nodeName?: string }
  if (plural === 'pods' && !nodeName) throw badRequest(`pod ${info.name} does not have a host assigned`)
  const node = plural === 'pods' ? nodeName : info.name
  throw new ApiError('ServiceUnavailable', `node ${JSON.stringify(node)} has no kubelet that this API server can reach`)
}
