import {
  bool,
  bytes,
  embedded,
  integer,
  type Message,
  message,
  repeatedMessage,
  repeatedString,
  string,
} from '../../platform/grpc/proto.ts'

// The part of etcd's API v3 (etcdserverpb/rpc.proto, mvccpb/kv.proto) that the store uses, with etcd's field numbers.

export type Header = { revision: number }
const header: Message<Header> = message({ revision: integer(3) })

export type EtcdKeyValue = {
  key: Uint8Array
  createRevision: number
  modRevision: number
  version: number
  value: Uint8Array
}
const keyValue: Message<EtcdKeyValue> = message({
  key: bytes(1),
  createRevision: integer(2),
  modRevision: integer(3),
  version: integer(4),
  value: bytes(5),
})

export type EtcdRange = {
  key: Uint8Array
  rangeEnd: Uint8Array
  limit: number
  revision: number
  keysOnly: boolean
  countOnly: boolean
}
export const rangeRequest: Message<EtcdRange> = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: integer(3),
  revision: integer(4),
  keysOnly: bool(8),
  countOnly: bool(9),
})
export type EtcdRangeResponse = { header: Header | undefined; kvs: EtcdKeyValue[]; more: boolean; count: number }
export const rangeResponse: Message<EtcdRangeResponse> = message({
  header: embedded(1, () => header),
  kvs: repeatedMessage(2, () => keyValue),
  more: bool(3),
  count: integer(4),
})

type Put = { key: Uint8Array; value: Uint8Array; previous: boolean }
const putRequest: Message<Put> = message({ key: bytes(1), value: bytes(2), previous: bool(4) })
type PutResponse = { previous: EtcdKeyValue | undefined }
const putResponse: Message<PutResponse> = message({ previous: embedded(2, () => keyValue) })

type Delete = { key: Uint8Array; rangeEnd: Uint8Array; previous: boolean }
const deleteRequest: Message<Delete> = message({ key: bytes(1), rangeEnd: bytes(2), previous: bool(3) })
type DeleteResponse = { previous: EtcdKeyValue[] }
const deleteResponse: Message<DeleteResponse> = message({ previous: repeatedMessage(3, () => keyValue) })

/** Exactly one of the three. */
export type EtcdOperation = {
  range: Partial<EtcdRange> | undefined
  put: Partial<Put> | undefined
  delete: Partial<Delete> | undefined
}
const operation: Message<EtcdOperation> = message({
  range: embedded(1, () => rangeRequest as Message<Partial<EtcdRange>>),
  put: embedded(2, () => putRequest as Message<Partial<Put>>),
  delete: embedded(3, () => deleteRequest as Message<Partial<Delete>>),
})
export type EtcdOperationResponse = {
  range: EtcdRangeResponse | undefined
  put: PutResponse | undefined
  delete: DeleteResponse | undefined
}
const operationResponse: Message<EtcdOperationResponse> = message({
  range: embedded(1, () => rangeResponse),
  put: embedded(2, () => putResponse),
  delete: embedded(3, () => deleteResponse),
})

/** The result compared for is always EQUAL, which is 0. */
export const compareTarget = { version: 0, modRevision: 2 } as const
export type EtcdCompare = { target: number; key: Uint8Array; version: number; modRevision: number }
const compare: Message<EtcdCompare> = message({
  target: integer(2),
  key: bytes(3),
  version: integer(4),
  modRevision: integer(6),
})
export type EtcdTxn = {
  compare: Partial<EtcdCompare>[]
  success: Partial<EtcdOperation>[]
  failure: Partial<EtcdOperation>[]
}
export const txnRequest: Message<EtcdTxn> = message({
  compare: repeatedMessage(1, () => compare as Message<Partial<EtcdCompare>>),
  success: repeatedMessage(2, () => operation as Message<Partial<EtcdOperation>>),
  failure: repeatedMessage(3, () => operation as Message<Partial<EtcdOperation>>),
})
export type EtcdTxnResponse = { header: Header | undefined; succeeded: boolean; responses: EtcdOperationResponse[] }
export const txnResponse: Message<EtcdTxnResponse> = message({
  header: embedded(1, () => header),
  succeeded: bool(2),
  responses: repeatedMessage(3, () => operationResponse),
})

export type EtcdCompaction = { revision: number; physical: boolean }
export const compactionRequest: Message<EtcdCompaction> = message({ revision: integer(1), physical: bool(2) })
export const empty: Message<Record<never, never>> = message({})

export type EtcdWatchCreate = {
  key: Uint8Array
  rangeEnd: Uint8Array
  startRevision: number
  previous: boolean
}
const watchCreate: Message<EtcdWatchCreate> = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: integer(3),
  previous: bool(6),
})
export type EtcdWatchRequest = { create: Partial<EtcdWatchCreate> | undefined }
export const watchRequest: Message<EtcdWatchRequest> = message({
  create: embedded(1, () => watchCreate as Message<Partial<EtcdWatchCreate>>),
})
export const eventDelete = 1
export type EtcdEvent = { type: number; kv: EtcdKeyValue | undefined; previous: EtcdKeyValue | undefined }
const event: Message<EtcdEvent> = message({
  type: integer(1),
  kv: embedded(2, () => keyValue),
  previous: embedded(3, () => keyValue),
})
export type EtcdWatchResponse = {
  header: Header | undefined
  created: boolean
  canceled: boolean
  compactRevision: number
  cancelReason: string
  events: EtcdEvent[]
}
export const watchResponse: Message<EtcdWatchResponse> = message({
  header: embedded(1, () => header),
  created: bool(3),
  canceled: bool(4),
  compactRevision: integer(5),
  cancelReason: string(6),
  events: repeatedMessage(11, () => event),
})

/** `errors` names what is wrong with the member, an exceeded quota (alarm NOSPACE) among it. */
export type EtcdStatus = { version: string; leader: number; errors: string[] }
export const statusResponse: Message<EtcdStatus> = message({
  version: string(2),
  leader: integer(4),
  errors: repeatedString(8),
})
