/** What a value looks like, whatever its name. */
export type ValueClass =
  /** Nothing that could be a secret: empty, a boolean, a small number. */
  | 'trivial'
  /** Stands for a value that is elsewhere: `$(VAR)`, `vault:…`, `<redacted>`. */
  | 'reference'
  /** A file's path or an address. */
  | 'location'
  /** A secret that nobody chose yet: `changeme`. */
  | 'placeholder'
  | 'plain'

const TRIVIAL = new Set(
  (
    'true false yes no on off null nil none undefined enabled disabled enable disable required optional default auto n/a na ' +
    'always never allow deny basic bearer digest token password-file env file vault kubernetes'
  ).split(' '),
)

/** Whole values that say where the real one is. */
const REFERENCES: readonly RegExp[] = [
  /^(?:ref\+)?(?:vault|awssm|awsssm|ssm|sm|gcpsecrets|secretsmanager|secretref|secretkeyref|op|azurekeyvault|akv|akeyless|kms|env|bw|doppler|infisical|sops|keyring|kubernetes|k8s|secret|gsm|projects|file|conjur|keyvault|vals|passbolt|lastpass|1password)(?::|\/\/|\/[a-z])/i,
  /^arn:aws[a-z-]*:(?:secretsmanager|ssm|kms|iam):/,
  /^projects\/[^/\s]+\/secrets\//,
  /^ENC\[|^\$ANSIBLE_VAULT|^\{cipher\}|^\{noop\}$|^!vault\b|^AGE-ENCRYPTED|^-----BEGIN (?:AGE ENCRYPTED|PGP MESSAGE|CERTIFICATE|PUBLIC KEY)/,
  /^@Microsoft\.KeyVault\(/,
  /^(?:os\.environ|process\.env|System\.getenv|getenv|env|ENV|os\.getenv|lookup|data\.|var\.|local\.|module\.)[.[(/a-z]/,
  /^<[^<>]{0,200}>$|^\[[A-Za-z _-]{0,60}\]$|^\([A-Za-z _-]{0,60}\)$/,
  /^%[A-Za-z_][A-Za-z0-9_.]*%$|^__[A-Za-z0-9_]+__$|^@@?[A-Za-z_][A-Za-z0-9_.]*@@?$|^#\{[^}]*\}#?$/,
  /^[*.xX•#-]{3,}$/,
  /^\*|redacted|^masked$|^hidden$|^omitted$|\*{5}/i,
]
const INTERPOLATED = /\$\([A-Za-z_]|\$\{[^}]{0,200}\}|\{\{|<%/
const SHELL_VARIABLE = /^\$[A-Za-z_][A-Za-z0-9_]*$/
/** `DB_PASSWORD` as a value is the name of a variable. */
const VARIABLE_NAME = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/
const PATH = /^(?:~|\.{1,2}|[A-Za-z]:|@)?(?:[/\\][A-Za-z0-9._@+-]+)+[/\\]?$/
const ADDRESS = /^[a-z][a-z0-9+.-]{1,20}:\/\/[^\s@]*$/i
const PLACEHOLDER_START = new Set(
  (
    'change changeme changeit replace replaceme your insert enter put set add fill todo fixme tbd dummy example sample test ' +
    'testing demo foo bar baz placeholder fake mock password passw0rd passwd pass secret token admin root default guest user ' +
    'postgres mysql redis minio rabbitmq letmein qwerty abc xxx xxxx some my p4ssw0rd p@ssw0rd pwd insecure please the a'
  ).split(' '),
)
const PLACEHOLDER_WORD = new Set([
  ...PLACEHOLDER_START,
  ...'me it this here now key keys with value string strong real api db app pw later in prod production super own goes random'.split(
    ' ',
  ),
])

/** Looks of a value that stands under a secret-like name. Linear in its length; long values count as plain. */
export function classifyValue(text: string): ValueClass {
  const value = text.length > 4096 ? text.slice(0, 4096) : text
  if (value.length < 3 || /^\s*$/.test(value)) return 'trivial'
  if (/^[0-9][0-9.,_]*(?:[a-z]{1,2})?$/i.test(value) && value.length < 4) return 'trivial'
  if (value.length <= 16 && TRIVIAL.has(value.toLowerCase())) return 'trivial'
  if (isReference(value)) return 'reference'
  if (isLocation(value)) return 'location'
  if (isPlaceholder(value)) return 'placeholder'
  return 'plain'
}

export function isReference(value: string): boolean {
  if (VARIABLE_NAME.test(value) && !/[0-9]{3}/.test(value)) return true
  return INTERPOLATED.test(value) || SHELL_VARIABLE.test(value) || REFERENCES.some((r) => r.test(value))
}

/** The default in `${NAME:-default}` or `${NAME:default}`, which is a value in plain text after all. */
export function defaultWithin(value: string): { text: string; start: number } | undefined {
  const match = /^\$\{[A-Za-z_][A-Za-z0-9_.]*:(?![?+])[-=]?([^${}]{3,200})\}$/.exec(value)
  if (match === null) return undefined
  return { text: match[1]!, start: value.length - 1 - match[1]!.length }
}

function isLocation(value: string): boolean {
  if (ADDRESS.test(value)) return true
  if (!PATH.test(value) || value.length > 512) return false
  // Base64 may begin with a slash: a path's parts are words.
  return !value.split(/[/\\]/).some((part) => part.length >= 20 && variety(part) === 3)
}

/** Made of words like `change`, `your`, `password`, however they are joined; or one character, or the keyboard's row. */
export function isPlaceholder(value: string): boolean {
  if (value.length > 60) return false
  if (/^(.)\1+$/.test(value) || /^(?:1234567890?|123456|12345|1234|abcdef?|abc123)$/.test(value)) return true
  const parts = value.toLowerCase().split(/[-_ .]+/)
  const last = parts.length - 1
  parts[last] = parts[last]!.replace(/[0-9]{0,4}!{0,3}$/, '')
  const text = parts.filter((part) => part !== '')
  return text.length > 0 && isMadeOf(text[0]!, true) && text.slice(1).every((part) => isMadeOf(part, false))
}

const LONGEST_WORD = 12

/** Whether the text can be cut into words of the list. */
function isMadeOf(text: string, first: boolean): boolean {
  const reached = new Array<boolean>(text.length + 1).fill(false)
  reached[0] = true
  for (let i = 0; i < text.length; i++) {
    if (!reached[i]) continue
    const list = first && i === 0 ? PLACEHOLDER_START : PLACEHOLDER_WORD
    for (let n = 1; n <= LONGEST_WORD && i + n <= text.length; n++)
      if (list.has(text.slice(i, i + n))) reached[i + n] = true
  }
  return reached[text.length]!
}

/** How many of upper case, lower case and digits appear. */
export function variety(text: string): number {
  return (/[a-z]/.test(text) ? 1 : 0) + (/[A-Z]/.test(text) ? 1 : 0) + (/[0-9]/.test(text) ? 1 : 0)
}

/** Bits per character (Shannon) over at most the first 512. */
export function entropy(text: string): number {
  const n = Math.min(text.length, 512)
  const counts = new Map<number, number>()
  for (let i = 0; i < n; i++) {
    const c = text.charCodeAt(i)
    counts.set(c, (counts.get(c) ?? 0) + 1)
  }
  let bits = 0
  for (const count of counts.values()) bits -= (count / n) * Math.log2(count / n)
  return bits
}

const HEX = /^[0-9a-f]{32,}$|^[0-9A-F]{32,}$/
const BASE64 = /^[A-Za-z0-9+/_-]{20,}={0,2}$/
/** Base64 of `-----BEGIN ` and of DER certificates and public keys. */
const PUBLIC_BASE64 = /^(?:LS0tLS1CRUdJTiB(?:DRVJU|QVUJMSU|UUlVT)|MII[A-Za-z0-9+/]{200})/

/** Long base64 or hex whose characters look drawn by lot: keys and tokens, but hashes too. */
export function looksRandom(value: string): boolean {
  if (value.length < 20 || value.length > 4096) return false
  if (HEX.test(value)) return entropy(value) > 3
  if (!BASE64.test(value) || variety(value) < 3 || PUBLIC_BASE64.test(value)) return false
  return entropy(value) >= (value.length >= 32 ? 4 : 3.6)
}

/** Lower-case words with dashes, as the names of objects are. */
export function looksLikeObjectName(value: string): boolean {
  if (!/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(value)) return false
  const digits = value.replace(/[^0-9]/g, '').length
  return digits * 4 <= value.length && !/[a-z0-9]{25}/.test(value)
}

/** Three words or more, of letters: text for people. */
export function looksLikeProse(value: string): boolean {
  return /^[\p{L}'’,.:;!?()"-]+(?: +[\p{L}'’,.:;!?()"-]+){2,}$/u.test(value.slice(0, 400))
}

/** At most two characters of a secret, and how long it is. */
export function mask(secret: string): string {
  const shown = secret.length >= 12 ? 2 : secret.length >= 8 ? 1 : 0
  // Line breaks and control characters have no place in a message.
  return `${secret.slice(0, shown).replace(/[^\x21-\x7e]/g, '?')}… (${secret.length} characters)`
}
