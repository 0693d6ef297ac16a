import { splitServiceAccountName } from '../../../kernel/authn/service-account-name.ts'
import type { Access, ObservedAccess } from './access.ts'

/** Why an event tells nothing about the rights that somebody needs. */
export type Ignored =
  | 'stage'
  | 'unauthenticated'
  | 'not authorized'
  | 'undecided'
  | 'wildcard in the request'
  | 'refused impersonation'

export type AuditEventReading =
  | { kind: 'accesses'; auditID: string; stage: string; accesses: ObservedAccess[]; denied: boolean }
  | { kind: 'ignored'; why: Ignored }
  | { kind: 'broken'; what: string }

export type AuditEventOptions = {
  /** Take refused requests, too: what was missing. */
  includeDenied: boolean
}

/** Kept short: names in Kubernetes are at most 253 bytes long, user names may be longer. */
const MAX_TEXT = 4096

class Broken extends Error {}

/**
 * What an audit.k8s.io/v1 Event shows to be needed. Counted are requests that were answered (ResponseComplete, Panic) or
 * that last (ResponseStarted of watches and the like; the caller must not count them again at their end).
 *
 * A request was authorized when its annotation says so; without one, when its status is that of something that only
 * happens behind the authorizer. Nothing with a star in it is taken over: as a rule it would allow more than itself.
 */
export function readAuditEvent(value: unknown, options: AuditEventOptions): AuditEventReading {
  try {
    return readEvent(objectOf(value, 'the event'), options)
  } catch (error) {
    if (error instanceof Broken) return { kind: 'broken', what: error.message }
    throw error
  }
}

function readEvent(event: JsonMap, options: AuditEventOptions): AuditEventReading {
  // Items of a list need not say what they are.
  if ((event['kind'] ?? 'Event') !== 'Event' || (event['apiVersion'] ?? 'audit.k8s.io/v1') !== 'audit.k8s.io/v1')
    throw new Broken('it is not an audit.k8s.io/v1 Event')
  const stage = text(event, 'stage')
  if (stage !== 'ResponseComplete' && stage !== 'ResponseStarted' && stage !== 'Panic')
    return { kind: 'ignored', why: 'stage' }
  const caller = userOf(event['user'], 'user')
  if (caller.name === '') return { kind: 'ignored', why: 'unauthenticated' }
  const impersonated =
    event['impersonatedUser'] == null ? undefined : userOf(event['impersonatedUser'], 'impersonatedUser')
  const verb = text(event, 'verb')
  const code = codeOf(event)
  const decision = decisionOf(event, code)
  if (decision === 'undecided') return { kind: 'ignored', why: 'undecided' }
  const denied = decision === 'denied'
  if (denied && impersonated === undefined && verb !== 'impersonate' && says(event, 'cannot impersonate resource'))
    return { kind: 'ignored', why: 'refused impersonation' }
  const at = timeOf(event)
  const observed = (user: User, access: Access): ObservedAccess => ({
    user: user.name,
    groups: user.groups,
    at,
    access,
  })
  const accesses: ObservedAccess[] = []
  // The caller got past the question whether it may impersonate, whatever came after.
  if (impersonated !== undefined)
    for (const access of impersonationAccesses(impersonated)) accesses.push(observed(caller, access))
  if (!denied || options.includeDenied)
    for (const access of accessesOf(event, verb, code)) accesses.push(observed(impersonated ?? caller, access))
  else if (accesses.length === 0) return { kind: 'ignored', why: 'not authorized' }
  const exact = accesses.filter(({ access }) => !hasWildcard(access))
  if (exact.length === 0) return { kind: 'ignored', why: 'wildcard in the request' }
  return { kind: 'accesses', auditID: optionalText(event, 'auditID'), stage, accesses: exact, denied }
}

/**
 * 401 and 429 come before the authorizer, 403 from it (or, with the annotation, from admission). 404, 409, 410 and 422
 * are the answers of resources to those who may ask.
 */
function decisionOf(event: JsonMap, code: number): 'allowed' | 'denied' | 'undecided' {
  const annotations = event['annotations'] == null ? {} : objectOf(event['annotations'], 'annotations')
  const noted = annotations['authorization.k8s.io/decision']
  if (noted === 'allow') return 'allowed'
  if (noted === 'forbid' || code === 403) return 'denied'
  return (code >= 100 && code < 400) || code === 404 || code === 409 || code === 410 || code === 422
    ? 'allowed'
    : 'undecided'
}

/** The authorizer's sentence tells which of the questions that a request raises was answered with no. */
function says(event: JsonMap, words: string): boolean {
  const status = event['responseStatus']
  const message = status == null ? undefined : objectOf(status, 'responseStatus')['message']
  return typeof message === 'string' && message.includes(words)
}

function accessesOf(event: JsonMap, verb: string, code: number): Access[] {
  if (event['objectRef'] == null) return [{ verb, path: pathOf(text(event, 'requestURI')) }]
  const ref = objectOf(event['objectRef'], 'objectRef')
  const subresource = optionalText(ref, 'subresource')
  const access = {
    verb,
    apiGroup: optionalText(ref, 'apiGroup'),
    resource: subresource === '' ? text(ref, 'resource') : `${text(ref, 'resource')}/${subresource}`,
    namespace: optionalText(ref, 'namespace'),
    name: optionalText(ref, 'name'),
  }
  // A write to an object that is not there yet must be allowed to create it, too.
  const writes = subresource === '' && (verb === 'patch' || verb === 'update')
  const creates = writes && (code === 201 || (code === 403 && says(event, 'cannot create resource')))
  return creates ? [access, { ...access, verb: 'create' }] : [access]
}

/** What the caller needs to act as somebody else; groups that the server adds by itself were not asked for. */
function impersonationAccesses(user: User): Access[] {
  const impersonate = (apiGroup: string, resource: string, name: string, namespace = ''): Access => ({
    verb: 'impersonate',
    apiGroup,
    resource,
    namespace,
    name,
  })
  const account = splitServiceAccountName(user.name)
  const added = new Set(['system:authenticated'])
  if (user.name === 'system:anonymous') added.add('system:unauthenticated')
  if (account !== undefined)
    for (const group of ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`]) added.add(group)
  return [
    account === undefined
      ? impersonate('', 'users', user.name)
      : impersonate('', 'serviceaccounts', account.name, account.namespace),
    ...user.groups.filter((group) => !added.has(group)).map((group) => impersonate('', 'groups', group)),
    ...(user.uid === '' ? [] : [impersonate('authentication.k8s.io', 'uids', user.uid)]),
    ...user.extra.map(([key, value]) => impersonate('authentication.k8s.io', `userextras/${key}`, value)),
  ]
}

function hasWildcard(access: Access): boolean {
  return 'path' in access
    ? access.path.includes('*') || access.verb.includes('*')
    : access.verb.includes('*') || access.apiGroup.includes('*') || access.resource.includes('*')
}

type JsonMap = Record<string, unknown>
type User = { name: string; groups: readonly string[]; uid: string; extra: [key: string, value: string][] }

function userOf(value: unknown, what: string): User {
  const user = objectOf(value, what)
  const groups = user['groups'] ?? []
  if (!Array.isArray(groups) || groups.some((group) => typeof group !== 'string'))
    throw new Broken(`${what}.groups is not a list of texts`)
  const extra = Object.entries(user['extra'] == null ? {} : objectOf(user['extra'], `${what}.extra`))
  return {
    name: optionalText(user, 'username'),
    groups,
    uid: optionalText(user, 'uid'),
    extra: extra.flatMap(([key, values]) =>
      (Array.isArray(values) ? values : []).filter((v) => typeof v === 'string').map((v): [string, string] => [key, v]),
    ),
  }
}

function codeOf(event: JsonMap): number {
  const status = event['responseStatus']
  const code = status == null ? undefined : objectOf(status, 'responseStatus')['code']
  return typeof code === 'number' ? code : 0
}

function timeOf(event: JsonMap): number {
  for (const field of ['requestReceivedTimestamp', 'stageTimestamp']) {
    const at = Date.parse(optionalText(event, field))
    if (!Number.isNaN(at)) return at
  }
  throw new Broken('it has no time (requestReceivedTimestamp)')
}

/** The authorizer sees the path without its query, percent-decoded. */
function pathOf(uri: string): string {
  const path = uri.split('?', 1)[0]!
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

function objectOf(value: unknown, what: string): JsonMap {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Broken(`${what} is not an object`)
  return value as JsonMap
}

function text(from: JsonMap, field: string): string {
  const value = optionalText(from, field)
  if (value === '') throw new Broken(`it has no ${field}`)
  return value
}

function optionalText(from: JsonMap, field: string): string {
  const value = from[field] ?? ''
  if (typeof value !== 'string') throw new Broken(`${field} is not a text`)
  if (value.length > MAX_TEXT) throw new Broken(`${field} is longer than ${MAX_TEXT} characters`)
  return value
}
