import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { column, nameColumn, translateTimestampSince } from '../printing.ts'
import { dns1123Subdomain, qualifiedName } from '../validation/names.ts'

/** Events of the core group. Their rules are those that Kubernetes keeps for old clients. */

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
