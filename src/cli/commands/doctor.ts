import { existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join, relative } from 'node:path'
import { adminClient } from '../admin.ts'
import { certificateFiles } from '../certificates.ts'
import { type ClusterPaths, clusterPaths, runningControlPlane } from '../cluster.ts'
import { outputFormat, print, printValue } from '../output.ts'
import { findProgram } from '../packages.ts'
import { DEFAULTS, type Settings } from '../settings.ts'

type Finding = { check: string; state: 'ok' | 'warning' | 'wrong'; detail: string; fix?: string }

const ok = (check: string, detail: string): Finding => ({ check, state: 'ok', detail })
const warning = (check: string, detail: string, fix: string): Finding => ({ check, state: 'warning', detail, fix })
const wrong = (check: string, detail: string, fix: string): Finding => ({ check, state: 'wrong', detail, fix })

const MIN_FREE_BYTES = 512 * 1024 * 1024

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return major >= 24
    ? ok('node', process.version)
    : wrong('node', `${process.version} is too old`, 'install Node 24 or newer')
}

function kubectl(): Finding {
  const path = findProgram('kubectl')
  return path === undefined ? warning('kubectl', 'not found', 'apt-get install kubernetes-client') : ok('kubectl', path)
}

function etcd(settings: Settings): Finding[] {
  if (settings.store !== 'etcd' || settings.etcdEndpoints.length > 0) return []
  const path = findProgram('etcd')
  return [path === undefined ? wrong('etcd', 'not found', 'apt-get install etcd-server') : ok('etcd', path)]
}

function disk(paths: ClusterPaths): Finding {
  let folder = paths.directory
  while (!existsSync(folder)) folder = join(folder, '..')
  const { bavail, bsize } = statfsSync(folder)
  const free = bavail * bsize
  const detail = `${Math.round(free / 1024 / 1024)} MiB free at ${folder}`
  return free < MIN_FREE_BYTES
    ? warning('disk', detail, 'make space: writes fail when the disk is full')
    : ok('disk', detail)
}

/** Keys, tokens and the store are readable by their owner only. */
function permissions(paths: ClusterPaths): Finding[] {
  if (!existsSync(paths.directory)) return []
  const open: string[] = []
  for (const entry of readdirSync(paths.directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0
    if ((mode & 0o077) !== 0 && !/\.(crt|pub)$/.test(entry.name)) open.push(relative(paths.directory, path))
  }
  return [
    open.length === 0
      ? ok('permissions', 'only the owner can read keys and data')
      : wrong('permissions', `others can read ${open.slice(0, 5).join(', ')}`, `chmod -R go-rwx ${paths.directory}`),
  ]
}

function certificates(paths: ClusterPaths): Finding[] {
  return certificateFiles(paths.pki).map((c) => {
    const name = `certificate ${c.name}`
    if (c.millisecondsLeft <= 0) return wrong(name, `expired at ${c.notAfter}`, 'rampart down && rampart up renews it')
    if (c.millisecondsLeft < 24 * 3600_000)
      return warning(name, `expires in ${c.left}`, 'a running control plane renews it; is it running?')
    return ok(name, `${c.left} left`)
  })
}

function portInUse(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function server(paths: ClusterPaths, settings: Settings): Promise<Finding[]> {
  const running = runningControlPlane(paths)
  if (running === undefined) {
    const used = settings.port !== 0 && (await portInUse(settings.port))
    return [
      used
        ? wrong('port', `port ${settings.port} is used by another process`, 'stop it, or choose another with --port')
        : ok('port', `${settings.port} is free`),
      warning('control plane', 'does not run', 'rampart up'),
    ]
  }
  try {
    await (await adminClient(paths)).get('/readyz')
    return [ok('control plane', `ready at https://127.0.0.1:${running.port}`)]
  } catch (error) {
    return [wrong('control plane', `not ready: ${(error as Error).message}`, 'rampart logs')]
  }
}

export async function doctor(options: { name?: string; dataDir?: string; output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const paths = clusterPaths(options)
  const settings = existsSync(paths.settings)
    ? (JSON.parse(readFileSync(paths.settings, 'utf8')) as Settings)
    : DEFAULTS
  const findings = [
    node(),
    kubectl(),
    ...etcd(settings),
    disk(paths),
    ...permissions(paths),
    ...certificates(paths),
    ...(await server(paths, settings)),
  ]
  process.exitCode = findings.every((f) => f.state === 'ok') ? 0 : 1
  if (format === 'json' || format === 'yaml') return printValue(format, findings)
  const marks = { ok: '[ok]', warning: '[! ]', wrong: '[!!]' }
  for (const { check, state, detail, fix } of findings)
    print(`${marks[state]} ${check}: ${detail}${fix === undefined ? '' : `\n     ${fix}`}`)
}
