import type { IncomingHttpHeaders } from 'node:http'
import { badRequest } from '../api/status.ts'
import type { Attributes } from '../authz/types.ts'
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
const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/
const ANONYMOUS_NAME = 'system:anonymous'

/** Undefined when the request impersonates nobody. Throws BadRequest for groups, uid or extra without a user. */
export function parseImpersonation(headers: IncomingHttpHeaders): Impersonation | undefined {
  const name = one(headers['impersonate-user'])
  const uid = one(headers['impersonate-uid'])
  const groups = many(headers['impersonate-group'])
  const extra: Record<string, string[]> = {}
  for (const header of Object.keys(headers)) {
    if (!header.startsWith(EXTRA)) continue
    const key = decodeKey(header.slice(EXTRA.length))
    Object.defineProperty(extra, key, {
      value: many(headers[header]),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  if (name === undefined || name === '') {
    if (groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0)
      throw badRequest('requested impersonation of groups, uid or extra without impersonating a user')
    return undefined
  }
  return { name, uid, groups, extra, user: impersonatedUser(name, uid, groups, extra) }
}

const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

/** Node joins repeated headers of one name with ', '. */
function many(value: string | string[] | undefined): string[] {
  if (value === undefined) return []
  return (Array.isArray(value) ? value : value.split(', ')).filter((v) => v !== '')
}

/** Keys may be percent-encoded, as header names cannot hold every character. */
function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key).toLowerCase()
  } catch {
    return key
  }
}

function impersonatedUser(
  name: string,
  uid: string | undefined,
  groups: readonly string[],
  extra: Record<string, string[]>,
): UserInfo {
  const all = new Set(groups)
  const account = SERVICE_ACCOUNT.exec(name)
  if (account !== null && groups.length === 0) {
    all.add('system:serviceaccounts')
    all.add(`system:serviceaccounts:${account[1]}`)
  }
  if (name === ANONYMOUS_NAME) all.add('system:unauthenticated')
  else if (!all.has('system:unauthenticated')) all.add('system:authenticated')
  return {
    name,
    groups: [...all],
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
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
  const account = SERVICE_ACCOUNT.exec(wanted.name)
  const checks = [
    account === null ? check('', 'users', wanted.name) : check('', 'serviceaccounts', account[2]!, account[1]!),
  ]
  for (const group of wanted.groups) checks.push(check('', 'groups', group))
  for (const [key, values] of Object.entries(wanted.extra))
    for (const value of values) checks.push(check('authentication.k8s.io', 'userextras', value, '', key))
  if (wanted.uid !== undefined) checks.push(check('authentication.k8s.io', 'uids', wanted.uid))
  return checks
}
