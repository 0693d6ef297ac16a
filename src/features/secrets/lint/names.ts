/**
 * What the name of a field, variable or flag says about its value.
 * - secret: the value is a secret (`DB_PASSWORD`, `apiKey`)
 * - ambiguous: a secret or the name of one (`auth-secret`, `secretKey`): looks of the value decide
 * - header: an HTTP Authorization header
 * - context: a long random value would be a secret (`signing.seed`, `key`)
 * - none: says nothing, or says that it is something else (`tokenExpirySeconds`, `PASSWORD_FILE`, `publicKey`)
 */
export type NameClass = 'secret' | 'ambiguous' | 'header' | 'context' | 'none'

/** Longer names are judged by their end. */
const MAX_NAME = 128

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '))

const PASSWORD = words('password passwd passphrase pwd passwort passcode pgpassword kennwort pword passwords pswd')
const SECRET_LAST = words('secret secrets credential credentials creds cred')
const TOKEN_LAST = words('token bearer jwt pat apikey secretkey accesskey privatekey authkey apitoken accesstoken')
/** Before `key`: the pair is a secret. */
const SECRET_KEYS = words(
  'api access private encryption encrypt decryption master signing sign storage account ssh aes hmac auth app jwt cookie ' +
    'rsa gpg pgp client shared deploy consumer license admin root instrumentation ingestion webhook kms sas authentication',
)
/** Before `secret`: never the name of a Secret object. */
const OWN_SECRETS = words('client app application consumer shared jwt cookie session api oauth hmac signing csrf')
/** Before `key`: it names, sorts or finds something. */
const HARMLESS_KEYS = words(
  'public cache primary partition sort foreign routing hash index object password passwd token username user topology ' +
    'row field map lookup unique order group host known label annotation json dedup idempotency message event metric config',
)
/** As the last word: the value is something about the secret, not the secret. */
const ABOUT = words(
  'file files filename path paths dir directory folder url urls uri endpoint endpoints host hosts hostname port address name ' +
    'names ref refs reference id ids identifier type types kind length len size sizes expiry expires expiration expire exp ttl ' +
    'lifetime duration timeout seconds second minutes hours days ms interval period policy policies enabled enable disabled ' +
    'disable required require optional allowed allow max min count limit limits quota rotation rotate rotated algorithm ' +
    'algorithms alg method methods mode format header headers field fields claim claims prefix suffix provider providers store ' +
    'stores manager backend engine class version versions namespace namespaces label labels selector regex regexp pattern ' +
    'template audience audiences issuer issuers scope scopes review reviewer cache encoding column env var variable mount ' +
    'volume service account request requests validity age status reset change strength generator prompt hint placeholder ' +
    'description title text message messages owner user username login permission permissions arn bucket region only support ' +
    'supported complexity history rules rule validator validation check checks checksum digest fingerprint thumbprint sha ' +
    'sha1 sha256 md5 location server controller operator webhook plugin driver handler parser source target keyring alias ' +
    'usage attempts retries bytes bits chars characters rate burst bucket budget window tokens email mail domain realm ' +
    'updated created date time timestamp at by from stdin prompt interactive ask fd exists set present missing',
)
/** Before the last word with its meaning inverted: `usePassword`, `maxToken`. */
const ABOUT_FIRST = words(
  'max min num enable enabled disable disabled use uses using skip require required requires has is allow allows automount show ' +
    'hide generate auto validate check ignore no non without with public reset forgot missing invalid count',
)
/** Trailing words that do not change what it is. */
const FILLER = words(
  'value val plaintext plain base64 b64 encoded decoded string raw prod production dev development stage staging test testing ' +
    'default old new current previous next primary secondary backup master slave replica live data',
)
const CONTEXT = words(
  'key keys auth authentication salt seed nonce cipher crypt crypto encryption hmac signing signature session cookie ' +
    'secret secrets token credential sas otp mfa totp pepper access private webhook license dsn verifier pin',
)
const GLUED =
  /(?:password|passwd|passphrase|passwort|apikey|secretkey|accesskey|privatekey|authtoken|accesstoken|apitoken|clientsecret|bearertoken)$/
const WORD = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/g

const known = new Map<string, NameClass>()
const MAX_KNOWN = 8192

/** Case, separators and camel case do not matter; a path's or annotation's last part counts with what is before it. */
export function classifyName(name: string): NameClass {
  const cached = known.get(name)
  if (cached !== undefined) return cached
  const result = classify(name.length > MAX_NAME ? name.slice(-MAX_NAME) : name)
  if (known.size >= MAX_KNOWN) known.clear()
  // Long names are rare and may be data: they are not kept.
  if (name.length <= MAX_NAME) known.set(name, result)
  return result
}

/** `dbPassword`, `DB_PASSWORD` and `db-password` are all `db password`. */
export function splitWords(name: string): string[] {
  return (name.match(WORD) ?? []).map((word) => word.toLowerCase())
}

function classify(name: string): NameClass {
  // Charts note a hash of what they were rendered with: `checksum/secret`.
  if (/(?:^|[./_-])(?:checksum|hash|digest)[./_-]/i.test(name)) return 'none'
  const own = name.slice(name.lastIndexOf('/') + 1)
  if (/^(?:proxy-)?authorization$/i.test(own)) return 'header'
  const all = splitWords(own)
  while (all.length > 1 && (FILLER.has(all.at(-1)!) || /^[0-9]+$/.test(all.at(-1)!))) all.pop()
  const last = all.at(-1)
  if (last === undefined) return 'none'
  if (ABOUT.has(last) || ABOUT_FIRST.has(all[0]!)) return 'none'
  return classifyWords(all, last, own)
}

function classifyWords(all: readonly string[], last: string, own: string): NameClass {
  const before = all.at(-2) ?? ''
  if (PASSWORD.has(last) || GLUED.test(last)) return 'secret'
  if (last === 'pass') return before === 'proxy' || before === 'fastcgi' || before === 'by' ? 'none' : 'secret'
  if (TOKEN_LAST.has(last)) return 'secret'
  if (last.endsWith('token') && last !== 'token') return 'secret'
  if (SECRET_LAST.has(last) || (last.endsWith('secret') && last.length > 6)) {
    const shouted = !/[a-z]/.test(own)
    return shouted || OWN_SECRETS.has(before) || (last !== 'secret' && last.endsWith('secret')) ? 'secret' : 'ambiguous'
  }
  if (last === 'key' || last === 'keys') return classifyKey(before, own)
  if (all.some((word) => PASSWORD.has(word))) return 'secret'
  if (own === '_auth' || own === '.auth') return 'secret'
  if (last === 'requirepass' || last === 'masterauth' || last === 'userpass' || last === 'rootpw') return 'secret'
  return all.some((word) => CONTEXT.has(word)) && !all.some((word) => HARMLESS_KEYS.has(word)) ? 'context' : 'none'
}

function classifyKey(before: string, own: string): NameClass {
  if (HARMLESS_KEYS.has(before)) return 'none'
  // `secretKey` is an AWS secret in one kind and the key within a Secret in the next.
  if (before === 'secret') return /[a-z]/.test(own) ? 'ambiguous' : 'secret'
  return SECRET_KEYS.has(before) ? 'secret' : 'context'
}
