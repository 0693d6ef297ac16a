import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { type HostKey, hostKeyLine, parseHostKeyLine } from '../../../platform/ssh/host-key.ts'
import { formatSshTarget, parseSshTarget, type SshTarget } from '../../../platform/ssh/target.ts'
import { unlessGone } from './bootstrap-token.ts'

const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
const NAMESPACE = 'kube-system'
const LABEL = 'rampart.dev/machine'

/**
 * How a machine is reached over SSH, without secrets: ConfigMap `rampart-machine-NAME` in kube-system. Not annotations of
 * the Node: a machine may write those of its own Node, and could then send its operator elsewhere.
 */
export type MachineRecord = {
  nodeName: string
  ssh: SshTarget
  hostKey: HostKey
  /** Path of the private key on the operator's machine, when one was named. */
  identityFile?: string
  /** File of the network namespace that the address is reached from: machines of a lab. */
  networkNamespace?: string
  /** The address that the machine serves on; its certificate may name no other. */
  nodeAddress: string
  /** Folder of the agent's state on the machine. */
  stateFolder: string
  runFolder: string
}

const nameOf = (nodeName: string): string => `rampart-machine-${nodeName}`

export function recordObject(record: MachineRecord): KubeObject {
  const { nodeName, ssh, hostKey, identityFile, networkNamespace, nodeAddress, stateFolder, runFolder } = record
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: nameOf(nodeName), namespace: NAMESPACE, labels: { [LABEL]: nodeName } },
    data: {
      nodeName,
      ssh: formatSshTarget(ssh),
      hostKey: hostKeyLine(hostKey),
      nodeAddress,
      stateFolder,
      runFolder,
      ...(identityFile === undefined ? {} : { identityFile }),
      ...(networkNamespace === undefined ? {} : { networkNamespace }),
    },
  }
}

/** Throws an Error that names the ConfigMap and the field. */
export function parseRecord(object: KubeObject): MachineRecord {
  const data = (object['data'] ?? {}) as Record<string, string | undefined>
  const at = `ConfigMap ${NAMESPACE}/${object.metadata.name}`
  const field = <T>(name: string, read: (text: string) => T): T => {
    try {
      return read(data[name] ?? '')
    } catch (error) {
      throw new Error(`${at}: ${name}: ${(error as Error).message}`)
    }
  }
  const { identityFile, networkNamespace } = data
  if (networkNamespace !== undefined && !/^\/[A-Za-z0-9/._-]+$/.test(networkNamespace))
    throw new Error(`${at}: networkNamespace: not the path of a namespace`)
  return {
    nodeName: field('nodeName', (text) => text),
    ssh: field('ssh', (text) => parseSshTarget(text)),
    hostKey: field('hostKey', parseHostKeyLine),
    nodeAddress: data['nodeAddress'] ?? '',
    stateFolder: data['stateFolder'] ?? '',
    runFolder: data['runFolder'] ?? '',
    ...(identityFile === undefined ? {} : { identityFile }),
    ...(networkNamespace === undefined ? {} : { networkNamespace }),
  }
}

export async function readRecord(client: Client, nodeName: string): Promise<MachineRecord | undefined> {
  const object = await unlessGone(client.get(CONFIG_MAPS, NAMESPACE, nameOf(nodeName)))
  return object === undefined ? undefined : parseRecord(object)
}

export async function listRecords(client: Client): Promise<MachineRecord[]> {
  const { items } = await client.list(CONFIG_MAPS, { namespace: NAMESPACE, labelSelector: LABEL })
  return items.map(parseRecord)
}

export async function writeRecord(client: Client, record: MachineRecord): Promise<void> {
  const object = recordObject(record)
  try {
    await client.create(CONFIG_MAPS, object)
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error
    await client.update(CONFIG_MAPS, object)
  }
}

export async function deleteRecord(client: Client, nodeName: string): Promise<void> {
  await unlessGone(client.delete(CONFIG_MAPS, NAMESPACE, nameOf(nodeName)))
}
