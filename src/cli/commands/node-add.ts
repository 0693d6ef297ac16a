import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ControlPlaneSettings } from '../../control-plane/settings.ts'
import { bundleContent, clusterId, JoinError, joinNode, makeBundle, PreflightError } from '../../features/nodes/join.ts'
import { connectSsh } from '../../platform/ssh/connection.ts'
import { SshError } from '../../platform/ssh/error.ts'
import { parseSshTarget, type SshTarget } from '../../platform/ssh/target.ts'
import { adminClient, clusterCa } from '../admin.ts'
import { type ClusterPaths, clusterPaths, runningControlPlane } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { hostKeyCheck, sshIdentity } from '../machine-ssh.ts'
import { print, step } from '../output.ts'

export type AddOptions = {
  name?: string
  dataDir?: string
  ssh: string
  hostKey?: string
  knownHosts?: string
  identity?: string
  server?: string
  address?: string
  timeout: string
}

const ROOT = resolve(fileURLToPath(new URL('../../..', import.meta.url)))

export async function add(nodeName: string, options: AddOptions): Promise<void> {
  const paths = clusterPaths(options)
  if (runningControlPlane(paths) === undefined)
    throw new CliError(`the control plane of ${paths.name} does not run: start it with "rampart up"`)
  const seconds = Number(options.timeout)
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 3600)
    throw new CliError('--timeout must be a whole number of seconds from 1 to 3600', 2)
  const target = targetOf(options.ssh)
  const identityFile = options.identity === undefined ? undefined : resolve(options.identity)
  const identity = await sshIdentity(identityFile)
  const check = await hostKeyCheck(target, options)
  const { client } = await adminClient(paths)
  try {
    const { address, applied } = await joinNode({
      nodeName,
      connect: () => connectSsh({ target, identity, hostKey: check }),
      client,
      server: serverFor(paths, options.server),
      cluster: await clusterId(client),
      ca: await clusterCa(paths),
      bundle: (architecture) => makeBundle(bundleContent(ROOT, architecture), join(paths.directory, 'bundles')),
      ...(options.address === undefined ? {} : { node: { nodeAddress: options.address } }),
      ...(identityFile === undefined ? {} : { identityFile }),
      timeoutMs: seconds * 1000,
      revoke: async (node) => {
        await askControlPlane(paths, { command: 'tls-revoke', node })
      },
      clock: { now: Date.now },
      randomInt: (below) => randomInt(below),
      report: step,
    })
    print(applied.length === 0 ? `${nodeName} (${address}) is a node already` : `${nodeName} (${address}) is Ready`)
  } catch (error) {
    if (error instanceof PreflightError) throw new CliError(error.message, 1)
    if (error instanceof JoinError || error instanceof SshError) throw new CliError(error.message)
    throw error
  }
}

function targetOf(text: string): SshTarget {
  try {
    return parseSshTarget(text)
  } catch (error) {
    throw new CliError(`--ssh: ${(error as Error).message}`, 2)
  }
}

/** Loopback is nowhere for another machine. */
function serverFor(paths: ClusterPaths, given: string | undefined): string {
  if (given !== undefined) {
    if (!URL.canParse(given) || new URL(given).protocol !== 'https:')
      throw new CliError('--server must be a URL that begins with https://', 2)
    return given
  }
  const settings = JSON.parse(readFileSync(paths.settings, 'utf8')) as ControlPlaneSettings
  const { bindAddress } = settings
  const port = runningControlPlane(paths)!.port
  if (/^(127\.|::1$|localhost$)/.test(bindAddress))
    throw new CliError(
      `the API server listens on ${bindAddress} only, where ${paths.name}'s machines cannot reach it: "rampart down", then "rampart up --bind-address ADDRESS" (and --nodes 0)`,
    )
  if (bindAddress === '0.0.0.0' || bindAddress === '::')
    throw new CliError('say with --server https://ADDRESS:PORT how the machine reaches the API server', 2)
  return `https://${bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress}:${port}`
}
