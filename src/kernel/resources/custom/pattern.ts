import { RE2JS } from 're2js'
import { MAX_PATTERN_BYTES, MAX_PATTERN_INSTRUCTIONS, MAX_PATTERN_STEPS } from './limits.ts'

/**
 * Go regular expressions (RE2 syntax) through an engine that never backtracks: matching takes time linear in the
 * value, whatever the expression.
 */

export type Pattern = {
  /** Unanchored, as Go's MatchString; 'too-long' when the value is longer than the expression's cost allows. */
  match: (value: string) => boolean | 'too-long'
}

const compiled = new Map<string, Pattern | { error: string }>()
const MAX_CACHED = 5_000

export function compilePattern(source: string): Pattern | { error: string } {
  const known = compiled.get(source)
  if (known !== undefined) return known
  const pattern = compile(source)
  if (compiled.size >= MAX_CACHED) compiled.clear()
  compiled.set(source, pattern)
  return pattern
}

function compile(source: string): Pattern | { error: string } {
  if (Buffer.byteLength(source) > MAX_PATTERN_BYTES)
    return { error: `expression is longer than ${MAX_PATTERN_BYTES} bytes` }
  let expression: RE2JS
  try {
    expression = RE2JS.compile(source)
  } catch (error) {
    return { error: (error as Error).message }
  }
  const instructions = expression.programSize()
  if (instructions > MAX_PATTERN_INSTRUCTIONS)
    return { error: `expression compiles to ${instructions} instructions, more than ${MAX_PATTERN_INSTRUCTIONS}` }
  const longest = Math.floor(MAX_PATTERN_STEPS / Math.max(1, instructions))
  return { match: (value) => (value.length > longest ? 'too-long' : expression.test(value)) }
}
