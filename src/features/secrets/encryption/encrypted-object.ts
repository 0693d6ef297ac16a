import { createHash } from 'node:crypto'
import { fullyQualifiedDomainName } from '../../../kernel/resources/validation/names.ts'
import { bytes, integer, type Message, message, repeatedMessage, string } from '../../../platform/grpc/proto.ts'

/**
 * What a value of KMS v2 holds besides its ciphertext: message EncryptedObject of
 * k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2/api.proto without field 1.
 */
export type DataKeySource = {
  keyId: string
  /** The data key, or the seed of data keys, as the plugin wrapped it. */
  ciphertext: Uint8Array
  annotations: Record<string, Uint8Array>
  /** 0: the AES-GCM key itself, as Kubernetes wrote until 1.28; 1: a seed, from which HKDF makes a key per write. */
  type: number
}

export const AES_GCM_KEY = 0
export const HKDF_SHA256_XNONCE_AES_GCM_SEED = 1

/** Limits of kmsv2/envelope.go. */
const MAX_KEY_ID_BYTES = 1024
const MAX_CIPHERTEXT_BYTES = 1024
const MAX_ANNOTATIONS_BYTES = 32 * 1024

/** The first field of an encoded EncryptedObject: encryptedData, delimited. */
export const DATA_TAG = 0x0a

type MapEntry = { key: string; value: Uint8Array }
type Wire = {
  data: Uint8Array
  keyId: string
  ciphertext: Uint8Array
  annotations: MapEntry[]
  type: number
}

const mapEntry: Message<MapEntry> = message({ key: string(1), value: bytes(2) })
const encryptedObject: Message<Wire> = message({
  data: bytes(1),
  keyId: string(2),
  ciphertext: bytes(3),
  annotations: repeatedMessage(4, () => mapEntry),
  type: integer(5),
})

/** Fields 2 to 5, annotations sorted: the same for all values of one data key. */
export function encodeSource(source: DataKeySource): Buffer {
  const annotations = Object.keys(source.annotations)
    .sort()
    .map((key) => ({ key, value: source.annotations[key]! }))
  return encryptedObject.encode({ ...source, annotations })
}

/** @throws ProtoError, and Error for what Kubernetes refuses. Bytes are views of the value. */
export function decodeObject(value: Uint8Array): { data: Uint8Array; source: DataKeySource } {
  const { data, keyId, ciphertext, annotations: entries, type } = encryptedObject.decode(value)
  const annotations = Object.create(null) as Record<string, Uint8Array>
  for (const entry of entries) annotations[entry.key] = entry.value
  const source = { keyId, ciphertext, annotations, type }
  const wrong = data.length === 0 ? 'it holds no data' : wrongSource(source)
  if (wrong !== undefined) throw new Error(wrong)
  return { data, source }
}

/** What Kubernetes would refuse about it; undefined when nothing. */
export function wrongSource({ keyId, ciphertext, annotations, type }: DataKeySource): string | undefined {
  if (type !== AES_GCM_KEY && type !== HKDF_SHA256_XNONCE_AES_GCM_SEED) return `data keys of type ${type} are unknown`
  if (ciphertext.length === 0) return 'the wrapped data key is empty'
  if (ciphertext.length > MAX_CIPHERTEXT_BYTES) {
    return `the wrapped data key has ${ciphertext.length} bytes, more than ${MAX_CIPHERTEXT_BYTES}`
  }
  return wrongKeyId(keyId) ?? wrongAnnotations(annotations)
}

export function wrongKeyId(keyId: string): string | undefined {
  if (keyId === '') return 'the key_id is empty'
  const length = Buffer.byteLength(keyId)
  return length > MAX_KEY_ID_BYTES ? `the key_id has ${length} bytes, more than ${MAX_KEY_ID_BYTES}` : undefined
}

function wrongAnnotations(annotations: Record<string, Uint8Array>): string | undefined {
  let length = 0
  for (const key of Object.keys(annotations)) {
    length += Buffer.byteLength(key) + annotations[key]!.length
    if (length > MAX_ANNOTATIONS_BYTES) return `the annotations have more than ${MAX_ANNOTATIONS_BYTES} bytes`
    if (fullyQualifiedDomainName(key).length > 0) {
      return `the annotation ${JSON.stringify(key.slice(0, 64))} is not a fully qualified domain name`
    }
  }
  return undefined
}

/** Names a data key: the first 16 hex digits of the SHA-256 of its wrapped form. */
export function dataKeyId(ciphertext: Uint8Array): string {
  return createHash('sha256').update(ciphertext).digest('hex').slice(0, 16)
}
