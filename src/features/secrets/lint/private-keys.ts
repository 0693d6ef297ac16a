import { Buffer } from 'node:buffer'
import { createPrivateKey } from 'node:crypto'
import type { Severity } from './types.ts'

/**
 * Judges a PEM private key (RFC 7468) by reading it. `pem` is undefined when its end is missing. Undefined when there is
 * no key in it: an ellipsis, a reference, a placeholder.
 */
export function readPrivateKey(
  label: string,
  pem: string | undefined,
): { what: string; severity: Severity } | undefined {
  if (pem === undefined) return { what: 'the beginning of a private key', severity: 'medium' }
  const text = pem.replaceAll('\\n', '\n').replaceAll('\\r', '')
  const lines = text.split('\n').map((line) => line.trim())
  const body = lines.filter((line) => line !== '' && !line.startsWith('-----') && !/^[A-Za-z-]+: /.test(line)).join('')
  if (body.length < 32 || !/^[A-Za-z0-9+/=]+$/.test(body)) return undefined
  if (label === 'OPENSSH PRIVATE KEY') {
    // PROTOCOL.key of OpenSSH: the magic, then the cipher.
    const real = Buffer.from(body, 'base64').toString('latin1').startsWith('openssh-key-v1\0')
    return real ? { what: 'an SSH private key', severity: 'high' } : damaged
  }
  if (label.startsWith('PGP')) return { what: 'a PGP private key', severity: 'high' }
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text))
    return { what: 'an encrypted private key', severity: 'medium' }
  try {
    const { asymmetricKeyType } = createPrivateKey(lines.join('\n'))
    return { what: `a private key (${asymmetricKeyType ?? 'unknown type'})`, severity: 'high' }
  } catch {
    return damaged
  }
}

const damaged: { what: string; severity: Severity } = {
  what: 'what looks like a private key but cannot be read as one',
  severity: 'medium',
}
