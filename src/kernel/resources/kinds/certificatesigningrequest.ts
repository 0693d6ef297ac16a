import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition, StrategyContext } from '../definition.ts'
import { ageColumn, column, humanDuration, nameColumn } from '../printing.ts'
import { validateSignerName } from '../validation/signer-name.ts'
import { parseCertificateRequest } from './pkcs10.ts'

type Condition = {
  type: string
  status?: string
  reason?: string
  message?: string
  lastUpdateTime?: string | null
  lastTransitionTime?: string | null
}

const USAGES: readonly string[] = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
]
const MIN_SECONDS = 600
/** Conditions that can only be true, and stay once they are there. */
const TRUE_ONLY = ['Approved', 'Denied', 'Failed']
const DECISIONS = ['Approved', 'Denied']

const conditionsOf = (object: KubeObject): Condition[] => object.status?.conditions ?? []
const ofType = (object: KubeObject, type: string): Condition[] => conditionsOf(object).filter((c) => c.type === type)
const timestamp = (now: number): string => `${new Date(now).toISOString().slice(0, 19)}Z`

/** Requests that passed already: the bytes are immutable, so they need not be verified on each update. */
const verified = new WeakMap<object, string>()

function validateRequest(object: KubeObject): FieldError[] {
  const request: string = object.spec?.request ?? ''
  if (object.spec !== undefined && verified.get(object.spec) === request) return []
  try {
    parseCertificateRequest(Buffer.from(request, 'base64'))
  } catch (error) {
    return [fieldError.invalid('spec.request', request, (error as Error).message)]
  }
  verified.set(object.spec, request)
  return []
}

function validateUsages(usages: readonly string[]): FieldError[] {
  if (usages.length === 0) return [fieldError.required('spec.usages')]
  return usages.flatMap((usage, i) => [
    ...(USAGES.includes(usage) ? [] : [fieldError.notSupported(`spec.usages[${i}]`, usage, USAGES)]),
    ...(usages.indexOf(usage) < i ? [fieldError.duplicate(`spec.usages[${i}]`, usage)] : []),
  ])
}

function validateCondition(condition: Condition, earlier: readonly Condition[], path: string): FieldError[] {
  const errors: FieldError[] = []
  const { type = '', status = '' } = condition
  const allowed = TRUE_ONLY.includes(type) ? ['True'] : ['False', 'True', 'Unknown']
  if (type === '') errors.push(fieldError.required(`${path}.type`))
  if (status === '') errors.push(fieldError.required(`${path}.status`))
  else if (!allowed.includes(status)) errors.push(fieldError.notSupported(`${path}.status`, status, allowed))
  const opposite = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : undefined
  if (opposite !== undefined && earlier.some((c) => c.type === opposite))
    errors.push(fieldError.invalid(`${path}.type`, type, 'Approved and Denied conditions are mutually exclusive'))
  if (earlier.some((c) => c.type === type)) errors.push(fieldError.duplicate(`${path}.type`, type))
  return errors
}

/** status.certificate holds PEM certificates and nothing else but text around them. */
function validateCertificate(certificate: string): FieldError[] {
  if (certificate === '') return []
  const invalid = (detail: string): FieldError[] => [
    fieldError.invalid('status.certificate', '<certificate data>', detail),
  ]
  const pem = Buffer.from(certificate, 'base64').toString('latin1')
  const blocks = pem.split('-----BEGIN ').slice(1)
  if (blocks.length === 0) return invalid('must contain at least one CERTIFICATE PEM block')
  for (const block of blocks) {
    const type = block.slice(0, Math.max(0, block.indexOf('-----')))
    if (type !== 'CERTIFICATE') return invalid(`only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(type)}`)
    if (/^[^\n]*\n[^\n]*:/.test(block)) return invalid('no PEM block headers are permitted')
    try {
      new X509Certificate(`-----BEGIN ${block}`)
    } catch {
      return invalid('a CERTIFICATE PEM block cannot be read')
    }
  }
  return []
}

function validate(object: KubeObject): FieldError[] {
  const spec = object.spec ?? {}
  const errors = [
    ...(object.spec === undefined ? [fieldError.required('spec')] : validateRequest(object)),
    ...validateUsages(spec.usages ?? []),
    ...(spec.signerName === 'kubernetes.io/legacy-unknown'
      ? [
          fieldError.invalid(
            'spec.signerName',
            spec.signerName,
            'the legacy signerName is not allowed via this API version',
          ),
        ]
      : validateSignerName(spec.signerName ?? '', 'spec.signerName')),
  ]
  if (typeof spec.expirationSeconds === 'number' && spec.expirationSeconds < MIN_SECONDS)
    errors.push(
      fieldError.invalid(
        'spec.expirationSeconds',
        spec.expirationSeconds,
        'may not specify a duration less than 600 seconds (10 minutes)',
      ),
    )
  const conditions = conditionsOf(object)
  conditions.forEach((condition, i) => {
    errors.push(...validateCondition(condition, conditions.slice(0, i), `status.conditions[${i}]`))
  })
  return errors
}

function validateUpdate(object: KubeObject, old: KubeObject, { subresource }: StrategyContext): FieldError[] {
  const errors: FieldError[] = []
  const forbid = (field: string, detail: string): void => {
    errors.push(fieldError.forbidden(field, detail))
  }
  for (const type of TRUE_ONLY)
    if (ofType(object, type).length < ofType(old, type).length)
      forbid('status.conditions', `updates may not remove a condition of type "${type}"`)
  if (subresource !== 'approval')
    for (const type of DECISIONS) {
      const [now, before] = [ofType(object, type), ofType(old, type)]
      if (now.length > before.length) forbid('status.conditions', `updates may not add a condition of type "${type}"`)
      else if (now.length === before.length && !isDeepStrictEqual(now, before))
        forbid('status.conditions', `updates may not modify a condition of type "${type}"`)
    }
  const certificate: string = object.status?.certificate ?? ''
  const before: string = old.status?.certificate ?? ''
  if (certificate === before) return errors
  if (subresource !== 'status') forbid('status.certificate', 'updates may not set certificate content')
  else if (before !== '') forbid('status.certificate', 'updates may not modify existing certificate content')
  return errors.concat(validateCertificate(certificate))
}

/** Identity of the requester, recorded by the server; what the client says about it is ignored. */
function prepareForCreate(object: KubeObject, { user, userInfo }: StrategyContext): void {
  const spec = (object.spec ??= {})
  spec.username = user
  setOrDelete(spec, 'uid', userInfo?.uid || undefined)
  setOrDelete(spec, 'groups', userInfo?.groups.length ? [...userInfo.groups] : undefined)
  const extra = Object.entries(userInfo?.extra ?? {}).map(([key, values]) => [key, [...values]])
  setOrDelete(spec, 'extra', extra.length > 0 ? Object.fromEntries(extra) : undefined)
  object.status = {}
}

function setOrDelete(target: Record<string, unknown>, field: string, value: unknown): void {
  if (value === undefined) delete target[field]
  else target[field] = value
}

/** The decision belongs to /approval, the certificate and the other conditions to /status. */
function prepareForUpdate(object: KubeObject, old: KubeObject, { subresource, now }: StrategyContext): void {
  object.spec = old.spec
  const conditions = conditionsOf(object)
  if (subresource === 'approval') {
    object.status = { ...old.status }
    setOrDelete(object.status, 'conditions', conditions.length > 0 ? conditions : undefined)
  } else if (subresource === 'status') {
    object.status ??= {}
    for (const type of DECISIONS) preserve(conditions, type, ofType(old, type))
  } else object.status = old.status
  for (const condition of conditionsOf(object)) stamp(condition, old, now)
}

/** A decision that is there as often as before is the one before; any other is refused by validation. */
function preserve(conditions: Condition[], type: string, before: readonly Condition[]): void {
  const indices = conditions.flatMap((c, i) => (c.type === type ? [i] : []))
  if (indices.length !== before.length) return
  indices.forEach((index, i) => {
    conditions[index] = { ...before[i]! }
  })
}

function stamp(condition: Condition, old: KubeObject, now: number): void {
  condition.lastUpdateTime ||= timestamp(now)
  const same = ofType(old, condition.type).find((c) => c.status === condition.status)
  condition.lastTransitionTime ||= same?.lastTransitionTime || timestamp(now)
}

function state(object: KubeObject): string {
  const has = (type: string): boolean => ofType(object, type).length > 0
  const decision = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'
  return `${decision}${has('Failed') ? ',Failed' : ''}${object.status?.certificate ? ',Issued' : ''}`
}

export const certificateSigningRequestKind: ResourceDefinition = {
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  singular: 'certificatesigningrequest',
  shortNames: ['csr'],
  namespaced: false,
  schema: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
  subresources: [
    { name: 'status', verbs: ['get', 'patch', 'update'] },
    { name: 'approval', verbs: ['get', 'patch', 'update'] },
  ],
  columns: [
    nameColumn,
    ageColumn,
    column('SignerName', 'string', 'Who is asked to sign.', (o) => o.spec?.signerName || '<none>'),
    column('Requestor', 'string', 'User who made the request.', (o) => o.spec?.username ?? ''),
    column('RequestedDuration', 'string', 'Life of the certificate that was asked for.', (o) =>
      typeof o.spec?.expirationSeconds === 'number' ? humanDuration(o.spec.expirationSeconds * 1000) : '<none>',
    ),
    column('Condition', 'string', 'Pending, Approved or Denied; Failed; Issued.', state),
  ],
  selectableFields: { 'spec.signerName': (o) => o.spec?.signerName ?? '' },
  strategy: {
    // Kubernetes lets a request have any name that can stand in a path.
    nameFormat: 'path-segment',
    prepareForCreate,
    prepareForUpdate,
    resetFields: {
      '': [['spec'], ['status']],
      status: [['spec'], ['status', 'conditions']],
      approval: [['spec'], ['status', 'certificate']],
    },
    validate,
    validateUpdate,
  },
}
