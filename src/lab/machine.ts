import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type CgroupHierarchy, makeCgroup } from '../platform/cgroups.ts'
import { writePrivate } from '../platform/files.ts'
import { inNetworkNamespace, type NamespacedProcess, namespaceId, processesIn, run } from '../platform/namespaces.ts'
import { bootSteps } from './boot-steps.ts'
import { CONTAINERD_SOCKET, hostFiles, machineFiles, rootLinks } from './machine-files.ts'
import { type Endpoint, endpointPath, type MachineFolders, machineCgroup, machineFolders } from './plan.ts'
import type { MachineRecord } from './record.ts'

const BOOT = fileURLToPath(new URL('./boot.ts', import.meta.url))
const READY_TIMEOUT_MS = 30_000
/** Files by which root would reach the host's kernel. */
const KERNEL_FILES = ['/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs', '/proc/acpi']
const CONSOLE_LIMIT = 8 << 20

/** Folders and the SSH host key, made once. */
export async function createMachine(directory: string, name: string, address: string): Promise<MachineRecord> {
  const folders = machineFolders(directory, name)
  mkdirSync(folders.folder, { recursive: true, mode: 0o700 })
  if (!existsSync(folders.hostKey) || !existsSync(`${folders.hostKey}.pub`)) {
    rmSync(folders.hostKey, { force: true })
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', folders.hostKey])
  }
  const [type, blob] = readFileSync(`${folders.hostKey}.pub`, 'utf8').split(' ')
  const digest = createHash('sha256').update(Buffer.from(blob!, 'base64')).digest('base64')
  return {
    name,
    address,
    machineId: randomBytes(16).toString('hex'),
    sshHostKeyFingerprint: `SHA256:${digest.replace(/=+$/, '')}`,
    sshHostKey: `${type} ${blob}`,
  }
}

export type StartOptions = {
  id: string
  directory: string
  machine: MachineRecord
  endpoint: Endpoint
  hierarchies: readonly CgroupHierarchy[]
  sshPublicKey: string
}

/** Starts a machine whose network namespace stands; resolves when its sshd and containerd answer. */
export async function startMachine(options: StartOptions): Promise<void> {
  const { id, directory, machine, endpoint, hierarchies } = options
  const folders = machineFolders(directory, machine.name)
  const cgroup = machineCgroup(id, machine.name)
  for (const folder of [folders.disk, join(folders.disk, 'usr')])
    if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) mkdirSync(folder, { mode: 0o755, recursive: true })
  makeCgroup(hierarchies, cgroup)
  const identity = { ...machine, hostKey: folders.hostKey, sshPublicKey: options.sshPublicKey }
  const steps = bootSteps({
    hostname: machine.name,
    disk: folders.disk,
    hierarchies,
    cgroup,
    readOnly: kernelFiles(),
    rootLinks: rootLinks(),
    files: [...machineFiles(identity), ...hostFiles()],
  })
  writePrivate(folders.boot, JSON.stringify(steps))
  const failed = boot(endpoint, folders)
  await Promise.race([failed, machineReady(endpoint, directory)])
}

function kernelFiles(): string[] {
  const settings = readdirSync('/proc/sys').filter((name) => name !== 'net')
  return [...settings.map((name) => `/proc/sys/${name}`), ...KERNEL_FILES].filter((path) => existsSync(path))
}

/** Rejects when the machine ends; never resolves. The machine outlives this process. */
function boot(endpoint: Endpoint, folders: MachineFolders): Promise<never> {
  const own = ['--mount', '--uts', '--ipc', '--pid', '--fork']
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', BOOT, folders.boot]
  const [program, ...args] = inNetworkNamespace(endpointPath(endpoint), ['unshare', ...own, '--', ...node])
  const tooLong = existsSync(folders.console) && statSync(folders.console).size > CONSOLE_LIMIT
  const console = openSync(folders.console, tooLong ? 'w' : 'a', 0o600)
  const start = statSync(folders.console).size
  const child = spawn(program!, args, {
    detached: true,
    stdio: ['ignore', console, console],
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
  })
  closeSync(console)
  child.unref()
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', () => {
      const said = readFileSync(folders.console)
        .subarray(start)
        .toString('utf8')
        .trim()
        .split('\n')
        .slice(-5)
        .join('\n')
      reject(new Error(`${endpoint.name} has ended; its console (${folders.console}) says:\n${said}`))
    })
  })
  failed.catch(() => {}) // after it was ready, an end is no failure of the start
  return failed
}

/** Resolves when sshd and containerd of a machine answer. */
export async function machineReady(endpoint: Endpoint, directory: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  for (;;) {
    const pid = firstProcess(endpoint)
    if (pid !== undefined && listens(pid, 22) && existsSync(`/proc/${pid}/root${CONTAINERD_SOCKET}`)) return
    if (performance.now() > deadline)
      throw new Error(
        `${endpoint.name}: no sshd and containerd after ${READY_TIMEOUT_MS} ms; see ${machineFolders(directory, endpoint.name).console}`,
      )
    await sleep(15)
  }
}

/** A TCP port in state LISTEN (0A) in the process' network namespace: proc_pid_net(5). */
function listens(pid: number, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  try {
    return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
      .split('\n')
      .some((line) => {
        const fields = line.trim().split(/\s+/)
        return fields[3] === '0A' && fields[1]?.endsWith(local) === true
      })
  } catch {
    return false // it has just ended
  }
}

/** Process id, as the host sees it, of the machine's init; undefined also while the machine still boots. */
export function firstProcess(endpoint: Endpoint, processes?: readonly NamespacedProcess[]): number | undefined {
  const net = namespaceId(endpointPath(endpoint))
  if (net === undefined) return undefined
  const own = (processes ?? processesIn(new Set([net]))).filter((p) => p.net === net)
  return own.find((p) => p.pids.length === 2 && p.pids[1] === 1 && isInit(p.pid))?.pid
}

function isInit(pid: number): boolean {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)) === 'busybox'
  } catch {
    return false // it has just ended
  }
}

/** The argument array that runs a program inside a machine, as its console would. */
export function insideMachine(pid: number, argv: readonly string[]): string[] {
  return ['nsenter', `--target=${pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--', ...argv]
}
