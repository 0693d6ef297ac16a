/** A containerd of a test's own, in namespaces of its own: nothing of it is left when the namespaces end. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createCriClient } from './client.ts'

export const TEST_IMAGE = 'rampart.test/library/busybox:1'
export const PAUSE_IMAGE = 'rampart.test/library/pause:1'
const INSIDE = 'RAMPART_TEST_NAMESPACES'

/** Why such tests cannot run here; undefined when they can. */
export function whyNoContainerd(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: namespaces, mounts and containers'
  for (const program of ['/usr/bin/containerd', '/usr/bin/ctr', '/usr/bin/unshare', '/bin/busybox', '/usr/lib/cni/ptp'])
    if (!existsSync(program)) return `needs ${program}`
  return undefined
}

export const insideNamespaces = (): boolean => process.env[INSIDE] !== undefined

/**
 * Runs this test file again as the first process of namespaces of its own (mounts, network, processes); when it ends,
 * by whatever cause, the kernel ends all that it started. Returns what it printed; throws when it failed.
 */
export function runInNamespaces(file: string, timeoutMs: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-cri-'))
  const cgroup = `rampart-test-${process.pid}-${folder.slice(-6)}`
  // The test runner's own settings would make the inner run report to it instead of printing.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...environment } = process.env
  const setup = 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && mkdir /run/netns && ip link set lo up'
  try {
    const inner = [process.execPath, '--test', '--test-isolation=none', '--test-reporter=spec', file]
    const args = ['--mount', '--net', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc', 'sh', '-c']
    return execFileSync('unshare', [...args, `${setup} && exec "$@"`, 'sh', ...inner], {
      env: { ...environment, [INSIDE]: folder, RAMPART_TEST_CGROUP: cgroup },
      encoding: 'utf8',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 64 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    throw new Error(`${message.split('\n')[0]}\n${stdout}\n${stderr}`)
  } finally {
    removeCgroups(cgroup)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A folder for this run, deleted by the process outside. */
export const testFolder = (): string => process.env[INSIDE]!
export const testCgroup = (): string => `/${process.env['RAMPART_TEST_CGROUP']!}`

/** The last processes may still be on their way out: it waits for them. */
function removeCgroups(name: string): void {
  const remove = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(folder, entry.name))
    for (let attempt = 0; ; attempt++)
      try {
        rmdirSync(folder)
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || attempt > 100) throw error
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
      }
  }
  for (const hierarchy of ['', ...readdirSync('/sys/fs/cgroup')]) {
    const folder = join('/sys/fs/cgroup', hierarchy, name)
    if (existsSync(folder)) remove(folder)
  }
}

export type TestContainerd = {
  socket: string
  cniConfFolder: string
  cniBinFolder: string
  /** Ends the daemon alone: shims and containers stay. */
  stop: () => Promise<void>
  start: () => Promise<void>
}

/** Starts containerd with the two images in it. Only inside namespaces. */
export async function startContainerd(options: { podCidr?: string; network?: boolean } = {}): Promise<TestContainerd> {
  const folder = join(testFolder(), 'containerd')
  const cniConfFolder = join(folder, 'net.d')
  const socket = join(folder, 'c.sock')
  for (const name of ['root', 'state', 'net.d', 'images']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'config.toml'), configuration(folder, socket, cniConfFolder))
  if (options.network !== false) writeCniConf(cniConfFolder, options.podCidr ?? '10.88.7.0/24', folder)
  let daemon: ChildProcess | undefined
  const start = async (): Promise<void> => {
    daemon = spawn('containerd', ['--config', join(folder, 'config.toml'), '--log-level', 'warn'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    daemon.stderr!.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-8000)))
    const client = createCriClient(socket)
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          await client.status()
          return
        } catch (error) {
          if (attempt > 150 || daemon.exitCode !== null)
            throw new Error(`containerd: ${(error as Error).message}\n${said}`)
          await delay(100)
        }
      }
    } finally {
      client.close()
    }
  }
  const stop = async (): Promise<void> => {
    if (daemon === undefined || daemon.exitCode !== null) return
    const exited = new Promise((resolve) => daemon!.once('exit', resolve))
    daemon.kill('SIGTERM')
    await exited
  }
  await start()
  for (const [name, command] of [
    [TEST_IMAGE, ['sh']],
    [PAUSE_IMAGE, ['/bin/busybox', 'sleep', '2147483647']],
  ] as const) {
    const archive = join(folder, 'images', `${name.replaceAll(/[/:]/g, '-')}.tar`)
    writeBusyboxArchive(archive, name, command)
    execFileSync('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive], { stdio: 'pipe' })
  }
  return { socket, cniConfFolder, cniBinFolder: '/usr/lib/cni', stop, start }
}

export function writeCniConf(confFolder: string, podCidr: string, folder: string): void {
  const ipam = {
    type: 'host-local',
    dataDir: join(folder, 'ipam'),
    ranges: [[{ subnet: podCidr }]],
    routes: [{ dst: '0.0.0.0/0' }],
  }
  const conf = { cniVersion: '0.4.0', name: 'test', plugins: [{ type: 'ptp', mtu: 1450, ipam }] }
  writeFileSync(join(confFolder, '10-test.conflist'), JSON.stringify(conf))
}

const configuration = (folder: string, socket: string, cniConfFolder: string): string => `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${cniConfFolder}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${process.env['RAMPART_TEST_SNAPSHOTTER'] ?? 'overlayfs'}"
`

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** An OCI archive of one layer: the host's static busybox under its applets' names. `user` is the image's USER. */
export function writeBusyboxArchive(file: string, name: string, command: readonly string[], user = ''): void {
  const work = mkdtempSync(join(tmpdir(), 'rampart-image-'))
  try {
    const root = join(work, 'root')
    for (const path of ['bin', 'etc', 'tmp', 'root', 'proc', 'sys', 'dev', 'var'])
      mkdirSync(join(root, path), { recursive: true })
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')])
    for (const applet of execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).split('\n'))
      if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet))
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n')
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nweb:x:1000:\n')
    const layer = execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', '-', '.'], {
      maxBuffer: 64 * 1024 * 1024,
    })
    const image = {
      created: '2026-01-01T00:00:00Z',
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: command, Env: ['PATH=/bin'], ...(user === '' ? {} : { User: user }) },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }
    const blobs = join(work, 'oci/blobs/sha256')
    mkdirSync(blobs, { recursive: true })
    const put = (content: Uint8Array, mediaType: string): { mediaType: string; digest: string; size: number } => {
      writeFileSync(join(blobs, sha256(content)), content)
      return { mediaType, digest: `sha256:${sha256(content)}`, size: content.length }
    }
    const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
    const config = put(json(image), 'application/vnd.oci.image.config.v1+json')
    const layers = [put(layer, 'application/vnd.oci.image.layer.v1.tar')]
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = put(json({ schemaVersion: 2, mediaType, config, layers }), mediaType)
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.split(':')[1] }
    writeFileSync(join(work, 'oci/index.json'), json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }))
    writeFileSync(join(work, 'oci/oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
    execFileSync('tar', ['-C', join(work, 'oci'), '-cf', file, '.'])
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
