import type { InventoryItem, RotationState } from '../../features/tls/index.ts'
import { humanDuration } from '../../kernel/resources/printing.ts'
import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { outputFormat, print, printTable, printValue, say } from '../output.ts'
import type { ClusterOptions } from './tls-links.ts'

const DAY_MS = 86_400_000

export async function list(options: ClusterOptions & { all?: true }): Promise<void> {
  const format = outputFormat(options.output)
  const answer = await askControlPlane(clusterPaths(options), { command: 'tls-list' })
  const rotation = answer['rotation'] as RotationState
  const all = answer['certificates'] as InventoryItem[]
  const shown = options.all === true ? all : all.filter(({ state }) => state === 'valid' || state === 'not-yet-valid')
  const now = Date.now()
  const left = ({ notAfter }: InventoryItem): number => Date.parse(notAfter) - now
  const items = shown.map((item) => ({ ...item, daysLeft: Math.floor(left(item) / DAY_MS) }))
  if (format === 'json' || format === 'yaml') return printValue(format, { certificates: items, rotation })
  if (format === 'name') return print(items.map(({ name }) => name).join('\n'))
  const wide = format === 'wide'
  printTable(
    ['NAME', 'SUBJECT', 'STATE', 'LEFT', 'SERIAL', ...(wide ? ['ISSUER', 'EXPIRES', 'PURPOSE', 'WHERE', 'NAMES'] : [])],
    items.map((item) => [
      item.name,
      item.subject,
      item.retiring ? `${item.state}, retiring` : item.state,
      left(item) > 0 ? humanDuration(left(item)) : 'none',
      item.serial,
      ...(wide ? [item.issuer, item.notAfter, item.purpose, item.where, item.names.join(' ')] : []),
    ]),
  )
  if (rotation.phase !== 'stable')
    say(`a rotation of the authorities is in phase ${rotation.phase} since ${rotation.since}: rampart tls rotate-ca`)
  const hidden = all.length - items.length
  if (hidden > 0) say(`${hidden} that expired, were revoked or replaced are not shown: --all`)
}
