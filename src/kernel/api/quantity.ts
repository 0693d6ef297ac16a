/**
 * resource.Quantity (apimachinery/pkg/api/resource). Kubernetes keeps no amount finer than a nano unit, so every
 * quantity is a whole number of nanos: exact in a BigInt.
 */
export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

export type Quantity = {
  readonly nanos: bigint
  readonly format: QuantityFormat
  /** The form in which it is printed and stored. */
  readonly text: string
}

export const QUANTITY_FORMAT_MESSAGE =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
const SUFFIX_MESSAGE = "unable to parse quantity's suffix"
const NUMERIC_MESSAGE = 'unable to parse numeric part of quantity'

/** Why a text is not a quantity; the message is Kubernetes'. */
export class QuantityError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'QuantityError'
  }
}

const NANO = 1_000_000_000n
const MAX_INT64 = 9_223_372_036_854_775_807n
const INT64_DIGITS = 18
/** Bounds that keep hostile input cheap; Kubernetes itself would take absurd exponents. */
const MAX_LENGTH = 128
const MAX_EXPONENT = 400

const DECIMAL_EXPONENTS: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}
const BINARY_EXPONENTS: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 }
const DECIMAL_SUFFIXES = new Map(Object.entries(DECIMAL_EXPONENTS).map(([suffix, exponent]) => [exponent, suffix]))
const BINARY_SUFFIXES = ['', ...Object.keys(BINARY_EXPONENTS)]

const SHAPE = /^([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/
const EXPONENT = /^[eE]([+-]?[0-9]+)$/

const known = new Map<string, Quantity>()
const KNOWN_MAX = 4096

/** Parses a string or a JSON number. Throws QuantityError. */
export function parseQuantity(value: unknown): Quantity {
  const read = readQuantity(value)
  if (typeof read === 'string') throw new QuantityError(read)
  return read
}

/** As parseQuantity, undefined where that throws; for what is often no quantity, or not there. */
export function tryQuantity(value: unknown): Quantity | undefined {
  if (value === undefined) return undefined
  const read = readQuantity(value)
  return typeof read === 'string' ? undefined : read
}

/** A text says why it is none. */
function readQuantity(value: unknown): Quantity | string {
  const text = typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : ''
  const found = known.get(text)
  if (found !== undefined) return found
  const quantity = parse(text)
  if (typeof quantity === 'string') return quantity
  if (known.size >= KNOWN_MAX) known.clear()
  known.set(text, quantity)
  return quantity
}

function parse(text: string): Quantity | string {
  if (text === '0') return { nanos: 0n, format: 'DecimalSI', text }
  if (text.length > MAX_LENGTH) return NUMERIC_MESSAGE
  const match = SHAPE.exec(text)
  if (match === null || text === '') return QUANTITY_FORMAT_MESSAGE
  const [, sign, whole = '', fraction = '', suffix = ''] = match
  const unit = interpretSuffix(suffix)
  if (unit === undefined) return SUFFIX_MESSAGE
  const { base, exponent, format } = unit
  if (whole === '' && fraction === '' && !/\d/.test(text)) return NUMERIC_MESSAGE
  const digits = whole + fraction
  const unscaled = BigInt(digits === '' ? '0' : digits)
  const scale = (base === 10 ? exponent : 0) - fraction.length
  const signed = (n: bigint): bigint => (sign === '-' ? -n : n)
  const multiplier = base === 2 ? 1n << BigInt(exponent) : 1n
  const magnitude = roundedUp(unscaled * multiplier * NANO, scale)
  const capped = format === 'BinarySI' && magnitude > MAX_INT64 * NANO ? MAX_INT64 * NANO : magnitude
  const shown = format === 'BinarySI' && capped > 0n && capped < NANO ? 'DecimalSI' : format
  const nanos = signed(capped)
  return {
    nanos,
    format: shown,
    text: keepsItsText(whole, fraction, base, exponent, unscaled) ? text : print(nanos, shown),
  }
}

/** n × 10^scale, away from zero where it does not divide. */
function roundedUp(n: bigint, scale: number): bigint {
  if (scale >= 0) return n * 10n ** BigInt(scale)
  const divisor = 10n ** BigInt(-scale)
  return (n + divisor - 1n) / divisor
}

type Unit = { base: 2 | 10; exponent: number; format: QuantityFormat }

function interpretSuffix(suffix: string): Unit | undefined {
  const decimal = DECIMAL_EXPONENTS[suffix]
  if (decimal !== undefined) return { base: 10, exponent: decimal, format: 'DecimalSI' }
  const binary = BINARY_EXPONENTS[suffix]
  if (binary !== undefined) return { base: 2, exponent: binary, format: 'BinarySI' }
  const exponent = EXPONENT.exec(suffix)
  if (exponent === null || Math.abs(Number(exponent[1])) > MAX_EXPONENT) return undefined
  return { base: 10, exponent: Number(exponent[1]), format: 'DecimalExponent' }
}

/**
 * Kubernetes reuses what was written where a quick look says that it is canonical already. The look is coarse
 * (`1.500G` passes), and what it lets through is what clients see.
 */
function keepsItsText(whole: string, fraction: string, base: 2 | 10, exponent: number, unscaled: bigint): boolean {
  const digits = whole + fraction
  if (base === 2)
    return fraction === '' && digits.length + Math.trunc((exponent * 3) / 10) <= 14 && (unscaled & 7n) !== 0n
  const scale = exponent - fraction.length
  return (
    digits.length <= INT64_DIGITS &&
    scale >= -9 &&
    scale % 3 === 0 &&
    digits !== '' &&
    digits[0] !== '0' &&
    !digits.endsWith('000')
  )
}

/** Canonical form: no fraction, the largest suffix that needs none; BinarySI below 1024 and fractions as decimals. */
function print(nanos: bigint, format: QuantityFormat): string {
  if (nanos === 0n) return '0'
  if (format === 'BinarySI') {
    const small = nanos > -1024n * NANO && nanos < 1024n * NANO
    if (!small && nanos % NANO === 0n) return printBinary(nanos / NANO)
    return printDecimal(nanos, 'DecimalSI')
  }
  return printDecimal(nanos, format)
}

function printBinary(value: bigint): string {
  let number = value
  let power = 0
  while (number % 1024n === 0n && power < BINARY_SUFFIXES.length - 1) {
    number /= 1024n
    power++
  }
  return `${number}${BINARY_SUFFIXES[power]}`
}

function printDecimal(nanos: bigint, format: 'DecimalSI' | 'DecimalExponent'): string {
  let number = nanos
  let exponent = -9
  while (number % 1000n === 0n) {
    number /= 1000n
    exponent += 3
  }
  const suffix = format === 'DecimalSI' ? DECIMAL_SUFFIXES.get(exponent) : undefined
  if (suffix !== undefined) return `${number}${suffix}`
  return exponent === 0 ? `${number}` : `${number}e${exponent}`
}

/** A quantity of `value` whole units. */
export function quantityOf(value: bigint | number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return fromNanos(BigInt(value) * NANO, format)
}

function fromNanos(nanos: bigint, format: QuantityFormat): Quantity {
  return { nanos, format, text: print(nanos, format) }
}

export function compareQuantity(a: Quantity, b: Quantity): -1 | 0 | 1 {
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0
}

/** The sum, in the format of `a`; in that of `b` when `a` is zero. */
export function addQuantity(a: Quantity, b: Quantity): Quantity {
  return fromNanos(a.nanos + b.nanos, a.nanos === 0n ? b.format : a.format)
}

/** The difference, in the format of `a`; in that of `b` when `a` is zero. */
export function subtractQuantity(a: Quantity, b: Quantity): Quantity {
  return fromNanos(a.nanos - b.nanos, a.nanos === 0n ? b.format : a.format)
}

const awayFromZero = (nanos: bigint, unit: bigint): bigint =>
  nanos >= 0n ? (nanos + unit - 1n) / unit : -((-nanos + unit - 1n) / unit)

/** Whole units, fractions rounded away from zero. */
export const quantityValue = (q: Quantity): bigint => awayFromZero(q.nanos, NANO)

/** Thousandths, finer parts rounded away from zero. */
export const quantityMilliValue = (q: Quantity): bigint => awayFromZero(q.nanos, 1_000_000n)

/** Rounded away from zero to thousandths, as the API stores amounts of resources. */
export function roundUpToMilli(q: Quantity): Quantity {
  return q.nanos % 1_000_000n === 0n ? q : fromNanos(quantityMilliValue(q) * 1_000_000n, q.format)
}

/** What the API stores for `value`; undefined when it is not a quantity. */
export function canonicalQuantity(value: unknown): string | undefined {
  return tryQuantity(value)?.text
}
