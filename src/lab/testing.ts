import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cgroupHierarchies, cgroupNames, removeCgroup } from '../platform/cgroups.ts'
import { findMissing } from './packages.ts'

const INSIDE = 'RAMPART_TEST_LAB_HOST'

/** Why labs cannot run here; undefined when they can. */
export function whyNoLab(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: namespaces, mounts and containers'
  const missing = findMissing()
  return missing.length === 0 ? undefined : `needs the packages ${missing.join(', ')}`
}

export const insideOwnHost = (): boolean => process.env[INSIDE] !== undefined

/**
 * Runs this test file again in a host of its own: own processes, links, mounts and /run, so that before and after can be
 * compared to the last line while other programs go on. The first process is a shell, as somebody must reap orphans.
 */
export function runInOwnHost(file: string, timeoutMs: number, setup: string = 'true'): void {
  const folder = mkdtempSync(join(tmpdir(), `rampart-lab-${process.pid}-`))
  // The test runner's own settings would make the inner run report to it instead of printing.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...environment } = process.env
  const test = [process.execPath, '--test', '--test-isolation=none', '--test-reporter=spec', file]
  const namespaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--fork', '--kill-child=SIGKILL', '--mount-proc']
  const run = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/lock && ip link set lo up'
  const first = `${run} && ${setup} && { "$@"; exit $?; }`
  try {
    const { status, signal, stdout, stderr } = spawnSync('unshare', [...namespaces, 'sh', '-c', first, 'sh', ...test], {
      env: { ...environment, [INSIDE]: folder },
      encoding: 'utf8',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 64 << 20,
    })
    if (status !== 0) throw new Error(`the tests inside ended with ${status ?? signal}\n${stdout}\n${stderr}`)
  } finally {
    // The namespaces are gone with their first process; cgroups are the kernel's.
    const hierarchies = cgroupHierarchies()
    const token = tokenOf(folder)
    for (const name of cgroupNames(hierarchies, 'rampart-')) if (name.includes(token)) removeCgroup(hierarchies, name)
    removeFolder(folder)
  }
}

/** A part of the names of all clusters in this folder. */
const tokenOf = (folder: string): string => `t${basename(folder).slice(-6).toLowerCase()}x`

/** Deletes a folder that was made here, once it is sure that nothing is mounted in it. */
export function removeFolder(folder: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  if (mounts.includes(` ${folder}`)) throw new Error(`something is mounted in ${folder}: it stays`)
  rmSync(folder, { recursive: true, force: true })
}

export type TestCluster = { name: string; directory: string; key: string; sshPublicKey: string; remove: () => void }

/** A data folder and an SSH key. */
export function testCluster(): TestCluster {
  const directory = mkdtempSync(join(process.env[INSIDE] ?? tmpdir(), 'cluster-'))
  const key = join(directory, 'ssh-key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', key])
  return {
    name: `${tokenOf(process.env[INSIDE] ?? directory)}-${directory.slice(-6).toLowerCase()}`,
    directory,
    key,
    sshPublicKey: readFileSync(`${key}.pub`, 'utf8').trim(),
    remove: () => removeFolder(directory),
  }
}

const COMMANDS: readonly string[][] = [
  ['ip', 'netns', 'list'],
  ['ip', '-o', 'link'],
  ['ip', '-o', 'address'],
  ['ip', 'route', 'show', 'table', 'all'],
  ['ip', 'rule'],
  ['nft', 'list', 'ruleset'],
  ['findmnt', '--raw', '--noheadings', '--output', 'TARGET,SOURCE,FSTYPE,OPTIONS'],
  ['sysctl', 'net.ipv4.ip_forward', 'net.ipv4.conf.all.rp_filter', 'net.ipv6.conf.all.disable_ipv6'],
]

/** What `down` has to leave as it was: one text per command. */
export function hostState(labs: readonly string[]): Record<string, string> {
  const outputs = COMMANDS.map((argv): [string, string] => [
    argv.join(' '),
    execFileSync(argv[0]!, argv.slice(1)).toString(),
  ])
  const own = new Set(['ps', 'findmnt'])
  const processes = execFileSync('ps', ['-eo', 'pid,stat,args', '--no-headers'])
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !own.has(line.trim().split(/\s+/)[2]!))
    .map((line) =>
      line
        .trim()
        .split(/\s+/)
        .toSpliced(1, 1, /\sZ/.test(line) ? 'zombie' : '')
        .join(' '),
    )
  const cgroups = readdirSync('/sys/fs/cgroup').flatMap((name) => {
    const folder = join('/sys/fs/cgroup', name)
    return existsSync(join(folder, 'cgroup.procs'))
      ? readdirSync(folder).filter((n) => labs.some((id) => n.includes(id)))
      : []
  })
  return {
    ...Object.fromEntries(outputs),
    ps: processes.join('\n'),
    run: readdirSync('/run').sort().join(' '),
    cgroups: [...new Set(cgroups)].sort().join(' '),
  }
}

/** Orphans are reaped by another process, links go in the kernel's own time: the host gets a moment to be as it was. */
export async function hostStateLike(
  labs: readonly string[],
  wanted: Record<string, string>,
): Promise<Record<string, string>> {
  let state = hostState(labs)
  for (let i = 0; i < 100 && JSON.stringify(state) !== JSON.stringify(wanted); i++) {
    await sleep(20)
    state = hostState(labs)
  }
  return state
}

export function makeFolder(...parts: string[]): string {
  const folder = join(...parts)
  mkdirSync(folder, { recursive: true })
  return folder
}
