import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type YAMLMap,
} from 'yaml'

/**
 * Strict reading of a small YAML file with positions. Mistakes are collected as `file:line: what`; a value of the file is
 * never quoted, for it may be a key.
 */
export type FieldReader = {
  readonly root: Node | undefined
  readonly mistakes: readonly string[]
  wrong: (at: Node | undefined, what: string) => void
  /** The fields of a map, each that is not in `known` being a mistake; null counts as absent, as in Go. */
  fields: (node: Node, path: string, known: readonly string[]) => Map<string, Node> | undefined
  list: (node: Node | undefined, path: string) => readonly Node[]
  string: (node: Node | undefined, path: string) => string | undefined
}

const MAX_NODES = 20_000
const MAX_LIST = 256
/** Each costs a walk through the document. */
const MAX_ALIASES = 100
const MAX_MISTAKES = 20

export function readFields(text: string, file: string): FieldReader {
  const lines = new LineCounter()
  const documents = parse(text, lines)
  const mistakes: string[] = []
  let nodes = 0
  let aliases = 0

  const add = (offset: number | undefined, what: string): void => {
    const line = offset === undefined ? 1 : Math.max(1, lines.linePos(offset).line)
    const mistake = `${file}:${line}: ${what}`
    if (mistakes.length < MAX_MISTAKES && !mistakes.includes(mistake)) mistakes.push(mistake)
  }
  const wrong = (at: Node | undefined, what: string): void => add(at?.range?.[0], what)
  const resolve = (node: Node | undefined): Node | undefined => {
    if (++nodes > MAX_NODES) {
      if (nodes === MAX_NODES + 1) wrong(node, `more than ${MAX_NODES} values`)
      return undefined
    }
    if (!isAlias(node)) return node
    if (++aliases <= MAX_ALIASES) return node.resolve(documents![0]!)
    if (aliases === MAX_ALIASES + 1) wrong(node, `more than ${MAX_ALIASES} aliases`)
    return undefined
  }
  const isNull = (node: Node | undefined): boolean => node === undefined || (isScalar(node) && node.value === null)

  if (documents === undefined) {
    const mistake = `${file}:1: this is not valid YAML: it is nested too deep`
    return {
      root: undefined,
      mistakes: [mistake],
      wrong,
      fields: () => undefined,
      list: () => [],
      string: () => undefined,
    }
  }
  const document = documents[0]
  for (const error of documents.flatMap((d) => d.errors)) {
    // The parser's own words may quote what it read.
    add(error.pos[0], SYNTAX[error.code] ?? 'this is not valid YAML')
  }
  if (documents.length > 1) wrong(documents[1]!.contents ?? undefined, 'one document is expected, not several')

  return {
    root: document?.contents ?? undefined,
    mistakes,
    wrong,
    fields: (given, path, known) => {
      const node = resolve(given)
      if (!isMap(node)) {
        wrong(given, `${path} must be a map`)
        return undefined
      }
      const found = new Map<string, Node>()
      const seen = new Set<string>()
      for (const { key, value } of (node as YAMLMap<Node, Node | null>).items) {
        const name = isScalar(key) && typeof key.value === 'string' ? key.value : undefined
        if (name !== undefined && seen.has(name)) wrong(key, `${path}.${name} is given twice`)
        else if (name === undefined || !known.includes(name)) {
          const field = name !== undefined && /^[\w.<-]{1,20}$/.test(name) ? ` "${name}"` : ''
          wrong(key, `${path} has no field${field}; it has ${known.length === 0 ? 'none' : known.join(', ')}`)
        } else {
          seen.add(name)
          if (value !== null && !isNull(resolve(value))) found.set(name, value)
        }
      }
      return found
    },
    list: (given, path) => {
      if (given === undefined) return []
      const node = resolve(given)
      if (isSeq(node)) {
        if (node.items.length <= MAX_LIST) return node.items as Node[]
        wrong(given, `${path} has ${node.items.length} elements, more than ${MAX_LIST}`)
        return []
      }
      wrong(given, `${path} must be a list`)
      return []
    },
    string: (given, path) => {
      const node = resolve(given)
      if (isNull(node)) return undefined
      if (isScalar(node) && typeof node.value === 'string') return node.value
      wrong(given, `${path} must be a string`)
      return undefined
    },
  }
}

/** Undefined for what is nested deeper than the stack. */
function parse(text: string, lines: LineCounter): readonly Document.Parsed[] | undefined {
  try {
    // YAML 1.1 as kubectl and kube-apiserver read it: `yes` is no string.
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      version: '1.1',
      merge: false,
      // The check is quadratic; `fields` makes it where it matters.
      uniqueKeys: false,
      logLevel: 'silent',
    })
    return Array.isArray(parsed) ? (parsed as Document.Parsed[]) : []
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const SYNTAX: Record<string, string> = {
  TAB_AS_INDENT: 'tabs must not indent',
  BAD_INDENT: 'the indentation is wrong',
  MISSING_CHAR: 'a character is missing',
  MULTILINE_IMPLICIT_KEY: 'a field name goes over several lines: a colon or a quote is missing',
  BLOCK_AS_IMPLICIT_KEY: 'a field cannot begin here: the indentation is wrong',
  UNEXPECTED_TOKEN: 'something stands here that does not belong here',
}
