import { Buffer } from 'node:buffer'
import { decodeYaml } from '../../../kernel/codec/yaml.ts'
import { withoutOverlaps } from './command-line.ts'
import { findCredentials } from './credentials.ts'
import { examineNamed } from './named-value.ts'
import { findPairs } from './pairs.ts'
import type { Detection } from './types.ts'

/** A secret within a text that is itself a document, and the key that leads to it there. */
export type TextDetection = Detection & { within: string }

const MAX_PARSED = 1024 * 1024
const MAX_NODES = 50_000
const MAX_FOUND = 500
const MAX_LINE = 4096

/**
 * Secrets in the text of a configuration file: JSON and YAML by reading them, everything that goes line by line (.env,
 * properties, INI, TOML, netrc, redis.conf, XML elements) by its lines, and credentials of known shape anywhere.
 */
export function examineText(fileName: string, text: string): TextDetection[] {
  const found: TextDetection[] = findCredentials(text).map((d) => ({ ...d, within: '' }))
  const parsed = PGPASS.test(fileName) ? undefined : parse(fileName, text)
  const named = parsed === undefined ? examineLines(text, PGPASS.test(fileName)) : examineParsed(parsed, text)
  for (const d of named) {
    if (found.length >= MAX_FOUND) break
    // The shape tells what it is, the name where.
    const same = found.find((f) => f.start < d.end && d.start < f.end)
    if (same === undefined) found.push(d)
    else if (same.within === '') same.within = d.within
  }
  return withoutOverlaps(found)
}

function parse(fileName: string, text: string): object | undefined {
  if (text.length > MAX_PARSED) return undefined
  const json = /^\s*[[{]/.test(text)
  const yaml =
    /\.ya?ml$/i.test(fileName) || /^(?:---|[A-Za-z_][\w.-]{0,60}:(?:\s*$| *[^\s=]))/m.test(text.slice(0, 2048))
  if (!json && !yaml) return undefined
  try {
    const value: unknown = json ? JSON.parse(text) : decodeYaml(Buffer.from(text)).value
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    // Not what it seemed to be: its lines are looked at instead.
    return undefined
  }
}

function examineParsed(root: object, text: string): TextDetection[] {
  const found: TextDetection[] = []
  const budget = { left: MAX_NODES }
  const visit = (node: unknown, key: string, path: string, depth: number): void => {
    if (--budget.left < 0 || found.length >= MAX_FOUND || depth > 100) return
    if (typeof node === 'string' || typeof node === 'number') {
      const places = namedIn(key, path, String(node), text)
      for (const place of places) found.push({ ...place, within: path })
    } else if (Array.isArray(node)) {
      for (const [i, item] of node.entries()) visit(item, key, `${path}[${i}]`, depth + 1)
    } else if (typeof node === 'object' && node !== null) {
      const pair = node as { name?: unknown; value?: unknown }
      for (const [name, value] of Object.entries(node)) {
        const own = name === 'value' && typeof pair.name === 'string' ? pair.name : name
        visit(value, own, path === '' ? name : `${path}.${name}`, depth + 1)
      }
    }
  }
  visit(root, '', '', 0)
  return found
}

function namedIn(key: string, path: string, value: string, text: string): Detection[] {
  const docker = /(?:^|\.)auths\./.test(path) && key === 'auth' ? dockerAuth(value) : undefined
  const found = docker ?? (key.endsWith('Ref') ? undefined : examineNamed(key, value))
  // A text of several lines is a document within the document.
  const all = found !== undefined ? [found] : value.includes('\n') ? [] : findPairs(value)
  return all.map((detection) => {
    const secret = value.slice(detection.start, detection.end)
    const place = placeOf(text, key, secret)
    const { rule, what, severity } = detection
    // Written with escapes or over several lines: the line of its key is the nearest that can be told.
    return { rule, what, severity, start: place, end: place + secret.length }
  })
}

/** Where the value stands: after its key if the key can be found. */
function placeOf(text: string, key: string, secret: string): number {
  const quoted = text.indexOf(secret)
  if (quoted >= 0 && text.indexOf(secret, quoted + 1) < 0) return quoted
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) {
    const after = text.slice(at + key.length, at + key.length + 8)
    const gap = /^["']?\s*:\s*["']?/.exec(after)
    if (gap !== null && text.startsWith(secret, at + key.length + gap[0].length)) return at + key.length + gap[0].length
  }
  return Math.max(0, quoted)
}

/** `auths.<registry>.auth` of docker's config.json: base64 of user and password. */
function dockerAuth(value: string): Detection | undefined {
  if (!/^[A-Za-z0-9+/]{4,4096}={0,2}$/.test(value)) return undefined
  if (!/^[\x20-\x7e]+:[\x20-\x7e]+$/.test(Buffer.from(value, 'base64').toString('latin1'))) return undefined
  return { rule: 'docker-config', what: 'credentials of a registry', severity: 'high', start: 0, end: value.length }
}

const PAIR =
  /^[ \t]*(?:(?:export|set|ENV|ARG|-|--set|SET|const|let|var|final)[ \t]+)?["']?([A-Za-z_][A-Za-z0-9_./-]{0,127})["']?[ \t]*(=>|:=|[:=])[ \t]*/
const DIRECTIVE =
  /^[ \t]*([A-Za-z_-]*(?:requirepass|masterauth|password|passwd|secret|token|auth-pass|proxy_set_header[ \t]+authorization))[ \t]+(?=\S)/i
const NETRC = /\bpassword[ \t]+(?=\S)/
const ELEMENT = /<([A-Za-z][A-Za-z0-9_.-]{0,60})>([^<>]{3,400})<\//g
const DEFINE = /^[ \t]*define\([ \t]*["']([A-Za-z_]\w{0,127})["'][ \t]*,[ \t]*(?=["'])/
const NPMRC = /^\/\/[^\s=]{1,200}:(_authToken|_password|_auth)[ \t]*=[ \t]*/
const ATTRIBUTES = /\s(?:key|name)="([A-Za-z_][\w.:-]{0,127})"\s{1,20}value="([^"<>]{3,400})"/g
const PGPASS = /(?:^|[./])pgpass(?:\.conf)?$/
/** host:port:database:user:password, in which a backslash escapes. */
const PGPASS_LINE = /^(?:(?:\\.|[^:\\])*:){4}/
const COMMENT = /^[ \t]*(?:[#;!]|\/\/|--[ \t])/

function examineLines(text: string, pgpass: boolean): TextDetection[] {
  const found: TextDetection[] = []
  let section = ''
  for (let start = 0; start < text.length && found.length < MAX_FOUND; ) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    const line = text.slice(start, Math.min(end, start + MAX_LINE))
    const header = /^\s*\[([^\]]{1,80})\]\s*$/.exec(line)
    if (header !== null) section = header[1]!
    else if (pgpass) examinePgpass(line, start, found)
    else if (!COMMENT.test(line) || NPMRC.test(line)) examineLine(line, start, section, found)
    start = end + 1
  }
  return found
}

function examinePgpass(line: string, offset: number, found: TextDetection[]): void {
  const before = PGPASS_LINE.exec(line)?.[0]
  const d =
    before === undefined || line.startsWith('#') ? undefined : examineNamed('password', line.slice(before.length))
  if (d === undefined) return
  const at = offset + before!.length
  found.push({ ...d, start: at + d.start, end: at + d.end, within: 'password' })
}

function examineLine(line: string, offset: number, section: string, found: TextDetection[]): void {
  const before = found.length
  const match = NPMRC.exec(line) ?? PAIR.exec(line) ?? DIRECTIVE.exec(line) ?? DEFINE.exec(line)
  const add = (name: string, raw: string, at: number): void => {
    const [value, skipped] = unquote(raw)
    if (looksLikeCode(value, raw, name)) return
    const d = examineNamed(name, value)
    if (d === undefined) return
    const base = offset + at + skipped
    found.push({ ...d, start: base + d.start, end: base + d.end, within: section === '' ? name : `${section}.${name}` })
  }
  if (match !== null) add(lastWord(match[1]!), line.slice(match[0].length), match[0].length)
  else {
    const netrc = NETRC.exec(line)
    if (netrc !== null && /\b(?:machine|login)\b/.test(line)) {
      const at = netrc.index + netrc[0].length
      add('password', /^\S+/.exec(line.slice(at))?.[0] ?? '', at)
    }
  }
  if (line.includes('</'))
    for (const element of line.matchAll(ELEMENT)) add(element[1]!, element[2]!, element.index + element[1]!.length + 2)
  for (const pair of line.includes('="') ? line.matchAll(ATTRIBUTES) : [])
    add(pair[1]!, pair[2]!, pair.index + pair[0].length - 1 - pair[2]!.length)
  if (found.length === before) addPairs(line, offset, section, found)
}

/** `spring.datasource.url=jdbc:…?password=x`, `connectionString="Server=…;Password=x"`. */
function addPairs(line: string, offset: number, section: string, found: TextDetection[]): void {
  for (const { name, ...d } of findPairs(line)) {
    const value = line.slice(d.start, d.end)
    const quoted = /["']/.test(line[d.start - 1] ?? '')
    // `connect(password=db_password)` in a program.
    if (!quoted && (/^[A-Za-z_]+$/.test(value) || looksLikeCode(value, value, name))) continue
    const within = section === '' ? name : `${section}.${name}`
    found.push({ ...d, start: offset + d.start, end: offset + d.end, within })
  }
}

const lastWord = (name: string): string => name.slice(name.search(/\S+$/))

/** The value without quotes, separators at its end and comments; and how many characters went before it. */
function unquote(raw: string): [value: string, skipped: number] {
  const quote = raw[0]
  if (quote === '"' || quote === "'" || quote === '`') {
    const end = raw.indexOf(quote, 1)
    if (end > 0) return [raw.slice(1, end), 1]
  }
  const comment = raw.search(/[ \t][#;]/)
  return [(comment < 0 ? raw : raw.slice(0, comment)).trimEnd().replace(/[,;]$/, ''), 0]
}

/** Scripts and programs in ConfigMaps assign variables, not values. */
function looksLikeCode(value: string, raw: string, name: string): boolean {
  if (raw[0] === '"' || raw[0] === "'" || value.startsWith('${')) return false
  if (/[()[\]{}]/.test(value) && /^[A-Za-z_$][\w.$]*[([{]|^[({[]/.test(value)) return true
  return (
    value === name.slice(name.lastIndexOf('.') + 1) ||
    /^[a-z_]\w*(?:\.[A-Za-z_]\w*)+$/.test(value) ||
    /^(?:self|this|await|new|function|return)\b/.test(value)
  )
}
