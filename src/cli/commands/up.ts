import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ControlPlaneSettings } from '../../control-plane/settings.ts'
import { releaseReserve } from '../../control-plane/space-reserve.ts'
import { writePrivate } from '../../platform/files.ts'
import { adminClient } from '../admin.ts'
import { type ClusterPaths, clusterPaths, runningControlPlane } from '../cluster.ts'
import { requireDataFolder } from '../data-folder.ts'
import { CliError } from '../error.ts'
import { print, say, step } from '../output.ts'
import { requireEtcd } from '../packages.ts'
import { flagOf, readSettings, type Settings } from '../settings.ts'

const CONTROL_PLANE = fileURLToPath(new URL('../../control-plane/main.ts', import.meta.url))
/** In MiB: V8's own choice is made for machines with nothing else to do, and costs a hundred more (bench/restart.ts). */
const YOUNG_GENERATION = '--max-semi-space-size=8'
const READY_TIMEOUT_MS = 60_000

export async function up(options: Record<string, unknown>): Promise<void> {
  const { config, ...flags } = options
  const settings = readSettings(flags, config as string | undefined)
  const paths = clusterPaths({
    name: settings.name,
    ...(settings.dataDir === undefined ? {} : { dataDir: settings.dataDir }),
  })
  const running = runningControlPlane(paths)
  if (running !== undefined) {
    await step('the control plane runs already', () => waitReady(paths, running.pid))
    sayWhatIsIgnored(paths, settings, Object.keys(flags))
    const lab = runningLab(paths)
    if (lab !== undefined) await bringMachines(paths, lab, settings.nodes)
    return summary(paths, running.port)
  }
  if (settings.store === 'etcd' && settings.etcdEndpoints.length === 0) await requireEtcd()
  requireDataFolder(paths.directory)
  mkdirSync(dirname(paths.log), { recursive: true, mode: 0o700 })
  mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
  releaseReserve(paths.directory)
  if (settings.nodes > 0) await upWithMachines(paths, settings)
  else {
    const pid = await step('starting the control plane', () => start(paths, settings))
    await step('waiting until it is ready', () => waitReady(paths, pid))
  }
  const now = runningControlPlane(paths)
  if (now === undefined) throw new CliError(`the control plane has stopped; its log is ${paths.log}`)
  summary(paths, now.port)
}

/** The whole cluster: machines first, since the control plane lives in their network. */
async function upWithMachines(paths: ClusterPaths, settings: Settings): Promise<void> {
  const { agentBundle, joinMachines, listenOnHost, requireLab, startLab } = await import('../lab.ts')
  await requireLab()
  const bundle = agentBundle(paths)
  bundle.catch(() => undefined) // whoever joins machines says what is wrong with it
  const lab = await startLab(paths, settings.nodes)
  const host = await listenOnHost(settings.bindAddress, settings.port)
  try {
    const pid = await step('starting the control plane', () =>
      start(
        paths,
        { ...settings, lab: { address: lab.controlPlane.address, hostPort: host.port } },
        { netns: lab.controlPlane.netns, listener: host.fd },
      ),
    )
    host.server.close()
    await step('waiting until it is ready', () => waitReady(paths, pid))
  } finally {
    host.server.close()
  }
  await joinMachines(paths, lab, bundle)
}

/** Whether the control plane that runs was started with machines. */
function runningLab(paths: ClusterPaths): ControlPlaneSettings['lab'] {
  return (JSON.parse(readFileSync(paths.settings, 'utf8')) as ControlPlaneSettings).lab
}

/** Machines that are off, or have been lost, come back; more of them when more are wanted. */
async function bringMachines(
  paths: ClusterPaths,
  _lab: NonNullable<ControlPlaneSettings['lab']>,
  nodes: number,
): Promise<void> {
  const { agentBundle, joinMachines, startLab } = await import('../lab.ts')
  await joinMachines(paths, await startLab(paths, nodes), agentBundle(paths))
}

/** Settings of a running control plane change with a restart only: nobody should believe otherwise. */
function sayWhatIsIgnored(paths: ClusterPaths, wanted: Settings, given: readonly string[]): void {
  const now = JSON.parse(readFileSync(paths.settings, 'utf8')) as Record<string, unknown>
  const differing = given.filter(
    (key) => key !== 'dataDir' && JSON.stringify(now[key]) !== JSON.stringify(wanted[key as keyof Settings]),
  )
  if (differing.length > 0)
    say(
      `     ${differing.map(flagOf).join(', ')} ignored: it runs with other settings; "rampart down" first to change them`,
    )
}

/** Starts the process in the background; resolves with its id when it holds the data folder and has its files. */
async function start(
  paths: ClusterPaths,
  settings: Settings & Pick<ControlPlaneSettings, 'lab'>,
  inside?: { netns: string; listener: number },
): Promise<number> {
  const requested = join(paths.directory, `settings.${process.pid}.json`)
  writePrivate(requested, JSON.stringify(settings, null, 2))
  const log = openSync(paths.log, 'a', 0o600)
  const failure = join(paths.directory, `failure.${process.pid}.txt`)
  const program = [
    process.execPath,
    ...['--disable-warning=ExperimentalWarning', YOUNG_GENERATION, CONTROL_PLANE, paths.directory, requested, failure],
  ]
  // nsenter becomes the program: the process id stays.
  const [command, ...args] = inside === undefined ? program : ['nsenter', `--net=${inside.netns}`, '--', ...program]
  const child = spawn(command!, args, {
    detached: true,
    stdio: inside === undefined ? ['ignore', log, log] : ['ignore', log, log, inside.listener],
    cwd: '/',
    env: process.env,
  })
  closeSync(log)
  const exited = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    child.once('error', (error) => resolve(error.message))
  })
  const deadline = Date.now() + READY_TIMEOUT_MS
  try {
    for (;;) {
      const ended = await Promise.race([exited, sleep(25, undefined)])
      if (ended !== undefined) {
        const reason = existsSync(failure) ? readFileSync(failure, 'utf8').trim() : `it ended with ${ended}`
        throw new CliError(`the control plane did not start: ${reason}\n  its log: ${paths.log}`)
      }
      const process = runningControlPlane(paths)
      if (process !== undefined && process.pid === child.pid) break
      if (Date.now() > deadline) throw new CliError(`the control plane does not start; its log is ${paths.log}`)
    }
  } finally {
    rmSync(requested, { force: true })
    rmSync(failure, { force: true })
  }
  child.unref()
  return child.pid!
}

async function waitReady(paths: ClusterPaths, pid: number): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  let last = 'it does not answer'
  while (Date.now() < deadline) {
    const running = runningControlPlane(paths)
    if (running === undefined || running.pid !== pid)
      throw new CliError(`the control plane has stopped; its log is ${paths.log}`)
    if (existsSync(paths.kubeconfig)) {
      try {
        const admin = await adminClient(paths)
        await admin.get('/readyz')
        return
      } catch (error) {
        last = (error as Error).message
      }
    }
    await sleep(50)
  }
  throw new CliError(`the control plane is not ready: ${last}; its log is ${paths.log}`)
}

function summary(paths: ClusterPaths, port: number): void {
  say('')
  print(`cluster      ${paths.name}`)
  print(`API server   https://127.0.0.1:${port}`)
  print(`kubeconfig   ${paths.kubeconfig}`)
  print(`data         ${paths.directory}`)
  print(`log          ${paths.log}`)
  print('')
  print(
    'closed       plain HTTP, TLS below 1.2, callers without credentials (but for health), everything RBAC does not allow',
  )
  print('open         TLS on the loopback address for the holder of the kubeconfig')
  if (runningLab(paths) !== undefined)
    print('machines     their own network; nothing of this host can be reached from it, and nothing in it from outside')
  print('')
  print(`next         export KUBECONFIG=$(./rampart kubeconfig${scopeFlags(paths)})`)
  print(`             kubectl get ${runningLab(paths) === undefined ? 'namespaces' : 'nodes'}`)
}

/** The flags with which other commands find this cluster again. */
function scopeFlags(paths: ClusterPaths): string {
  if (clusterPaths({ name: paths.name }).directory !== paths.directory) return ` --data-dir ${paths.directory}`
  return paths.name === 'default' ? '' : ` --name ${paths.name}`
}
