import { badRequest } from '../api/status.ts'

/** What a path and method ask for (k8s.io/apiserver/pkg/endpoints/request.RequestInfo). */
export type RequestInfo = {
  path: string
  query: URLSearchParams
  /** Kubernetes' verb: get, list, watch, create, update, patch, delete, deletecollection, or the method for non-resources. */
  verb: string
} & (
  | { isResource: false }
  | {
      isResource: true
      group: string
      version: string
      namespace: string
      resource: string
      subresource: string
      name: string
      /** Path segments behind the subresource (proxy). */
      rest: string[]
    }
)

const VERBS: Record<string, string> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

/** Subresources of namespaces are not resources inside the namespace. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])

/**
 * Throws BadRequest for paths that could mean two things: `.`, `..`, empty segments, encoded slashes, NUL.
 */
export function parseRequest(method: string, url: string): RequestInfo {
  const question = url.indexOf('?')
  const path = question < 0 ? url : url.slice(0, question)
  const query = new URLSearchParams(question < 0 ? '' : url.slice(question + 1))
  if (!path.startsWith('/')) throw badRequest('the request target must be a path')
  const segments = splitPath(path)
  const nonResource: RequestInfo = { path, query, verb: method.toLowerCase(), isResource: false }

  let group = ''
  let version: string
  let at: number
  if (segments[0] === 'api' && segments.length >= 3) {
    version = segments[1]!
    at = 2
  } else if (segments[0] === 'apis' && segments.length >= 4) {
    group = segments[1]!
    version = segments[2]!
    at = 3
  } else return nonResource

  let namespace = ''
  let parts = segments.slice(at)
  let isWatchPath = false
  if (parts[0] === 'watch' && parts.length > 1) {
    isWatchPath = true
    parts = parts.slice(1)
  }
  if (parts[0] === 'namespaces' && parts.length > 2 && !(NAMESPACE_SUBRESOURCES.has(parts[2]!) && group === '')) {
    namespace = parts[1]!
    parts = parts.slice(2)
  } else if (parts[0] === 'namespaces' && parts.length >= 2) namespace = parts[1]!
  const resource = parts[0]!
  const name = parts[1] ?? ''
  const subresource = parts[2] ?? ''

  let verb = VERBS[method] ?? method.toLowerCase()
  if (name === '') {
    if (verb === 'get') verb = 'list'
    if (verb === 'delete') verb = 'deletecollection'
  }
  if ((verb === 'list' || (verb === 'get' && isWatchPath)) && (isWatchPath || isTrue(query.get('watch'))))
    verb = 'watch'
  return {
    path,
    query,
    verb,
    isResource: true,
    group,
    version,
    namespace,
    resource,
    subresource,
    name,
    rest: parts.slice(3),
  }
}

/** Go's strconv.ParseBool, with "watch" alone counting as true as Kubernetes has it. */
export function isTrue(value: string | null): boolean {
  return (
    value !== null &&
    value !== 'false' &&
    value !== '0' &&
    value !== 'f' &&
    value !== 'F' &&
    value !== 'FALSE' &&
    value !== 'False'
  )
}

function splitPath(path: string): string[] {
  const raw = path.split('/')
  raw.shift()
  if (raw.at(-1) === '') raw.pop()
  if (!path.includes('%') && !path.includes('..') && !path.includes('//')) return raw
  return raw.map((segment) => {
    if (segment === '') throw badRequest('the path has an empty segment')
    let decoded: string
    try {
      decoded = decodeURIComponent(segment)
    } catch {
      throw badRequest('the path has a broken percent-encoding')
    }
    if (decoded === '.' || decoded === '..' || decoded.includes('/') || decoded.includes('\0'))
      throw badRequest(`the path segment ${JSON.stringify(segment)} is not allowed`)
    return decoded
  })
}
