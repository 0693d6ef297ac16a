import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CgroupHierarchy, cgroupNames, cgroupProcesses, removeCgroup } from '../platform/cgroups.ts'
import { deleteNetns, namespaceId, netnsNames, netnsPath, processesIn } from '../platform/namespaces.ts'

const END_TIMEOUT_MS = 10_000

/**
 * Ends every process that lives in the namespaces or cgroups of these names, then removes both. It looks at what there
 * is and not at what was recorded: the order in which an earlier program was killed does not matter.
 */
export async function sweep(
  hierarchies: readonly CgroupHierarchy[],
  names: readonly string[],
  graceMs: number,
): Promise<void> {
  const ids = new Set(names.map((name) => namespaceId(netnsPath(name))).filter((id) => id !== undefined))
  const living = (): number[] => {
    const pids = new Set(processesIn(ids).map((p) => p.pid))
    for (const name of names) for (const pid of cgroupProcesses(hierarchies, name)) pids.add(pid)
    pids.delete(process.pid)
    return [...pids]
  }
  if (graceMs > 0) await terminate(ids, living, graceMs)
  // Without its name nothing enters a namespace any more; those that are inside are ended below.
  await deleteNetns(names)
  const deadline = performance.now() + END_TIMEOUT_MS
  for (let quiet = 0; quiet < 2; ) {
    const pids = living()
    quiet = pids.length === 0 ? quiet + 1 : 0
    for (const pid of pids) signal(pid, 'SIGKILL')
    if (performance.now() > deadline) throw new Error(`processes do not end: ${pids.join(', ')}`)
    await sleep(quiet > 1 ? 0 : 5)
  }
  for (const name of names)
    while (!removeCgroup(hierarchies, name)) {
      if (performance.now() > deadline) throw new Error(`the cgroup ${name} does not become empty`)
      for (const pid of cgroupProcesses(hierarchies, name)) signal(pid, 'SIGKILL')
      await sleep(5)
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
