import { classifyName } from './names.ts'
import type { Detection, Severity } from './types.ts'
import {
  classifyValue,
  defaultWithin,
  isPlaceholder,
  looksLikeObjectName,
  looksLikeProse,
  looksRandom,
  variety,
} from './values.ts'

const MAX_PASSWORD = 4096

/** What the name alone makes of the value. */
export function examineNamed(name: string, value: string): Detection | undefined {
  if (value.length < 3) return undefined
  const nameClass = classifyName(name)
  if (nameClass === 'none' || value.length > MAX_PASSWORD) return undefined
  const inner = defaultWithin(value)
  if (inner !== undefined) {
    const found = examineNamed(name, inner.text)
    if (found === undefined) return undefined
    const { severity, ...rest } = found
    const lower = severity === 'high' ? 'medium' : 'low'
    return { ...rest, severity: lower, start: found.start + inner.start, end: found.end + inner.start }
  }
  if (nameClass === 'header') return header(value)
  if (nameClass === 'context') return looksRandom(value) ? random(value) : undefined
  const severity = nameClass === 'ambiguous' ? ambiguous(value) : severityOf(name, value)
  if (severity === undefined) return undefined
  return {
    rule: 'named-secret',
    what: 'a value whose name says that it is secret',
    severity,
    start: 0,
    end: value.length,
  }
}

const random = (value: string): Detection => ({
  rule: 'high-entropy',
  what: 'a long random value',
  severity: 'medium',
  start: 0,
  end: value.length,
})

/** `auth-secret: basic-auth` names an object; `secretKey: wJalr…` is one. */
function ambiguous(value: string): Severity | undefined {
  if (classifyValue(value) !== 'plain' || looksLikeObjectName(value)) return undefined
  if (/^[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)+$/.test(value) && !looksRandom(value)) return undefined
  return looksRandom(value) ? 'high' : variety(value) >= 2 && value.length >= 8 ? 'medium' : undefined
}

function severityOf(name: string, value: string): Severity | undefined {
  const trimmed = value.trim()
  if (looksLikeProse(trimmed)) return undefined
  switch (classifyValue(trimmed)) {
    case 'trivial':
    case 'reference':
    case 'location':
      return undefined
    case 'placeholder':
      return 'low'
    case 'plain':
  }
  if (/^[0-9][0-9.,_:]*$/.test(trimmed)) return trimmed.length < 4 || /token/i.test(name) ? undefined : 'low'
  if (looksRandom(trimmed)) return 'high'
  // A name in lower case with a value in lower-case words: as likely the name of something.
  if (!/^[A-Z0-9_]+$/.test(name) && /-/.test(trimmed) && /^[a-z-]+$/.test(trimmed)) return 'low'
  return trimmed.length >= 8 && (variety(trimmed) >= 2 || /[^A-Za-z0-9]/.test(trimmed)) ? 'high' : 'medium'
}

function header(value: string): Detection | undefined {
  const match = /^(?:[A-Za-z][A-Za-z0-9-]{0,30}\s+)?(\S{6,})$/.exec(value.trim())
  if (match === null || classifyValue(match[1]!) !== 'plain' || isPlaceholder(match[1]!)) return undefined
  const start = value.lastIndexOf(match[1]!)
  return {
    rule: 'authorization-header',
    what: 'credentials in an Authorization header',
    severity: 'high',
    start,
    end: start + match[1]!.length,
  }
}
