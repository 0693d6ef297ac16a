import type { KubeObject } from '../../../kernel/api/object.ts'
import { type FieldError, fieldError } from '../../../kernel/api/status.ts'
import type { ResourceId } from '../../../kernel/client/client.ts'
import { jsonEqual } from '../../../kernel/merge/json-value.ts'
import type { ResourceDefinition } from '../../../kernel/resources/definition.ts'
import { ageColumn, column, nameColumn } from '../../../kernel/resources/printing.ts'

export const TLS_GROUP = 'tls.rampart.dev'
export const ISSUED_CERTIFICATES: ResourceId = { group: TLS_GROUP, version: 'v1', resource: 'issuedcertificates' }
export const NODE_LABEL = 'tls.rampart.dev/node'

/** `spec` of an IssuedCertificate: what was signed, for whom. Its name is the serial number, lower-case hexadecimal. */
export type IssuedCertificateSpec = {
  commonName: string
  organizations: string[]
  /** `DNS:…`, `IP:…` */
  names: string[]
  issuer: string
  /** Key identifier of the authority, hexadecimal: tells generations of authorities apart. */
  issuerKeyId: string
  /** Of the CertificateSigningRequest; `rampart.dev/control-plane` for the control plane's own. */
  signerName: string
  /** The certificate's name in the control plane, or that of the CertificateSigningRequest. */
  request: string
  requestedBy: string
  /** Name of the machine whose certificate it is; '' for others. */
  node: string
  /** RFC 3339. */
  notBefore: string
  notAfter: string
  /** When the certificate was revoked; it never counts again. */
  revokedAt?: string
}

const EMPTY = { organizations: [], names: [], issuer: '', signerName: '', request: '', requestedBy: '', node: '' }

/** What is empty is not stored. */
export const specOf = (object: KubeObject): IssuedCertificateSpec => ({ ...EMPTY, ...object['spec'] })

const text = { type: 'string' } as const
const time = { type: 'string', format: 'date-time' } as const
const texts = { type: 'array', items: text, 'x-kubernetes-list-type': 'atomic' } as const

function validate(object: KubeObject): FieldError[] {
  const { notBefore, notAfter, revokedAt } = specOf(object)
  const errors: FieldError[] = []
  if (!/^[0-9a-f]{1,40}$/.test(object.metadata.name ?? ''))
    errors.push(fieldError.invalid('metadata.name', object.metadata.name ?? '', 'must be a serial number, hexadecimal'))
  for (const [name, value] of Object.entries({ notBefore, notAfter, revokedAt }))
    if (value !== undefined && !Number.isFinite(Date.parse(value)))
      errors.push(fieldError.invalid(`spec.${name}`, value, 'must be a time'))
  return errors
}

/** What was signed stays as it was; a revocation is not taken back. */
function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const { revokedAt, ...now } = specOf(object)
  const { revokedAt: before, ...was } = specOf(old)
  const errors: FieldError[] = []
  if (!jsonEqual(now as never, was as never))
    errors.push(fieldError.forbidden('spec', 'only revokedAt may be set: the rest says what was signed'))
  if (before !== undefined && revokedAt !== before)
    errors.push(fieldError.forbidden('spec.revokedAt', 'a revocation is final'))
  return errors
}

/** One object for every certificate that the cluster's authorities have signed and that has not long expired. */
export const issuedCertificateKind: ResourceDefinition = {
  group: TLS_GROUP,
  version: 'v1',
  kind: 'IssuedCertificate',
  plural: 'issuedcertificates',
  singular: 'issuedcertificate',
  shortNames: ['issued'],
  namespaced: false,
  schema: {
    type: 'object',
    description: 'A certificate that the cluster has signed. Set spec.revokedAt to revoke it; nothing else can change.',
    required: ['spec'],
    properties: {
      apiVersion: text,
      kind: text,
      metadata: { type: 'object' },
      spec: {
        type: 'object',
        required: ['commonName', 'issuerKeyId', 'notBefore', 'notAfter'],
        properties: {
          commonName: text,
          organizations: texts,
          names: texts,
          issuer: text,
          issuerKeyId: text,
          signerName: text,
          request: text,
          requestedBy: text,
          node: text,
          notBefore: time,
          notAfter: time,
          revokedAt: time,
        },
      },
    },
  },
  columns: [
    nameColumn,
    column('Subject', 'string', 'Common name.', (o) => specOf(o).commonName),
    column('Signer', 'string', 'Who signed it, for what.', (o) => specOf(o).signerName),
    column('Expires', 'string', 'When it ends.', (o) => specOf(o).notAfter),
    column('Revoked', 'string', 'When it was revoked.', (o) => specOf(o).revokedAt ?? ''),
    ageColumn,
  ],
  selectableFields: {
    'spec.commonName': (o) => specOf(o).commonName,
    'spec.node': (o) => specOf(o).node,
  },
  strategy: { validate, validateUpdate },
}
