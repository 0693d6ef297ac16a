import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { encodeName, generalNames, type SubjectAltNames } from './certificate.ts'
import { bitString, explicit, objectIdentifier, octetString, sequence, setOf, smallInteger } from './der.ts'

export type RequestContent = {
  commonName: string
  organizations?: readonly string[]
  sans?: SubjectAltNames
  /** EC P-256 private key; it signs the request and goes no further. */
  key: KeyObject
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
const SUBJECT_ALT_NAME = '2.5.29.17'
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** A certification request (PKCS#10, RFC 2986), PEM. Throws CertificateError for names that cannot be encoded. */
export function writeCertificateRequest({ commonName, organizations = [], sans = {}, key }: RequestContent): string {
  if (key.asymmetricKeyType !== 'ec') throw new Error('requests are signed with EC keys')
  const names = generalNames(sans)
  const extensions = sequence(sequence(objectIdentifier(SUBJECT_ALT_NAME), octetString(sequence(...names))))
  const attributes = names.length === 0 ? [] : [sequence(objectIdentifier(EXTENSION_REQUEST), setOf(extensions))]
  const info = sequence(
    smallInteger(0),
    encodeName({ commonName, organizations }),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    explicit(0, ...attributes),
  )
  const der = sequence(info, sequence(objectIdentifier(ECDSA_WITH_SHA256)), bitString(sign('sha256', info, key)))
  const lines = der.toString('base64').match(/.{1,64}/g)!
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
}
