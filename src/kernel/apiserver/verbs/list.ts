import {
  fieldMatcher,
  matchesSelector,
  parseFieldSelector,
  parseLabelSelector,
  type Selector,
} from '../../api/selectors.ts'
import { type ApiError, badRequest, expired, type FieldError, invalid } from '../../api/status.ts'
import { CompactedError, FutureRevisionError, type Store } from '../../store/store.ts'
import type { Entry } from '../cache/entry.ts'
import type { KeptList } from '../cache/resource-cache.ts'
import { tooLargeResourceVersion, type WatchCache } from '../cache/watch-cache.ts'
import type { Kind } from '../kind.ts'

/** metav1.ListOptions as it arrives. */
export type ListParameters = {
  namespace: string
  labelSelector?: string
  fieldSelector?: string
  limit?: number
  continue?: string
  resourceVersion?: string
  resourceVersionMatch?: string
}

export type ListPage = {
  entries: readonly Entry[]
  revision: number
  continue?: string
  remainingItemCount?: number
  /** Set when these are all objects of a scope as they are now, for readers that share its bytes. */
  whole?: WholeList
}

/** `version` names the scope and its state; `kept` is where the resource keeps the bytes of its last list. */
export type WholeList = { version: string; kept: KeptList }

export type Filter = {
  /** Undefined: everything. */
  matches: ((entry: Entry) => boolean) | undefined
  /** Set when the field selector pins one name: the lookup needs no scan. */
  name: string | undefined
}

export function compileFilter(
  kind: Kind,
  labelSelector: string | undefined,
  fieldSelector: string | undefined,
): Filter {
  const labels: Selector = labelSelector ? parseLabelSelector(labelSelector) : []
  const fields = fieldSelector ? parseFieldSelector(fieldSelector) : []
  const name = fields.find((f) => f.field === 'metadata.name' && f.equal)?.value
  const others = fields.filter((f) => f.field !== 'metadata.name' && f.field !== 'metadata.namespace')
  const onObject = others.length > 0 ? fieldMatcher(others, kind.definition.selectableFields ?? {}) : undefined
  const onEntry = fields
    .filter((f) => f.field === 'metadata.name' || f.field === 'metadata.namespace')
    .map(({ field, equal, value }) =>
      field === 'metadata.name'
        ? (entry: Entry): boolean => (entry.name === value) === equal
        : (entry: Entry): boolean => (entry.namespace === value) === equal,
    )
  if (labels.length === 0 && fields.length === 0) return { matches: undefined, name: undefined }
  return {
    name,
    matches: (entry) =>
      onEntry.every((check) => check(entry)) &&
      matchesSelector(labels, entry.labels) &&
      (onObject === undefined || onObject(kind.view(entry))),
  }
}

type ContinueToken = { v: 'meta.k8s.io/v1'; rv: number; start: string }

function encodeContinue(revision: number, start: string): string {
  const token: ContinueToken = { v: 'meta.k8s.io/v1', rv: revision, start }
  return Buffer.from(JSON.stringify(token)).toString('base64url')
}

function decodeContinue(text: string): ContinueToken {
  const refuse = (): never => {
    throw badRequest('continue key is not valid: it was not issued by this server')
  }
  let token: unknown
  try {
    token = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    return refuse()
  }
  const { v, rv, start } = (token ?? {}) as Partial<ContinueToken>
  if (v !== 'meta.k8s.io/v1' || typeof start !== 'string' || start === '' || start.includes('..')) return refuse()
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv < -1) return refuse()
  return { v, rv, start }
}

/** '' stays undefined; anything but a decimal number is refused as Kubernetes does. */
export function parseResourceVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,16}$/.test(text))
    throw invalidOptions([
      {
        type: 'FieldValueInvalid',
        field: 'resourceVersion',
        value: text,
        detail: `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
      },
    ])
  return Number(text)
}

export function invalidOptions(errors: FieldError[]): ApiError {
  return invalid('meta.k8s.io', 'ListOptions', '', errors)
}

function checkMatch(p: ListParameters): void {
  const { resourceVersion, resourceVersionMatch: match } = p
  if (!match) return
  const forbid = (detail: string): never => {
    throw invalidOptions([{ type: 'FieldValueForbidden', field: 'resourceVersionMatch', detail }])
  }
  if (p.continue) forbid('resourceVersionMatch is forbidden when continue is provided')
  if (!resourceVersion) forbid('resourceVersionMatch is forbidden unless resourceVersion is provided')
  if (match !== 'Exact' && match !== 'NotOlderThan')
    throw invalidOptions([
      {
        type: 'FieldValueNotSupported',
        field: 'resourceVersionMatch',
        value: match,
        detail: 'supported values: "Exact", "NotOlderThan"',
      },
    ])
  if (match === 'Exact' && resourceVersion === '0')
    forbid('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
}

/** Lists from memory; pages and exact reads of the past come from the store's history. */
export async function list(cache: WatchCache, store: Store, kind: Kind, p: ListParameters): Promise<ListPage> {
  checkMatch(p)
  const limit = p.limit !== undefined && p.limit > 0 ? p.limit : 0
  const filter = compileFilter(kind, p.labelSelector, p.fieldSelector)
  const version = parseResourceVersion(p.resourceVersion)

  if (p.continue) {
    if (version !== undefined && version !== 0)
      throw badRequest('specifying resource version is not allowed when using continue')
    const token = decodeContinue(p.continue)
    if (token.rv === -1) {
      await cache.fresh()
      return fromMemory(cache, kind, p.namespace, filter, limit, token.start)
    }
    return at(cache, store, kind, p.namespace, filter, limit, token.rv, token.start, true)
  }
  const exact =
    p.resourceVersionMatch === 'Exact' ||
    (limit > 0 && !p.resourceVersionMatch && version !== undefined && version !== 0)
  if (exact) return at(cache, store, kind, p.namespace, filter, limit, version!, '', false)
  if (version === undefined) await cache.fresh()
  else if (version > 0) await cache.waitFor(version)
  return fromMemory(cache, kind, p.namespace, filter, limit, '')
}

function fromMemory(
  cache: WatchCache,
  kind: Kind,
  namespace: string,
  filter: Filter,
  limit: number,
  start: string,
): ListPage {
  const resource = cache.resource(kind.prefix)
  const revision = cache.revision
  if (filter.name !== undefined && (namespace !== '' || !kind.definition.namespaced)) {
    const entry = resource.get(namespace === '' ? filter.name : `${namespace}/${filter.name}`)
    return { entries: entry !== undefined && filter.matches!(entry) ? [entry] : [], revision }
  }
  const [from, to] = resource.range(namespace, start)
  const entries: Entry[] = []
  for (let i = from; i < to; i++) {
    const entry = resource.at(i)
    if (filter.matches !== undefined && !filter.matches(entry)) continue
    if (limit > 0 && entries.length === limit) return page(entries, revision, filter, to - i)
    entries.push(entry)
  }
  if (filter.matches === undefined && start === '')
    return { entries, revision, whole: { version: `${namespace}@${resource.lastChange}`, kept: resource.keptList } }
  return { entries, revision }
}

function page(entries: Entry[], revision: number, filter: Filter, remaining: number): ListPage {
  return {
    entries,
    revision,
    continue: encodeContinue(revision, `${entries.at(-1)!.key}\0`),
    // With a selector the count of what is left is not known without reading it: Kubernetes leaves it out too.
    ...(filter.matches === undefined ? { remainingItemCount: remaining } : {}),
  }
}

/** Entries that are read at once from the store's history when a filter may drop many of them. */
const HISTORY_PAGE = 500

async function at(
  cache: WatchCache,
  store: Store,
  kind: Kind,
  namespace: string,
  filter: Filter,
  limit: number,
  revision: number,
  start: string,
  continued: boolean,
): Promise<ListPage> {
  const resource = cache.resource(kind.prefix)
  if (revision <= cache.revision && resource.lastChange <= revision && !(await compacted(store, revision)))
    return reissue(fromMemory(cache, kind, namespace, filter, limit, start), revision)
  const scope = namespace === '' ? kind.prefix : `${kind.prefix}${namespace}/`
  const end = `${scope.slice(0, -1)}0`
  let key = start === '' || kind.prefix + start < scope ? scope : kind.prefix + start
  const entries: Entry[] = []
  try {
    for (;;) {
      const answer = await store.range({
        key,
        end,
        revision,
        limit: limit > 0 ? Math.max(limit + 1, HISTORY_PAGE) : HISTORY_PAGE,
      })
      for (let i = 0; i < answer.kvs.length; i++) {
        const kv = answer.kvs[i]!
        const entry = await cache.decode(kv)
        if (entry === undefined || (filter.matches !== undefined && !filter.matches(entry))) continue
        entry.release()
        if (limit > 0 && entries.length === limit) return page(entries, revision, filter, answer.count - i)
        entries.push(entry)
      }
      if (!answer.more) return { entries, revision }
      key = `${answer.kvs.at(-1)!.key}\0`
    }
  } catch (error) {
    if (error instanceof FutureRevisionError) throw tooLargeResourceVersion(revision, cache.revision)
    if (error instanceof CompactedError)
      throw continued ? expiredPage(start) : expired('The resourceVersion for the provided list is too old.')
    throw error
  }
}

/** A page served from memory for an older revision (nothing has changed since) keeps that revision. */
function reissue(page: ListPage, revision: number): ListPage {
  if (page.continue === undefined) return { ...page, revision }
  return { ...page, revision, continue: encodeContinue(revision, `${page.entries.at(-1)!.key}\0`) }
}

async function compacted(store: Store, revision: number): Promise<boolean> {
  try {
    await store.range({ key: '/registry/', revision, limit: 1, keysOnly: true })
    return false
  } catch (error) {
    if (error instanceof CompactedError) return true
    throw error
  }
}

/** 410 with a token that goes on from the same place at the latest state (KEP-365's inconsistent continuation). */
function expiredPage(start: string): ApiError {
  const error = expired(
    'the continue token is too old for a consistent list: start again without it, or go on with the token in this answer and accept that objects changed in between may be missing or shown twice',
  )
  return Object.assign(error, { continueToken: encodeContinue(-1, start) })
}
