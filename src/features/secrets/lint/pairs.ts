import { examineNamed } from './named-value.ts'
import { classifyName } from './names.ts'
import type { Detection } from './types.ts'

/** A secret that the text around it names. */
export type PairDetection = Detection & { name: string }

const MAX_FOUND = 100
const MAX_NAME = 128
const NAME_CHARACTER = /[A-Za-z0-9_.-]/
const BEFORE_NAME = /[\s?&;,:|<>({["'`]/
const VALUE = /"([^"]{3,4096})"|'([^']{3,4096})'|[^\s;&,"'`<>(){}[\]|]{3,4096}/y

/**
 * `name=value` within a text, where the name says that the value is secret: `host=db password=x` (libpq),
 * `Server=db;Password=x` (ADO.NET), `jdbc:…?user=u&password=x`, `-Xmx1g -Ddb.password=x`. Placeholders are left out: in
 * text they are as likely its words. Linear in the text's length.
 */
export function findPairs(text: string): PairDetection[] {
  const found: PairDetection[] = []
  for (let at = text.indexOf('='); at >= 0 && found.length < MAX_FOUND; at = text.indexOf('=', at + 1)) {
    const name = nameBefore(text, at)
    // `==` compares.
    if (name === undefined || text[at + 1] === '=' || classifyName(name) !== 'secret') continue
    VALUE.lastIndex = text[at + 1] === ' ' ? at + 2 : at + 1
    const match = VALUE.exec(text)
    if (match === null) continue
    const value = match[1] ?? match[2] ?? match[0]
    const detection = examineNamed(name, value)
    if (detection === undefined || detection.severity === 'low') continue
    const start = match.index + (value === match[0] ? 0 : 1)
    found.push({ ...detection, start: start + detection.start, end: start + detection.end, name })
  }
  return found
}

/** Without the dashes of a flag and the D of Java's properties. */
function nameBefore(text: string, equals: number): string | undefined {
  const end = text[equals - 1] === ' ' ? equals - 1 : equals
  let start = end
  while (start > 0 && end - start < MAX_NAME && NAME_CHARACTER.test(text[start - 1]!)) start--
  if (start === end || (start > 0 && !BEFORE_NAME.test(text[start - 1]!))) return undefined
  return text.slice(start, end).replace(/^-{0,2}(?:D(?=[a-z]))?/, '')
}
