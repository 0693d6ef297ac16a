import type { ControlPlanePki, Revocations } from '../features/tls/index.ts'
import { builtinAdmission } from '../kernel/admission/builtin.ts'
import type { Lookup } from '../kernel/admission/lookup.ts'
import type { AdmissionStep } from '../kernel/admission/types.ts'
import type { KubeObject } from '../kernel/api/object.ts'
import type { Entry } from '../kernel/apiserver/cache/entry.ts'
import type { ResourceCache } from '../kernel/apiserver/cache/resource-cache.ts'
import { resourcePrefix, type WatchCache } from '../kernel/apiserver/cache/watch-cache.ts'
import { decodeForeign } from '../kernel/apiserver/http/foreign-body.ts'
import type { Access, AccessContext } from '../kernel/apiserver/server.ts'
import { generateName } from '../kernel/apiserver/verbs/create.ts'
import type { VirtualHandler } from '../kernel/apiserver/virtual.ts'
import { bootstrapTokenAuthenticator } from '../kernel/authn/bootstrap-token.ts'
import { createAuthenticatorChain } from '../kernel/authn/chain.ts'
import { LegacyTokens } from '../kernel/authn/legacy-token.ts'
import { type ObjectLookup, ServiceAccountTokens } from '../kernel/authn/service-account.ts'
import { answerTokenRequest, defaultTokenRequest, prepareTokenRequest } from '../kernel/authn/token-request.ts'
import { answerTokenReview } from '../kernel/authn/token-review.ts'
import { TokenSigning } from '../kernel/authn/token-signing.ts'
import type { TokenAuthenticator } from '../kernel/authn/types.ts'
import { x509Authenticator } from '../kernel/authn/x509.ts'
import type { AuthorizerChain } from '../kernel/authz/chain.ts'
import { systemMasters } from '../kernel/authz/privileged.ts'
import {
  answerSelfSubjectAccessReview,
  answerSelfSubjectReview,
  answerSelfSubjectRulesReview,
  answerSubjectAccessReview,
  checkLocalReview,
} from '../kernel/authz/reviews.ts'
import { clusterIpAdmission, ensureSystemNamespaces, type ServiceAllocations } from '../kernel/controllers/index.ts'
import type { Feature, ServerContext } from '../kernel/feature.ts'
import type { ResourceDefinition } from '../kernel/resources/definition.ts'

/** Name of the token issuer and the API server's own audience, as in every cluster with the default domain. */
export const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const JWKS_PATH = '/openid/v1/jwks'

export type AccessOptions = {
  features: readonly Feature[]
  pki: ControlPlanePki
  revocations: Revocations
  /** Further token authenticators, e.g. OIDC. */
  tokenAuthenticators: readonly TokenAuthenticator[]
  allocations: (context: AccessContext) => ServiceAllocations
  /** Told who issues the tokens that live in Secrets. */
  legacyTokens: (tokens: LegacyTokens) => void
  signal: AbortSignal
  /** kube-apiserver's --admission-control-config-file. */
  admissionConfigFile?: string | undefined
}

/** Reads of what is stored, from memory. */
export function cacheLookup(cache: WatchCache): Lookup {
  // Few objects are looked up often (namespaces, service accounts): they are parsed once per version.
  const parsed = new WeakMap<Entry, KubeObject>()
  const objectOf = (entry: Entry | undefined): KubeObject | undefined => {
    if (entry === undefined) return undefined
    let object = parsed.get(entry)
    if (object === undefined) parsed.set(entry, (object = entry.shared()))
    return object
  }
  return {
    get: (group, resource, namespace, name) =>
      objectOf(cache.resource(resourcePrefix(group, resource)).get(namespace === '' ? name : `${namespace}/${name}`)),
    list: (group, resource, namespace = '') => {
      const all = cache.resource(resourcePrefix(group, resource))
      const [from, to] = all.range(namespace)
      // Asked for every write (webhooks), and most often there are none.
      return from === to ? NONE : objects(all, from, to)
    },
  }

  function* objects(all: ResourceCache, from: number, to: number): Iterable<KubeObject> {
    for (let i = from; i < to; i++) yield objectOf(all.at(i))!
  }
}

const NONE: readonly KubeObject[] = []

/** Other ways to the same objects: versions of a custom kind, and kinds that are a view of another (events). */
function equivalents(
  all: readonly ResourceDefinition[],
  definition: ResourceDefinition,
): readonly ResourceDefinition[] {
  const stored = storedAs(definition)
  return all.filter((other) => {
    const { group, plural } = storedAs(other)
    return group === stored.group && plural === stored.plural && other !== definition
  })
}

const storedAs = (definition: ResourceDefinition): { group: string; plural: string } =>
  definition.view?.of ?? definition

/** Puts authentication, authorization and admission together, in the order in which they are asked. */
export async function createAccess(context: AccessContext, o: AccessOptions): Promise<Access> {
  await ensureSystemNamespaces(context.client)
  const lookup = cacheLookup(context.core.cache)
  const accounts: ObjectLookup = (resource, namespace, name) => lookup.get('', resource, namespace, name)
  const signing = new TokenSigning(() => o.pki.serviceAccountKeys)
  const audiences = [ISSUER]
  const serviceAccounts = new ServiceAccountTokens({
    issuer: ISSUER,
    audiences,
    signing,
    lookup: accounts,
    clock: context.clock,
  })
  const legacyTokens = new LegacyTokens({ signing, audiences, lookup: accounts })
  o.legacyTokens(legacyTokens)
  const tokens: TokenAuthenticator[] = [
    serviceAccounts,
    legacyTokens,
    bootstrapTokenAuthenticator((namespace, name) => lookup.get('', 'secrets', namespace, name), context.clock),
    ...o.tokenAuthenticators,
  ]
  const authenticators = createAuthenticatorChain(
    [x509Authenticator({ clock: context.clock, isRevoked: o.revocations.isRevoked })],
    tokens,
  )

  let chain: AuthorizerChain | undefined
  const serverContext: ServerContext = {
    ...context,
    signal: o.signal,
    lookup,
    ...(o.admissionConfigFile === undefined ? {} : { admissionConfigFile: o.admissionConfigFile }),
    authorize: (attributes) => {
      if (chain === undefined) throw new Error('the authorizers are not ready yet')
      return chain.authorize(attributes)
    },
  }
  const authorizers = [systemMasters]
  for (const feature of o.features) authorizers.push(...((await feature.authorizers?.(serverContext)) ?? []))
  const featureSteps: AdmissionStep[] = []
  for (const feature of o.features) featureSteps.push(...((await feature.admission?.(serverContext)) ?? []))
  const { kinds } = context.core
  const admission = [
    ...builtinAdmission(
      {
        lookup,
        client: context.client,
        clock: context.clock,
        log: context.log,
        authorize: serverContext.authorize!,
        generateName,
        recode: ({ group, version, plural }, document, foreign) => {
          if (foreign !== undefined) return decodeForeign(document, [], foreign, 'Ignore').object
          const kind = kinds.get(group, version, plural)!
          const { object } = kind.decode(document, 'Ignore')
          kind.applyDefaults(object)
          return object
        },
        equivalents: (definition) =>
          equivalents(
            [...kinds.all()].map((kind) => kind.definition),
            definition,
          ),
      },
      featureSteps,
    ),
  ]
  // Last: what it reserves would be lost if a step behind it refused the object.
  admission.push(clusterIpAdmission(o.allocations(context)))

  return {
    authenticate: authenticators.authenticate,
    authorizers,
    admission,
    virtual: (finished) => {
      chain = finished
      return virtualHandlers(finished, tokens, serviceAccounts, accounts)
    },
    documents: new Map([
      [
        '/.well-known/openid-configuration',
        { contentType: 'application/json', body: () => serviceAccounts.discovery(`${ISSUER}${JWKS_PATH}`) },
      ],
      [JWKS_PATH, { contentType: 'application/jwk-set+json', body: () => serviceAccounts.jwks() }],
    ]),
  }
}

function virtualHandlers(
  chain: AuthorizerChain,
  tokens: readonly TokenAuthenticator[],
  serviceAccounts: ServiceAccountTokens,
  lookup: ObjectLookup,
): ReadonlyMap<string, VirtualHandler> {
  const authorization = 'authorization.k8s.io'
  const authentication = 'authentication.k8s.io'
  return new Map<string, VirtualHandler>([
    [`${authorization}/subjectaccessreviews`, ({ body }) => answerSubjectAccessReview(body, chain)],
    [
      `${authorization}/localsubjectaccessreviews`,
      ({ body, namespace }) => {
        checkLocalReview(body, namespace)
        return answerSubjectAccessReview(body, chain)
      },
    ],
    [
      `${authorization}/selfsubjectaccessreviews`,
      ({ body, caller }) => answerSelfSubjectAccessReview(body, chain, caller.user),
    ],
    [
      `${authorization}/selfsubjectrulesreviews`,
      ({ body, caller }) => answerSelfSubjectRulesReview(body, chain, caller.user),
    ],
    [`${authentication}/selfsubjectreviews`, ({ body, caller }) => answerSelfSubjectReview(body, caller.user)],
    [`${authentication}/tokenreviews`, ({ body }) => answerTokenReview(body, tokens, [ISSUER])],
    [
      '/serviceaccounts/token',
      {
        defaults: defaultTokenRequest,
        prepare: ({ body, namespace, name }) => {
          prepareTokenRequest(serviceAccounts, lookup, body, namespace, name)
        },
        answer: ({ body, namespace, name, caller }) =>
          answerTokenRequest(serviceAccounts, lookup, body, namespace, name, caller.annotateAudit),
      },
    ],
  ])
}
