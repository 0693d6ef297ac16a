import { createHash, timingSafeEqual } from 'node:crypto'

/** A server's public key, as it proved to hold it. */
export type HostKey = {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, … */
  type: string
  /** RFC 4253 section 6.6 encoding. */
  blob: Buffer
}

export type HostKeyVerdict = { verdict: 'accept'; by: string } | { verdict: 'refuse'; reason: string }

/**
 * Decides about a server's key; no identity is offered to the server before it has. `types` are the key types that it would
 * accept, best first, when it knows: a server with several keys is asked for one of those.
 */
export type HostKeyCheck = {
  types?: readonly string[]
  check: (key: HostKey) => HostKeyVerdict
  /** A refused key may be one of several of the server: it is asked for its keys of other types. */
  tryOtherTypes?: boolean
}

/** Throws an Error on what is not a host key. */
export function hostKey(blob: Buffer): HostKey {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0
  const type = blob.subarray(4, 4 + length).toString('latin1')
  if (length === 0 || length > 64 || !/^[a-z0-9@.-]+$/.test(type)) throw new Error('the key has no type')
  return { type, blob }
}

/** `SHA256:…`, as ssh-keygen -l prints it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}

/** `ssh-ed25519 AAAA…`: a line of known_hosts without its host. */
export const hostKeyLine = ({ type, blob }: HostKey): string => `${type} ${blob.toString('base64')}`

/** Inverse of hostKeyLine. Throws an Error. */
export function parseHostKeyLine(line: string): HostKey {
  const [type = '', text = ''] = line.trim().split(/\s+/)
  if (!/^[A-Za-z0-9+/]{20,16384}={0,2}$/.test(text)) throw new Error('it is not a public key in OpenSSH format')
  const key = hostKey(Buffer.from(text, 'base64'))
  if (key.type !== type) throw new Error(`it says ${type} but holds a key of type ${key.type}`)
  return key
}

/** Accepts one key alone. Throws an Error on what is not a SHA-256 fingerprint. */
export function pinnedFingerprint(wanted: string): HostKeyCheck {
  const match = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(wanted.trim())
  if (match === null)
    throw new Error(
      `${JSON.stringify(wanted)} is not a fingerprint: SHA256: and 43 characters, as ssh-keygen -l prints it`,
    )
  const pinned = `SHA256:${match[1]!}`
  return {
    tryOtherTypes: true,
    check: ({ type, blob }) => {
      const seen = fingerprint(blob)
      return timingSafeEqual(Buffer.from(seen), Buffer.from(pinned))
        ? { verdict: 'accept', by: `pinned ${pinned}` }
        : { verdict: 'refuse', reason: `the server's ${type} key is ${seen}, pinned is ${pinned}` }
    },
  }
}

/** Accepts this very key. */
export function pinnedKey(key: HostKey): HostKeyCheck {
  return { types: [key.type], check: pinnedFingerprint(fingerprint(key.blob)).check }
}
