import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import type { Clock } from '../../../kernel/feature.ts'

export const SECRETS: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const NAMESPACE = 'kube-system'
const LIFETIME_MS = 15 * 60_000
const NODE_LABEL = 'rampart.dev/node'
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

export type BootstrapToken = { id: string; secret: string }

/** 6 and 16 characters, each from a CSPRNG without bias: `randomInt(36)` of node:crypto. */
export function newToken(randomInt: (below: number) => number): BootstrapToken {
  const text = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]!).join('')
  return { id: text(6), secret: text(16) }
}

/**
 * The Secret of a token that makes its bearer a member of `system:bootstrappers:rampart:node:NAME`, for 15 minutes
 * (Kubernetes: Authenticating with Bootstrap Tokens).
 */
export function tokenSecret(token: BootstrapToken, nodeName: string, now: number): KubeObject {
  const data = {
    'token-id': token.id,
    'token-secret': token.secret,
    'usage-bootstrap-authentication': 'true',
    'auth-extra-groups': `system:bootstrappers:rampart:node:${nodeName}`,
    expiration: new Date(now + LIFETIME_MS).toISOString(),
    description: `first certificates of the machine ${nodeName}`,
  }
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `bootstrap-token-${token.id}`, namespace: NAMESPACE, labels: { [NODE_LABEL]: nodeName } },
    type: 'bootstrap.kubernetes.io/token',
    data: Object.fromEntries(Object.entries(data).map(([k, v]) => [k, Buffer.from(v).toString('base64')])),
  }
}

/** Makes a token that only this machine is given; those of earlier tries end. */
export async function createToken(
  client: Client,
  nodeName: string,
  clock: Clock,
  randomInt: (below: number) => number,
): Promise<BootstrapToken> {
  await deleteTokens(client, nodeName)
  for (;;) {
    const token = newToken(randomInt)
    try {
      await client.create(SECRETS, tokenSecret(token, nodeName, clock.now()))
      return token
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error
    }
  }
}

/** Every token that was made for the machine. */
export async function deleteTokens(client: Client, nodeName: string): Promise<void> {
  const { items } = await client.list(SECRETS, { namespace: NAMESPACE, labelSelector: `${NODE_LABEL}=${nodeName}` })
  for (const { metadata, type } of items)
    if (type === 'bootstrap.kubernetes.io/token') await unlessGone(client.delete(SECRETS, NAMESPACE, metadata.name!))
}

/** undefined when the object is not there. */
export async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'NotFound') return undefined
    throw error
  }
}
