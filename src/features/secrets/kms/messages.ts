import {
  bytes,
  type Field,
  type Message,
  message,
  type Reader,
  repeatedMessage,
  string,
  type Writer,
} from '../../../platform/grpc/proto.ts'

// KMS v2 as k8s.io/kms/apis/v2/api.proto numbers it. The protobuf package is `v2`, without a domain.

export const METHODS = {
  status: '/v2.KeyManagementService/Status',
  encrypt: '/v2.KeyManagementService/Encrypt',
  decrypt: '/v2.KeyManagementService/Decrypt',
} as const

export const statusRequest: Message<Record<never, never>> = message({})

export type StatusResponse = { version: string; healthz: string; keyId: string }
export const statusResponse: Message<StatusResponse> = message({
  version: string(1),
  healthz: string(2),
  keyId: string(3),
})

export type EncryptRequest = { plaintext: Uint8Array; uid: string }
export const encryptRequest: Message<EncryptRequest> = message({ plaintext: bytes(1), uid: string(2) })

export type EncryptResponse = { ciphertext: Uint8Array; keyId: string; annotations: Record<string, Uint8Array> }
export const encryptResponse: Message<EncryptResponse> = message({
  ciphertext: bytes(1),
  keyId: string(2),
  annotations: bytesMap(3),
})

export type DecryptRequest = {
  ciphertext: Uint8Array
  uid: string
  keyId: string
  annotations: Record<string, Uint8Array>
}
export const decryptRequest: Message<DecryptRequest> = message({
  ciphertext: bytes(1),
  uid: string(2),
  keyId: string(3),
  annotations: bytesMap(4),
})

export type DecryptResponse = { plaintext: Uint8Array }
export const decryptResponse: Message<DecryptResponse> = message({ plaintext: bytes(1) })

type Entry = { key: string; value: Uint8Array }

/** map<string, bytes>, which on the wire is a repeated message of key and value. Its object has no prototype. */
function bytesMap(number: number): Field<Record<string, Uint8Array>> {
  const entry: Message<Entry> = message({ key: string(1), value: bytes(2) })
  const entries = repeatedMessage(number, () => entry)
  return {
    number,
    initial: () => Object.create(null) as Record<string, Uint8Array>,
    write: (writer: Writer, value) => {
      const sorted = Object.keys(value).sort()
      entries.write(
        writer,
        sorted.map((key) => ({ key, value: value[key]! })),
      )
    },
    read: (reader: Reader, wire, before, depth) => {
      for (const { key, value } of entries.read(reader, wire, [], depth)) before[key] = value
      return before
    },
  }
}
