import type { Command } from 'commander'
import type { RbacWorld } from '../../features/rbac/world.ts'
import type { Client } from '../../kernel/client/client.ts'
import type { ConnectionOptions } from '../connection.ts'
import { CliError } from '../error.ts'
import { say } from '../output.ts'

export type RbacSourceOptions = ConnectionOptions & {
  filename?: string[]
  recursive?: boolean
  /** False with --no-defaults. */
  defaults?: boolean
}

export type RbacSource = {
  world: RbacWorld
  /** Undefined when manifests were read. */
  client: Client | undefined
  /** Of the kubeconfig's context; `default` for manifests. */
  namespace: string
}

/** Adds the options that say whose roles and bindings are looked at: a cluster's, or those of manifests. */
export function withRbacSource(command: Command): Command {
  return command
    .option('-f, --filename <path>', 'manifests instead of a cluster: file, folder or - (repeatable)', collect)
    .option('-R, --recursive', 'enter folders within folders')
    .option('--no-defaults', 'with -f: do not add the default roles and bindings of Kubernetes')
    .option('--kubeconfig <file>', 'kubeconfig of the cluster to ask')
    .option('--context <context>', 'context of the kubeconfig')
    .option('--name <name>', "name of this machine's cluster to ask")
    .option('--data-dir <folder>', 'where that cluster keeps its data')
}

/** For options that may be given more than once. */
export function collect(value: string, given: string[] | undefined): string[] {
  return [...(given ?? []), value]
}

export async function rbacWorld(options: RbacSourceOptions): Promise<RbacWorld> {
  return (await rbacSource(options)).world
}

/**
 * Throws CliError: exit code 2 for manifests that cannot be read, 3 for a cluster that does not answer or refuses.
 * `workloads` false spares reading pods and what makes them.
 */
export async function rbacSource(options: RbacSourceOptions, read: { workloads?: boolean } = {}): Promise<RbacSource> {
  const { worldFromClient, worldFromObjects, RbacWorldError } = await import('../../features/rbac/analysis/load.ts')
  if (options.filename !== undefined) {
    const { readManifests } = await import('../manifests.ts')
    try {
      const objects = readManifests(options.filename, { recursive: options.recursive === true })
      const world = worldFromObjects(objects, { defaults: options.defaults !== false })
      return { world, client: undefined, namespace: 'default' }
    } catch (error) {
      throw error instanceof RbacWorldError ? new CliError(error.message, 2) : error
    }
  }
  const { connect } = await import('../connection.ts')
  try {
    const { client, namespace } = await connect(options)
    const world = await worldFromClient(client, { ...read, remark: say })
    return { world, client, namespace }
  } catch (error) {
    throw error instanceof CliError ? error : new CliError((error as Error).message)
  }
}
