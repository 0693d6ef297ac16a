import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { unlessGone } from './bootstrap-token.ts'

export const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
export const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
export const REQUESTS: ResourceId = {
  group: 'certificates.k8s.io',
  version: 'v1',
  resource: 'certificatesigningrequests',
}
const LEASE_NAMESPACE = 'kube-node-lease'
const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING_SIGNER = 'kubernetes.io/kubelet-serving'
/** A Node whose lease is older counts as silent (node lifecycle, 40 s). */
const FRESH_MS = 40_000

export const getNode = (client: Client, name: string): Promise<KubeObject | undefined> =>
  unlessGone(client.get(NODES, '', name))
export const getLease = (client: Client, name: string): Promise<KubeObject | undefined> =>
  unlessGone(client.get(LEASES, LEASE_NAMESPACE, name))

export function readyReason(node: KubeObject | undefined): { ready: boolean; reason: string } {
  if (node === undefined) return { ready: false, reason: 'it has not registered its Node' }
  const conditions = (node['status']?.conditions ?? []) as { type: string; status: string; message?: string }[]
  const ready = conditions.find((c) => c.type === 'Ready')
  if (ready?.status === 'True') return { ready: true, reason: '' }
  return { ready: false, reason: `its Node is not Ready${ready?.message ? `: ${ready.message}` : ''}` }
}

/** The kubelet's last word was heard less than 40 s ago. */
export function isFresh(lease: KubeObject | undefined, now: number): boolean {
  const renewed = Date.parse((lease?.['spec']?.renewTime as string | undefined) ?? '')
  return Number.isFinite(renewed) && now - renewed < FRESH_MS
}

/** Removes Node, Lease and requests of a machine whose agent has ended. */
export async function forgetNode(client: Client, name: string): Promise<void> {
  await unlessGone(client.delete(NODES, '', name))
  await unlessGone(client.delete(LEASES, LEASE_NAMESPACE, name))
  for (const request of await requestsOf(client, name))
    await unlessGone(client.delete(REQUESTS, '', request.metadata.name!))
}

/** Requests that the machine made itself, by the token `tokenId` or by its first certificate. */
export async function requestsOf(client: Client, nodeName: string, tokenId?: string): Promise<KubeObject[]> {
  const { items } = await client.list(REQUESTS)
  return items.filter(({ spec }) => {
    const signer = spec?.signerName as string
    if (signer !== CLIENT_SIGNER && signer !== SERVING_SIGNER) return false
    return (
      spec?.username === `system:node:${nodeName}` ||
      (tokenId !== undefined && spec?.username === `system:bootstrap:${tokenId}`)
    )
  })
}

export type Certificates =
  | { state: 'signed' }
  | { state: 'waiting'; reason: string }
  | { state: 'refused'; reason: string }

/** How far the machine's two certificates are: as a client of the API server, and as a server of the kubelet API. */
export function certificatesState(requests: readonly KubeObject[]): Certificates {
  const names: readonly [signer: string, name: string][] = [
    [CLIENT_SIGNER, 'client certificate'],
    [SERVING_SIGNER, 'serving certificate'],
  ]
  const waiting: string[] = []
  for (const [signer, name] of names) {
    const own = requests.filter((r) => r['spec']?.signerName === signer)
    if (own.some((r) => r['status']?.certificate)) continue
    const conditions = own.flatMap((r) => (r['status']?.conditions ?? []) as { type: string; message?: string }[])
    const refused = conditions.find((c) => c.type === 'Denied' || c.type === 'Failed')
    if (refused !== undefined)
      return { state: 'refused', reason: `the ${name} was refused: ${refused.message || refused.type}` }
    if (own.length === 0) waiting.push(`it has not asked for its ${name}`)
    else if (conditions.some((c) => c.type === 'Approved')) waiting.push(`the ${name} is not signed yet`)
    else
      waiting.push(
        `the request for its ${name} waits for approval (kubectl certificate approve ${own[0]!.metadata.name})`,
      )
    break
  }
  return waiting.length === 0 ? { state: 'signed' } : { state: 'waiting', reason: waiting.join('; ') }
}
