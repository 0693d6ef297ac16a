import { X509Certificate } from 'node:crypto'
import { children, extensionValue, readTlv } from '../../kernel/authn/certificate-reader.ts'

/** A certificate as it is shown to people and programs. */
export type CertificateText = {
  subject: string
  issuer: string
  /** Upper-case hexadecimal, as openssl prints it. */
  serial: string
  /** `DNS:…` and `IP:…`. */
  names: string[]
  notBefore: string
  notAfter: string
}

/** `O=…\nCN=…` as node prints it → `O=…, CN=…`. */
export const oneLine = (name: string): string => name.split('\n').join(', ')

/** The first certificate of a PEM text, or a certificate. */
export function describeCertificate(from: X509Certificate | string): CertificateText {
  const certificate = typeof from === 'string' ? new X509Certificate(from) : from
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber,
    names: (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((name) => name !== '')
      .map((name) => name.replace(/^IP Address:/, 'IP:')),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
  }
}

/** `0A:BB` → `abb`: as the objects are named. */
export const serialName = (serial: string): string =>
  serial
    .replaceAll(':', '')
    .toLowerCase()
    .replace(/^0+(?=.)/, '')

/** authorityKeyIdentifier of a certificate, hexadecimal; '' when it has none. */
export function issuerKeyId(certificate: X509Certificate): string {
  const value = extensionValue(certificate.raw, '2.5.29.35')
  const id = value && children(readTlv(value)).find(({ tag }) => tag === 0x80)
  return id === undefined ? '' : Buffer.from(id.content).toString('hex')
}
