import { timingSafeEqual } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { Clock } from '../feature.ts'
import type { AuthnVerdict, TokenAuthenticator } from './types.ts'

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const NAMESPACE = 'kube-system'
const TYPE = 'bootstrap.kubernetes.io/token'
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

/**
 * Bootstrap tokens `ID.SECRET`, kept as Secret `bootstrap-token-ID` in kube-system (Kubernetes: Authenticating with
 * Bootstrap Tokens). Reasons name the token's id, never its secret.
 */
export function bootstrapTokenAuthenticator(
  lookup: (namespace: string, name: string) => KubeObject | undefined,
  clock: Clock,
): TokenAuthenticator {
  return {
    name: 'bootstrap-token',
    authenticateToken: (token) => {
      const match = TOKEN.exec(token)
      if (match === null) return { verdict: 'next' }
      const [, id = '', secret = ''] = match
      const object = lookup(NAMESPACE, `bootstrap-token-${id}`)
      const checked = object === undefined ? 'there is no such token' : check(object, id, secret, clock.now())
      if (typeof checked === 'string') return denied(id, checked)
      return {
        verdict: 'allow',
        by: 'bootstrap-token',
        user: {
          name: `system:bootstrap:${id}`,
          groups: [...new Set(['system:bootstrappers', ...checked, 'system:authenticated'])],
        },
      }
    },
  }
}

function denied(id: string, reason: string): AuthnVerdict {
  return { verdict: 'deny', by: 'bootstrap-token', reason: `token ${id}: ${reason}` }
}

/** The token's further groups; a text says why it does not count. */
function check(object: KubeObject, id: string, secret: string, now: number): string[] | string {
  const field = (name: string): string => {
    const value: unknown = object['data']?.[name]
    return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : ''
  }
  if (object.metadata.deletionTimestamp) return 'it is being deleted'
  if (object['type'] !== TYPE) return `its Secret is not of type ${TYPE}`
  if (!sameSecret(field('token-secret'), secret)) return 'the secret is wrong'
  if (field('token-id') !== id) return 'its Secret is for another id'
  if (hasExpired(field('expiration'), now)) return 'it has expired'
  if (field('usage-bootstrap-authentication') !== 'true') return 'it is not for authentication'
  const groups = field('auth-extra-groups')
    .split(',')
    .map((g) => g.trim())
    .filter((g) => g !== '')
  const bad = groups.find((g) => !GROUP.test(g))
  return bad === undefined ? groups : `${JSON.stringify(bad)} is no group that bootstrap tokens may have`
}

function sameSecret(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** No time: never. A time that cannot be read: long ago. */
function hasExpired(expiration: string, now: number): boolean {
  if (expiration === '') return false
  return !RFC3339.test(expiration) || !(now < Date.parse(expiration))
}
