/** The schedule of a CronJob, as github.com/robfig/cron reads a standard expression. */

type Bounds = { min: number; max: number; names?: readonly string[] }

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const FIELDS: readonly Bounds[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
]
const DESCRIPTORS: ReadonlySet<string> = new Set([
  '@yearly',
  '@annually',
  '@monthly',
  '@weekly',
  '@daily',
  '@midnight',
  '@hourly',
])
const DURATION = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/

/** What is wrong with the schedule; undefined when nothing is. */
export function scheduleProblem(schedule: string): string | undefined {
  let spec = schedule
  if (spec.startsWith('TZ=') || spec.startsWith('CRON_TZ=')) {
    const space = spec.indexOf(' ')
    const zone = spec.slice(spec.indexOf('=') + 1, space < 0 ? undefined : space)
    if (!isTimeZone(zone)) return `provided bad location ${zone}: unknown time zone ${zone}`
    spec = space < 0 ? '' : spec.slice(space).trim()
  }
  if (spec.startsWith('@')) return descriptorProblem(spec)
  const fields = spec.split(/\s+/).filter((field) => field !== '')
  if (fields.length !== FIELDS.length) return `expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`
  for (const [i, field] of fields.entries()) {
    const problem = fieldProblem(field, FIELDS[i]!)
    if (problem !== undefined) return problem
  }
  return undefined
}

function descriptorProblem(spec: string): string | undefined {
  if (DESCRIPTORS.has(spec)) return undefined
  if (!spec.startsWith('@every ')) return `unrecognized descriptor: ${spec}`
  const duration = spec.slice('@every '.length)
  return DURATION.test(duration)
    ? undefined
    : `failed to parse duration ${spec}: time: invalid duration ${JSON.stringify(duration)}`
}

function fieldProblem(field: string, bounds: Bounds): string | undefined {
  for (const range of field.split(',')) {
    const problem = range === '' ? undefined : rangeProblem(range, bounds)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** `*`, `n`, `n-m`, each with an optional `/step`. */
function rangeProblem(text: string, bounds: Bounds): string | undefined {
  const parts = text.split('/')
  const ends = parts[0]!.split('-')
  let start: Parsed = { value: bounds.min }
  let end: Parsed = { value: bounds.max }
  if (ends[0] !== '*' && ends[0] !== '?') {
    start = parseNumber(ends[0]!, bounds.names, bounds.min)
    if (start.problem !== undefined) return start.problem
    if (ends.length > 2) return `too many hyphens: ${text}`
    end = ends.length === 2 ? parseNumber(ends[1]!, bounds.names, bounds.min) : start
    if (end.problem !== undefined) return end.problem
  }
  if (parts.length > 2) return `too many slashes: ${text}`
  let step: Parsed = { value: 1 }
  if (parts.length === 2) {
    step = parseNumber(parts[1]!)
    if (step.problem !== undefined) return step.problem
    if (ends.length === 1) end = { value: bounds.max }
  }
  if (start.value! < bounds.min) return `beginning of range (${start.value}) below minimum (${bounds.min}): ${text}`
  if (end.value! > bounds.max) return `end of range (${end.value}) above maximum (${bounds.max}): ${text}`
  if (start.value! > end.value!)
    return `beginning of range (${start.value}) beyond end of range (${end.value}): ${text}`
  return step.value === 0 ? `step of range should be a positive number: ${text}` : undefined
}

type Parsed = { value: number; problem?: undefined } | { value?: undefined; problem: string }

function parseNumber(text: string, names?: readonly string[], first = 0): Parsed {
  const named = names?.indexOf(text.toLowerCase()) ?? -1
  if (named >= 0) return { value: named + first }
  if (!/^[+-]?\d{1,18}$/.test(text))
    return {
      problem: `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
    }
  const value = Number(text)
  return value < 0 ? { problem: `negative number (${value}) not allowed: ${text}` } : { value }
}

const knownZones = new Map<string, boolean>()
const KNOWN_ZONES_MAX = 1024

/** A name of the IANA time zone database, in its own spelling. */
export function isTimeZone(name: string): boolean {
  if (name === '' || name === 'UTC') return true
  const known = knownZones.get(name)
  if (known !== undefined) return known
  const found = !/^[+-]/.test(name) && lookUpZone(name)
  if (knownZones.size >= KNOWN_ZONES_MAX) knownZones.clear()
  knownZones.set(name, found)
  return found
}

function lookUpZone(name: string): boolean {
  try {
    const resolved = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
    return resolved === name || resolved.toLowerCase() !== name.toLowerCase()
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
