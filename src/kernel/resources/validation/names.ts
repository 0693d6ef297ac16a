/**
 * The name formats of Kubernetes (apimachinery/pkg/util/validation, texts of 1.32). Each function answers what is wrong
 * with the value; an empty array means that it is fine. Lengths are bytes of UTF-8, as Go counts them.
 */

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?'
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const LABEL_VALUE = `(${QUALIFIED})?`
const ENV_VAR = '[-._a-zA-Z][-._a-zA-Z0-9]*'
const CONFIG_MAP_KEY = '[-._a-zA-Z0-9]+'

const whole = (source: string): RegExp => new RegExp(`^(?:${source})$`)
const labelPattern = whole(LABEL)
const subdomainPattern = whole(SUBDOMAIN)
const label1035Pattern = whole(LABEL_1035)
const wildcardPattern = whole(`\\*\\.${SUBDOMAIN}`)
const qualifiedPattern = whole(QUALIFIED)
const labelValuePattern = whole(LABEL_VALUE)
const envVarPattern = whole(ENV_VAR)
const configMapKeyPattern = whole(CONFIG_MAP_KEY)

export const maxLengthMessage = (max: number): string => `must be no more than ${max} characters`
export const rangeMessage = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`
export const EMPTY_MESSAGE = 'must be non-empty'

/** The sentence which Kubernetes builds around a pattern (its two spaces before `or` included). */
export function patternMessage(rule: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${rule} (regex used for validation is '${pattern}')`
  return `${rule} (e.g. ${examples.map((e) => `'${e}'`).join(',  or ')}, regex used for validation is '${pattern}')`
}

const longerThan = (value: string, max: number): boolean =>
  value.length > max || (value.length * 3 > max && Buffer.byteLength(value) > max)

/** At most 63 bytes of lower case letters, digits and '-', RFC 1123. */
export function dns1123Label(value: string): string[] {
  const errors = longerThan(value, 63) ? [maxLengthMessage(63)] : []
  if (labelPattern.test(value)) return errors
  if (subdomainPattern.test(value)) errors.push('must not contain dots')
  else
    errors.push(
      patternMessage(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        LABEL,
        'my-name',
        '123-abc',
      ),
    )
  return errors
}

/** Labels joined by dots, at most 253 bytes in all, RFC 1123. */
export function dns1123Subdomain(value: string): string[] {
  const errors = longerThan(value, 253) ? [maxLengthMessage(253)] : []
  if (!subdomainPattern.test(value))
    errors.push(
      patternMessage(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN,
        'example.com',
      ),
    )
  return errors
}

/** As dns1123Label, but it starts with a letter, RFC 1035. */
export function dns1035Label(value: string): string[] {
  const errors = longerThan(value, 63) ? [maxLengthMessage(63)] : []
  if (!label1035Pattern.test(value))
    errors.push(
      patternMessage(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        LABEL_1035,
        'my-name',
        'abc-123',
      ),
    )
  return errors
}

/** `*.` before a subdomain, RFC 1034 section 4.3.3. */
export function wildcardDns1123Subdomain(value: string): string[] {
  const errors = longerThan(value, 253) ? [maxLengthMessage(253)] : []
  if (!wildcardPattern.test(value))
    errors.push(
      patternMessage(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        `\\*\\.${SUBDOMAIN}`,
        '*.example.com',
      ),
    )
  return errors
}

const qualifiedMessage = (): string =>
  patternMessage(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    QUALIFIED,
    'MyName',
    'my.name',
    '123-abc',
  )

/** Label keys, finalizers, annotation keys: at most 63 bytes with an optional `subdomain/` in front. */
export function qualifiedName(value: string): string[] {
  const parts = value.split('/')
  if (parts.length > 2)
    return [
      `a qualified name ${qualifiedMessage()} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]
  const name = parts.at(-1)!
  const errors: string[] = []
  if (parts.length === 2) {
    if (parts[0] === '') errors.push(`prefix part ${EMPTY_MESSAGE}`)
    else for (const message of dns1123Subdomain(parts[0]!)) errors.push(`prefix part ${message}`)
  }
  if (name === '') errors.push(`name part ${EMPTY_MESSAGE}`)
  else if (longerThan(name, 63)) errors.push(`name part ${maxLengthMessage(63)}`)
  if (!qualifiedPattern.test(name)) errors.push(`name part ${qualifiedMessage()}`)
  return errors
}

export function labelValue(value: string): string[] {
  const errors = longerThan(value, 63) ? [maxLengthMessage(63)] : []
  if (!labelValuePattern.test(value))
    errors.push(
      patternMessage(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        LABEL_VALUE,
        'MyValue',
        'my_value',
        '12345',
      ),
    )
  return errors
}

/** Since 1.32 (RelaxedEnvironmentVariableValidation) any printable ASCII but '='. */
export function envVarName(value: string): string[] {
  if (value === '') return [`environment variable name ${EMPTY_MESSAGE}`]
  return /^[ -<>-~]+$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
}

/** The rule before 1.32, still in force where the name becomes a shell variable. */
export function strictEnvVarName(value: string): string[] {
  const errors: string[] = []
  if (!envVarPattern.test(value))
    errors.push(
      patternMessage(
        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
        ENV_VAR,
        'my.env-name',
        'MY_ENV.NAME',
        'MyEnvName1',
      ),
    )
  return errors.concat(parentDirectory(value))
}

/** Keys of ConfigMaps and Secrets: they become file names. */
export function configMapKey(value: string): string[] {
  const errors = longerThan(value, 253) ? [maxLengthMessage(253)] : []
  if (!configMapKeyPattern.test(value))
    errors.push(
      patternMessage(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        CONFIG_MAP_KEY,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    )
  return value.startsWith('.') ? errors.concat(parentDirectory(value)) : errors
}

function parentDirectory(value: string): string[] {
  if (value === '.') return ["must not be '.'"]
  if (value === '..') return ["must not be '..'"]
  return value.startsWith('..') ? ["must not start with '..'"] : []
}

/** IANA service name of a port, RFC 6335. */
export function portName(value: string): string[] {
  const errors = longerThan(value, 15) ? [maxLengthMessage(15)] : []
  if (!/^[-a-z0-9]+$/.test(value)) errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(value)) errors.push('must contain at least one letter (a-z)')
  if (value.includes('--')) errors.push('must not contain consecutive hyphens')
  if (value.startsWith('-') || value.endsWith('-')) errors.push('must not begin or end with a hyphen')
  return errors
}

export function portNumber(value: number): string[] {
  return value >= 1 && value <= 65535 ? [] : [rangeMessage(1, 65535)]
}

/** Names that appear as one segment of a URL (RBAC). `prefix`: the value is a generateName. */
export function pathSegmentName(value: string, prefix = false): string[] {
  if (!prefix && (value === '.' || value === '..')) return [`may not be '${value}'`]
  // No path can name these: what had such a name could not be deleted.
  if (value.includes('\0') || !value.isWellFormed()) return ['may not contain NUL or unpaired surrogates']
  return ['/', '%'].filter((c) => value.includes(c)).map((c) => `may not contain '${c}'`)
}

/** At least two labels; one trailing dot is allowed. */
export function fullyQualifiedDomainName(value: string): string[] {
  const name = value.endsWith('.') ? value.slice(0, -1) : value
  const errors = dns1123Subdomain(name)
  if (errors.length > 0) return [errors.join(',')]
  const labels = name.split('.')
  if (labels.length < 2) return ['should be a domain with at least two segments separated by dots']
  const wrong = labels.map(dns1123Label).find((messages) => messages.length > 0)
  return wrong === undefined ? [] : [wrong.join(',')]
}
