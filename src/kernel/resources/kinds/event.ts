import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { column, nameColumn, translateTimestampSince } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { dns1123Subdomain, qualifiedName } from '../validation/names.ts'
import { onCreate } from './pod/on-create.ts'

/** Events of the core group, by the rules that Kubernetes keeps for old clients, and their view in events.k8s.io. */

type Reference = { kind?: string; namespace?: string; name?: string; fieldPath?: string }

const referenceOf = (object: KubeObject): Reference => object.involvedObject ?? {}

function tooLong(value: unknown, field: string, max: number): FieldError[] {
  return Buffer.byteLength(String(value ?? '')) > max
    ? [fieldError.invalid(field, '', `can have at most ${max} characters`)]
    : []
}

/** Events with eventTime come from clients of the newer API: they must say who reports what. */
function validateNewStyle(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const controller: string = object.reportingComponent ?? ''
  if (controller === '') errors.push(fieldError.required('reportingController'))
  for (const message of qualifiedName(controller))
    errors.push(fieldError.invalid('reportingController', controller, message))
  for (const field of ['reportingInstance', 'action', 'reason']) {
    if (!object[field]) errors.push(fieldError.required(field))
    errors.push(...tooLong(object[field], field, 128))
  }
  return errors.concat(tooLong(object.message, 'message', 1024))
}

function validate(object: KubeObject): FieldError[] {
  const namespace = object.metadata.namespace ?? ''
  const involved = referenceOf(object).namespace ?? ''
  const mismatch = [fieldError.invalid('involvedObject.namespace', involved, 'does not match event.namespace')]
  const errors: FieldError[] = []
  if (object.eventTime) {
    if (involved === '' && namespace !== 'default' && namespace !== 'kube-system') errors.push(...mismatch)
    errors.push(...validateNewStyle(object))
  } else if (involved === '' ? namespace !== '' && namespace !== 'default' : namespace !== involved)
    errors.push(...mismatch)
  for (const message of dns1123Subdomain(namespace)) errors.push(fieldError.invalid('namespace', namespace, message))
  return errors
}

/** events.k8s.io names the same things anew: [there, in the core group]. */
const RENAMED: readonly [string, string][] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
]

/** The core group's Event always has these, empty or not. */
const ALWAYS = { involvedObject: {}, source: {}, firstTimestamp: null, lastTimestamp: null, reportingComponent: '' }

function rename(object: KubeObject, apiVersion: string, names: readonly (readonly [string, string])[]): KubeObject {
  if (object.apiVersion === apiVersion) return object
  object.apiVersion = apiVersion
  for (const [from, to] of names) {
    if (object[from] === undefined) continue
    object[to] = object[from]
    delete object[from]
  }
  return object
}

const toCore = (object: KubeObject): KubeObject => {
  const core = rename(object, 'v1', RENAMED)
  for (const [field, empty] of Object.entries(ALWAYS)) core[field] ??= structuredClone(empty)
  core.reportingInstance ??= ''
  return core
}
const fromCore = (object: KubeObject): KubeObject =>
  rename(
    object,
    'events.k8s.io/v1',
    RENAMED.map(([there, here]) => [here, there] as const),
  )
const asCore = (object: KubeObject): KubeObject => toCore({ ...object })

function validateSeries({ series }: KubeObject): FieldError[] {
  if (!series) return []
  return [
    ...((series.count ?? 0) < 2 ? [fieldError.invalid('series.count', '', 'should be at least 2')] : []),
    ...(series.lastObservedTime ? [] : [fieldError.required('series.lastObservedTime')]),
  ]
}

/** What only the newer API asks for (pkg/apis/core/validation/events.go); fields are named as in the core group. */
function validateStrict(event: KubeObject): FieldError[] {
  const errors = validateSeries(event)
  if (!event.eventTime) errors.push(fieldError.required('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning')
    errors.push(fieldError.invalid('type', '', `has invalid value: ${event.type ?? ''}`))
  const unset: [string, unknown][] = [
    ['firstTimestamp', event.firstTimestamp],
    ['lastTimestamp', event.lastTimestamp],
    ['count', event.count],
    ['source', event.source?.component || event.source?.host],
  ]
  for (const [field, value] of unset) if (value) errors.push(fieldError.invalid(field, '', 'needs to be unset'))
  return errors
}

/** Everything but metadata and the series is said once. */
const SAID_ONCE = ['involvedObject', 'reason', 'message', 'source', 'firstTimestamp', 'lastTimestamp', 'count', 'type']
const SAID_ONCE_NEW = ['eventTime', 'action', 'related', 'reportingComponent', 'reportingInstance']

function validateStrictUpdate(event: KubeObject, old: KubeObject): FieldError[] {
  const errors = isDeepStrictEqual(event.series, old.series) ? [] : validateSeries(event)
  for (const field of [...SAID_ONCE, ...SAID_ONCE_NEW])
    if (!isDeepStrictEqual(event[field], old[field]))
      errors.push(
        fieldError.invalid(field === 'reportingComponent' ? 'reportingController' : field, event[field], IMMUTABLE),
      )
  return errors
}

const firstSeen = (o: KubeObject, now: number): string => translateTimestampSince(o.firstTimestamp || o.eventTime, now)

function lastSeen(o: KubeObject, now: number): string {
  if (o.series) return translateTimestampSince(o.series.lastObservedTime, now)
  return o.lastTimestamp ? translateTimestampSince(o.lastTimestamp, now) : firstSeen(o, now)
}

function involvedObject(o: KubeObject): string {
  const { kind = '', name } = referenceOf(o)
  return name ? `${kind.toLowerCase()}/${name}` : kind.toLowerCase()
}

function source(o: KubeObject): string {
  const component: string = o.source?.component || o.reportingComponent || ''
  const instance: string = o.source?.host || o.reportingInstance || ''
  return instance === '' ? component : `${component}, ${instance}`
}

const referenceField =
  (field: string) =>
  (o: KubeObject): string =>
    o.involvedObject?.[field] ?? ''

export const eventKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.Event',
  columns: [
    column('Last Seen', 'string', 'Time since this was observed last.', lastSeen),
    column('Type', 'string', 'Normal or Warning.', (o) => o.type ?? ''),
    column('Reason', 'string', 'One word that says why, for programs.', (o) => o.reason ?? ''),
    column('Object', 'string', 'What the event is about.', involvedObject),
    column('Subobject', 'string', 'The part of the object that it is about.', (o) => referenceOf(o).fieldPath ?? '', 1),
    column('Source', 'string', 'Who reported it, and from which machine.', source, 1),
    column('Message', 'string', 'What happened, for people.', (o) => (o.message ?? '').trim()),
    column('First Seen', 'string', 'Time since this was observed first.', firstSeen, 1),
    column('Count', 'string', 'How often it was observed.', (o) => o.series?.count ?? (o.count || 1), 1),
    { ...nameColumn, priority: 1 },
  ],
  selectableFields: {
    'involvedObject.kind': referenceField('kind'),
    'involvedObject.namespace': referenceField('namespace'),
    'involvedObject.name': referenceField('name'),
    'involvedObject.uid': referenceField('uid'),
    'involvedObject.apiVersion': referenceField('apiVersion'),
    'involvedObject.resourceVersion': referenceField('resourceVersion'),
    'involvedObject.fieldPath': referenceField('fieldPath'),
    reason: (o) => o.reason ?? '',
    reportingComponent: (o) => o.reportingComponent ?? '',
    source: (o) => o.source?.component || o.reportingComponent || '',
    type: (o) => o.type ?? '',
  },
  strategy: { allowCreateOnUpdate: true, validate },
}

const whenNew = onCreate(validateStrict)

/** The same events by their newer names: what is written through one API is read through the other. */
export const eventsEventKind: ResourceDefinition = {
  ...eventKind,
  group: 'events.k8s.io',
  schema: 'io.k8s.api.events.v1.Event',
  columns: eventKind.columns.map((c) => ({ ...c, cell: (o, now) => c.cell(asCore(o), now) })),
  selectableFields: {
    ...Object.fromEntries(
      Object.entries(eventKind.selectableFields!)
        .filter(([field]) => field !== 'source' && field !== 'reportingComponent')
        .map(([field, value]) => [field.replace(/^involvedObject/, 'regarding'), (o: KubeObject) => value(asCore(o))]),
    ),
    reportingController: (o) => o.reportingController ?? '',
  },
  strategy: {
    allowCreateOnUpdate: true,
    validate(object) {
      const core = asCore(object)
      return [...validate(core), ...whenNew(core)]
    },
    validateUpdate: (object, old) => validateStrictUpdate(asCore(object), asCore(old)),
  },
  view: {
    of: { group: '', version: 'v1', plural: 'events', kind: 'Event' },
    toStored: toCore,
    fromStored: fromCore,
  },
}
