import type { ResourceDefinition, SubresourceDefinition, Verb } from '../../resources/definition.ts'
import { ALL_VERBS } from '../../resources/definition.ts'

/** The HTTP operations of a resource, in a form from which both OpenAPI versions are written. */

export type GroupVersionKind = { group: string; version: string; kind: string }

export type Operation = {
  method: 'get' | 'put' | 'post' | 'patch' | 'delete'
  /** x-kubernetes-action */
  action: string
  id: string
  description: string
  gvk: GroupVersionKind
  /** Definition of the body; patches have a body without one. */
  body?: string
  /** Definition of the answer; undefined: text. */
  answer: string | undefined
  query: readonly QueryName[]
}

export type Path = { path: string; parameters: readonly ('name' | 'namespace')[]; operations: readonly Operation[] }

export type QueryName =
  | 'allowWatchBookmarks'
  | 'continue'
  | 'dryRun'
  | 'fieldManager'
  | 'fieldSelector'
  | 'fieldValidation'
  | 'force'
  | 'gracePeriodSeconds'
  | 'labelSelector'
  | 'limit'
  | 'pretty'
  | 'propagationPolicy'
  | 'resourceVersion'
  | 'resourceVersionMatch'
  | 'sendInitialEvents'
  | 'timeoutSeconds'
  | 'watch'

type QueryParameter = { type: 'string' | 'boolean' | 'integer'; description: string }

export const QUERY_PARAMETERS: Readonly<Record<QueryName, QueryParameter>> = {
  allowWatchBookmarks: { type: 'boolean', description: 'Asks for bookmark events in a watch.' },
  continue: { type: 'string', description: 'The continue token of the page before.' },
  dryRun: { type: 'string', description: 'With the value All nothing is stored.' },
  fieldManager: { type: 'string', description: 'Name of whoever makes the change, for managed fields.' },
  fieldSelector: { type: 'string', description: 'Restricts the objects by their fields.' },
  fieldValidation: {
    type: 'string',
    description: 'What to do with unknown and repeated fields: Ignore, Warn or Strict.',
  },
  force: { type: 'boolean', description: 'Takes fields over that others manage; for apply patches only.' },
  gracePeriodSeconds: { type: 'integer', description: 'Seconds until the object is gone; 0 deletes at once.' },
  labelSelector: { type: 'string', description: 'Restricts the objects by their labels.' },
  limit: { type: 'integer', description: 'Most objects in one answer.' },
  pretty: { type: 'string', description: 'With the value true the answer is indented.' },
  propagationPolicy: {
    type: 'string',
    description: 'What happens to dependents: Orphan, Background or Foreground.',
  },
  resourceVersion: { type: 'string', description: 'The state from which to answer or watch.' },
  resourceVersionMatch: { type: 'string', description: 'How resourceVersion applies to a list.' },
  sendInitialEvents: { type: 'boolean', description: 'Begins a watch with the objects that exist.' },
  timeoutSeconds: { type: 'integer', description: 'Ends the list or watch after that time.' },
  watch: { type: 'boolean', description: 'Streams changes instead of listing.' },
}

const LIST: readonly QueryName[] = [
  'pretty',
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
]
const WRITE: readonly QueryName[] = ['pretty', 'dryRun', 'fieldManager', 'fieldValidation']
const PATCH: readonly QueryName[] = [...WRITE, 'force']
const DELETE: readonly QueryName[] = ['pretty', 'dryRun', 'gracePeriodSeconds', 'propagationPolicy']
const DELETE_COLLECTION: readonly QueryName[] = [
  ...DELETE,
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'timeoutSeconds',
]

export const DELETE_OPTIONS = 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions'
export const STATUS = 'io.k8s.apimachinery.pkg.apis.meta.v1.Status'
export const PATCH_BODY = 'io.k8s.apimachinery.pkg.apis.meta.v1.Patch'

export type DefinitionNames = {
  kind: string
  list: string
  /** Definition of a subresource's own kind. */
  of: (gvk: GroupVersionKind) => string | undefined
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** `CoreV1`, `RbacAuthorizationV1`: the group and version in names of operations. */
function groupName(group: string, version: string): string {
  const name = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '')
  return name.split(/[.-]/).map(capitalized).join('') + capitalized(version)
}

export function pathsOf(definition: ResourceDefinition, names: DefinitionNames): Path[] {
  const { group, version, kind, plural, namespaced } = definition
  const verbs = new Set<Verb>(definition.verbs ?? ALL_VERBS)
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const collection = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`
  const gvk = { group, version, kind }
  const scope = namespaced ? 'Namespaced' : ''
  const named = (verb: string): string => `${verb}${groupName(group, version)}${scope}${kind}`
  const operations = (entries: readonly (Operation | false)[]): Operation[] => entries.filter((o) => o !== false)
  const list = (id: string): Operation => ({
    method: 'get',
    action: 'list',
    id,
    description: `list or watch objects of kind ${kind}`,
    gvk,
    answer: names.list,
    query: LIST,
  })
  const namespace = namespaced ? (['namespace'] as const) : []
  const out: Path[] = [
    {
      path: collection,
      parameters: namespace,
      operations: operations([
        verbs.has('list') && list(named('list')),
        verbs.has('create') && {
          method: 'post',
          action: 'post',
          id: named('create'),
          description: `create a ${kind}`,
          gvk,
          body: names.kind,
          answer: names.kind,
          query: WRITE,
        },
        verbs.has('deletecollection') && {
          method: 'delete',
          action: 'deletecollection',
          id: named('deleteCollection'),
          description: `delete all objects of kind ${kind} that the selectors match`,
          gvk,
          body: DELETE_OPTIONS,
          answer: STATUS,
          query: DELETE_COLLECTION,
        },
      ]),
    },
    {
      path: `${collection}/{name}`,
      parameters: [...namespace, 'name'],
      operations: operations([
        verbs.has('get') && { ...one('get', kind, gvk, names.kind), id: named('read') },
        verbs.has('update') && { ...one('put', kind, gvk, names.kind), id: named('replace') },
        verbs.has('patch') && { ...one('patch', kind, gvk, names.kind), id: named('patch') },
        verbs.has('delete') && {
          method: 'delete',
          action: 'delete',
          id: named('delete'),
          description: `delete a ${kind}`,
          gvk,
          body: DELETE_OPTIONS,
          answer: STATUS,
          query: DELETE,
        },
      ]),
    },
  ]
  if (namespaced && verbs.has('list'))
    out.push({
      path: `${base}/${plural}`,
      parameters: [],
      operations: [list(`list${groupName(group, version)}${kind}ForAllNamespaces`)],
    })
  for (const sub of definition.subresources ?? []) out.push(subresourcePath(definition, sub, names, out[1]!, named))
  return out.filter((p) => p.operations.length > 0)
}

type Single = Omit<Operation, 'id'>

function one(method: 'get' | 'put' | 'patch', what: string, gvk: GroupVersionKind, name: string): Single {
  const description = { get: 'read the', put: 'replace the', patch: 'change parts of the' }[method]
  const common = { method, action: method, description: `${description} ${what}`, gvk, answer: name }
  if (method === 'get') return { ...common, query: ['pretty'] }
  return { ...common, body: method === 'put' ? name : PATCH_BODY, query: method === 'put' ? WRITE : PATCH }
}

/** Subresources that answer with a stream instead of an object. */
const STREAMS: ReadonlySet<string> = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

function subresourcePath(
  definition: ResourceDefinition,
  sub: SubresourceDefinition,
  names: DefinitionNames,
  item: Path,
  named: (verb: string) => string,
): Path {
  const { group, version, kind } = definition
  const gvk = sub.kind ?? { group, version, kind }
  const name = sub.kind === undefined ? names.kind : (names.of(sub.kind) ?? names.kind)
  const what = `${sub.name} of the ${kind}`
  const suffix = capitalized(sub.name)
  const operations: Operation[] = []
  if (STREAMS.has(sub.name)) {
    const action = sub.name === 'log' ? 'get' : 'connect'
    const common = { action, description: `use ${what}`, gvk, answer: undefined, query: [] }
    if (sub.verbs.includes('get')) operations.push({ ...common, method: 'get', id: `${named('connectGet')}${suffix}` })
    if (sub.verbs.includes('create'))
      operations.push({ ...common, method: 'post', id: `${named('connectPost')}${suffix}` })
  } else {
    if (sub.verbs.includes('get')) operations.push({ ...one('get', what, gvk, name), id: `${named('read')}${suffix}` })
    if (sub.verbs.includes('update'))
      operations.push({ ...one('put', what, gvk, name), id: `${named('replace')}${suffix}` })
    if (sub.verbs.includes('patch'))
      operations.push({ ...one('patch', what, gvk, name), id: `${named('patch')}${suffix}` })
    if (sub.verbs.includes('create'))
      operations.push({
        method: 'post',
        action: 'post',
        id: `${named('create')}${suffix}`,
        description: `create ${what}`,
        gvk,
        body: name,
        answer: name,
        query: WRITE,
      })
  }
  return { path: `${item.path}/${sub.name}`, parameters: item.parameters, operations }
}
