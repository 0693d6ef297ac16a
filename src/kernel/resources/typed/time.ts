/** The layouts of Go's time package as its errors print them. */
const RFC3339 = '2006-01-02T15:04:05Z07:00'
const RFC3339_MICRO = '2006-01-02T15:04:05.000000Z07:00'

const SHAPE = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** Why a text is no time; the message is that of Go's time.Parse. */
export class TimeError extends Error {}

/** metav1.Time: whole seconds in UTC. Throws TimeError. */
export function canonicalTime(text: string): string {
  const match = SHAPE.exec(text)
  if (match === null) throw new TimeError(parseError(text, RFC3339))
  const millis = inRange(text, match)
  if (match[7] === undefined && match[8] === 'Z') return text
  return `${isoSeconds(millis)}Z`
}

/** metav1.MicroTime: six digits after the second, in UTC. Throws TimeError. */
export function canonicalMicroTime(text: string): string {
  const match = SHAPE.exec(text)
  if (match === null || match[7]?.length !== 7) throw new TimeError(parseError(text, RFC3339_MICRO))
  const millis = inRange(text, match)
  if (match[8] === 'Z') return text
  return `${isoSeconds(millis)}${match[7]}Z`
}

const isoSeconds = (millis: number): string => new Date(millis).toISOString().slice(0, 19)

/** Milliseconds of the whole second. */
function inRange(text: string, match: RegExpExecArray): number {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const fail = (what: string): never => {
    throw new TimeError(`parsing time ${JSON.stringify(text)}: ${what} out of range`)
  }
  if (month < 1 || month > 12) fail('month')
  if (hour > 23) fail('hour')
  if (minute > 59) fail('minute')
  if (second > 59) fail('second')
  if (day < 1 || day > new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()) fail('day')
  const zone = match[8]!
  if (zone !== 'Z' && (Number(zone.slice(1, 3)) > 23 || Number(zone.slice(4)) > 59)) fail('time zone offset')
  const millis = Date.parse(`${text.slice(0, 19)}${zone}`)
  const utcYear = new Date(millis).getUTCFullYear()
  if (utcYear < 0 || utcYear > 9999) fail('year')
  return millis
}

const ELEMENTS: readonly (readonly [layout: string, pattern: RegExp])[] = [
  ['2006', /\d{4}/y],
  ['-', /-/y],
  ['01', /\d\d/y],
  ['-', /-/y],
  ['02', /\d\d/y],
  ['T', /T/y],
  ['15', /\d\d?/y],
  [':', /:/y],
  ['04', /\d\d/y],
  [':', /:/y],
  ['05', /\d\d(?:\.\d+)?/y],
  ['Z07:00', /Z|[+-]\d\d:\d\d/y],
]
const MICRO_ELEMENTS: typeof ELEMENTS = [
  ...ELEMENTS.slice(0, 10),
  ['05', /\d\d/y],
  ['.000000', /\.\d{6}(?!\d)/y],
  ['Z07:00', /Z|[+-]\d\d:\d\d/y],
]

function parseError(text: string, layout: string): string {
  const head = `parsing time ${JSON.stringify(text)}`
  let at = 0
  for (const [element, pattern] of layout === RFC3339 ? ELEMENTS : MICRO_ELEMENTS) {
    pattern.lastIndex = at
    if (!pattern.test(text))
      return `${head} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(text.slice(at))} as ${JSON.stringify(element)}`
    at = pattern.lastIndex
  }
  return `${head}: extra text: ${JSON.stringify(text.slice(at))}`
}
