import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import { WorkQueue } from '../../../kernel/controller/workqueue.ts'
import { ifFound, unless } from '../../../kernel/controllers/api-errors.ts'
import { desiredConfigMap, ROOT_CA_CONFIG_MAP } from '../../../kernel/controllers/root-ca-config-map.ts'
import { runLoop } from '../../../kernel/controllers/run-loop.ts'
import type { Clock, ControllerFactory } from '../../../kernel/feature.ts'
import { jsonEqual } from '../../../kernel/merge/json-value.ts'
import type { ControlPlanePki } from '../control-plane-pki.ts'
import { ISSUED_CERTIFICATES, specOf } from '../issued/kind.ts'
import { CONFIG_MAPS, parseTrust, TRUST_NAME, TRUST_NAMESPACE, trustData } from './bundle.ts'

const RBAC = 'rbac.authorization.k8s.io'
const READER = 'rampart-trust-reader'
/** A ConfigMap holds a megabyte; certificates of machines live a week. */
const MAX_REVOKED = 10_000
const KEY = 'trust'

/**
 * Publishes what machines and pods must know of the authorities: ConfigMap kube-public/rampart-trust, readable by
 * machines, and kube-root-ca.crt in every namespace as soon as the roots change.
 */
export function clusterTrust(pki: ControlPlanePki): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'cluster-trust',
    run: async (signal) => {
      const queue = new WorkQueue()
      const issued = createInformer({ client, resource: ISSUED_CERTIFICATES, log })
      const published = createInformer({
        client,
        resource: CONFIG_MAPS,
        namespace: TRUST_NAMESPACE,
        fieldSelector: `metadata.name=${TRUST_NAME}`,
        log,
      })
      const look = (): void => queue.add(KEY)
      const lookIfRevoked = ({ spec }: KubeObject): void => {
        if (spec?.revokedAt !== undefined) look()
      }
      issued.addHandler({ onAdd: lookIfRevoked, onUpdate: lookIfRevoked })
      published.addHandler({ onAdd: look, onUpdate: look, onDelete: look })
      const stop = pki.onChange(({ trust }) => {
        if (trust) look()
      })
      look()
      const reconcile = async (): Promise<void> => {
        await publishTrust(client, pki, revokedSerials(issued.store.list(), clock))
        await publishRoots(client, pki.rootPem)
      }
      try {
        await runLoop({ informers: [issued, published], queue, reconcile, workers: 1, log }, signal)
      } finally {
        stop()
      }
    },
  })
}

/** Those that would count still, newest first. */
function revokedSerials(records: Iterable<KubeObject>, clock: Clock): string[] {
  return [...records]
    .filter((r) => specOf(r).revokedAt !== undefined && Date.parse(specOf(r).notAfter) > clock.now())
    .sort((a, b) => (specOf(a).revokedAt! < specOf(b).revokedAt! ? 1 : -1))
    .slice(0, MAX_REVOKED)
    .map(({ metadata }) => metadata.name!)
    .sort()
}

async function publishTrust(client: Client, pki: ControlPlanePki, revoked: string[]): Promise<void> {
  const current = await ifFound(client.get(CONFIG_MAPS, TRUST_NAMESPACE, TRUST_NAME))
  const data = trustData({
    ca: pki.rootPem,
    clientCa: pki.clientCaPem,
    authorities: pki.authorityKeyIds.signing,
    revoked,
    renewIssuedBefore: current === undefined ? 0 : renewIssuedBefore(current),
  })
  if (current === undefined) {
    for (const [id, object] of readable()) await unless(client.create(id, object), 'AlreadyExists')
    await client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: TRUST_NAME, namespace: TRUST_NAMESPACE },
      data,
    } as unknown as KubeObject)
  } else if (!jsonEqual((current['data'] ?? {}) as never, data)) await client.update(CONFIG_MAPS, { ...current, data })
}

/** Every machine renews the certificates that were issued before this moment (milliseconds since the epoch). */
export async function renewMachinesIssuedBefore(client: Client, before: number): Promise<void> {
  const data = { 'renew-issued-before': new Date(before).toISOString() }
  await client.patch(CONFIG_MAPS, TRUST_NAMESPACE, TRUST_NAME, 'merge', { data })
}

function renewIssuedBefore(current: KubeObject): number {
  try {
    return parseTrust(current).renewIssuedBefore
  } catch {
    // Somebody broke it: it is about to be put right.
    return 0
  }
}

function readable(): [ResourceId, KubeObject][] {
  const metadata = { name: READER, namespace: TRUST_NAMESPACE }
  const rules = [
    { apiGroups: [''], resources: ['configmaps'], resourceNames: [TRUST_NAME], verbs: ['get', 'list', 'watch'] },
  ]
  const subjects = [{ apiGroup: RBAC, kind: 'Group', name: 'system:nodes' }]
  const roleRef = { apiGroup: RBAC, kind: 'Role', name: READER }
  const [apiVersion, version] = [`${RBAC}/v1`, 'v1']
  return [
    [
      { group: RBAC, version, resource: 'roles' },
      { apiVersion, kind: 'Role', metadata, rules },
    ],
    [
      { group: RBAC, version, resource: 'rolebindings' },
      { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects },
    ],
  ] as unknown as [ResourceId, KubeObject][]
}

/** The controller that makes these ConfigMaps looks at them every ten minutes: too late for a rotation. */
async function publishRoots(client: Client, roots: string): Promise<void> {
  const { items } = await client.list(CONFIG_MAPS, { fieldSelector: `metadata.name=${ROOT_CA_CONFIG_MAP}` })
  for (const item of items) {
    const desired = desiredConfigMap(item.metadata.namespace!, item, roots)
    if (desired !== undefined && item['immutable'] !== true)
      await unless(client.update(CONFIG_MAPS, desired), 'NotFound', 'Conflict')
  }
}
