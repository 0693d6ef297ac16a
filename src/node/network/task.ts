import { writeFileSync } from 'node:fs'
import type { KubeObject } from '../../kernel/api/object.ts'
import { createInformer, whenSynced } from '../../kernel/controller/informer.ts'
import { sleep, systemTimers } from '../../kernel/controller/timers.ts'
import type { NodeTaskFactory } from '../task.ts'
import { cniConfiguration, foreignConfigurations, writeCniConfiguration } from './cni.ts'
import { loadRules, masqueradeRules } from './masquerade.ts'
import { peerOf, planTunnel } from './plan.ts'
import { applyTunnel, podMtu, underlay } from './tunnel.ts'

const NODES = { group: '', version: 'v1', resource: 'nodes' }
/** Somebody may have deleted an entry by hand: everything is looked at again after this time. */
const AUDIT_MS = 30_000
const RETRY_MS = 2_000

export type NetworkOptions = { /** Addresses of all pods of the cluster. */ clusterCidr: string }

/**
 * The pod network of this machine: CNI configuration for its own block, a VXLAN link to the other machines' (as Canal and
 * flannel do it, but nothing is learned and nothing flooded), and masquerading of what leaves the cluster. It is ready when
 * this machine's Node has a block and pods can be started.
 */
export function networkTask({ clusterCidr }: NetworkOptions): NodeTaskFactory {
  return ({ config, client, log }) => {
    const stopping = new AbortController()
    let running: Promise<void>[] = []
    return {
      name: 'network',
      start: async (signal) => {
        const own = AbortSignal.any([signal, stopping.signal])
        const nodes = createInformer({ client, resource: NODES, log })
        const ready = Promise.withResolvers<void>()
        let wake = new AbortController()
        let masqueraded = ''
        const look = (): void => wake.abort()
        nodes.addHandler({
          onAdd: look,
          onUpdate: (node, old) => {
            if (JSON.stringify(peerOf(node)) !== JSON.stringify(peerOf(old))) look()
          },
          onDelete: look,
        })

        const reconcile = async (): Promise<boolean> => {
          const self = nodes.store.get(config.nodeName)
          const podCidr = (self?.['spec']?.podCIDR ?? '') as string
          // The address is what this machine was told at its join, not what its Node object says.
          const me = self === undefined ? undefined : peerOf(withAddress(self, config.nodeAddress))
          if (me === undefined || podCidr === '') return false
          writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
          if (masqueraded !== podCidr) {
            await loadRules(masqueradeRules(podCidr, clusterCidr))
            masqueraded = podCidr
          }
          const others = [...nodes.store.list()].flatMap((node) => peerOf(node) ?? [])
          const changes = await applyTunnel(config.nodeAddress, planTunnel(me, others))
          if (changes > 0) log('info', 'the tunnel to other machines was changed', { changes, machines: others.length })
          const mtu = podMtu((await underlay(config.nodeAddress)).mtu)
          if (writeCniConfiguration(config.cniConfFolder, cniConfiguration(podCidr, mtu)))
            log('info', 'pod network is configured', { podCidr, mtu })
          const foreign = foreignConfigurations(config.cniConfFolder)
          if (foreign.length > 0)
            throw new Error(
              `${config.cniConfFolder} holds ${foreign.join(', ')}, which the container runtime takes before Rampart's network`,
            )
          return true
        }

        const loop = async (): Promise<void> => {
          if (!(await whenSynced([nodes], own))) return
          while (!own.aborted) {
            wake = new AbortController()
            let pause = AUDIT_MS
            try {
              if (await reconcile()) ready.resolve()
            } catch (error) {
              if (!own.aborted) log('error', `pod network: ${(error as Error).message}`)
              pause = RETRY_MS
              masqueraded = ''
            }
            await sleep(systemTimers, pause, AbortSignal.any([own, wake.signal]))
          }
        }
        running = [nodes.run(own), loop()]
        own.addEventListener('abort', () => ready.resolve(), { once: true })
        await ready.promise
      },
      stop: async () => {
        stopping.abort()
        await Promise.all(running)
      },
    }
  }
}

const withAddress = (node: KubeObject, address: string): KubeObject => ({
  ...node,
  status: { ...node['status'], addresses: [{ type: 'InternalIP', address }] },
})
