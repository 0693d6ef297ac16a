import type { KubeObject } from '../api/object.ts'
import type { Client, ResourceId } from '../client/client.ts'
import { createInformer } from '../controller/informer.ts'
import { keyOf } from '../controller/store.ts'
import { WorkQueue } from '../controller/workqueue.ts'
import type { ControllerFactory } from '../feature.ts'
import { ifFound, unless } from './api-errors.ts'
import { advertised, IDENTITY_LABEL, IDENTITY_VALUE } from './apiserver-identity.ts'
import { isLoopback, parseCidr } from './cluster-ip/address.ts'
import { leaseHasExpired } from './lease-expiry.ts'
import type { ControllerOptions } from './options.ts'
import { ENDPOINT_SLICES, ENDPOINTS, LEASES, SERVICES } from './resource-ids.ts'
import { runLoop } from './run-loop.ts'

export type KubernetesServiceOptions = ControllerOptions & {
  /** The first address of the first range is the Service's. */
  serviceCidrs: readonly string[]
}

type Server = { address: string; port: number }

const NAME = 'kubernetes'
const NAMESPACE = 'default'
const ADOPT_MS = 10_000

/**
 * Keeps Service default/kubernetes with its Endpoints and EndpointSlice: the addresses of all API servers whose identity
 * Lease is alive. Every API server runs it; they agree because they look at the same Leases.
 */
export function kubernetesService(options: KubernetesServiceOptions): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'kubernetes-service',
    run: async (signal) => {
      const timing = {
        log,
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      }
      const queue = new WorkQueue(options.timers ? { timers: options.timers } : {})
      const leases = createInformer({
        client,
        resource: LEASES,
        namespace: 'kube-system',
        labelSelector: `${IDENTITY_LABEL}=${IDENTITY_VALUE}`,
        ...timing,
      })
      const own = [SERVICES, ENDPOINTS, ENDPOINT_SLICES].map((resource) =>
        createInformer({ client, resource, namespace: NAMESPACE, fieldSelector: `metadata.name=${NAME}`, ...timing }),
      )
      const enqueue = (): void => queue.add(NAME)
      // A renewal that changes no address is no work.
      const known = new Map<string, string>()
      leases.addHandler({
        onAdd: (lease) => {
          known.set(keyOf(lease), JSON.stringify(advertised(lease)))
          enqueue()
        },
        onUpdate: (lease) => {
          const address = JSON.stringify(advertised(lease))
          if (known.get(keyOf(lease)) !== address) enqueue()
          known.set(keyOf(lease), address)
        },
        onDelete: (lease) => {
          known.delete(keyOf(lease))
          enqueue()
        },
      })
      for (const informer of own) informer.addHandler({ onAdd: enqueue, onUpdate: enqueue, onDelete: enqueue })
      enqueue()
      const reconcile = async (): Promise<{ requeueAfterMs: number }> => {
        const live = [...leases.store.list()].filter((lease) => !leaseHasExpired(lease, clock.now()))
        const servers = live.flatMap((lease) => advertised(lease) ?? [])
        for (const wanted of desiredObjects(options.serviceCidrs[0]!, servers)) await ensure(client, wanted)
        // Leases expire without an event.
        return { requeueAfterMs: ADOPT_MS }
      }
      await runLoop({ informers: [leases, ...own], queue, reconcile, workers: 1, log }, signal)
    },
  })
}

type Wanted = { resource: ResourceId; object: KubeObject; fields: readonly string[] }

/** What shall be there; loopback addresses are reachable from nowhere else and not allowed in Endpoints. */
export function desiredObjects(serviceCidr: string, servers: readonly Server[]): Wanted[] {
  const range = parseCidr(serviceCidr)
  const reachable = [...new Map(servers.map((s) => [`${s.address} ${s.port}`, s])).values()]
    .filter((s) => !isLoopback(s.address) && s.address.includes(':') === (range.family === 'IPv6'))
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port))
  const ports = [...new Set(reachable.map((s) => s.port))]
  // One Service has one target port; of servers on several ports those on the first are its endpoints' first subset.
  const targetPort = ports[0] ?? 6443
  const port = (number: number): object => ({ name: 'https', port: number, protocol: 'TCP' })
  const onPort = (number: number): string[] => reachable.filter((s) => s.port === number).map((s) => s.address)
  return [
    {
      resource: SERVICES,
      fields: ['spec'],
      object: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: NAME, namespace: NAMESPACE, labels: { component: 'apiserver', provider: 'kubernetes' } },
        spec: {
          type: 'ClusterIP',
          clusterIP: range.first,
          sessionAffinity: 'None',
          ports: [{ ...port(443), targetPort }],
        },
      },
    },
    {
      resource: ENDPOINTS,
      fields: ['subsets'],
      object: {
        apiVersion: 'v1',
        kind: 'Endpoints',
        // The slice below is ours: nobody mirrors these Endpoints into another.
        metadata: { name: NAME, namespace: NAMESPACE, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
        subsets: ports.map((number) => ({ addresses: onPort(number).map((ip) => ({ ip })), ports: [port(number)] })),
      },
    },
    {
      resource: ENDPOINT_SLICES,
      fields: ['endpoints', 'ports'],
      object: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: NAME, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': NAME } },
        addressType: range.family,
        endpoints: onPort(targetPort).map((address) => ({ addresses: [address], conditions: { ready: true } })),
        ports: [port(targetPort)],
      },
    },
  ]
}

async function ensure(client: Client, { resource, object, fields }: Wanted): Promise<void> {
  const current = await ifFound(client.get(resource, NAMESPACE, NAME))
  if (current === undefined) {
    await unless(client.create(resource, object), 'AlreadyExists')
    return
  }
  const labels = object.metadata.labels ?? {}
  const labelled = Object.entries(labels).every(([key, value]) => current.metadata.labels?.[key] === value)
  if (labelled && fields.every((field) => covers(current[field] ?? [], object[field]))) return
  const changed: KubeObject = {
    ...current,
    metadata: { ...current.metadata, labels: { ...current.metadata.labels, ...labels } },
  }
  for (const field of fields)
    changed[field] = field === 'spec' ? { ...current['spec'], ...object['spec'] } : object[field]
  // Another API server wrote it: its state is what we want, or the informers bring us back.
  await unless(client.update(resource, changed), 'Conflict')
}

/** True when `actual` has all that `wanted` says; what it has beyond that are defaults. Lists must be of one length. */
export function covers(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted))
    return (
      Array.isArray(actual) && actual.length === wanted.length && wanted.every((item, i) => covers(actual[i], item))
    )
  if (typeof wanted !== 'object' || wanted === null) return actual === wanted
  if (typeof actual !== 'object' || actual === null) return false
  return Object.entries(wanted).every(([key, value]) => covers((actual as Record<string, unknown>)[key], value))
}
