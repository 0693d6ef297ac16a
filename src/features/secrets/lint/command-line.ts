import { findCredentials } from './credentials.ts'
import { examineNamed } from './named-value.ts'
import { findPairs } from './pairs.ts'
import { locate, type ShellWord, shellCommands } from './shell-words.ts'
import type { Detection } from './types.ts'
import { classifyValue, isPlaceholder, variety } from './values.ts'

/** A secret in one element of a command line, and the flag or variable that carries it. */
export type ArgumentDetection = Detection & { element: number; name: string }

/** Programs whose short flag takes a secret, as the next word or joined to the flag. */
const SHORT_FLAGS: Readonly<Record<string, { flag: string; joined?: boolean; pair?: boolean }>> = {
  mysql: { flag: '-p', joined: true },
  mysqldump: { flag: '-p', joined: true },
  mysqladmin: { flag: '-p', joined: true },
  mysqlimport: { flag: '-p', joined: true },
  mariadb: { flag: '-p', joined: true },
  'mariadb-dump': { flag: '-p', joined: true },
  'mariadb-admin': { flag: '-p', joined: true },
  'redis-cli': { flag: '-a' },
  sshpass: { flag: '-p', joined: true },
  mongo: { flag: '-p' },
  mongosh: { flag: '-p' },
  mongodump: { flag: '-p' },
  mongorestore: { flag: '-p' },
  docker: { flag: '-p' },
  podman: { flag: '-p' },
  skopeo: { flag: '-p' },
  crane: { flag: '-p' },
  helm: { flag: '-p' },
  az: { flag: '-p' },
  oc: { flag: '-p' },
  ldapsearch: { flag: '-w' },
  ldapadd: { flag: '-w' },
  ldapmodify: { flag: '-w' },
  ldapwhoami: { flag: '-w' },
  rabbitmqadmin: { flag: '-p' },
  mosquitto_pub: { flag: '-P' },
  mosquitto_sub: { flag: '-P' },
  sqlcmd: { flag: '-P' },
  bcp: { flag: '-P' },
  cqlsh: { flag: '-p' },
  '7z': { flag: '-p', joined: true },
  unzip: { flag: '-P' },
  zip: { flag: '-P' },
  smbclient: { flag: '-U', pair: true },
  curl: { flag: '-u', pair: true },
  http: { flag: '-a', pair: true },
  wget: { flag: '' },
}
const SHELLS = new Set(['sh', 'bash', 'ash', 'dash', 'zsh', 'ksh', 'busybox'])
/** Before the program that matters. */
const WRAPPERS = new Set([
  'sudo',
  'exec',
  'env',
  'time',
  'nohup',
  'nice',
  'timeout',
  'tini',
  'dumb-init',
  '--',
  'command',
  'xargs',
  'watch',
])
const NAME = /^(?:-{0,2})(?:[DP](?=[a-z]))?([A-Za-z_][A-Za-z0-9_.-]{0,127})$/

const MAX_FOUND = 500

/** Secrets in `command` followed by `args`; shell scripts within (`sh -c`) are read as such. */
export function examineCommandLine(elements: readonly string[]): ArgumentDetection[] {
  const found: ArgumentDetection[] = []
  const shell = elements.findIndex((element) => SHELLS.has(baseName(element)))
  const scripts = elements.map((element, i) => isScript(element, shell >= 0 && shell < i))
  for (let i = 0; i < elements.length && found.length < MAX_FOUND; i++) {
    const element = elements[i]!
    for (const d of findCredentials(element))
      found.push({ ...d, element: i, name: scripts[i] ? nameOf(d) : (flagOf(element, elements[i - 1]) ?? nameOf(d)) })
    if (scripts[i]) examineScript(element, i, found)
  }
  const words: ShellWord[] = elements.map((text) => ({ text, pieces: [{ at: 0, start: 0, length: text.length }] }))
  for (const { word, ...d } of examineWords(words)) if (!scripts[word]) found.push({ ...d, element: word })
  return found.length < 2 ? found : withoutOverlaps(found)
}

function examineScript(script: string, element: number, found: ArgumentDetection[]): void {
  for (const command of shellCommands(script))
    for (const { word, ...d } of examineWords(command)) {
      if (found.length >= MAX_FOUND) return
      found.push({ ...d, element, ...locate(command[word]!, d.start, d.end) })
    }
}

function isScript(text: string, afterShell: boolean): boolean {
  return /\s/.test(text) && (afterShell || /\n|&&|\|\||; |^[a-z][\w./-]* /.test(text))
}

const baseName = (text: string): string => text.slice(text.lastIndexOf('/') + 1)

const nameOf = ({ rule }: Detection): string =>
  rule === 'url-credentials' || rule === 'basic-auth' ? 'password' : rule === 'bearer-token' ? 'token' : rule

function flagOf(element: string, before: string | undefined): string | undefined {
  const own = /^-{0,2}([A-Za-z][A-Za-z0-9_.-]{0,60})=/.exec(element)?.[1]
  return own ?? /^--?([A-Za-z][A-Za-z0-9_.-]{0,60})$/.exec(before ?? '')?.[1]
}

type WordDetection = Detection & { word: number; name: string }

function examineWords(words: readonly ShellWord[]): WordDetection[] {
  const found: WordDetection[] = []
  const program = programOf(words)
  for (let i = 0; i < words.length; i++) {
    const { text } = words[i]!
    const next = words[i + 1]?.text
    const here = assignment(text) ?? headerLine(text) ?? joinedFlag(program, text) ?? opensslPass(text)
    if (here !== undefined) found.push({ ...here, word: i })
    else if (next !== undefined && text.startsWith('-') && !text.includes('=')) {
      const there = flagValue(program, text, next)
      if (there !== undefined) found.push({ ...there, word: ++i })
    } else for (const pair of findPairs(text)) found.push({ ...commandLine(pair, 0, pair.name), word: i })
  }
  return found
}

function programOf(words: readonly ShellWord[]): string {
  for (const { text } of words) {
    const name = baseName(text)
    if (text.startsWith('-') || WRAPPERS.has(name) || /^[A-Za-z_]\w*=/.test(text) || /^[0-9]+[smh]?$/.test(name))
      continue
    return name
  }
  return ''
}

type Named = Detection & { name: string }

/** `--password=x`, `PGPASSWORD=x`, `-Dapp.password=x`. */
function assignment(text: string): Named | undefined {
  const equals = text.indexOf('=')
  if (equals < 1 || equals > 130) return undefined
  const name = NAME.exec(text.slice(0, equals))?.[1]
  if (name === undefined) return undefined
  const value = text.slice(equals + 1)
  const found = examineNamed(name, value)
  return found && commandLine(found, equals + 1, name)
}

/** `Authorization: Bearer x`, `X-Api-Key: x`, as curl and its like take them. */
function headerLine(text: string): Named | undefined {
  const match = /^([A-Za-z][A-Za-z0-9-]{0,60}):[ \t]*/.exec(text)
  if (match === null) return undefined
  const found = examineNamed(match[1]!, text.slice(match[0].length))
  return found && commandLine(found, match[0].length, match[1]!)
}

function joinedFlag(program: string, text: string): Named | undefined {
  const short = SHORT_FLAGS[program]
  if (short?.pair === true && text.startsWith(short.flag) && !text.startsWith('--')) {
    const cut = text.search(/[:%]/)
    return cut < 0 ? undefined : secretWord(text.slice(cut + 1), cut + 1, 'password')
  }
  if (short?.joined !== true || !text.startsWith(short.flag) || text.length < short.flag.length + 3) return undefined
  const value = text.slice(short.flag.length)
  return secretWord(value, short.flag.length, 'password')
}

function opensslPass(text: string): Named | undefined {
  return text.startsWith('pass:') ? secretWord(text.slice(5), 5, 'passphrase') : undefined
}

function flagValue(program: string, flag: string, next: string): Named | undefined {
  if (next.startsWith('-') && next.length < 20) return undefined
  const prefixed = opensslPass(next)
  if (prefixed !== undefined) return prefixed
  const short = SHORT_FLAGS[program]
  if (short?.pair === true && (flag === short.flag || flag === '--user' || flag === '--proxy-user')) {
    const cut = /[:%]/.exec(next)?.index ?? -1
    return cut < 0 ? undefined : secretWord(next.slice(cut + 1), cut + 1, 'password')
  }
  if (short !== undefined && flag === short.flag) return secretWord(next, 0, 'password')
  const name = NAME.exec(flag)?.[1]
  if (name === undefined) return undefined
  if (flag === '-p' || flag === '-P') return program === '' || short === undefined ? loneShortFlag(next) : undefined
  const found = examineNamed(name, next)
  return found && commandLine(found, 0, name)
}

/** `-p x` of an unknown program is a port, a path or a project more often than a password. */
function loneShortFlag(value: string): Named | undefined {
  if (/^[0-9:./,-]+$/.test(value) || /[/:=]/.test(value) || value.length < 6 || classifyValue(value) !== 'plain')
    return isPlaceholder(value) && /secret|pass|changeme/i.test(value) ? low(value) : undefined
  return variety(value) >= 2 && /[0-9]/.test(value) && !/^[a-z]+-?[0-9.]+$/.test(value) ? low(value) : undefined
}

const low = (value: string): Named => ({
  rule: 'command-line',
  what: 'what looks like a password on a command line',
  severity: 'low',
  start: 0,
  end: value.length,
  name: 'password',
})

function secretWord(value: string, start: number, name: string): Named | undefined {
  const found = examineNamed('PASSWORD', value)
  return found && commandLine(found, start, name)
}

function commandLine(found: Detection, offset: number, name: string): Named {
  const { rule, start, end } = found
  const own = rule === 'named-secret' ? 'command-line' : rule
  const what = rule === 'named-secret' ? 'a secret on a command line' : found.what
  return { ...found, rule: own, what, start: start + offset, end: end + offset, name }
}

const RANK = { high: 0, medium: 1, low: 2 }

/** Of findings that share characters the first of the highest severity stays; shapes come before names. */
export function withoutOverlaps<T extends Detection & { element?: number }>(found: readonly T[]): T[] {
  const kept: T[] = []
  for (const d of [...found].sort((a, b) => RANK[a.severity] - RANK[b.severity]))
    if (!kept.some((k) => k.element === d.element && k.start < d.end && d.start < k.end)) kept.push(d)
  return kept.sort((a, b) => (a.element ?? 0) - (b.element ?? 0) || a.start - b.start)
}
