import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LAB_API_PORT } from '../control-plane/settings.ts'
import { type AgentBundle, bundleContent, clusterId, joinNode, makeBundle } from '../features/nodes/join.ts'
import { createLab, findMissing, type Lab, type LabMachine } from '../lab/index.ts'
import { connectSsh } from '../platform/ssh/connection.ts'
import { dialInNamespace } from '../platform/ssh/dial.ts'
import { pinnedFingerprint } from '../platform/ssh/host-key.ts'
import { readIdentity } from '../platform/ssh/identity.ts'
import { adminClient, clusterCa } from './admin.ts'
import type { ClusterPaths } from './cluster.ts'
import { CliError } from './error.ts'
import { step } from './output.ts'
import { installPackages } from './packages.ts'

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)))

/** The lab of a cluster: its machines are namespaces of this host, named after the cluster as its data folder knows it. */
export function labOf(paths: ClusterPaths): Lab {
  const stored = existsSync(paths.settings)
    ? (JSON.parse(readFileSync(paths.settings, 'utf8')) as { name?: string }).name
    : undefined
  return createLab({ name: stored ?? paths.name, directory: paths.directory })
}

export const hasLab = (paths: ClusterPaths): boolean => existsSync(join(paths.directory, 'lab'))

/** Everything that a lab runs is installed, or is installed now. Throws CliError when that is not possible here. */
export async function requireLab(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new CliError(
      'machines need root: run "sudo ./rampart up", or "./rampart up --nodes 0" for the control plane alone',
    )
  const missing = findMissing()
  if (missing.length > 0) await installPackages(missing)
}

/** The key with which this cluster logs in to its machines; made once, and its private half never leaves this folder. */
export function clusterIdentity(paths: ClusterPaths): { file: string; publicKey: string } {
  const folder = join(paths.directory, 'ssh')
  const file = join(folder, 'id_ed25519')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!existsSync(file)) {
    const args = ['-q', '-t', 'ed25519', '-N', '', '-C', `rampart ${paths.name}`, '-f', file]
    const { status, stderr } = spawnSync('ssh-keygen', args, { encoding: 'utf8' })
    if (status !== 0) throw new CliError(`ssh-keygen failed: ${stderr.trim()}`)
  }
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8').trim() }
}

export async function startLab(paths: ClusterPaths, machines: number): Promise<Lab> {
  const lab = labOf(paths)
  const { publicKey } = clusterIdentity(paths)
  await step(`starting ${machines} ${machines === 1 ? 'machine' : 'machines'} (network, sshd, containerd)`, () =>
    lab.up({ machines, sshPublicKey: publicKey }),
  )
  return lab
}

/**
 * Listens on the host for a control plane that lives elsewhere; it is given the file descriptor. Whoever comes before it
 * serves is turned away.
 */
export function listenOnHost(host: string, port: number): Promise<{ server: Server; fd: number; port: number }> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CliError(
          error.code === 'EADDRINUSE'
            ? `${host}:${port} is in use; --port names another`
            : `${host}:${port}: ${error.message}`,
        ),
      ),
    )
    server.listen({ host, port, backlog: 4096 }, () => {
      const { fd } = (server as Server & { _handle: { fd: number } })._handle
      resolve({ server, fd, port: (server.address() as { port: number }).port })
    })
  })
}

/** The agent as machines get it; making it takes a second or two, which other work can fill. */
export const agentBundle = (paths: ClusterPaths): Promise<AgentBundle> =>
  makeBundle(bundleContent(ROOT, process.arch === 'arm64' ? 'arm64' : 'x64'), join(paths.directory, 'bundles'))

/** Initialises the machines over SSH, all at once; those that have joined are left as they are. */
export async function joinMachines(paths: ClusterPaths, lab: Lab, bundle: Promise<AgentBundle>): Promise<void> {
  const machines = lab.machines().filter(({ running }) => running)
  const { client } = await adminClient(paths)
  const ca = await clusterCa(paths)
  const cluster = await clusterId(client)
  const identity = await readIdentity(clusterIdentity(paths).file)
  const join_ = async (machine: LabMachine): Promise<void> => {
    const target = { user: 'root', host: machine.address, port: 22 }
    await joinNode({
      nodeName: machine.name,
      connect: () =>
        connectSsh({
          target,
          identity,
          hostKey: pinnedFingerprint(machine.sshHostKeyFingerprint),
          dial: dialInNamespace(lab.controlPlane.netns),
        }),
      client,
      cluster,
      server: `https://${lab.controlPlane.address}:${LAB_API_PORT}`,
      ca,
      // Machines of a lab are this host: one architecture.
      bundle: () => bundle,
      identityFile: clusterIdentity(paths).file,
      networkNamespace: lab.controlPlane.netns,
      clock: { now: Date.now },
      randomInt: (below) => randomInt(below),
    })
  }
  await step(`initialising ${machines.map(({ name }) => name).join(' and ')} over SSH`, async () => {
    const results = await Promise.allSettled(machines.map(join_))
    const failed = results.flatMap((result, i) =>
      result.status === 'rejected' ? [`${machines[i]!.name}: ${(result.reason as Error).message}`] : [],
    )
    if (failed.length > 0) throw new CliError(failed.join('\n'))
  })
}
