import { isIP } from 'node:net'
import type { ParsedCertificateRequest } from '../../tls/index.ts'
import { NODE_USER_PREFIX, NODES_GROUP } from '../identity.ts'

/** Bearers of a token that was made for one machine are in `system:bootstrappers:rampart:node:NAME`. */
export const BOOTSTRAP_GROUP_PREFIX = 'system:bootstrappers:rampart:node:'
/** Leaves of machines live a week; who wants longer asks a person. */
export const MAX_LIFETIME_SECONDS: number = 7 * 24 * 3600

export const KUBELET_CLIENT = 'kubernetes.io/kube-apiserver-client-kubelet'
export const KUBELET_SERVING = 'kubernetes.io/kubelet-serving'

export type Asked = {
  signerName: string
  usages: readonly string[]
  expirationSeconds: number | undefined
  username: string
  groups: readonly string[]
  request: ParsedCertificateRequest
}

export type Judgement =
  | { verdict: 'approve'; permission: 'nodeclient' | 'selfnodeclient' | 'selfnodeserver'; why: string }
  /** For a person to decide; `why` is undefined when the request is none of the approver's business. */
  | { verdict: 'wait'; why: string | undefined }

const wait = (why?: string): Judgement => ({ verdict: 'wait', why })

/**
 * What may be approved without asking anybody: a machine's first client certificate by the token that was made for it,
 * renewals by the machine itself, and a serving certificate for its own name and for the addresses that its operator gave
 * it at its join (`addresses`; the machine cannot change those).
 */
export function judge(asked: Asked, addresses: (nodeName: string) => readonly string[] | undefined): Judgement {
  const { signerName, request, username, groups } = asked
  if (signerName !== KUBELET_CLIENT && signerName !== KUBELET_SERVING) return wait()
  if (!request.commonName.startsWith(NODE_USER_PREFIX)) return wait('the common name is not that of a machine')
  const node = request.commonName.slice(NODE_USER_PREFIX.length)
  const isSelf = username === request.commonName && groups.includes(NODES_GROUP)
  const isBootstrap = groups.includes(BOOTSTRAP_GROUP_PREFIX + node)
  if (!isSelf && !isBootstrap) return wait(`${username} asks for a certificate of the machine ${node}`)
  const life = lifetimeProblem(asked.expirationSeconds)
  if (life !== undefined) return wait(life)
  const key = request.publicKey
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'ed25519' && key.asymmetricKeyType !== 'rsa')
    return wait(`keys of type ${key.asymmetricKeyType} are not approved by rule`)
  if (signerName === KUBELET_CLIENT)
    return isSelf
      ? { verdict: 'approve', permission: 'selfnodeclient', why: `${node} renews its client certificate` }
      : { verdict: 'approve', permission: 'nodeclient', why: `${node} joins with the token that was made for it` }
  if (!isSelf) return wait('a serving certificate is given to the machine itself only')
  const foreign = foreignNames(request, node, addresses(node))
  if (foreign !== undefined) return wait(foreign)
  return { verdict: 'approve', permission: 'selfnodeserver', why: `${node} serves its own name and addresses` }
}

function lifetimeProblem(seconds: number | undefined): string | undefined {
  if (seconds === undefined) return 'spec.expirationSeconds is not set'
  if (seconds > MAX_LIFETIME_SECONDS)
    return `spec.expirationSeconds is ${seconds}; by rule at most ${MAX_LIFETIME_SECONDS} (7 days) are approved`
  return undefined
}

function foreignNames(
  { sans }: ParsedCertificateRequest,
  node: string,
  addresses: readonly string[] | undefined,
): string | undefined {
  if (addresses === undefined)
    return `it is not known which addresses ${node} has: it did not join by "rampart node add"`
  const own = new Set(addresses.map(canonical))
  const names = sans.dns.filter((name) => name !== node)
  const others = sans.ip.filter((address) => !own.has(canonical(address)))
  const foreign = [...names, ...others]
  return foreign.length === 0 ? undefined : `${foreign.join(', ')} is not known to be ${node}`
}

/** IPv6 addresses have many spellings. */
function canonical(address: string): string {
  if (isIP(address) !== 6) return address
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}
