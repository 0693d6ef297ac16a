import { EncryptionConfigurationError } from '../encryption/types.ts'

export type KeyServiceEndpoint = {
  /** For `connect`: an absolute path, or for an abstract socket a NUL and its name. */
  path: string
  /** As grpc-js wants it. */
  target: string
  /** As it is shown to people. */
  shown: string
}

/** sun_path of unix(7) is 108 bytes, the last of them NUL. */
export const MAX_SOCKET_PATH_BYTES = 107

/**
 * `unix:///absolute/path`, or `unix:///@name` for a socket in Linux' abstract namespace, as Kubernetes reads the
 * `endpoint` of a kms provider. Throws EncryptionConfigurationError.
 */
export function parseEndpoint(endpoint: string): KeyServiceEndpoint {
  const wrong = (what: string): EncryptionConfigurationError =>
    new EncryptionConfigurationError(`KMS endpoint ${JSON.stringify(endpoint.slice(0, 200))}: ${what}`)
  if (endpoint.includes('\0') || endpoint.includes('\n')) throw wrong('has a NUL or a line break')
  if (!endpoint.startsWith('unix://')) throw wrong('is not of the form unix:///path')
  const name = endpoint.slice('unix://'.length)
  if (!name.startsWith('/')) throw wrong('names a relative path or a host; three slashes are needed: unix:///path')
  if (name === '/' || name === '/@') throw wrong('names no socket')
  const path = name.startsWith('/@') ? `\0${name.slice(2)}` : name
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw wrong(`is longer than the ${MAX_SOCKET_PATH_BYTES} bytes that a socket's path may have`)
  }
  // Without slashes after the scheme grpc-js takes the rest as it is.
  return { path, target: `unix:${path}`, shown: endpoint }
}
