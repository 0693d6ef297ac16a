import { timingSafeEqual } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { Clock } from '../feature.ts'
import type { AuthnVerdict, TokenAuthenticator } from './types.ts'

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const TYPE = 'bootstrap.kubernetes.io/token'
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

/** Bootstrap tokens: `id.secret`, kept as Secret `bootstrap-token-<id>` in kube-system. */
export function bootstrapTokenAuthenticator(
  lookup: (namespace: string, name: string) => KubeObject | undefined,
  clock: Clock,
): TokenAuthenticator {
  const deny = (reason: string): AuthnVerdict => ({ verdict: 'deny', by: 'bootstrap-token', reason })
  return {
    name: 'bootstrap-token',
    authenticateToken: (token) => {
      const match = TOKEN.exec(token)
      if (match === null) return { verdict: 'next' }
      const [, id, secret] = match
      const object = lookup('kube-system', `bootstrap-token-${id}`)
      if (object === undefined || object['type'] !== TYPE || object.metadata.deletionTimestamp)
        return deny('there is no such token')
      const field = (name: string): string =>
        Buffer.from((object['data']?.[name] as string | undefined) ?? '', 'base64').toString('utf8')
      const expected = Buffer.from(field('token-secret'))
      const given = Buffer.from(secret!)
      if (field('token-id') !== id || expected.length !== given.length || !timingSafeEqual(expected, given))
        return deny('the secret is wrong')
      const expiration = field('expiration')
      if (expiration !== '') {
        const until = Date.parse(expiration)
        if (Number.isNaN(until) || clock.now() >= until) return deny('the token has expired')
      }
      if (field('usage-bootstrap-authentication') !== 'true') return deny('the token is not for authentication')
      const groups = field('auth-extra-groups')
        .split(',')
        .filter((g) => g !== '')
      const bad = groups.find((g) => !GROUP.test(g))
      if (bad !== undefined) return deny(`the group ${JSON.stringify(bad)} is not one that bootstrap tokens may have`)
      return {
        verdict: 'allow',
        by: 'bootstrap-token',
        user: { name: `system:bootstrap:${id}`, groups: ['system:bootstrappers', ...groups, 'system:authenticated'] },
      }
    },
  }
}
