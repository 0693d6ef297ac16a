import type { Authorizer } from '../../../kernel/authz/types.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import type { ServerContext } from '../../../kernel/feature.ts'
import { PODS } from '../resource-ids.ts'
import { nodeAuthorizer } from './authorizer.ts'
import { NodeGraph } from './graph.ts'

/** The authorizer with a graph that follows the stored pods. Resolves when it knows them all. */
export async function startNodeAuthorizer({ client, log, signal }: ServerContext): Promise<Authorizer> {
  const graph = new NodeGraph()
  const upsert = graph.upsertPod.bind(graph)
  const informer = createInformer({ client, resource: PODS, log })
  informer.addHandler({ onAdd: upsert, onUpdate: upsert, onDelete: graph.deletePod.bind(graph) })
  informer
    .run(signal ?? new AbortController().signal)
    .catch((error: Error) => log('error', `node authorizer: the informer of pods ended: ${error.message}`))
  await informer.synced()
  return nodeAuthorizer(graph)
}
