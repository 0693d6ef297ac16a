import { dns1123Subdomain } from '../../../kernel/resources/validation/names.ts'
import type { EncryptResponse, StatusResponse } from './messages.ts'

// What Kubernetes accepts from a plugin: apiserver/pkg/storage/value/encrypt/envelope/kmsv2/envelope.go. What it would
// refuse is refused here too, so that no value is stored that another API server could not read.

export const MAX_KEY_ID_BYTES = 1024
export const MAX_CIPHERTEXT_BYTES = 1024
export const MAX_ANNOTATIONS_BYTES: number = 32 * 1024
export const VERSIONS: readonly string[] = ['v2', 'v2beta1']

/** What is wrong with a Status answer; undefined when nothing is. An unhealthy plugin's answer may still be right. */
export function wrongStatus(answer: StatusResponse): string | undefined {
  const wrong: string[] = []
  if (!VERSIONS.includes(answer.version)) {
    wrong.push(`it speaks version ${excerpt(answer.version) || '(none given)'}, not v2`)
  }
  const keyId = wrongKeyId(answer.keyId)
  if (keyId !== undefined) wrong.push(keyId)
  if (wrong.length > 0 && answer.healthz !== 'ok')
    wrong.push(`its health is: ${excerpt(answer.healthz) || '(none given)'}`)
  return wrong.length === 0 ? undefined : wrong.join('; ')
}

export function wrongEncryption(answer: EncryptResponse): string | undefined {
  if (answer.ciphertext.length === 0) return 'ciphertext is empty'
  if (answer.ciphertext.length > MAX_CIPHERTEXT_BYTES) {
    return `ciphertext has ${answer.ciphertext.length} bytes, more than ${MAX_CIPHERTEXT_BYTES}`
  }
  return wrongKeyId(answer.keyId) ?? wrongAnnotations(answer.annotations)
}

function wrongKeyId(keyId: string): string | undefined {
  if (keyId === '') return 'key_id is missing'
  // Decoding put U+FFFD in place of what is not UTF-8; the plugin would not know such an id again.
  if (keyId.includes('\ufffd')) return 'key_id is not UTF-8'
  const bytes = Buffer.byteLength(keyId)
  return bytes > MAX_KEY_ID_BYTES ? `key_id has ${bytes} bytes, more than ${MAX_KEY_ID_BYTES}` : undefined
}

function wrongAnnotations(annotations: Record<string, Uint8Array>): string | undefined {
  let bytes = 0
  for (const [key, value] of Object.entries(annotations)) {
    const domain = key.endsWith('.') ? key.slice(0, -1) : key
    if (!domain.includes('.') || dns1123Subdomain(domain).length > 0) {
      return `annotation ${JSON.stringify(excerpt(key))} is not a fully qualified domain name`
    }
    bytes += Buffer.byteLength(key) + value.length
  }
  return bytes > MAX_ANNOTATIONS_BYTES
    ? `annotations have ${bytes} bytes, more than ${MAX_ANNOTATIONS_BYTES}`
    : undefined
}

/** Text of the other side, fit for a message: one line, no control characters, at most 200 characters. */
export function excerpt(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim()
  return line.length <= 200 ? line : `${line.slice(0, 200)}…`
}
