import { isIPv4, isIPv6 } from 'node:net'

/**
 * Formats of strings that Kubernetes checks in custom resources (kube-openapi/pkg/validation/strfmt); formats that are
 * not in this table are not checked. Each expression is linear in the value.
 */

const HEX = '[0-9a-fA-F]'
const uuid = (version: string, variant: string): RegExp =>
  new RegExp(`^${HEX}{8}-?${HEX}{4}-?${version}${HEX}{3}-?${variant}${HEX}{3}-?${HEX}{12}$`)
const matches =
  (pattern: RegExp) =>
  (value: string): boolean =>
    pattern.test(value)

function isDate(value: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(value)
  if (match === null) return false
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (month < 1 || month > 12 || day < 1) return false
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day <= [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]!
}

/** RFC 3339 section 5.6; without leap seconds, as Kubernetes has it. */
function isDateTime(value: string): boolean {
  const match = /^(\d{4}-\d{2}-\d{2})t(\d{2}):(\d{2}):(\d{2})(\.\d+)?(z|[+-]\d{2}:\d{2})$/.exec(value.toLowerCase())
  if (match === null || !isDate(match[1]!)) return false
  return Number(match[2]) <= 23 && Number(match[3]) <= 59 && Number(match[4]) <= 59
}

const UNITS =
  'nanoseconds|nanosecond|nanos|nano|ns|microseconds|microsecond|micros|micro|us|µs|μs|milliseconds|millisecond|millis|milli|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w'
const WORDED_DURATION = new RegExp(`^\\s*\\d+\\s*(?:${UNITS})\\s*$`, 'i')

/** Go's duration ("1h30m", "-1.5s", "0"), or a count of one unit in words ("3 days"). */
function isDuration(value: string): boolean {
  if (/^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.test(value)) return true
  return WORDED_DURATION.test(value)
}

/** net/url.ParseRequestURI: an absolute URI or an absolute path. */
function isUri(value: string): boolean {
  if (value === '' || /[\u0000-\u001f\u007f]/.test(value)) return false
  if (/%(?![0-9a-fA-F]{2})/.test(value)) return false
  if (value.startsWith('/')) return true
  const match = /^[A-Za-z][A-Za-z0-9+.-]*:(.*)$/s.exec(value)
  if (match === null) return false
  const authority = /^\/\/([^/?#]*)/.exec(match[1]!)?.[1]
  if (authority === undefined) return match[1] !== ''
  return !/[\s<>"^`{|}\\]/.test(authority) && /^(?:.*@)?(?:\[[0-9A-Fa-f:.%]+\]|[^:[\]]*)(?::\d*)?$/.test(authority)
}

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10ffff}-]+"
const EMAIL = new RegExp(
  `^<?(?:${ATOM}(?:\\.${ATOM})*|"(?:[^"\\\\\\r\\n]|\\\\.)*")@(?:${ATOM}(?:\\.${ATOM})*|\\[[0-9A-Fa-f:.]+\\])>?$`,
  'u',
)

function isEmail(value: string): boolean {
  return value.length <= 998 && value.startsWith('<') === value.endsWith('>') && EMAIL.test(value)
}

function isHostname(value: string): boolean {
  if (value === '' || value.length > 255) return false
  const labels = value.split('.')
  if (labels.length > 1 && labels.at(-1) === '') labels.pop()
  return labels.every((label) => /^[\p{L}\p{N}_](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}_])?$/u.test(label))
}

function isCidr(value: string): boolean {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(value)
  if (match === null) return false
  return Number(match[2]) <= (isIPv4(match[1]!) ? 32 : isIPv6(match[1]!) && !match[1]!.includes('%') ? 128 : -1)
}

/** net.ParseMAC: 6, 8 or 20 octets, joined by one kind of separator. */
function isMac(value: string): boolean {
  const octets = new RegExp(
    `^${HEX}{2}(?:([:-])${HEX}{2})(?:\\1${HEX}{2}){4}(?:(?:\\1${HEX}{2}){2}|(?:\\1${HEX}{2}){14})?$`,
  )
  return (
    octets.test(value) ||
    new RegExp(`^${HEX}{4}(?:\\.${HEX}{4}){2}(?:\\.${HEX}{4}(?:(?:\\.${HEX}{4}){6})?)?$`).test(value)
  )
}

function luhn(value: string): boolean {
  const digits = value.replace(/[ -]/g, '')
  if (!/^\d{13,19}$/.test(digits)) return false
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    const doubled = i % 2 === 0 ? digit : digit * 2
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

function isIsbn10(value: string): boolean {
  const digits = value.replace(/[\s-]/g, '')
  if (!/^\d{9}[\dX]$/.test(digits)) return false
  let sum = 0
  for (let i = 0; i < 10; i++) sum += (digits[i] === 'X' ? 10 : Number(digits[i])) * (i + 1)
  return sum % 11 === 0
}

function isIsbn13(value: string): boolean {
  const digits = value.replace(/[\s-]/g, '')
  if (!/^\d{13}$/.test(digits)) return false
  let sum = 0
  for (let i = 0; i < 12; i++) sum += Number(digits[i]) * (i % 2 === 0 ? 1 : 3)
  return (10 - (sum % 10)) % 10 === Number(digits[12])
}

const TABLE: ReadonlyMap<string, (value: string) => boolean> = new Map([
  ['bsonobjectid', matches(/^[0-9a-fA-F]{24}$/)],
  ['byte', matches(/^(?=.)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)],
  ['cidr', isCidr],
  ['creditcard', luhn],
  ['date', isDate],
  ['datetime', isDateTime],
  ['duration', isDuration],
  ['email', isEmail],
  ['hexcolor', matches(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/)],
  ['hostname', isHostname],
  ['ipv4', (value) => isIPv4(value)],
  ['ipv6', (value) => isIPv6(value) && !value.includes('%')],
  ['isbn', (value) => isIsbn10(value) || isIsbn13(value)],
  ['isbn10', isIsbn10],
  ['isbn13', isIsbn13],
  ['mac', isMac],
  ['password', () => true],
  [
    'rgbcolor',
    matches(/^rgb\(\s*(?:\d{1,2}|1\d\d|2[0-4]\d|25[0-5])\s*(?:,\s*(?:\d{1,2}|1\d\d|2[0-4]\d|25[0-5])\s*){2}\)$/),
  ],
  ['ssn', matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/)],
  ['uri', isUri],
  ['uuid', matches(new RegExp(`^${HEX}{8}-?${HEX}{4}-?${HEX}{4}-?${HEX}{4}-?${HEX}{12}$`))],
  ['uuid3', matches(uuid('3', HEX))],
  ['uuid4', matches(uuid('4', '[89abAB]'))],
  ['uuid5', matches(uuid('5', '[89abAB]'))],
])

/** The check of a format, whose name Kubernetes reads without its dashes; undefined: not checked. */
export function formatCheck(format: string): ((value: string) => boolean) | undefined {
  return TABLE.get(format.replaceAll('-', ''))
}

const NUMBER_FORMATS = ['int32', 'int64', 'float', 'double']

/** What Kubernetes knows at all; others it warns about. */
export function isKnownFormat(format: string): boolean {
  return NUMBER_FORMATS.includes(format) || formatCheck(format) !== undefined
}
