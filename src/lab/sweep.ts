import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CgroupHierarchy, cgroupNames, cgroupProcesses, removeCgroup } from '../platform/cgroups.ts'
import {
  deleteNetns,
  type NamespaceId,
  NETNS_FOLDER,
  namespaceId,
  netnsNames,
  netnsPath,
  processesIn,
} from '../platform/namespaces.ts'

const END_TIMEOUT_MS = 10_000
/** How long nothing may be found before it is believed: a program that was just forked shows its own name only soon. */
const QUIET_MS = 5

/**
 * Ends every process that lives in the namespaces or cgroups which `remains` names, then removes both. It looks at what
 * there is and not at what was recorded: the moment at which an earlier program was killed does not matter.
 */
export async function sweep(
  hierarchies: readonly CgroupHierarchy[],
  remains: () => string[],
  graceMs: number,
): Promise<void> {
  const ids = new Set<NamespaceId>()
  const names = new Set<string>()
  const look = (): void => {
    for (const name of remains()) {
      names.add(name)
      const id = namespaceId(netnsPath(name))
      if (id !== undefined) ids.add(id)
    }
  }
  const living = (): number[] => {
    const pids = new Set([...processesIn(ids).map((p) => p.pid), ...makersOf(names)])
    for (const name of names) for (const pid of cgroupProcesses(hierarchies, name)) pids.add(pid)
    pids.delete(process.pid)
    return [...pids]
  }
  look()
  if (names.size === 0) return
  if (graceMs > 0) await terminate(ids, living, graceMs)
  const deadline = performance.now() + END_TIMEOUT_MS
  for (let quiet = 0; quiet < 2; ) {
    look()
    // Without its name nothing enters a namespace any more; those that are inside are ended by its identity.
    await deleteNetns([...names])
    const pids = living()
    for (const pid of pids) signal(pid, 'SIGKILL')
    const empty = [...names].map((name) => removeCgroup(hierarchies, name))
    quiet = pids.length === 0 && empty.every((gone) => gone) ? quiet + 1 : 0
    if (performance.now() > deadline)
      throw new Error(`${[...names].join(', ')}: processes do not end: ${pids.join(', ')}`)
    if (quiet < 2) await sleep(QUIET_MS)
  }
}

/** Programs of a killed `up` that are about to make or enter what has one of these names. */
function makersOf(names: ReadonlySet<string>): number[] {
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^[1-9][0-9]*$/.test(entry)) continue
    const [program, ...args] = commandLine(entry)
    if (program === undefined || !MAKERS.has(basename(program))) continue
    if (args.some((arg) => names.has(arg) || names.has(arg.replace(ENTERS, '')))) found.push(Number(entry))
  }
  return found
}

const MAKERS: ReadonlySet<string> = new Set(['ip', 'nsenter'])
const ENTERS = `--net=${NETNS_FOLDER}/`

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has ended meanwhile
  }
}

/** Everything is asked to end; the first process of a machine is held, so that it does not start anything anew. */
async function terminate(ids: ReadonlySet<string>, living: () => number[], graceMs: number): Promise<void> {
  const inits = new Set(
    processesIn(ids)
      .filter((p) => p.pids.length === 2 && p.pids[1] === 1)
      .map((p) => p.pid),
  )
  for (const pid of inits) signal(pid, 'SIGSTOP')
  // `unshare` waits for its child, the held one, and hears nothing else.
  const waiting = new Set([...inits].map(parentOf))
  const others = (): number[] => living().filter((pid) => !inits.has(pid) && !waiting.has(pid))
  for (const pid of others()) signal(pid, 'SIGTERM')
  const deadline = performance.now() + graceMs
  while (performance.now() < deadline && others().length > 0) await sleep(10)
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return undefined // it has ended meanwhile
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Names of all namespaces and cgroups that begin so. */
export function labNames(hierarchies: readonly CgroupHierarchy[], prefix: string): string[] {
  return [...new Set([...netnsNames(prefix), ...cgroupNames(hierarchies, prefix)])]
}
