import { isMap, isNode, isScalar, isSeq, type Scalar } from 'yaml'
import type { Place, Source } from './source.ts'
import type { FieldPath, SecretVariable } from './types.ts'

/** Puts `text` in place of a stretch of the source. */
export type Edit = { start: number; end: number; text: string }

const newlineOf = (source: Source): string => (source.text.includes('\r\n') ? '\r\n' : '\n')
const quote = (text: string): string => JSON.stringify(text)
/** Names and keys that YAML reads as the strings they are. */
const plain = (text: string): string =>
  /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text) && !/^(?:true|false|yes|no|on|off|null|y|n)$/i.test(text) ? text : quote(text)

/** `value: x` becomes `valueFrom:`. Undefined when a comment or odd writing stands in the way. */
export function replaceValue(source: Source, place: Place, variable: SecretVariable): Edit | undefined {
  const { pair, node, parent } = place
  if (pair === undefined || !isMap(parent) || !isNode(pair.key) || !node.range || !pair.key.range) return undefined
  const { text } = source
  const [keyStart, keyEnd] = pair.key.range
  const [start, end] = node.range
  if (!/^[ \t]*:[ \t]*(?:\r?\n[ \t]*)?(?:!\S+[ \t]+)?$/.test(text.slice(keyEnd, start))) return undefined
  const written = text.slice(start, end)
  const block = /^(?:!\S+[ \t]+)?[|>]/.test(written)
  if (block && /^[^\n]*#/.test(written)) return undefined
  if (parent.flow) {
    const reference = `{"name": ${quote(variable.secret)}, "key": ${quote(variable.key)}}`
    return { start: keyStart, end, text: `"valueFrom": {"secretKeyRef": ${reference}}` }
  }
  const nl = newlineOf(source)
  const indent = ' '.repeat(source.column(keyStart))
  const lines = [
    'valueFrom:',
    `${indent}  secretKeyRef:`,
    `${indent}    name: ${plain(variable.secret)}`,
    `${indent}    key: ${plain(variable.key)}`,
  ]
  return { start: keyStart, end, text: lines.join(nl) + (written.endsWith('\n') ? nl : '') }
}

/** A stretch of a scalar's value becomes `replacement`, in whatever style the scalar is written. */
export function replaceInScalar(
  source: Source,
  place: Place,
  stretch: { text: string; start: number; end: number },
  replacement: string,
): Edit | undefined {
  const node = place.node
  if (!isScalar(node) || !node.range || String(node.value) !== stretch.text) return undefined
  const secret = stretch.text.slice(stretch.start, stretch.end)
  const start = writtenAt(source, node, stretch.text, stretch.start, secret)
  return start === undefined ? undefined : { start, end: start + secret.length, text: replacement }
}

/** Where the secret stands in the source, when it stands there letter by letter. */
function writtenAt(source: Source, node: Scalar, value: string, offset: number, secret: string): number | undefined {
  const [from, to] = node.range!
  const written = source.text.slice(from, to)
  const inner = /^["']/.test(written) ? 1 : 0
  if (written.slice(inner, inner + value.length) === value && node.type !== 'BLOCK_LITERAL')
    return from + inner + offset
  if (node.type === 'BLOCK_LITERAL') return inLiteral(written, from, value, offset, secret)
  const first = written.indexOf(secret)
  return first >= 0 && written.indexOf(secret, first + 1) < 0 ? from + first : undefined
}

/** A literal block's lines are the value's lines behind their indentation (YAML 1.2, section 8.1.2). */
function inLiteral(written: string, from: number, value: string, offset: number, secret: string): number | undefined {
  if (secret.includes('\n')) return undefined
  const lineStart = value.lastIndexOf('\n', offset - 1) + 1
  const lineNumber = value.slice(0, lineStart).split('\n').length
  let at = 0
  for (let n = 0; n < lineNumber; n++) {
    at = written.indexOf('\n', at) + 1
    if (at === 0) return undefined
  }
  const end = value.indexOf('\n', lineStart)
  const line = value.slice(lineStart, end < 0 ? value.length : end)
  const indent = written.slice(at).search(/[^ ]/) - line.search(/[^ ]|$/)
  if (indent < 0 || !written.startsWith(line, at + indent)) return undefined
  return from + at + indent + offset - lineStart
}

/** Adds variables at the end of a container's `env`, or a new `env` behind its member `after`. */
export function addVariables(
  source: Source,
  container: FieldPath,
  after: string,
  variables: readonly SecretVariable[],
): Edit | undefined {
  const place = source.find(container)
  if (place === undefined || place.shared || !isMap(place.node)) return undefined
  const env = place.node.items.find((pair) => isScalar(pair.key) && pair.key.value === 'env')
  if (env !== undefined) {
    const list = source.find([...container, 'env'])
    return list === undefined || list.shared ? undefined : append(source, list, variables)
  }
  const before = source.find([...container, after])
  if (before?.pair === undefined || !isNode(before.pair.key) || !before.node.range || !before.pair.key.range)
    return undefined
  const end = before.node.range[1]
  if (place.node.flow) return { start: end, end, text: `, "env": [${variables.map(flow).join(', ')}]` }
  const indent = ' '.repeat(source.column(before.pair.key.range[0]))
  return behindLine(source, end, [`${indent}env:`, ...variables.flatMap((v) => block(v, indent))])
}

function append(source: Source, list: Place, variables: readonly SecretVariable[]): Edit | undefined {
  const { node } = list
  if (!isSeq(node) || !node.range) return undefined
  const last = node.items.at(-1)
  if (node.flow) {
    const text = variables.map(flow).join(', ')
    if (last === undefined) return { start: node.range[0] + 1, end: node.range[0] + 1, text }
    if (!isNode(last) || !last.range) return undefined
    return { start: last.range[1], end: last.range[1], text: `, ${text}` }
  }
  if (!isNode(last) || !last.range) return undefined
  const indent = ' '.repeat(source.column(node.range[0]))
  return behindLine(
    source,
    last.range[1],
    variables.flatMap((v) => block(v, indent)),
  )
}

/** Lines behind the line on which something ends; a comment at its end stays with it. */
function behindLine(source: Source, end: number, lines: readonly string[]): Edit {
  const nl = newlineOf(source)
  const { text } = source
  const at = text[end - 1] === '\n' ? end : source.nextLine(end)
  const open = at > 0 && text[at - 1] !== '\n'
  return { start: at, end: at, text: (open ? nl : '') + lines.join(nl) + (open ? '' : nl) }
}

const flow = ({ name, secret, key }: SecretVariable): string =>
  `{"name": ${quote(name)}, "valueFrom": {"secretKeyRef": {"name": ${quote(secret)}, "key": ${quote(key)}}}}`

const block = ({ name, secret, key }: SecretVariable, indent: string): string[] => [
  `${indent}- name: ${plain(name)}`,
  `${indent}  valueFrom:`,
  `${indent}    secretKeyRef:`,
  `${indent}      name: ${plain(secret)}`,
  `${indent}      key: ${plain(key)}`,
]
