import { X509Certificate } from 'node:crypto'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { COMMON_NAME, nameAttributes, ORGANIZATION, rawSubject } from '../../../kernel/authn/certificate-reader.ts'
import type { Client } from '../../../kernel/client/client.ts'
import { unless } from '../../../kernel/controllers/api-errors.ts'
import { type CertificateText, describeCertificate, issuerKeyId, serialName } from '../describe.ts'
import { ISSUED_CERTIFICATES, type IssuedCertificateSpec, NODE_LABEL, specOf, TLS_GROUP } from './kind.ts'

export const CONTROL_PLANE_SIGNER = 'rampart.dev/control-plane'
const NODE_SIGNERS = ['kubernetes.io/kube-apiserver-client-kubelet', 'kubernetes.io/kubelet-serving']
const NODE_PREFIX = 'system:node:'

export type IssuedFor = { signerName: string; request: string; requestedBy: string }

/** The object that stands for the first certificate of a PEM text. */
export function issuedCertificate(pem: string, { signerName, request, requestedBy }: IssuedFor): KubeObject {
  const certificate = new X509Certificate(pem)
  const attributes = nameAttributes(rawSubject(certificate.raw))
  const of = (oid: string): string[] => attributes.filter((a) => a.oid === oid).map((a) => a.value)
  const commonName = of(COMMON_NAME)[0] ?? ''
  const { names, issuer, notBefore, notAfter } = describeCertificate(certificate)
  const isNode = NODE_SIGNERS.includes(signerName) && commonName.startsWith(NODE_PREFIX)
  const node = isNode ? commonName.slice(NODE_PREFIX.length) : ''
  const spec: IssuedCertificateSpec = {
    commonName,
    organizations: of(ORGANIZATION),
    names,
    issuer,
    issuerKeyId: issuerKeyId(certificate),
    signerName,
    request,
    requestedBy,
    node,
    notBefore,
    notAfter,
  }
  return {
    apiVersion: `${TLS_GROUP}/v1`,
    kind: 'IssuedCertificate',
    metadata: {
      name: serialName(certificate.serialNumber),
      // Label values are at most 63 characters; names of machines may be longer, and are then found by field.
      ...(node !== '' && node.length <= 63 ? { labels: { [NODE_LABEL]: node } } : {}),
    },
    spec,
  } as unknown as KubeObject
}

/** Before a certificate is handed out: what is not recorded could not be revoked by name. */
export async function recordIssued(client: Client, pem: string, issuedFor: IssuedFor): Promise<void> {
  await unless(client.create(ISSUED_CERTIFICATES, issuedCertificate(pem, issuedFor)), 'AlreadyExists')
}

/** The certificate that an object stands for, as it is shown. */
export function recordText(record: KubeObject): CertificateText {
  const { organizations = [], commonName: name, issuer, names = [], notBefore, notAfter } = specOf(record)
  const subject = [...organizations.map((o) => `O=${o}`), `CN=${name}`].join(', ')
  return { subject, issuer, serial: record.metadata.name!.toUpperCase(), names, notBefore, notAfter }
}
