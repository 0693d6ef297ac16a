import { EncryptionError, type Protection } from './types.ts'

/** What every encrypted value begins with; objects in the clear begin with `{`. */
const MARK = Buffer.from('k8s:enc:')
const COLON = 0x3a
const MAX_HEADER_BYTES = 1024

export type Header = {
  provider: Exclude<Protection['provider'], 'identity'>
  /** Of the key or the plugin. */
  name: string
  /** `k8s:enc:<provider>:<version>:<name>:` */
  text: string
  /** In bytes. */
  length: number
}

export function isEncrypted(value: Buffer): boolean {
  return value[0] === MARK[0] && value.length >= MARK.length && MARK.compare(value, 0, MARK.length) === 0
}

/** The header of an encrypted value; throws EncryptionError for one that no provider writes. */
export function parseHeader(value: Buffer, storageKey: string): Header {
  const provider = part(value, MARK.length)
  const version = provider && part(value, provider.end)
  const name = version && part(value, version.end)
  if (name === undefined) throw unknown(storageKey, 'its header is cut short')
  const format = `${provider!.text}:${version!.text}`
  if (format === 'kms:v1') throw unknown(storageKey, 'its format is KMS v1, which Kubernetes has given up')
  if (name.text === '') throw unknown(storageKey, 'its header names no key')
  const text = value.toString('utf8', 0, name.end)
  switch (format) {
    case 'aesgcm:v1':
    case 'aescbc:v1':
    case 'secretbox:v1':
    case 'kms:v2':
      return { provider: provider!.text as Header['provider'], name: name.text, text, length: name.end }
    default:
      throw unknown(storageKey, `no provider writes ${JSON.stringify(`k8s:enc:${format.slice(0, 40)}:`)}`)
  }
}

function part(value: Buffer, from: number): { text: string; end: number } | undefined {
  const colon = value.indexOf(COLON, from)
  if (colon < 0 || colon > MAX_HEADER_BYTES) return undefined
  return { text: value.toString('utf8', from, colon), end: colon + 1 }
}

const unknown = (storageKey: string, reason: string): EncryptionError =>
  new EncryptionError(`${storageKey} cannot be read: ${reason}`)
