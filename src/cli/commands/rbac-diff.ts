import { compareWorlds, isEmpty, type RbacDiff } from '../../features/rbac/diff/compare.ts'
import { overlay } from '../../features/rbac/diff/overlay.ts'
import { diffLines } from '../../features/rbac/diff/report.ts'
import type { RbacWorld } from '../../features/rbac/world.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printValue, say } from '../output.ts'
import { type RbacSourceOptions, rbacWorld } from './rbac-source.ts'

export type DiffFlags = Omit<RbacSourceOptions, 'filename'> & { overlay?: boolean; output?: string }

/** Exit 0 when nobody gains or loses anything, 1 when somebody does. */
export async function rbacDiff(old: string, now: string, flags: DiffFlags): Promise<void> {
  const format = outputFormat(flags.output)
  if (format === 'name' || format === 'wide') throw new CliError(`-o ${format} has no meaning here: json or yaml`, 2)
  if (old === '-' && now === '-') throw new CliError('only one of OLD and NEW can be standard input', 2)
  const before = await side(old, flags, flags.defaults !== false)
  // What is laid over the old world brings only what it says itself.
  const given = await side(now, flags, flags.defaults !== false && flags.overlay !== true)
  const diff = compareWorlds(before, flags.overlay ? overlay(before, given) : given)
  process.exitCode = isEmpty(diff) ? 0 : 1
  if (format !== 'table') printValue(format, diff)
  else if (!isEmpty(diff)) print(diffLines(diff).join('\n'))
  say(summaryText(diff))
}

/** `live` and `context:NAME` are clusters, everything else is a file, a folder or `-`; `./live` is a file. */
async function side(source: string, flags: DiffFlags, defaults: boolean): Promise<RbacWorld> {
  const { kubeconfig, context, name, dataDir, recursive } = flags
  const cluster = {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(name === undefined ? {} : { name }),
    ...(dataDir === undefined ? {} : { dataDir }),
  }
  if (source === 'live') return rbacWorld({ ...cluster, ...(context === undefined ? {} : { context }) })
  if (source.startsWith('context:')) return rbacWorld({ ...cluster, context: source.slice('context:'.length) })
  return rbacWorld({ filename: [source], recursive: recursive === true, defaults })
}

function summaryText({ summary, aggregation, unresolved }: RbacDiff): string {
  const { subjects, gains, losses, dangerousGains } = summary
  if (subjects + aggregation.length + unresolved.length === 0) return 'nobody gains or loses anything'
  const parts = [`${gains} gains (${dangerousGains} dangerous) and ${losses} losses of ${subjects} subjects`]
  if (aggregation.length > 0) parts.push(`${aggregation.length} aggregated roles changed`)
  if (unresolved.length > 0) parts.push(`${unresolved.length} bindings to roles that do not exist came or went`)
  return parts.join('; ')
}
