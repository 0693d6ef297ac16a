import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from '../../platform/files.ts'

/** Certificate chain and key, both PEM. */
export type Pair = { cert: string; key: string }

/** A certificate of this machine in a folder: the one in use, and the key of the one that was asked for. */
export type CertificateFiles = {
  /** Undefined: there is none, or what is there cannot be used (not whole, other key). */
  current: () => Pair | undefined
  /** The key that waits for its certificate; made when there is none. It never leaves this folder. */
  pendingKey: () => KeyObject
  /** Puts the certificate of the pending key in place of the current pair. Throws when it is not for that key. */
  install: (chain: string) => Pair
  /** The pending key is no longer wanted: its request was refused. */
  dropPending: () => void
}

/**
 * The pair lies in one file, so that no crash leaves a certificate beside another's key. `NAME.pem` is written whole or
 * not at all, `NAME.pending.key` goes only after it.
 */
export function certificateFiles(folder: string, name: string): CertificateFiles {
  const file = join(folder, `${name}.pem`)
  const pendingFile = join(folder, `${name}.pending.key`)
  return {
    current: () => {
      if (!existsSync(file)) return undefined
      return readPair(readFileSync(file, 'utf8'))
    },
    pendingKey: () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      if (existsSync(pendingFile)) {
        try {
          return createPrivateKey(readFileSync(pendingFile))
        } catch {
          // Not a key: set aside for whoever looks, and a new one is made.
          renameSync(pendingFile, `${pendingFile}.unreadable`)
        }
      }
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      writePrivate(pendingFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
      return privateKey
    },
    install: (chain) => {
      const key = readFileSync(pendingFile, 'utf8')
      if (!new X509Certificate(chain).checkPrivateKey(createPrivateKey(key)))
        throw new Error(`the certificate for ${name} is not for the key that it was asked for`)
      writePrivate(file, `${key.trimEnd()}\n${chain.trimEnd()}\n`)
      rmSync(pendingFile, { force: true })
      return { cert: `${chain.trimEnd()}\n`, key }
    },
    dropPending: () => rmSync(pendingFile, { force: true }),
  }
}

function readPair(text: string): Pair | undefined {
  const key = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----\n/.exec(text)?.[0]
  const start = text.indexOf('-----BEGIN CERTIFICATE-----')
  if (key === undefined || start < 0) return undefined
  try {
    const cert = text.slice(start)
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? { cert, key } : undefined
  } catch {
    return undefined
  }
}

/** In milliseconds since the epoch. */
export function lifeOf({ cert }: Pair): { notBefore: number; notAfter: number } {
  const { validFromDate, validToDate } = new X509Certificate(cert)
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() }
}

/**
 * When to ask for the next: between 60 and 75 % of life, around two thirds, so that machines that joined together do not
 * all come together. `random` in [0, 1).
 */
export function renewalDue(pair: Pair, random: number): number {
  const { notBefore, notAfter } = lifeOf(pair)
  return notBefore + (notAfter - notBefore) * (0.6 + 0.15 * random)
}
