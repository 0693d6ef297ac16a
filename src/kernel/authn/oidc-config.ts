/** One identity provider, named as kube-apiserver's `--oidc-*` flags. */
export type OidcOptions = {
  /** `--oidc-issuer-url`: https, without user, query or fragment; `iss` must be the same text. */
  issuerUrl: string
  /** `--oidc-client-id`; with several, one of them must be in `aud`. */
  clientId: string | readonly string[]
  /** `--oidc-ca-file`'s content: PEM; the system's authorities when undefined. */
  ca?: string
  /** `--oidc-username-claim`; default `sub`. */
  usernameClaim?: string
  /**
   * `--oidc-username-prefix`; undefined: the issuer URL and `#`, except for the claim `email`, which has none; `-`: no
   * prefix.
   */
  usernamePrefix?: string
  /** `--oidc-groups-claim`; undefined: no groups. */
  groupsClaim?: string
  /** `--oidc-groups-prefix`. */
  groupsPrefix?: string
  /** `--oidc-required-claim`: claims that must be there with exactly these texts. */
  requiredClaims?: Readonly<Record<string, string>>
  /** `--oidc-signing-algs`; default RS256. */
  signingAlgs?: readonly string[]
}

export type OidcConfig = {
  issuer: string
  audiences: readonly string[]
  ca: string | undefined
  usernameClaim: string
  usernamePrefix: string
  groupsClaim: string | undefined
  groupsPrefix: string
  requiredClaims: ReadonlyMap<string, string>
  signingAlgs: readonly string[]
}

/** Asymmetric ones only. */
const ALGORITHMS: ReadonlySet<string> = new Set([
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
])

/** Checks the options and fills in the defaults. Throws an Error that names the flag. */
export function oidcConfig(options: OidcOptions): OidcConfig {
  checkIssuer(options.issuerUrl)
  const audiences = typeof options.clientId === 'string' ? [options.clientId] : [...options.clientId]
  if (audiences.length === 0 || audiences.includes('')) throw new Error('oidc-client-id: must not be empty')
  const signingAlgs = options.signingAlgs?.length ? [...options.signingAlgs] : ['RS256']
  for (const algorithm of signingAlgs)
    if (!ALGORITHMS.has(algorithm))
      throw new Error(`oidc-signing-algs: ${JSON.stringify(algorithm)} is none of ${[...ALGORITHMS].join(', ')}`)
  const { usernameClaim = 'sub', groupsClaim } = options
  if (usernameClaim === '' || groupsClaim === '')
    throw new Error('oidc-username-claim, oidc-groups-claim: a claim has a name')
  return {
    issuer: options.issuerUrl,
    audiences,
    ca: options.ca,
    usernameClaim,
    usernamePrefix: usernamePrefix(options, usernameClaim),
    groupsClaim,
    groupsPrefix: options.groupsPrefix ?? '',
    requiredClaims: new Map(Object.entries(options.requiredClaims ?? {})),
    signingAlgs,
  }
}

function usernamePrefix(options: OidcOptions, usernameClaim: string): string {
  const { usernamePrefix: prefix } = options
  if (prefix === '-') return ''
  if (prefix !== undefined && prefix !== '') return prefix
  return usernameClaim === 'email' ? '' : `${options.issuerUrl}#`
}

function checkIssuer(issuer: string): void {
  let url: URL
  try {
    url = new URL(issuer)
  } catch {
    throw new Error(`oidc-issuer-url: ${JSON.stringify(issuer)} is no URL`)
  }
  if (url.protocol !== 'https:') throw new Error('oidc-issuer-url: must begin with https://')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new Error('oidc-issuer-url: must not hold a user, a query or a fragment')
}
