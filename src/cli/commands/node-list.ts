import { listRecords } from '../../features/nodes/join.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { formatSshTarget } from '../../platform/ssh/target.ts'
import { adminClient } from '../admin.ts'
import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { outputFormat, print, printTable, printValue } from '../output.ts'

const NODES = { group: '', version: 'v1', resource: 'nodes' }

type Row = {
  name: string
  state: string
  address: string
  podCIDR: string
  ssh: string
  certificateExpires: string
  agent: string
}
type Condition = { type: string; status: string; reason?: string }

export async function list(options: { name?: string; dataDir?: string; output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const paths = clusterPaths(options)
  const { client } = await adminClient(paths)
  const [nodes, records, certificates] = await Promise.all([
    client.list(NODES),
    listRecords(client),
    askControlPlane(paths, { command: 'tls-list' }),
  ])
  const all = certificates['certificates'] as { name: string; state: string; notAfter: string }[]
  const names = new Set([...nodes.items.map((node) => node.metadata.name!), ...records.map((r) => r.nodeName)])
  const rows = [...names].sort().map((name): Row => {
    const node = nodes.items.find((n) => n.metadata.name === name)
    const record = records.find((r) => r.nodeName === name)
    const own = all.filter((c) => c.name.startsWith(`node/${name}/`) && c.state === 'valid')
    const ends = own.map((c) => c.notAfter)
    const status = (node?.['status'] ?? {}) as { nodeInfo?: { kubeletVersion?: string } }
    return {
      name,
      state: stateOf(node),
      address: addressOf(node) || (record?.nodeAddress ?? ''),
      podCIDR: (node?.['spec']?.podCIDR as string | undefined) ?? '',
      ssh: record === undefined ? '' : formatSshTarget(record.ssh),
      certificateExpires: ends.sort()[0] ?? '',
      agent: status.nodeInfo?.kubeletVersion ?? '',
    }
  })
  if (format === 'json' || format === 'yaml') return printValue(format, rows)
  if (format === 'name') return print(rows.map((row) => `node/${row.name}`).join('\n'))
  const wide = format === 'wide'
  printTable(
    ['NAME', 'STATE', 'ADDRESS', 'POD CIDR', 'CERTIFICATE UNTIL', ...(wide ? ['SSH', 'AGENT'] : [])],
    rows.map((row) => [
      ...[row.name, row.state, row.address, row.podCIDR, row.certificateExpires.slice(0, 16).replace('T', ' ')],
      ...(wide ? [row.ssh, row.agent] : []),
    ]),
  )
}

function stateOf(node: KubeObject | undefined): string {
  if (node === undefined) return 'not joined'
  const conditions = (node['status']?.conditions ?? []) as Condition[]
  const ready = conditions.find(({ type }) => type === 'Ready')
  const state = ready?.status === 'True' ? 'Ready' : ready?.status === 'Unknown' ? 'silent' : 'not ready'
  return node['spec']?.unschedulable === true ? `${state}, closed` : state
}

function addressOf(node: KubeObject | undefined): string {
  const addresses = (node?.['status']?.addresses ?? []) as { type: string; address: string }[]
  return addresses.find(({ type }) => type === 'InternalIP')?.address ?? ''
}
