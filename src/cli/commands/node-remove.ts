import { clusterId, deleteRecord, deleteTokens, leavingMachine } from '../../features/nodes/join.ts'
import { ApiError } from '../../kernel/api/status.ts'
import { adminClient } from '../admin.ts'
import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { connectMachine, machineRecord, sshIdentity } from '../machine-ssh.ts'
import { print, say, step } from '../output.ts'

export type RemoveOptions = { name?: string; dataDir?: string; identity?: string; force?: boolean }

const NODES = { group: '', version: 'v1', resource: 'nodes' }

/** First the machine can do nothing any more (agent stopped, certificates revoked), then what is left of it goes. */
export async function remove(nodeName: string, options: RemoveOptions): Promise<void> {
  const paths = clusterPaths(options)
  const { client } = await adminClient(paths)
  const known = await client.get(NODES, '', nodeName).then(
    () => true,
    (error) => {
      if (error instanceof ApiError && error.reason === 'NotFound') return false
      throw error
    },
  )
  const record = known && options.force !== true ? await machineRecord(client, nodeName) : undefined
  const there = record ?? (await machineRecord(client, nodeName).catch(() => undefined))
  if (!known && there === undefined) throw new CliError(`no node is named ${nodeName}`, 1)
  const cluster = await clusterId(client)
  let machine: Awaited<ReturnType<typeof leavingMachine>>
  if (there !== undefined)
    try {
      const identity = await sshIdentity(options.identity ?? there.identityFile)
      machine = await leavingMachine({
        nodeName,
        cluster,
        connect: () => connectMachine(there, identity),
        stateFolder: there.stateFolder,
        runFolder: there.runFolder,
      })
    } catch (error) {
      if (options.force !== true)
        throw new CliError(`${(error as Error).message}\n--force removes it from the cluster without its help`)
      say(`its files stay where they are: ${(error as Error).message}`)
    }
  try {
    if (machine !== undefined) await step('stopping its agent', () => machine!.stop())
    await step('revoking its certificates', async () => {
      await deleteTokens(client, nodeName)
      await askControlPlane(paths, { command: 'tls-revoke', node: nodeName })
    })
    if (known) await step('deleting its Node', () => client.delete(NODES, '', nodeName))
    if (machine !== undefined) await step('deleting its credentials and state', () => machine!.clean())
    await deleteRecord(client, nodeName)
  } finally {
    machine?.close()
  }
  const { hasLab, labOf } = await import('../lab.ts')
  if (hasLab(paths)) {
    const lab = labOf(paths)
    if (lab.machines().some(({ name }) => name === nodeName))
      await step('ending the machine', () => lab.removeMachine(nodeName, { deleteData: true }))
  }
  print(`node/${nodeName} removed`)
}
