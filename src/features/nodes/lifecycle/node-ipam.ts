import type { KubeObject } from '../../../kernel/api/object.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import { WorkQueue } from '../../../kernel/controller/workqueue.ts'
import { unless } from '../../../kernel/controllers/api-errors.ts'
import { runLoop } from '../../../kernel/controllers/run-loop.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import { recordEvent } from '../events.ts'
import { NODES } from '../resource-ids.ts'
import { CLUSTER_CIDR, NODE_CIDR_BITS } from './cluster-cidr.ts'
import { freeBlock, type Ipv4Cidr, parseIpv4Cidr, printIpv4Cidr } from './pod-cidr.ts'

const cidrOf = (node: KubeObject): string | undefined => node['spec']?.podCIDR as string | undefined

/** Gives each Node a block of the cluster's pod addresses (spec.podCIDR), as kube-controller-manager's node IPAM does. */
export const nodeIpam: ControllerFactory = ({ client, clock, log }) => ({
  name: 'node-ipam',
  run: (signal) => {
    const cluster = parseIpv4Cidr(CLUSTER_CIDR)
    const queue = new WorkQueue()
    const informer = createInformer({ client, resource: NODES, log })
    /** Given and not yet seen. */
    const given = new Map<string, Ipv4Cidr>()
    const look = (node: KubeObject): void => {
      if (cidrOf(node) === undefined) queue.add(node.metadata.name!)
      else given.delete(node.metadata.name!)
    }
    informer.addHandler({
      onAdd: look,
      onUpdate: look,
      onDelete: (node) => {
        given.delete(node.metadata.name!)
        for (const other of informer.store.list()) look(other)
      },
    })
    const reconcile = async (name: string): Promise<void> => {
      const node = informer.store.get(name)
      if (node === undefined || cidrOf(node) !== undefined) return
      const taken = [...given.values()]
      for (const other of informer.store.list()) {
        const cidr = cidrOf(other)
        if (cidr !== undefined && !cidr.includes(':')) taken.push(parseIpv4Cidr(cidr))
      }
      const block = freeBlock(cluster, NODE_CIDR_BITS, taken)
      if (block === undefined) {
        const message = `no block of pod addresses is left in ${CLUSTER_CIDR}`
        await recordEvent({ client, clock, log, component: 'node-ipam' }, node, 'Warning', 'CIDRNotAvailable', message)
        throw new Error(message)
      }
      given.set(name, block)
      const podCIDR = printIpv4Cidr(block)
      const { resourceVersion } = node.metadata
      try {
        await unless(
          client.patch(NODES, '', name, 'merge', {
            metadata: { resourceVersion },
            spec: { podCIDR, podCIDRs: [podCIDR] },
          }),
          'NotFound',
        )
      } catch (error) {
        given.delete(name)
        throw error
      }
    }
    // One worker: two would give the same block to two machines.
    return runLoop({ informers: [informer], queue, reconcile, workers: 1, log }, signal)
  },
})
