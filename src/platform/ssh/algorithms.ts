import type { Algorithms, ServerHostKeyAlgorithm } from 'ssh2'

/** No SHA-1, no CBC, no DSA, no group exchange with groups of the server's choice. */
const KEX: NonNullable<Algorithms['kex']> = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group14-sha256',
]
const CIPHERS: NonNullable<Algorithms['cipher']> = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes256-ctr',
  'aes128-ctr',
]
const MACS: NonNullable<Algorithms['hmac']> = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com']

/** Signature algorithms for each type of host key (RFC 8332: rsa-sha2 for keys of type ssh-rsa). */
const HOST_KEYS: Readonly<Record<string, ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
}

export const HOST_KEY_TYPES: readonly string[] = Object.keys(HOST_KEYS)

/** What is offered to a server; `hostKeyTypes` best first. */
export function offeredAlgorithms(hostKeyTypes: readonly string[]): Algorithms {
  return {
    kex: KEX,
    cipher: CIPHERS,
    hmac: MACS,
    compress: ['none'],
    serverHostKey: hostKeyTypes.flatMap((type) => HOST_KEYS[type] ?? []),
  }
}
