import type { KubeObject } from '../api/object.ts'
import { ApiError, forbidden } from '../api/status.ts'
import type { Client } from '../client/client.ts'
import type { Lookup } from './lookup.ts'
import { refusal } from './refusal.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

const IMMORTAL: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public'])
const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' }

/**
 * Nothing is created in a namespace that is missing or on its way out, and three namespaces cannot be deleted
 * (Kubernetes' NamespaceLifecycle).
 */
export function namespaceLifecycle(options: { lookup: Lookup; client: Pick<Client, 'get'> }): AdmissionStep {
  const { lookup, client } = options
  return {
    name: 'NamespaceLifecycle',
    handles: ({ operation, definition }) => {
      if (definition.group === '' && definition.plural === 'namespaces') return operation === 'DELETE'
      if (!definition.namespaced || (operation !== 'CREATE' && operation !== 'UPDATE')) return false
      // Refusing these would tell who may not see the namespace whether it exists.
      return !(definition.group === 'authorization.k8s.io' && definition.plural === 'localsubjectaccessreviews')
    },
    mutate: (request) => {
      if (request.operation === 'DELETE') {
        if (IMMORTAL.has(request.name))
          throw forbidden('', 'namespaces', request.name, 'this namespace may not be deleted')
        return undefined
      }
      const namespace = lookup.get('', 'namespaces', '', request.namespace)
      if (namespace !== undefined) return admitInto(namespace, request)
      // Another API server may have created it a moment ago; rejects with NotFound when nobody did.
      return client.get(NAMESPACES, '', request.namespace).then((found) => admitInto(found, request))
    },
  }
}

function admitInto(namespace: KubeObject, request: AdmissionRequest): void {
  if (request.operation !== 'CREATE' || namespace['status']?.phase !== 'Terminating') return
  const { namespace: name } = request
  const error = refusal(request, `unable to create new content in namespace ${name} because it is being terminated`)
  throw new ApiError('Forbidden', error.message, {
    ...error.details,
    causes: [
      { reason: 'NamespaceTerminating', message: `namespace ${name} is being terminated`, field: 'metadata.namespace' },
    ],
  })
}
