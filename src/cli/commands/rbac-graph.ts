import { buildGraph } from '../../features/rbac/graph/build.ts'
import { toDot } from '../../features/rbac/graph/dot.ts'
import { filterGraph } from '../../features/rbac/graph/filter.ts'
import { CliError } from '../error.ts'
import { print, printValue, say } from '../output.ts'
import { type RbacSourceOptions, rbacWorld } from './rbac-source.ts'

export type GraphFlags = RbacSourceOptions & {
  namespace?: string
  subject?: string[]
  role?: string[]
  output: string
}

/** Exit 0 with a graph on stdout; 1 when nothing passes the filter: then the graph is empty. */
export async function rbacGraph(flags: GraphFlags): Promise<void> {
  const format = flags.output
  if (format !== 'dot' && format !== 'json') throw new CliError(`-o ${JSON.stringify(format)}: dot or json`, 2)
  const graph = filterGraph(buildGraph(await rbacWorld(flags)), {
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
    ...(flags.subject === undefined ? {} : { subjects: flags.subject }),
    ...(flags.role === undefined ? {} : { roles: flags.role }),
  })
  if (format === 'json') printValue('json', graph)
  else print(toDot(graph))
  if (graph.nodes.length > 0) return
  process.exitCode = 1
  say('nothing is left: no such namespace, subject or role, or nothing that connects them')
}
