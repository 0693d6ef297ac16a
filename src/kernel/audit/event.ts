import type { JsonObject } from '../api/object.ts'
import type { AuditLevel, AuditRecord } from './types.ts'

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString().replace('Z', '000Z')

/** audit.k8s.io/v1 Event. Bodies appear only at the levels that hold them. */
export function auditEvent(level: AuditLevel, record: AuditRecord, omitManagedFields: boolean): JsonObject {
  const { attributes } = record
  const withBody = level === 'Request' || level === 'RequestResponse'
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level,
    auditID: record.auditID,
    stage: record.stage,
    requestURI: record.requestURI,
    verb: record.verb,
    user: userOf(record.user),
    ...(record.impersonatedUser === undefined ? {} : { impersonatedUser: userOf(record.impersonatedUser) }),
    sourceIPs: [...record.sourceIPs],
    userAgent: record.userAgent,
    ...(attributes.resourceRequest
      ? {
          objectRef: {
            resource: attributes.resource,
            ...(attributes.namespace === '' ? {} : { namespace: attributes.namespace }),
            ...(attributes.name === '' ? {} : { name: attributes.name }),
            ...(attributes.apiGroup === '' ? {} : { apiGroup: attributes.apiGroup }),
            apiVersion: attributes.apiVersion,
            ...(attributes.subresource === '' ? {} : { subresource: attributes.subresource }),
          },
        }
      : {}),
    ...(record.code === undefined
      ? {}
      : {
          responseStatus: {
            metadata: {},
            ...(record.reason === undefined ? {} : { status: 'Failure', reason: record.reason }),
            ...(record.message === undefined ? {} : { message: record.message }),
            code: record.code,
          },
        }),
    ...(withBody && record.requestObject !== undefined
      ? { requestObject: bare(record.requestObject, omitManagedFields) }
      : {}),
    ...(level === 'RequestResponse' && record.responseObject !== undefined
      ? { responseObject: bare(record.responseObject, omitManagedFields) }
      : {}),
    requestReceivedTimestamp: iso(record.receivedAt),
    stageTimestamp: iso(record.now),
    ...(Object.keys(record.annotations).length === 0 ? {} : { annotations: { ...record.annotations } }),
  }
}

function userOf(user: AuditRecord['user']): JsonObject {
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(user.extra === undefined
      ? {}
      : { extra: Object.fromEntries(Object.entries(user.extra).map(([k, v]) => [k, [...v]])) }),
  }
}

function bare(object: JsonObject, omitManagedFields: boolean): JsonObject {
  const metadata = object['metadata']
  if (!omitManagedFields || metadata === null || typeof metadata !== 'object' || Array.isArray(metadata)) return object
  const { managedFields: _, ...rest } = metadata
  return { ...object, metadata: rest }
}
