import { dump } from 'js-yaml'
import { CliError } from './error.ts'

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml' | 'name'

export function outputFormat(value: string | undefined): OutputFormat {
  if (value === undefined) return 'table'
  if (value === 'json' || value === 'yaml' || value === 'wide' || value === 'name') return value
  throw new CliError(`-o ${JSON.stringify(value)} is not an output format: json, yaml, wide or name`, 2)
}

/** Data goes to stdout, and only data. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Progress and remarks go to stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printValue(format: 'json' | 'yaml', value: unknown): void {
  print(format === 'json' ? JSON.stringify(value, null, 2) : dump(value, { noRefs: true }))
}

/** Left-aligned columns, three spaces apart, as kubectl prints them. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((row) => (row[i] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells.map((c, i) => (i === cells.length - 1 ? c : c.padEnd(widths[i]! + 3))).join('')
  print([head, ...rows].map(line).join('\n'))
}

const COLOR = process.stderr.isTTY === true && !process.env['NO_COLOR']

/** One line per step: `[ok] text (1.2 s)`. Throws what the step throws, after saying that it failed. */
export async function step<T>(text: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  if (process.stderr.isTTY) process.stderr.write(`     ${text} ...`)
  const done = (mark: string, color: number): void => {
    const shown = COLOR ? `\u001b[${color}m${mark}\u001b[0m` : mark
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[K' : ''}${shown} ${text} (${seconds} s)\n`)
  }
  try {
    const result = await work()
    done('[ok]', 32)
    return result
  } catch (error) {
    done('[!!]', 31)
    throw error
  }
}
