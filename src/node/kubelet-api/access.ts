import { ApiError } from '../../kernel/api/status.ts'
import { createAuthenticatorChain } from '../../kernel/authn/chain.ts'
import type { AuthnRequest, AuthnVerdict, UserInfo } from '../../kernel/authn/types.ts'
import { x509Authenticator } from '../../kernel/authn/x509.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import type { Clock } from '../../kernel/feature.ts'
import { AnswerCache } from './answer-cache.ts'

const TOKEN_REVIEWS: ResourceId = { group: 'authentication.k8s.io', version: 'v1', resource: 'tokenreviews' }
const ACCESS_REVIEWS: ResourceId = { group: 'authorization.k8s.io', version: 'v1', resource: 'subjectaccessreviews' }

/** What the API server said is believed this long: a revoked right ends within it. */
const BELIEVED_MS = 10_000

const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

/** Rights on subresources of `nodes` of which any one suffices, narrow ones first (KEP-2862). */
export function nodeSubresources(path: string): string[] {
  const under = (prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`)
  if (under('/stats')) return ['stats']
  if (under('/metrics')) return ['metrics']
  if (under('/logs')) return ['log']
  if (path === '/pods' || path === '/runningpods') return ['pods', 'proxy']
  if (under('/healthz')) return ['healthz', 'proxy']
  if (under('/configz')) return ['configz', 'proxy']
  return ['proxy']
}

/** '' for a method that is none of the API's: nobody has that right. */
export const verbOf = (method: string): string => VERBS[method] ?? ''

export type KubeletAccessOptions = {
  client: Client
  clock: Clock
  nodeName: string
  /** Serial number and fingerprint of certificates that were withdrawn. */
  isRevoked?: (serialNumber: string, fingerprint256: string) => boolean
}

export type KubeletAccess = {
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
  /** False also when the API server cannot be asked. Rejects never. */
  authorize: (user: UserInfo, method: string, path: string) => Promise<{ allowed: boolean; reason: string }>
}

/** Who may use this machine's kubelet API: the API server says it, by TokenReview and SubjectAccessReview. */
export function kubeletAccess(o: KubeletAccessOptions): KubeletAccess {
  const tokens = new AnswerCache<AuthnVerdict>(o.clock, BELIEVED_MS)
  const decisions = new AnswerCache<{ allowed: boolean; reason: string }>(o.clock, BELIEVED_MS)
  const chain = createAuthenticatorChain(
    [x509Authenticator({ clock: o.clock, isRevoked: o.isRevoked ?? (() => false) })],
    [
      {
        name: 'token-review',
        authenticateToken: (token) => tokens.get(token, () => reviewToken(o.client, token)),
      },
    ],
  )
  const ask = (user: UserInfo, verb: string, subresource: string): Promise<{ allowed: boolean; reason: string }> =>
    decisions.get(JSON.stringify([user, verb, subresource]), () =>
      reviewAccess(o.client, user, { verb, version: 'v1', resource: 'nodes', subresource, name: o.nodeName }),
    )
  return {
    authenticate: chain.authenticate,
    authorize: async (user, method, path) => {
      let last = { allowed: false, reason: '' }
      const verb = verbOf(method)
      if (verb === '') return last
      try {
        for (const subresource of nodeSubresources(path)) {
          last = await ask(user, verb, subresource)
          if (last.allowed) return last
        }
      } catch (error) {
        return { allowed: false, reason: `the API server did not say: ${(error as Error).message}` }
      }
      return last
    },
  }
}

type TokenStatus = {
  authenticated?: boolean
  user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> }
  error?: string
}

async function reviewToken(client: Client, token: string): Promise<AuthnVerdict> {
  const by = 'token-review'
  const review = await client.create(TOKEN_REVIEWS, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    metadata: {},
    spec: { token },
  })
  const { authenticated, user, error } = (review['status'] ?? {}) as TokenStatus
  if (authenticated !== true || !user?.username) return { verdict: 'deny', by, reason: error ?? 'the token is unknown' }
  const { username: name, uid, groups = [], extra } = user
  return {
    verdict: 'allow',
    by,
    user: { name, groups, ...(uid === undefined ? {} : { uid }), ...(extra === undefined ? {} : { extra }) },
  }
}

async function reviewAccess(
  client: Client,
  { name, uid, groups, extra }: UserInfo,
  resourceAttributes: Record<string, string>,
): Promise<{ allowed: boolean; reason: string }> {
  const spec = { user: name, groups: [...groups], ...(uid === undefined ? {} : { uid }), resourceAttributes }
  const review = await client.create(ACCESS_REVIEWS, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    metadata: {},
    spec: extra === undefined ? spec : { ...spec, extra: extra as Record<string, string[]> },
  })
  const status = review['status'] as { allowed?: boolean; denied?: boolean; reason?: string } | undefined
  if (status === undefined) throw new ApiError('InternalError', 'the review has no status')
  return { allowed: status.allowed === true && status.denied !== true, reason: status.reason ?? '' }
}
