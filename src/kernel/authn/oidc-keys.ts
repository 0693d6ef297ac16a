import { request } from 'node:https'
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Clock, Log } from '../feature.ts'

export type IssuerKeysOptions = {
  issuer: string
  /** PEM; the authorities that come with the runtime when undefined. */
  ca: string | undefined
  clock: Clock
  log: Log
  /** For one request, from connecting to the last byte; default 10 s. */
  timeoutMs?: number
  /** Keys older than this are fetched again in the background; default 10 min. */
  maxAgeMs?: number
  /** Not asked more often than this, whatever tokens come; default 10 s. */
  cooldownMs?: number
}

export type KeySet = { resolve: JWTVerifyGetKey; keyIds: ReadonlySet<string> }

const MAX_BYTES = 512 * 1024
const MAX_KEYS = 100

/**
 * The keys of one identity provider: discovery document, then key set, over verified TLS. Redirects are not followed;
 * the only other host asked is the one that the issuer itself names for its keys. One request at a time, however many
 * tokens wait.
 */
export class IssuerKeys {
  readonly #o: IssuerKeysOptions
  #keys: KeySet | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<KeySet> | undefined
  #lastError = 'the keys of the issuer were not fetched yet'

  constructor(options: IssuerKeysOptions) {
    this.#o = options
  }

  /** What is known now; undefined before the first success. Starts a fetch in the background when it is old. */
  get current(): KeySet | undefined {
    const age = this.#o.clock.now() - this.#fetchedAt
    if (this.#keys !== undefined && (age > (this.#o.maxAgeMs ?? 600_000) || age < 0) && this.#mayAsk())
      void this.#fetch().catch(() => undefined) // logged by #fetch; what is known stays in use
    return this.#keys
  }

  /** Keys that hold `keyId`, fetched if need be. Rejects with the reason when the issuer cannot be asked. */
  async holding(keyId: string | undefined): Promise<KeySet> {
    const known = this.current
    if (known !== undefined && (keyId === undefined || known.keyIds.has(keyId))) return known
    if (this.#fetching !== undefined) return this.#fetching
    if (!this.#mayAsk()) {
      if (known !== undefined) return known
      throw new Error(this.#lastError)
    }
    return this.#fetch()
  }

  #mayAsk(): boolean {
    if (this.#fetching !== undefined) return false
    const since = this.#o.clock.now() - this.#triedAt
    return since >= (this.#o.cooldownMs ?? 10_000) || since < 0
  }

  #fetch(): Promise<KeySet> {
    this.#triedAt = this.#o.clock.now()
    this.#fetching = fetchKeys(this.#o).then(
      (keys) => {
        this.#fetching = undefined
        this.#fetchedAt = this.#o.clock.now()
        this.#keys = keys
        return keys
      },
      (error: Error) => {
        this.#fetching = undefined
        this.#lastError = `the issuer cannot be asked for its keys: ${error.message}`
        this.#o.log('warn', 'the keys of an OIDC issuer cannot be fetched', {
          issuer: this.#o.issuer,
          error: error.message,
        })
        throw new Error(this.#lastError, { cause: error })
      },
    )
    return this.#fetching
  }
}

async function fetchKeys(options: IssuerKeysOptions): Promise<KeySet> {
  const { issuer } = options
  const discovery = (await getJson(
    new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
    options,
  )) as {
    issuer?: unknown
    jwks_uri?: unknown
  } | null
  if (discovery?.issuer !== issuer)
    throw new Error(`its discovery document is for the issuer ${JSON.stringify(discovery?.issuer)}`)
  if (typeof discovery.jwks_uri !== 'string' || !URL.canParse(discovery.jwks_uri))
    throw new Error('its discovery document names no jwks_uri')
  const uri = new URL(discovery.jwks_uri)
  if (uri.protocol !== 'https:') throw new Error('its jwks_uri does not begin with https://')
  const set = (await getJson(uri, options)) as Partial<JSONWebKeySet> | null
  if (!Array.isArray(set?.keys) || set.keys.length > MAX_KEYS)
    throw new Error(`its key set is no list of up to ${MAX_KEYS} keys`)
  // Symmetric keys have no place in a public set: a token signed with one proves nothing.
  const keys = set.keys.filter((key) => key?.kty === 'RSA' || key?.kty === 'EC')
  return {
    resolve: createLocalJWKSet({ keys }),
    keyIds: new Set(keys.flatMap((key) => (typeof key.kid === 'string' ? [key.kid] : []))),
  }
}

function getJson(url: URL, options: IssuerKeysOptions): Promise<unknown> {
  const { timeoutMs = 10_000, ca } = options
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const fail = (error: Error): void =>
      reject(
        new Error(
          `GET ${url.origin}${url.pathname}: ${signal.aborted ? `no answer within ${timeoutMs} ms` : error.message}`,
          { cause: error },
        ),
      )
    const call = request(
      url,
      { ...(ca === undefined ? {} : { ca }), agent: false, signal, headers: { Accept: 'application/json' } },
      (response) => {
        if (response.statusCode !== 200) {
          call.destroy()
          return fail(new Error(`status ${response.statusCode}`))
        }
        const parts: Buffer[] = []
        let bytes = 0
        response.on('data', (part: Buffer) => {
          parts.push(part)
          bytes += part.length
          if (bytes > MAX_BYTES) call.destroy(new Error(`the answer is over ${MAX_BYTES} bytes`))
        })
        response.on('error', fail)
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(parts).toString('utf8')))
          } catch (error) {
            fail(error as Error)
          }
        })
      },
    )
    call.on('error', fail)
    call.end()
  })
}
