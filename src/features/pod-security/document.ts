import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml'

export type DocumentPath = readonly (string | number)[]

/** The file is wrong: each line names file, line and field. */
export class PodSecurityConfigurationError extends Error {
  override readonly name = 'PodSecurityConfigurationError'
}

/** Largest file that is read, in characters. */
export const MAX_CONFIGURATION: number = 1024 * 1024
const MAX_PROBLEMS = 20

/**
 * A YAML (or JSON) document that is read field by field: what does not fit is noted with its line and read as if it
 * were absent; `finish` throws all of it.
 */
export class ConfigurationDocument {
  readonly #file: string
  readonly #root: Node | null
  readonly #lines: LineCounter
  readonly #value: unknown
  readonly #problems: string[] = []

  constructor(file: string, root: Node | null, lines: LineCounter, value: unknown) {
    this.#file = file
    this.#root = root
    this.#lines = lines
    this.#value = value
  }

  at(path: DocumentPath): unknown {
    let value = this.#value
    for (const step of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = (value as Record<string | number, unknown>)[step]
    }
    return value
  }

  /** '' when there is none. */
  text(path: DocumentPath): string {
    const value = this.at(path)
    if (typeof value === 'string') return value
    if (value != null) this.wrong(path, 'must be a text')
    return ''
  }

  list(path: DocumentPath): readonly unknown[] {
    const value = this.at(path)
    if (Array.isArray(value)) return value
    if (value != null) this.wrong(path, 'must be a list')
    return []
  }

  /** Notes every field beside those. */
  fields(path: DocumentPath, known: readonly string[]): void {
    const value = this.at(path)
    if (value == null) return
    if (typeof value !== 'object' || Array.isArray(value)) this.wrong(path, 'must be a mapping')
    else
      for (const field of Object.keys(value))
        if (!known.includes(field)) this.wrong([...path, field], `unknown field; known are ${known.join(', ')}`)
  }

  invalid(path: DocumentPath, value: string, rule: string): void {
    this.wrong(path, `Invalid value: ${JSON.stringify(value.slice(0, 256))}: ${rule}`)
  }

  wrong(path: DocumentPath, why: string): void {
    const text = `${this.#file}, line ${this.#lineOf(path)}: ${printPath(path)}${why}`
    if (!this.#problems.includes(text)) this.#problems.push(text)
  }

  finish(): void {
    if (this.#problems.length === 0) return
    const shown = this.#problems.slice(0, MAX_PROBLEMS)
    const rest = this.#problems.length - shown.length
    throw new PodSecurityConfigurationError([...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n'))
  }

  /** Of the field's name where there is one, else of the nearest thing around it that is written. */
  #lineOf(path: DocumentPath): number {
    let node: unknown = this.#root
    let offset = this.#root?.range?.[0] ?? 0
    for (const step of path) {
      const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && key.value === step) : undefined
      const key = pair?.key as Node | undefined
      const next: unknown = pair !== undefined ? pair.value : itemOf(node, step)
      const start = key?.range?.[0] ?? (next as Node | undefined)?.range?.[0]
      if (start === undefined) break
      offset = start
      node = next
    }
    return this.#lines.linePos(offset).line
  }
}

function itemOf(node: unknown, step: string | number): unknown {
  return typeof step === 'number' ? (node as { items?: unknown[] } | null)?.items?.[step] : undefined
}

/** `exemptions.namespaces[0]: `; '' for the document itself. */
function printPath(path: DocumentPath): string {
  if (path.length === 0) return ''
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
  return `${text.replace(/^\./, '')}: `
}

/** Throws PodSecurityConfigurationError for what is no single YAML document. */
export function readDocument(text: string, file: string): ConfigurationDocument {
  if (text.length > MAX_CONFIGURATION)
    throw new PodSecurityConfigurationError(`${file}: is larger than ${MAX_CONFIGURATION} characters`)
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.1' })
    const [error] = document.errors
    if (error !== undefined) throw new Error(`line ${lines.linePos(error.pos[0]).line}: ${error.message}`)
    return new ConfigurationDocument(file, document.contents, lines, document.toJS({ maxAliasCount: 100 }))
  } catch (error) {
    // Besides syntax: aliases that would blow the document up, nesting that exhausts the stack.
    throw new PodSecurityConfigurationError(`${file}: ${(error as Error).message}`)
  }
}
