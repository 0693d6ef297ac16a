import type { KubeObject } from '../api/object.ts'
import { authenticateToken } from './chain.ts'
import type { TokenAuthenticator } from './types.ts'

/** Fills the status of an authentication.k8s.io/v1 TokenReview; the token itself is never sent back. */
export async function answerTokenReview(
  review: KubeObject,
  tokens: readonly TokenAuthenticator[],
): Promise<KubeObject> {
  const spec = (review['spec'] ?? {}) as { token?: string; audiences?: string[] }
  const shown = { ...review, spec: { ...spec, token: undefined } }
  if (!spec.token)
    return { ...shown, status: { authenticated: false, error: 'token is required for TokenReview in authentication' } }
  const verdict = await authenticateToken(spec.token, spec.audiences ?? [], tokens)
  if (verdict.verdict !== 'allow')
    return {
      ...shown,
      status: { authenticated: false, error: verdict.verdict === 'deny' ? verdict.reason : 'invalid bearer token' },
    }
  const { user } = verdict
  return {
    ...shown,
    status: {
      authenticated: true,
      user: {
        username: user.name,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: [...user.groups],
        ...(user.extra === undefined ? {} : { extra: user.extra }),
      },
      ...(verdict.audiences?.length ? { audiences: [...verdict.audiences] } : {}),
    },
  }
}
