import type { KubeObject } from '../api/object.ts'
import { badRequest, conflict, type FieldError, fieldError, invalid, notFound } from '../api/status.ts'
import type { ObjectLookup, ServiceAccountTokens } from './service-account.ts'

const MIN_SECONDS = 600
const MAX_SECONDS = 2 ** 32
const DEFAULT_SECONDS = 3600

const RESOURCES = { Pod: 'pods', Secret: 'secrets', Node: 'nodes' } as const

/** Answers POST serviceaccounts/NAME/token (authentication.k8s.io/v1 TokenRequest). */
export function answerTokenRequest(
  tokens: ServiceAccountTokens,
  lookup: ObjectLookup,
  request: KubeObject,
  namespace: string,
  name: string,
): KubeObject {
  const account = lookup('serviceaccounts', namespace, name)
  if (account === undefined) throw notFound('', 'serviceaccounts', name)
  const spec = (request['spec'] ?? {}) as {
    audiences?: string[]
    expirationSeconds?: number
    boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string }
  }
  const seconds = spec.expirationSeconds ?? DEFAULT_SECONDS
  const errors: FieldError[] = []
  if (seconds < MIN_SECONDS)
    errors.push(
      fieldError.invalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes'),
    )
  if (seconds > MAX_SECONDS)
    errors.push(
      fieldError.invalid('spec.expirationSeconds', seconds, 'may not specify a duration larger than 2^32 seconds'),
    )
  if (errors.length > 0) throw invalid('authentication.k8s.io', 'TokenRequest', name, errors)
  const bound = boundObject(lookup, namespace, name, spec.boundObjectRef)
  const audiences = spec.audiences ?? []
  const { token, expiration } = tokens.issue(account, { audiences, expirationSeconds: seconds }, bound)
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: null },
    spec: { ...spec, audiences: spec.audiences ?? tokens.audiences, expirationSeconds: seconds },
    status: { token, expirationTimestamp: `${new Date(expiration).toISOString().slice(0, 19)}Z` },
  }
}

function boundObject(
  lookup: ObjectLookup,
  namespace: string,
  account: string,
  ref: { kind?: string; apiVersion?: string; name?: string; uid?: string } | undefined,
): { kind: 'Pod' | 'Secret' | 'Node'; name: string; uid: string } | undefined {
  if (ref === undefined || ref === null) return undefined
  const { kind = '', name = '', uid } = ref
  if (!Object.hasOwn(RESOURCES, kind)) throw badRequest(`cannot bind token to object of type ${JSON.stringify(kind)}`)
  const known = kind as keyof typeof RESOURCES
  const object = lookup(RESOURCES[known], known === 'Node' ? '' : namespace, name)
  if (object === undefined) throw notFound('', RESOURCES[known], name)
  if (uid !== undefined && uid !== '' && uid !== object.metadata.uid)
    throw conflict(
      '',
      RESOURCES[known],
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  if (known === 'Pod' && (object['spec']?.serviceAccountName ?? 'default') !== account)
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`,
    )
  return { kind: known, name, uid: object.metadata.uid! }
}
