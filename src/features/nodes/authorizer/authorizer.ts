import type { Attributes, Authorizer, Decision } from '../../../kernel/authz/types.ts'
import { nodeIdentity } from '../identity.ts'
import { NODE_LEASES } from '../resource-ids.ts'
import type { NodeGraph } from './graph.ts'

type ResourceAttributes = Extract<Attributes, { resourceRequest: true }>
/** Undefined: allowed; a text: why not. */
type Refusal = string | undefined

const AUTHORIZER_NAME = 'node'

const oneOf = (...verbs: string[]): ReadonlySet<string> => new Set(verbs)
const READ = oneOf('get', 'list', 'watch')
const LEASE_VERBS = oneOf('get', 'create', 'update', 'patch', 'delete')

/** What every machine may do alike, `group/resource[/subresource]` to verbs (bootstrappolicy.NodeRules). */
const UNIFORM: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['authentication.k8s.io/tokenreviews', oneOf('create')],
  ['authorization.k8s.io/subjectaccessreviews', oneOf('create')],
  ['authorization.k8s.io/localsubjectaccessreviews', oneOf('create')],
  ['/services', READ],
  ['/events', oneOf('create', 'patch', 'update')],
  ['/endpoints', oneOf('get')],
  ['certificates.k8s.io/certificatesigningrequests', oneOf('create', 'get', 'list', 'watch')],
  ['storage.k8s.io/csidrivers', READ],
  ['node.k8s.io/runtimeclasses', READ],
])

/**
 * Holds each machine to its own Node, pods, and what those pods refer to (Kubernetes' Node authorizer, with
 * AuthorizeNodeWithSelectors as in 1.32). It never denies: what it does not allow, RBAC may.
 */
export function nodeAuthorizer(graph: NodeGraph): Authorizer {
  return {
    name: AUTHORIZER_NAME,
    authorize: (attributes): Decision => {
      const identity = nodeIdentity(attributes.user)
      if (!identity.isNode) return { verdict: 'next' }
      if (identity.name === '') return { verdict: 'next', reason: `unknown node for user "${attributes.user.name}"` }
      if (!attributes.resourceRequest) return { verdict: 'next' }
      const refusal = judge(graph, identity.name, attributes)
      if (refusal !== undefined) return refusal === '' ? { verdict: 'next' } : { verdict: 'next', reason: refusal }
      return {
        verdict: 'allow',
        by: { authorizer: AUTHORIZER_NAME, reason: reasonOf(identity.name, attributes), node: identity.name },
      }
    },
    rulesFor: (user) => ({
      resourceRules: [],
      nonResourceRules: [],
      ...(nodeIdentity(user).isNode ? { incomplete: 'node authorizer does not support user rule resolution' } : {}),
    }),
  }
}

const reasonOf = (node: string, a: ResourceAttributes): string =>
  `Node authorizer: ${a.verb} ${a.resource}${a.subresource === '' ? '' : `/${a.subresource}`}${
    a.name === '' ? '' : ` "${a.name}"`
  } belongs to node "${node}"`

function judge(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  switch (`${a.apiGroup}/${a.resource}`) {
    case '/secrets':
    case '/configmaps':
      return namespacedRead(graph, node, a)
    case '/persistentvolumeclaims':
      return a.subresource === 'status' ? claimStatus(graph, node, a) : single(graph, node, a)
    case '/serviceaccounts':
      return token(graph, node, a)
    case 'coordination.k8s.io/leases':
      return lease(node, a)
    case 'storage.k8s.io/csinodes':
      return csiNode(node, a)
    case '/nodes':
      return nodeObject(node, a)
    case '/pods':
      return pod(graph, node, a)
    default: {
      const key = `${a.apiGroup}/${a.resource}${a.subresource === '' ? '' : `/${a.subresource}`}`
      return UNIFORM.get(key)?.has(a.verb) ? undefined : ''
    }
  }
}

function related(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (a.name === '') return 'No Object name found'
  if (graph.isRelated(node, a.resource, a.namespace, a.name)) return undefined
  return `no relationship found between node '${node}' and this object`
}

function namespacedRead(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (!READ.has(a.verb)) return 'can only read resources of this type'
  if (a.subresource !== '') return 'cannot read subresource'
  if (a.namespace === '') return 'can only read namespaced object of this type'
  return related(graph, node, a)
}

function single(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (a.verb !== 'get') return 'can only get individual resources of this type'
  if (a.subresource !== '') return 'cannot get subresource'
  return related(graph, node, a)
}

function claimStatus(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (a.verb !== 'update' && a.verb !== 'patch') return 'can only get/update/patch this type'
  return related(graph, node, a)
}

function token(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (a.verb !== 'create' || a.name === '') return 'can only create tokens for individual service accounts'
  if (a.subresource !== 'token') return 'can only create token subresource of serviceaccount'
  return related(graph, node, a)
}

/** The name is not known on create: admission (NodeRestriction) looks at it. */
function lease(node: string, a: ResourceAttributes): Refusal {
  if (!LEASE_VERBS.has(a.verb)) return 'can only get, create, update, patch, or delete a node lease'
  if (a.namespace !== NODE_LEASES) return `can only access leases in the "${NODE_LEASES}" system namespace`
  if (a.verb !== 'create' && a.name !== node)
    return 'can only access node lease with the same name as the requesting node'
  return undefined
}

function csiNode(node: string, a: ResourceAttributes): Refusal {
  if (!LEASE_VERBS.has(a.verb)) return 'can only get, create, update, patch, or delete a CSINode'
  if (a.subresource !== '') return 'cannot authorize CSINode subresources'
  if (a.verb !== 'create' && a.name !== node) return 'can only access CSINode with the same name as the requesting node'
  return undefined
}

/** Whose Node is written is for NodeRestriction to say. */
function nodeObject(node: string, a: ResourceAttributes): Refusal {
  const writes = a.verb === 'update' || a.verb === 'patch'
  if (a.subresource === 'status') return writes ? undefined : ''
  if (a.subresource !== '') return ''
  if (writes || a.verb === 'create') return undefined
  if (!READ.has(a.verb)) return ''
  if (a.name === node) return undefined
  return a.name === ''
    ? `node '${node}' cannot read all nodes, only its own Node object`
    : `node '${node}' cannot read '${a.name}', only its own Node object`
}

function pod(graph: NodeGraph, node: string, a: ResourceAttributes): Refusal {
  if (a.subresource === 'status') return a.verb === 'update' || a.verb === 'patch' ? undefined : ''
  if (a.subresource === 'eviction') return a.verb === 'create' ? undefined : ''
  if (a.subresource !== '') return ''
  if (a.verb === 'create' || a.verb === 'delete') return undefined
  if (a.verb === 'get') return single(graph, node, a)
  if (a.verb !== 'list' && a.verb !== 'watch') return ''
  if (a.fieldSelector?.some(({ field, value, equal }) => field === 'spec.nodeName' && equal && value === node))
    return undefined
  return a.name === '' ? 'can only list/watch pods with spec.nodeName field selector' : related(graph, node, a)
}
