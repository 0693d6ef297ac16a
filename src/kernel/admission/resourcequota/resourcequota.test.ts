import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../api/object.ts'
import type { ResourceId } from '../../client/client.ts'
import { createInformer } from '../../controller/informer.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import { MemoryClient } from '../memory-client.fixture.ts'
import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { RESOURCE_QUOTAS, resourceQuota } from './admission.ts'
import { resourceQuotaController } from './controller.ts'
import { addedUsage, evaluate } from './evaluate.ts'

const log = (): void => undefined
const kind = (group: string, plural: string): ResourceDefinition => ({
  group,
  version: 'v1',
  kind: plural,
  plural,
  singular: plural,
  namespaced: true,
  schema: '',
  columns: [],
})
const PODS = kind('', 'pods')
const SERVICES = kind('', 'services')
const SECRETS = kind('', 'secrets')
const WIDGETS = kind('example.com', 'widgets')
const object = (fields: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'X',
  metadata: { name: 'x', namespace: 'shop' },
  ...fields,
})
const quota = (
  name: string,
  hard: Record<string, string>,
  used: Record<string, string>,
  spec: object = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name, namespace: 'shop', uid: name },
  spec: { hard, ...spec },
  status: { hard, used },
})

const CASES: [
  title: string,
  quotas: KubeObject[],
  kind: ResourceDefinition,
  object: KubeObject,
  expected: string | Record<string, string>[],
][] = [
  ['fits', [quota('q', { pods: '2' }, { pods: '1' })], PODS, object(), [{ pods: '2' }]],
  [
    'exceeded',
    [quota('q', { pods: '2', 'count/pods': '9' }, { pods: '2', 'count/pods': '3' })],
    PODS,
    object(),
    'exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2',
  ],
  [
    'exceeded in several',
    [quota('q', { secrets: '2', 'count/secrets': '2' }, { secrets: '2', 'count/secrets': '2' })],
    SECRETS,
    object(),
    'exceeded quota: q, requested: count/secrets=1,secrets=1, used: count/secrets=2,secrets=2, limited: count/secrets=2,secrets=2',
  ],
  [
    'by group',
    [quota('q', { 'count/widgets.example.com': '1' }, { 'count/widgets.example.com': '0' })],
    WIDGETS,
    object(),
    [{ 'count/widgets.example.com': '1' }],
  ],
  ['another kind', [quota('q', { pods: '0' }, { pods: '0' })], SECRETS, object(), []],
  [
    'no status yet for a name',
    [quota('q', { pods: '1' }, {})],
    PODS,
    object(),
    'status unknown for quota: q, resources: pods',
  ],
  ['a quota without status does not count yet', [{ ...quota('q', { pods: '0' }, {}), status: {} }], PODS, object(), []],
  [
    'every quota must have room',
    [quota('a', { pods: '9' }, { pods: '0' }), quota('b', { pods: '0' }, { pods: '0' })],
    PODS,
    object(),
    'exceeded quota: b, requested: pods=1, used: pods=0, limited: pods=0',
  ],
  ['1k is 1000', [quota('q', { pods: '1k' }, { pods: '999' })], PODS, object(), [{ pods: '1k' }]],
  [
    'node ports',
    [quota('q', { 'services.nodeports': '3' }, { 'services.nodeports': '1' })],
    SERVICES,
    object({ spec: { type: 'NodePort', ports: [{}, {}] } }),
    [{ 'services.nodeports': '3' }],
  ],
  [
    'no load balancer',
    [quota('q', { 'services.loadbalancers': '0' }, { 'services.loadbalancers': '0' })],
    SERVICES,
    object({ spec: { type: 'ClusterIP' } }),
    [],
  ],
  [
    'a scope that matches',
    [quota('q', { pods: '0' }, { pods: '0' }, { scopes: ['BestEffort'] })],
    PODS,
    object({ spec: { containers: [{}] } }),
    'exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0',
  ],
  [
    'a scope that does not',
    [quota('q', { pods: '0' }, { pods: '0' }, { scopes: ['BestEffort'] })],
    PODS,
    object({ spec: { containers: [{ resources: { requests: { cpu: '1' } } }] } }),
    [],
  ],
  [
    'scoped by class',
    [
      quota(
        'q',
        { pods: '0' },
        { pods: '0' },
        { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }] } },
      ),
    ],
    PODS,
    object({ spec: { priorityClassName: 'low' } }),
    [],
  ],
]
for (const [title, quotas, definition, what, expected] of CASES)
  test(`quota: ${title}`, () => {
    const verdict = evaluate(quotas, definition, what, addedUsage(definition, what, undefined))
    if (typeof expected === 'string') assert.deepEqual(verdict, { fits: false, why: expected })
    else assert.deepEqual(verdict.fits && verdict.changed.map((q) => q['status'].used), expected)
  })

test('an update adds only what is more', () => {
  const service = (n: number): KubeObject => object({ spec: { type: 'NodePort', ports: Array(n).fill({}) } })
  assert.deepEqual([...addedUsage(SERVICES, service(3), service(1))], [['services.nodeports', 2]])
  assert.deepEqual([...addedUsage(SERVICES, service(1), service(3))], [])
})

/** A server whose memory follows the client's watch. */
async function start(client: MemoryClient, signal: AbortSignal): Promise<AdmissionStep> {
  const informer = createInformer({ client, resource: RESOURCE_QUOTAS, log })
  void informer.run(signal)
  await informer.synced()
  return resourceQuota({ lookup: { list: () => informer.store.list() }, client })
}

function creating(definition: ResourceDefinition, name: string, dryRun = false): AdmissionRequest {
  return {
    operation: 'CREATE',
    definition,
    subresource: '',
    namespace: 'shop',
    name,
    object: object({ metadata: { name, namespace: 'shop' } }),
    oldObject: undefined,
    user: { name: 'u', groups: [] },
    dryRun,
    options: undefined,
    warn: () => undefined,
    annotateAudit: () => undefined,
    signal: new AbortController().signal,
  }
}

test('concurrent creates on two servers never take more room than there is', async () => {
  const client = new MemoryClient()
  const stop = new AbortController()
  await client.create(RESOURCE_QUOTAS, quota('q', { secrets: '25' }, { secrets: '0' }))
  const servers = [await start(client, stop.signal), await start(client, stop.signal)]
  const results = await Promise.allSettled(
    Array.from({ length: 60 }, async (_, i) => servers[i % 2]!.validate!(creating(SECRETS, `s${i}`))),
  )
  assert.equal(results.filter((r) => r.status === 'fulfilled').length, 25)
  const refused = results.find((r) => r.status === 'rejected')!
  assert.equal(
    (refused as PromiseRejectedResult).reason.message.replace(/"s\d+"/, '"sN"'),
    'secrets "sN" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=25, limited: secrets=25',
  )
  assert.deepEqual((await client.get(RESOURCE_QUOTAS, 'shop', 'q'))['status'].used, { secrets: '25' })
  // 25 rooms were taken with far fewer writes than requests.
  assert.ok(client.writes.filter((w) => w.startsWith('update')).length <= 10)
  stop.abort()
})

test('a dry run is checked and takes nothing', async () => {
  const client = new MemoryClient()
  const stop = new AbortController()
  await client.create(RESOURCE_QUOTAS, quota('q', { secrets: '1' }, { secrets: '0' }))
  const step = await start(client, stop.signal)
  await step.validate!(creating(SECRETS, 'a', true))
  await step.validate!(creating(SECRETS, 'b'))
  await assert.rejects(async () => step.validate!(creating(SECRETS, 'c', true)), /exceeded quota/)
  assert.deepEqual((await client.get(RESOURCE_QUOTAS, 'shop', 'q'))['status'].used, { secrets: '1' })
  stop.abort()
})

test('property: used is the number of admitted creates, and never above hard', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('secrets', 'pods'), { maxLength: 12 }),
      fc.nat(6),
      async (kinds, hard) => {
        const client = new MemoryClient()
        const stop = new AbortController()
        const limits = { secrets: String(hard), 'count/pods': '3' }
        await client.create(RESOURCE_QUOTAS, quota('q', limits, { secrets: '0', 'count/pods': '0' }))
        const step = await start(client, stop.signal)
        const results = await Promise.allSettled(
          kinds.map(async (k, i) => step.validate!(creating(k === 'pods' ? PODS : SECRETS, `x${i}`))),
        )
        const admitted = (k: string): number =>
          kinds.filter((x, i) => x === k && results[i]!.status === 'fulfilled').length
        const { used } = (await client.get(RESOURCE_QUOTAS, 'shop', 'q'))['status']
        assert.deepEqual(used, { secrets: String(admitted('secrets')), 'count/pods': String(admitted('pods')) })
        assert.equal(admitted('secrets'), Math.min(hard, kinds.filter((k) => k === 'secrets').length))
        stop.abort()
      },
    ),
    { numRuns: 60 },
  )
})

test('the controller sets hard, counts what is there, and counts again when something goes', async () => {
  const client = new MemoryClient()
  const stop = new AbortController()
  const secrets: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
  const pods: ResourceId = { group: '', version: 'v1', resource: 'pods' }
  for (const name of ['a', 'b'])
    await client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'shop' } })
  await client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'c', namespace: 'other' } })
  await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop' } })
  const fresh = quota('q', { secrets: '5', pods: '5', 'count/pods': '5', cpu: '4', 'count/gone.example.com': '1' }, {})
  delete fresh['status']
  await client.create(RESOURCE_QUOTAS, fresh)
  const running = resourceQuotaController({
    resolve: (group, resource) => (group === '' ? { group, version: 'v1', resource } : undefined),
    quietMs: 1,
  })({ client, clock: { now: Date.now }, log }).run(stop.signal)
  const until = async (used: Record<string, string>): Promise<void> => {
    const status = async (): Promise<unknown> => (await client.get(RESOURCE_QUOTAS, 'shop', 'q'))['status']?.used
    for (let i = 0; i < 200 && JSON.stringify(await status()) !== JSON.stringify(used); i++)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await status(), used)
  }
  await until({ 'count/gone.example.com': '0', 'count/pods': '1', pods: '1', secrets: '2' })
  assert.deepEqual((await client.get(RESOURCE_QUOTAS, 'shop', 'q'))['status'].hard, fresh['spec'].hard)
  await client.delete(secrets, 'shop', 'a')
  await until({ 'count/gone.example.com': '0', 'count/pods': '1', pods: '1', secrets: '1' })
  const pod = await client.get(pods, 'shop', 'p')
  await client.update(pods, { ...pod, status: { phase: 'Succeeded' } })
  await until({ 'count/gone.example.com': '0', 'count/pods': '1', pods: '0', secrets: '1' })
  stop.abort()
  await running
})
