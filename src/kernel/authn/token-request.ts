import type { KubeObject } from '../api/object.ts'
import { badRequest, conflict, type FieldError, fieldError, invalid, notFound } from '../api/status.ts'
import type { BoundObject, ObjectLookup, ServiceAccountTokens } from './service-account.ts'

const MIN_SECONDS = 600
const MAX_SECONDS = 2 ** 32
const DEFAULT_SECONDS = 3600

const RESOURCES = { Pod: 'pods', Secret: 'secrets', Node: 'nodes' } as const

type Spec = {
  audiences?: string[] | null
  expirationSeconds?: number | null
  boundObjectRef?: ObjectReference | null
}
type ObjectReference = { kind?: string; apiVersion?: string; name?: string; uid?: string }

/**
 * Answers POST serviceaccounts/NAME/token (authentication.k8s.io/v1 TokenRequest). Throws ApiError. `annotateAudit` gets
 * the token's id, by which its uses are found in the audit log (KEP-4193).
 */
export function answerTokenRequest(
  tokens: ServiceAccountTokens,
  lookup: ObjectLookup,
  request: KubeObject,
  namespace: string,
  name: string,
  annotateAudit?: (key: string, value: string) => void,
): KubeObject {
  const account = prepareTokenRequest(tokens, lookup, request, namespace, name)
  const spec = request['spec'] as Spec
  const seconds = spec.expirationSeconds ?? DEFAULT_SECONDS
  const bound = boundObject(lookup, namespace, name, spec.boundObjectRef)
  const audiences = spec.audiences ?? []
  const { token, expiration, id } = tokens.issue(account, { audiences, expirationSeconds: seconds }, bound)
  annotateAudit?.('authentication.kubernetes.io/issued-credential-id', `JTI=${id}`)
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: null },
    spec: {
      audiences: [...audiences],
      expirationSeconds: seconds,
      boundObjectRef: spec.boundObjectRef ?? null,
    },
    status: { token, expirationTimestamp: `${new Date(expiration).toISOString().slice(0, 19)}Z` },
  }
}

export function defaultTokenRequest(request: KubeObject): void {
  const spec: Spec = (request['spec'] ??= {})
  spec.expirationSeconds ??= DEFAULT_SECONDS
}

/**
 * The request as validating admission sees it: checked, with the server's audiences where it names none, without a
 * status (TokenREST.Create). In place; throws ApiError. Returns the account.
 */
export function prepareTokenRequest(
  tokens: Pick<ServiceAccountTokens, 'audiences'>,
  lookup: ObjectLookup,
  request: KubeObject,
  namespace: string,
  name: string,
): KubeObject {
  const metadata = (request.metadata ??= {})
  if (metadata.name && metadata.name !== name)
    throw badRequest('the name of the object does not match the name on the URL')
  if (metadata.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  const account = lookup('serviceaccounts', namespace, name)
  if (account === undefined) throw notFound('', 'serviceaccounts', name)
  Object.assign(metadata, { name, namespace })
  defaultTokenRequest(request)
  const spec = request['spec'] as Spec
  if (!spec.audiences?.length) spec.audiences = [...tokens.audiences]
  delete request['status']
  const errors = lifetimeErrors(spec.expirationSeconds ?? DEFAULT_SECONDS)
  if (errors.length > 0) throw invalid('authentication.k8s.io', 'TokenRequest', '', errors)
  return account
}

function lifetimeErrors(seconds: number): FieldError[] {
  const field = 'spec.expirationSeconds'
  if (!Number.isSafeInteger(seconds)) return [fieldError.invalid(field, seconds, 'must be an integer')]
  if (seconds < MIN_SECONDS)
    return [fieldError.invalid(field, seconds, 'may not specify a duration less than 10 minutes')]
  if (seconds > MAX_SECONDS)
    return [fieldError.invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds')]
  return []
}

function boundObject(
  lookup: ObjectLookup,
  namespace: string,
  account: string,
  ref: ObjectReference | null | undefined,
): BoundObject | undefined {
  if (ref === undefined || ref === null) return undefined
  const { kind = '', apiVersion = 'v1', name = '', uid } = ref
  if (apiVersion !== 'v1' || !Object.hasOwn(RESOURCES, kind))
    throw badRequest(`cannot bind token to object of type ${JSON.stringify(`${apiVersion}, Kind=${kind}`)}`)
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
  const bound: BoundObject = { kind: known, name, uid: object.metadata.uid! }
  if (known !== 'Pod') return bound
  const { serviceAccountName = 'default', nodeName } = (object['spec'] ?? {}) as {
    serviceAccountName?: string
    nodeName?: string
  }
  if (serviceAccountName !== account)
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`,
    )
  if (!nodeName) return bound
  const node = lookup('nodes', '', nodeName)
  return { ...bound, node: { name: nodeName, ...(node === undefined ? {} : { uid: node.metadata.uid! }) } }
}
