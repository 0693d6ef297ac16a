import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** Kubernetes' key id: base64url of the SHA-256 of the public key's DER. */
export function keyId(key: KeyObject): string {
  const spki = publicKeyOf(key).export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64url')
}

const publicKeyOf = (key: KeyObject): KeyObject => (key.type === 'public' ? key : createPublicKey(key))
const base64url = (value: string | Buffer): string => Buffer.from(value as string).toString('base64url')
const JWT = /^[-\w]+\.[-\w]+\.[-\w]+$/

type Known = { source: readonly KeyObject[]; byId: ReadonlyMap<string, KeyObject>; signing: string }
export type Verified = { claims: object; keyId: string }

/** JWTs (RFC 7519) signed with ES256 by the keys of service-account tokens. */
export class TokenSigning {
  readonly #source: () => readonly KeyObject[]
  #known: Known | undefined

  /** P-256; the first is a private key and signs, all verify. The same array until it changes. */
  constructor(keys: () => readonly KeyObject[]) {
    this.#source = keys
  }

  #keys(): Known {
    const source = this.#source()
    if (this.#known?.source !== source) {
      const byId = new Map(source.map((key) => [keyId(key), publicKeyOf(key)]))
      this.#known = { source, byId, signing: keyId(source[0]!) }
    }
    return this.#known
  }

  knows(id: string): boolean {
    return this.#keys().byId.has(id)
  }

  sign(claims: object): string {
    const { source, signing } = this.#keys()
    const head = `${base64url(JSON.stringify({ alg: 'ES256', kid: signing }))}.${base64url(JSON.stringify(claims))}`
    const signature = sign('sha256', Buffer.from(head), { key: source[0]!, dsaEncoding: 'ieee-p1363' })
    return `${head}.${base64url(signature)}`
  }

  /**
   * 'foreign' for what is no token of this issuer, another text for what is wrong with one that says it is. The claims
   * are anything that JSON can say: the caller checks them.
   */
  verify(token: string, issuer: string): Verified | string {
    if (!JWT.test(token)) return 'foreign'
    const [head = '', payload = '', signature = ''] = token.split('.')
    const claims = parseJson(payload) as { iss?: unknown } | undefined
    if (claims?.iss !== issuer) return 'foreign'
    const header = parseJson(head) as { alg?: unknown; kid?: unknown; crit?: unknown } | undefined
    // The algorithm is ours to say, never the token's: `none` and HMAC with the public key as secret end here.
    if (header?.alg !== 'ES256') return `the token is signed with ${JSON.stringify(header?.alg)}, not ES256`
    if (header.crit !== undefined) return 'the token has critical header parameters'
    if (typeof header.kid !== 'string') return 'the token names no key'
    const key = this.#keys().byId.get(header.kid)
    if (key === undefined) return 'the token is signed with an unknown key'
    const signed = Buffer.from(`${head}.${payload}`)
    if (!verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')))
      return 'the signature is wrong'
    return { claims, keyId: header.kid }
  }

  /** RFC 7517 key set of everything that verifies. */
  jwks(): { keys: object[] } {
    return {
      keys: [...this.#keys().byId].map(([kid, key]) => ({
        use: 'sig',
        kid,
        alg: 'ES256',
        ...key.export({ format: 'jwk' }),
      })),
    }
  }
}

function parseJson(part: string): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined // not a JWT: another authenticator's business
  }
}
