import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { humanDuration } from '../kernel/resources/printing.ts'

export type CertificateFile = {
  name: string
  subject: string
  notAfter: string
  left: string
  millisecondsLeft: number
}

/** Every certificate under a folder with what is left of its life. */
export function certificateFiles(folder: string, now: number = Date.now()): CertificateFile[] {
  if (!existsSync(folder)) return []
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (f) => f.isFile() && f.name.endsWith('.crt'),
  )
  return files
    .map((file): CertificateFile => {
      const path = join(file.parentPath, file.name)
      const certificate = new X509Certificate(readFileSync(path))
      const notAfter = Date.parse(certificate.validTo)
      return {
        name: relative(folder, path).replace(/\.crt$/, ''),
        subject: certificate.subject.split('\n').join(', '),
        notAfter: new Date(notAfter).toISOString(),
        left: notAfter > now ? humanDuration(notAfter - now) : 'expired',
        millisecondsLeft: notAfter - now,
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
