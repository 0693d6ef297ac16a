import type { KubeObject } from '../api/object.ts'
import type { ResourceId } from '../client/client.ts'
import { createInformer } from '../controller/informer.ts'
import { WorkQueue } from '../controller/workqueue.ts'
import type { ControllerFactory } from '../feature.ts'
import { isReason } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { NAMESPACES } from './resource-ids.ts'
import { runLoop } from './run-loop.ts'

export type NamespacedDefaultOptions = ControllerOptions & {
  /** Of the controller. */
  controller: string
  resource: ResourceId
  /** Of the object that every namespace shall have. */
  name: string
  /** The object as it shall be, given what is there; undefined when nothing needs to be written. */
  desired: (namespace: string, current: KubeObject | undefined) => KubeObject | undefined
  /** True for an object that cannot be changed into the desired one: it is deleted and made anew. */
  replace?: (current: KubeObject) => boolean
  /** Looks at everything again after this long. */
  resyncMs?: number
}

/** A controller that keeps one object of a fixed name in every namespace which is not being deleted. */
export function namespacedDefault(options: NamespacedDefaultOptions): ControllerFactory {
  const { controller, resource, name } = options
  return ({ client, log }) => ({
    name: controller,
    run: async (signal) => {
      const timing = {
        log,
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
        ...(options.resyncMs && { resyncMs: options.resyncMs }),
      }
      const queue = new WorkQueue(options.timers ? { timers: options.timers } : {})
      const namespaces = createInformer({ client, resource: NAMESPACES, ...timing })
      const objects = createInformer({ client, resource, fieldSelector: `metadata.name=${name}`, ...timing })
      const enqueue = (object: KubeObject): void => queue.add(object.metadata.namespace ?? object.metadata.name!)
      namespaces.addHandler({ onAdd: enqueue, onUpdate: enqueue })
      objects.addHandler({ onUpdate: enqueue, onDelete: enqueue })
      const reconcile = async (namespace: string): Promise<void> => {
        const owner = namespaces.store.get(namespace)
        if (owner === undefined || owner.metadata.deletionTimestamp !== undefined) return
        const current = objects.store.get(`${namespace}/${name}`)
        const wanted = options.desired(namespace, current)
        if (wanted === undefined) return
        try {
          if (current === undefined) await client.create(resource, wanted)
          else if (options.replace?.(current) === true) await client.delete(resource, namespace, name)
          else await client.update(resource, wanted)
        } catch (error) {
          // Someone made it first, or the namespace went away meanwhile: the informers tell, and bring us back here.
          const passed = isReason(error, 'AlreadyExists') || (await isLeaving(error, namespace))
          if (!passed) throw error
        }
      }
      const isLeaving = async (error: unknown, namespace: string): Promise<boolean> => {
        if (!isReason(error, 'Forbidden', 'NotFound')) return false
        const live = await client.get(NAMESPACES, '', namespace).catch((failure: unknown) => {
          if (isReason(failure, 'NotFound')) return undefined
          throw failure
        })
        return live === undefined || live.metadata.deletionTimestamp !== undefined
      }
      await runLoop({ informers: [namespaces, objects], queue, reconcile, log }, signal)
    },
  })
}
