import type { KubeObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import { authenticateToken } from './chain.ts'
import type { TokenAuthenticator, UserInfo } from './types.ts'

/**
 * Fills the status of an authentication.k8s.io/v1 TokenReview; the token itself is not sent back. A token counts only for
 * an audience that was asked for; one whose authenticator knows no audiences is for `apiAudiences`. Rejects with
 * BadRequest when there is no token.
 */
export async function answerTokenReview(
  review: KubeObject,
  tokens: readonly TokenAuthenticator[],
  apiAudiences: readonly string[] = [],
): Promise<KubeObject> {
  const { token, audiences = [], ...spec } = (review['spec'] ?? {}) as { token?: string; audiences?: string[] | null }
  if (!token) throw badRequest('token is required for TokenReview in authentication')
  const wanted = audiences ?? []
  const answer = (status: object): KubeObject => ({
    ...review,
    spec: { ...spec, ...(wanted.length > 0 ? { audiences: wanted } : {}) },
    status,
  })
  const verdict = await authenticateToken(token, wanted, tokens)
  if (verdict.verdict !== 'allow')
    return answer({
      user: {},
      error: verdict.verdict === 'deny' ? `invalid bearer token: ${verdict.reason}` : 'invalid bearer token',
    })
  const known = verdict.audiences ?? apiAudiences
  const accepted = wanted.length > 0 ? known.filter((a) => wanted.includes(a)) : known
  if (wanted.length > 0 && accepted.length === 0)
    return answer({ user: {}, error: `invalid bearer token: it is not for ${JSON.stringify(wanted)}` })
  return answer({
    authenticated: true,
    user: userOf(verdict.user),
    ...(accepted.length > 0 ? { audiences: [...accepted] } : {}),
  })
}

function userOf(user: UserInfo): object {
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  }
}
