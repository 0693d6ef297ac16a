import { X509Certificate } from 'node:crypto'

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
