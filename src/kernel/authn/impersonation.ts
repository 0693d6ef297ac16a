import type { IncomingHttpHeaders } from 'node:http'
import { badRequest } from '../api/status.ts'
import type { Attributes } from '../authz/types.ts'
import { splitServiceAccountName } from './service-account-name.ts'
import type { UserInfo } from './types.ts'

/** What the Impersonate-* headers ask for (Kubernetes: user impersonation). */
export type Impersonation = {
  /** The user as whom the request is served once the checks pass. */
  user: UserInfo
  name: string
  uid: string | undefined
  groups: readonly string[]
  extra: Readonly<Record<string, readonly string[]>>
}

const EXTRA = 'impersonate-extra-'
const ANONYMOUS_NAME = 'system:anonymous'
const AUTHENTICATED = 'system:authenticated'
const UNAUTHENTICATED = 'system:unauthenticated'

/** A bound on the authorization checks that one request can ask for. */
const MAX_CHECKS = 500

/**
 * Undefined when the request impersonates nobody. Throws BadRequest for groups, uid or extra without a user, and for
 * more of them than anybody needs.
 */
export function parseImpersonation(headers: IncomingHttpHeaders): Impersonation | undefined {
  let extra: Record<string, string[]> | undefined
  for (const header in headers)
    if (header.startsWith(EXTRA)) {
      extra ??= {}
      const key = extraKey(header.slice(EXTRA.length))
      // defineProperty: a key may be `__proto__`.
      Object.defineProperty(extra, key, {
        value: many(headers[header]),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
  const name = one(headers['impersonate-user'])
  const uid = one(headers['impersonate-uid'])
  const groupHeader = headers['impersonate-group']
  if (name === undefined) {
    if (groupHeader === undefined && uid === undefined && extra === undefined) return undefined
    throw badRequest('requested impersonation of groups, uid or extra without impersonating a user')
  }
  const groups = many(groupHeader)
  const values = Object.values(extra ?? {}).reduce((count, list) => count + list.length, 0)
  if (groups.length + values > MAX_CHECKS)
    throw badRequest(`impersonation of more than ${MAX_CHECKS} groups and extra values at once`)
  return { name, uid, groups, extra: extra ?? {}, user: impersonatedUser(name, uid, groups, extra) }
}

function one(value: string | string[] | undefined): string | undefined {
  const text = Array.isArray(value) ? value[0] : value
  return text === undefined || text === '' ? undefined : utf8(text)
}

/**
 * Node joins repeated headers of one name with ', '. A value that holds ', ' itself comes apart; that can only lead to
 * more checks, since each part is one.
 */
function many(value: string | string[] | undefined): string[] {
  if (value === undefined) return []
  return (Array.isArray(value) ? value : value.split(', ')).filter((v) => v !== '').map(utf8)
}

/** Node reads headers as Latin-1, Kubernetes' clients write UTF-8. */
function utf8(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text
  const decoded = Buffer.from(text, 'latin1').toString('utf8')
  return decoded.includes('\ufffd') ? text : decoded
}

/** Header names ignore case and cannot hold every character: keys are lower case, then percent-decoded. */
function extraKey(encoded: string): string {
  const lower = encoded.toLowerCase()
  if (lower === '') throw badRequest('the header Impersonate-Extra- names no key')
  try {
    return decodeURIComponent(lower)
  } catch {
    return lower // not percent-encoded after all: Kubernetes takes it as it is
  }
}

function impersonatedUser(
  name: string,
  uid: string | undefined,
  groups: readonly string[],
  extra: Record<string, string[]> | undefined,
): UserInfo {
  const all = new Set(groups)
  const account = splitServiceAccountName(name)
  if (account !== undefined && groups.length === 0) {
    all.add('system:serviceaccounts')
    all.add(`system:serviceaccounts:${account.namespace}`)
  }
  if (name === ANONYMOUS_NAME) all.add(UNAUTHENTICATED)
  else if (!all.has(UNAUTHENTICATED)) all.add(AUTHENTICATED)
  return {
    name,
    groups: [...all],
    ...(uid === undefined ? {} : { uid }),
    ...(extra === undefined ? {} : { extra }),
  }
}

/** Every one of these must be allowed to the caller before the impersonated user takes over. */
export function impersonationChecks(wanted: Impersonation, caller: UserInfo): Attributes[] {
  const check = (apiGroup: string, resource: string, name: string, namespace = '', subresource = ''): Attributes => ({
    resourceRequest: true,
    user: caller,
    verb: 'impersonate',
    apiGroup,
    apiVersion: 'v1',
    resource,
    subresource,
    namespace,
    name,
  })
  const account = splitServiceAccountName(wanted.name)
  const checks = [
    account === undefined
      ? check('', 'users', wanted.name)
      : check('', 'serviceaccounts', account.name, account.namespace),
  ]
  for (const group of wanted.groups) checks.push(check('', 'groups', group))
  for (const [key, values] of Object.entries(wanted.extra))
    for (const value of values) checks.push(check('authentication.k8s.io', 'userextras', value, '', key))
  if (wanted.uid !== undefined) checks.push(check('authentication.k8s.io', 'uids', wanted.uid))
  return checks
}
