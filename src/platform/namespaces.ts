import { spawn } from 'node:child_process'
import {
  type BigIntStats,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { mountAt, parseMounts } from './mounts.ts'

/** Where `ip netns` keeps network namespaces that have a name. */
export const NETNS_FOLDER = '/run/netns'
const NSFS_MAGIC = 0x6e736673
const OUTPUT_LIMIT = 1 << 20

export type RunOptions = {
  /** Runs inside this network namespace (a path). */
  netns?: string
  input?: string
  timeoutMs?: number
}

export class ProgramError extends Error {
  readonly argv: readonly string[]
  constructor(argv: readonly string[], reason: string) {
    super(`${argv.join(' ')}: ${reason}`)
    this.name = 'ProgramError'
    this.argv = argv
  }
}

/** The argument array that runs a program in the network namespace at `path`. */
export function inNetworkNamespace(path: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=${path}`, '--', ...argv]
}

/** Runs a program to its end and resolves with what it printed. Throws ProgramError with the end of its stderr. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = options.netns === undefined ? argv : inNetworkNamespace(options.netns, argv)
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' })
    let stdout = ''
    let stderr = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, options.timeoutMs ?? 20_000)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_LIMIT) stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-4096)
    })
    child.stdin.on('error', () => {}) // a program may end without reading all: its exit status tells
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(new ProgramError(argv, error.message))
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve(stdout)
      else reject(new ProgramError(argv, late ? 'took too long' : stderr.trim() || `ended with ${code ?? signal}`))
    })
    child.stdin.end(options.input ?? '')
  })
}

export const netnsPath = (name: string): string => join(NETNS_FOLDER, name)

/** Tells one namespace from another, however it is reached. */
export type NamespaceId = string
const idOf = (stats: BigIntStats): NamespaceId => `${stats.dev}:${stats.ino}`

/** The namespace that a path in NETNS_FOLDER or /proc/PID/ns stands for; undefined when it stands for none. */
export function namespaceId(path: string): NamespaceId | undefined {
  try {
    return statfsSync(path).type === NSFS_MAGIC ? idOf(statSync(path, { bigint: true })) : undefined
  } catch {
    return undefined // not there, or the process has ended
  }
}

/** Names in NETNS_FOLDER, also of those that were not finished. */
export function netnsNames(prefix: string): string[] {
  try {
    return readdirSync(NETNS_FOLDER).filter((name) => name.startsWith(prefix))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Makes those that do not exist; a file without a namespace, left by a killed program, is replaced. */
export async function addNetns(names: readonly string[]): Promise<void> {
  const wanting = names.filter((name) => namespaceId(netnsPath(name)) === undefined)
  if (wanting.length === 0) return
  const present = new Set(netnsNames(''))
  for (const name of wanting) if (present.has(name)) unlinkSync(netnsPath(name))
  await Promise.all(wanting.map((name) => run(['ip', 'netns', 'add', name])))
}

/** Removes the names; a namespace itself ends with its last process. */
export async function deleteNetns(names: readonly string[]): Promise<void> {
  const present = new Set(netnsNames(''))
  await Promise.all(
    names
      .filter((name) => present.has(name))
      .map(async (name) => {
        if (namespaceId(netnsPath(name)) === undefined) return rmSync(netnsPath(name), { force: true })
        try {
          await run(['ip', 'netns', 'delete', name])
        } catch (error) {
          if (netnsNames('').includes(name)) throw error
        }
      }),
  )
}

/** True when `ip netns` has already made NETNS_FOLDER a mount of its own, as its first `add` does. */
export function netnsFolderIsMount(): boolean {
  return mountAt(parseMounts(readFileSync('/proc/self/mountinfo', 'utf8')), NETNS_FOLDER) !== undefined
}

/** Undoes that mount, unless it is in use. True when it is gone. */
export async function unmountNetnsFolder(): Promise<boolean> {
  if (netnsNames('').length > 0) return false
  // Two programs that call `ip netns add` at the same time put one mount on the other.
  while (netnsFolderIsMount()) {
    try {
      await run(['umount', '--no-mtab', NETNS_FOLDER])
    } catch (error) {
      if (netnsNames('').length > 0) return false
      throw error
    }
  }
  try {
    rmdirSync(NETNS_FOLDER)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT' && code !== 'EBUSY') throw error
  }
  return true
}

export type NamespacedProcess = {
  pid: number
  net: NamespaceId
  /** Its ids from our process namespace down to its own: `[812, 1]` is the first process of one directly below ours. */
  pids: number[]
}

/** Every process of this machine that lives in one of these network namespaces. */
export function processesIn(namespaces: ReadonlySet<NamespaceId>): NamespacedProcess[] {
  const found: NamespacedProcess[] = []
  if (namespaces.size === 0) return found
  for (const entry of readdirSync('/proc')) {
    if (!/^[1-9][0-9]*$/.test(entry)) continue
    const net = namespaceId(`/proc/${entry}/ns/net`)
    if (net === undefined || !namespaces.has(net)) continue
    found.push({ pid: Number(entry), net, pids: processIds(entry) })
  }
  return found
}

function processIds(pid: string): number[] {
  try {
    const line = /^NSpid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return line === null ? [] : line[1]!.split('\t').map(Number)
  } catch {
    return [] // it has ended meanwhile
  }
}
