import type { Lookup } from '../../../kernel/admission/lookup.ts'
import { refusal } from '../../../kernel/admission/refusal.ts'
import type { AdmissionRequest, AdmissionStep } from '../../../kernel/admission/types.ts'
import type { Json, KubeObject } from '../../../kernel/api/object.ts'
import { notFound } from '../../../kernel/api/status.ts'
import type { Client } from '../../../kernel/client/client.ts'
import { jsonEqual } from '../../../kernel/merge/json-value.ts'
import { nodeIdentity } from '../identity.ts'
import { isMirrorPod, podReferences } from '../pod-references.ts'
import { NODE_LEASES, PODS } from '../resource-ids.ts'
import { forbiddenLabelChanges } from './labels.ts'

export type NodeRestrictionOptions = {
  lookup: Pick<Lookup, 'get'>
  /** Asked for a pod that the memory does not know (yet). */
  client: Pick<Client, 'get'>
}

/** What is looked at; other resources are left to the authorizer. */
const RESOURCES: ReadonlySet<string> = new Set([
  '/pods',
  '/nodes',
  '/serviceaccounts',
  '/persistentvolumeclaims',
  'coordination.k8s.io/leases',
  'storage.k8s.io/csinodes',
])

/**
 * Kubernetes' NodeRestriction: a machine writes its own Node (not its taints, nor labels that steer workloads), status of
 * its own pods, mirror pods that refer to nothing, tokens bound to its own pods, its own Lease.
 */
export function nodeRestriction(options: NodeRestrictionOptions): AdmissionStep {
  return {
    name: 'NodeRestriction',
    handles: ({ operation, definition }) =>
      operation !== 'CONNECT' && RESOURCES.has(`${definition.group}/${definition.plural}`),
    validate: (request) => {
      const identity = nodeIdentity(request.user)
      if (!identity.isNode) return
      const node = identity.name
      if (node === '') throw refusal(request, `could not determine node from user "${request.user.name}"`)
      switch (`${request.definition.group}/${request.definition.plural}`) {
        case '/pods':
          return admitPod(options, node, request)
        case '/nodes':
          return admitNode(node, request)
        case '/serviceaccounts':
          return admitToken(options, node, request)
        case '/persistentvolumeclaims':
          return admitClaim(node, request)
        case 'coordination.k8s.io/leases':
          return admitLease(node, request)
        default:
          return admitCsiNode(node, request)
      }
    },
  }
}

async function podOf({ lookup, client }: NodeRestrictionOptions, namespace: string, name: string): Promise<KubeObject> {
  return lookup.get('', 'pods', namespace, name) ?? (await client.get(PODS, namespace, name))
}

async function admitPod(options: NodeRestrictionOptions, node: string, request: AdmissionRequest): Promise<void> {
  const { operation, subresource, namespace, name, object, oldObject } = request
  const quoted = JSON.stringify(node)
  if (subresource === 'status') {
    if (operation !== 'UPDATE') throw refusal(request, `unexpected operation "${operation}"`)
    if (oldObject!['spec']?.nodeName !== node)
      throw refusal(request, `node ${quoted} can only update pod status for pods with spec.nodeName set to itself`)
    if (!jsonEqual((oldObject!.metadata.labels ?? {}) as Json, (object!.metadata.labels ?? {}) as Json))
      throw refusal(request, `node ${quoted} cannot update labels through pod status`)
    const claims = (pod: KubeObject): Json => pod['status']?.resourceClaimStatuses ?? []
    if (!jsonEqual(claims(oldObject!), claims(object!)))
      throw refusal(request, `node ${quoted} cannot update resource claim statues`)
    return
  }
  if (subresource === 'eviction') {
    const podName = name || (object?.metadata.name ?? '')
    if (podName === '') throw refusal(request, 'could not determine pod from request data')
    const pod = await podOf(options, namespace, podName)
    if (pod['spec']?.nodeName !== node)
      throw refusal(request, `node ${node} can only evict pods with spec.nodeName set to itself`)
    return
  }
  if (subresource !== '')
    throw refusal(request, `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`)
  if (operation === 'CREATE') return admitMirrorPod(options, node, request)
  if (operation !== 'DELETE')
    throw refusal(request, `unexpected operation "${operation}", node ${quoted} can only create and delete mirror pods`)
  const pod = oldObject ?? (await podOf(options, namespace, name))
  if (pod['spec']?.nodeName !== node)
    throw refusal(request, `node ${quoted} can only delete pods with spec.nodeName set to itself`)
}

type Owner = { apiVersion?: string; kind?: string; name?: string; uid?: string; controller?: boolean }
type OwnerReference = Owner & { blockOwnerDeletion?: boolean }

function admitMirrorPod({ lookup }: NodeRestrictionOptions, node: string, request: AdmissionRequest): void {
  const pod = request.object!
  const who = `node ${JSON.stringify(node)}`
  const refuse = (why: string): never => {
    throw refusal(request, why)
  }
  if (!isMirrorPod(pod))
    refuse(`pod does not have "kubernetes.io/config.mirror" annotation, ${who} can only create mirror pods`)
  if (pod['spec']?.nodeName !== node) refuse(`${who} can only create pods with spec.nodeName set to itself`)
  const owners = (pod.metadata.ownerReferences ?? []) as OwnerReference[]
  if (owners.length > 1) refuse(`${who} can only create pods with a single owner reference set to itself`)
  const owner = owners[0]
  if (owner === undefined || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node)
    refuse(`${who} can only create pods with an owner reference set to itself`)
  if (owner!.controller !== true) refuse(`${who} can only create pods with a controller owner reference set to itself`)
  if (owner!.blockOwnerDeletion === true) refuse(`${who} must not set blockOwnerDeletion on an owner reference`)
  const self = lookup.get('', 'nodes', '', node)
  if (self === undefined) throw notFound('', 'nodes', node)
  if (owner!.uid !== self.metadata.uid)
    refuse(`node ${node} UID mismatch: expected ${owner!.uid} got ${self.metadata.uid}`)
  for (const reference of podReferences(pod)) {
    const kind = reference.slice(0, reference.indexOf('/'))
    refuse(`${who} can not create pods that reference ${kind === 'serviceaccounts' ? 'a service account' : kind}`)
  }
  type Volume = { projected?: { sources?: { clusterTrustBundle?: object }[] } }
  for (const { projected } of (pod['spec']?.volumes ?? []) as Volume[])
    if (projected?.sources?.some(({ clusterTrustBundle }) => clusterTrustBundle !== undefined))
      refuse(`${who} can not create pods that reference clustertrustbundles`)
}

function admitNode(node: string, request: AdmissionRequest): void {
  const { operation, object, oldObject } = request
  const name = request.name || (object?.metadata.name ?? '')
  const quoted = JSON.stringify(node)
  if (name !== node) throw refusal(request, `node ${quoted} is not allowed to modify node ${JSON.stringify(name)}`)
  if (operation !== 'CREATE' && operation !== 'UPDATE') return
  const source = object!['spec']?.configSource as Json | undefined
  if (operation === 'CREATE') {
    if (source !== undefined)
      throw refusal(request, `node ${quoted} is not allowed to create pods with a non-nil configSource`)
    const forbidden = forbiddenLabelChanges(object!.metadata.labels)
    if (forbidden.length > 0)
      throw refusal(request, `node ${quoted} is not allowed to set the following labels: ${forbidden.join(', ')}`)
    return
  }
  if (source !== undefined && !jsonEqual(source, oldObject!['spec']?.configSource ?? null))
    throw refusal(request, `node ${quoted} is not allowed to update configSource to a new non-nil configSource`)
  const taints = (of: KubeObject): Json => of['spec']?.taints ?? []
  if (!jsonEqual(taints(object!), taints(oldObject!)))
    throw refusal(request, `node ${quoted} is not allowed to modify taints`)
  const forbidden = forbiddenLabelChanges(object!.metadata.labels, oldObject!.metadata.labels)
  if (forbidden.length > 0) throw refusal(request, `is not allowed to modify labels: ${forbidden.join(', ')}`)
}

async function admitToken(options: NodeRestrictionOptions, node: string, request: AdmissionRequest): Promise<void> {
  if (request.operation !== 'CREATE' || request.subresource !== 'token') return
  type Bound = { apiVersion?: string; kind?: string; name?: string; uid?: string }
  const bound = request.object!['spec']?.boundObjectRef as Bound | undefined
  if (bound?.apiVersion !== 'v1' || bound.kind !== 'Pod' || !bound.name)
    throw refusal(request, 'node requested token not bound to a pod')
  if (!bound.uid) throw refusal(request, 'node requested token with a pod binding without a uid')
  const pod = await podOf(options, request.namespace, bound.name)
  if (bound.uid !== pod.metadata.uid)
    throw refusal(
      request,
      `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  if (pod['spec']?.nodeName !== node)
    throw refusal(request, 'node requested token bound to a pod scheduled on a different node')
}

/** Capacity and conditions are the machine's to report; everything else of the claim is not. */
function admitClaim(node: string, request: AdmissionRequest): void {
  if (request.subresource !== 'status') throw refusal(request, 'may only update PVC status')
  if (request.operation !== 'UPDATE') throw refusal(request, `unexpected operation "${request.operation}"`)
  const rest = (claim: KubeObject): Json => {
    const { resourceVersion: _v, managedFields: _m, ...metadata } = claim.metadata
    const {
      capacity: _c,
      conditions: _d,
      allocatedResources: _r,
      allocatedResourceStatuses: _s,
      ...status
    } = claim['status'] ?? {}
    return { ...claim, metadata, status } as unknown as Json
  }
  if (!jsonEqual(rest(request.oldObject!), rest(request.object!)))
    throw refusal(
      request,
      `node ${JSON.stringify(node)} is not allowed to update fields other than status.capacity and status.conditions`,
    )
}

function admitLease(node: string, request: AdmissionRequest): void {
  if (request.namespace !== NODE_LEASES)
    throw refusal(request, `can only access leases in the "${NODE_LEASES}" system namespace`)
  const name = request.operation === 'CREATE' ? request.object!.metadata.name : request.name
  if (name !== node) throw refusal(request, 'can only access node lease with the same name as the requesting node')
}

function admitCsiNode(node: string, request: AdmissionRequest): void {
  const name = request.operation === 'CREATE' ? request.object!.metadata.name : request.name
  if (name !== node) throw refusal(request, 'can only access CSINode with the same name as the requesting node')
}
