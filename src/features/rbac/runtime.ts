import type { KubeObject } from '../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { createInformer, type Informer } from '../../kernel/controller/informer.ts'
import type { ServerContext } from '../../kernel/feature.ts'
import { reconcileBootstrapPolicy } from './bootstrap/reconcile.ts'
import { createRbacEngine, type RbacEngine } from './engine/engine.ts'
import type { BindingObject, RoleObject } from './engine/types.ts'
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES } from './resource-ids.ts'

export type RbacRuntime = {
  engine: RbacEngine
  /** Resolves when the default policy is in place and the engine knows everything that is stored. */
  ready: Promise<void>
}

/**
 * One engine for each API server: the authorizer and the escalation check must see the same. Keyed by the server's
 * client, which lives as long as it does.
 */
const runtimes = new WeakMap<Client, RbacRuntime>()

export function rbacRuntime(context: ServerContext): RbacRuntime {
  let runtime = runtimes.get(context.client)
  if (runtime === undefined) runtimes.set(context.client, (runtime = start(context)))
  return runtime
}

function start(context: ServerContext): RbacRuntime {
  const engine = createRbacEngine()
  const signal = context.signal ?? new AbortController().signal
  const informers = [
    feed(context, ROLES, engine.upsertRole, (o) => engine.deleteRole(o.metadata.namespace ?? '', o.metadata.name!)),
    feed(context, CLUSTER_ROLES, engine.upsertClusterRole, (o) => engine.deleteClusterRole(o.metadata.name!)),
    feed(context, ROLE_BINDINGS, engine.upsertRoleBinding, (o) =>
      engine.deleteRoleBinding(o.metadata.namespace ?? '', o.metadata.name!),
    ),
    feed(context, CLUSTER_ROLE_BINDINGS, engine.upsertClusterRoleBinding, (o) =>
      engine.deleteClusterRoleBinding(o.metadata.name!),
    ),
  ]
  const ready = (async (): Promise<void> => {
    // Before the informers, so that their first list has it all: nobody is refused for a default role that is on its way.
    await reconcileBootstrapPolicy(context.client, context.log)
    for (const informer of informers)
      informer.run(signal).catch((error: Error) => context.log('error', `RBAC informer ended: ${error.message}`))
    await Promise.all(informers.map((informer) => informer.synced()))
  })()
  return { engine, ready }
}

function feed(
  { client, log }: ServerContext,
  resource: ResourceId,
  upsert: (object: RoleObject & BindingObject) => void,
  remove: (object: KubeObject) => void,
): Informer {
  const informer = createInformer({ client, resource, log })
  const put = (object: KubeObject): void => upsert(object as KubeObject & RoleObject & BindingObject)
  informer.addHandler({ onAdd: put, onUpdate: put, onDelete: remove })
  return informer
}
