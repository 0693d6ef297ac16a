/**
 * The object APIs as the e2e suites of their owners use them (apps, network, node, scheduling, instrumentation):
 * one life of every stored kind, its status and its scale.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { call, eventually, get, namespace, patch, post, put, refused, remove, unique, watch } from './server.ts'

const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } }
const selector = { matchLabels: { app: 'x' } }
const job = { template: { spec: { ...template.spec, restartPolicy: 'Never' } } }

type Row = {
  root: string
  plural: string
  kind: string
  body: object
  /** A status that /status takes. */
  status?: object
  scale?: boolean
  /** metadata.generation counts changes of the spec. */
  change?: object
}
const NAMESPACED: Row[] = [
  { root: '/api/v1', plural: 'configmaps', kind: 'ConfigMap', body: { data: { a: '1' } } },
  { root: '/api/v1', plural: 'secrets', kind: 'Secret', body: { data: { a: 'MQ==' } } },
  { root: '/api/v1', plural: 'serviceaccounts', kind: 'ServiceAccount', body: {} },
  { root: '/api/v1', plural: 'podtemplates', kind: 'PodTemplate', body: { template } },
  {
    root: '/api/v1',
    plural: 'limitranges',
    kind: 'LimitRange',
    body: { spec: { limits: [{ type: 'Container', max: { cpu: '1' } }] } },
  },
  {
    root: '/api/v1',
    plural: 'endpoints',
    kind: 'Endpoints',
    body: { subsets: [{ addresses: [{ ip: '10.0.0.24' }], ports: [{ name: 'http', port: 80 }] }] },
  },
  {
    root: '/api/v1',
    plural: 'services',
    kind: 'Service',
    body: { spec: { type: 'LoadBalancer', ports: [{ port: 80, protocol: 'TCP' }] } },
    status: { loadBalancer: { ingress: [{ ip: '203.0.113.1', ipMode: 'VIP' }] } },
  },
  {
    root: '/api/v1',
    plural: 'pods',
    kind: 'Pod',
    body: { spec: template.spec },
    status: { message: 'm', reason: 'r' },
  },
  {
    root: '/api/v1',
    plural: 'resourcequotas',
    kind: 'ResourceQuota',
    body: { spec: { hard: { pods: '5' } } },
    status: { hard: { pods: '5' }, used: { pods: '0' } },
  },
  {
    root: '/api/v1',
    plural: 'replicationcontrollers',
    kind: 'ReplicationController',
    body: { spec: { replicas: 1, selector: { app: 'x' }, template } },
    status: { replicas: 1 },
    scale: true,
    change: { spec: { replicas: 3 } },
  },
  {
    root: '/apis/apps/v1',
    plural: 'deployments',
    kind: 'Deployment',
    body: { spec: { selector, template } },
    status: { replicas: 1 },
    scale: true,
    change: { spec: { replicas: 3 } },
  },
  {
    root: '/apis/apps/v1',
    plural: 'replicasets',
    kind: 'ReplicaSet',
    body: { spec: { selector, template } },
    status: { replicas: 1 },
    scale: true,
    change: { spec: { replicas: 3 } },
  },
  {
    root: '/apis/apps/v1',
    plural: 'statefulsets',
    kind: 'StatefulSet',
    body: { spec: { serviceName: 's', selector, template } },
    status: { replicas: 1 },
    scale: true,
    change: { spec: { replicas: 3 } },
  },
  {
    root: '/apis/apps/v1',
    plural: 'daemonsets',
    kind: 'DaemonSet',
    body: { spec: { selector, template } },
    status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 1, numberReady: 0 },
    change: { spec: { minReadySeconds: 3 } },
  },
  {
    root: '/apis/apps/v1',
    plural: 'controllerrevisions',
    kind: 'ControllerRevision',
    body: { revision: 1, data: { a: 1 } },
  },
  { root: '/apis/batch/v1', plural: 'jobs', kind: 'Job', body: { spec: job }, status: { active: 1 } },
  {
    root: '/apis/batch/v1',
    plural: 'cronjobs',
    kind: 'CronJob',
    body: { spec: { schedule: '*/1 * * * *', jobTemplate: { spec: job } } },
    status: { lastScheduleTime: '2020-01-01T00:00:00Z' },
    change: { spec: { suspend: true } },
  },
  {
    root: '/apis/policy/v1',
    plural: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
    body: { spec: { minAvailable: 1, selector } },
    status: { currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 1 },
    change: { spec: { minAvailable: 2 } },
  },
  {
    root: '/apis/networking.k8s.io/v1',
    plural: 'networkpolicies',
    kind: 'NetworkPolicy',
    body: { spec: { podSelector: {} } },
    change: { spec: { policyTypes: ['Ingress', 'Egress'] } },
  },
  {
    root: '/apis/discovery.k8s.io/v1',
    plural: 'endpointslices',
    kind: 'EndpointSlice',
    body: { addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }], ports: [] },
  },
  {
    root: '/apis/coordination.k8s.io/v1',
    plural: 'leases',
    kind: 'Lease',
    body: { spec: { holderIdentity: 'h', leaseDurationSeconds: 30, leaseTransitions: 0 } },
  },
  { root: '/apis/rbac.authorization.k8s.io/v1', plural: 'roles', kind: 'Role', body: { rules: [] } },
  {
    root: '/apis/rbac.authorization.k8s.io/v1',
    plural: 'rolebindings',
    kind: 'RoleBinding',
    body: { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }, subjects: [] },
  },
]
const CLUSTER: Row[] = [
  { root: '/apis/scheduling.k8s.io/v1', plural: 'priorityclasses', kind: 'PriorityClass', body: { value: 7 } },
  { root: '/apis/rbac.authorization.k8s.io/v1', plural: 'clusterroles', kind: 'ClusterRole', body: { rules: [] } },
  { root: '/api/v1', plural: 'nodes', kind: 'Node', body: {}, status: { phase: 'Running' } },
  {
    root: '/apis/admissionregistration.k8s.io/v1',
    plural: 'validatingwebhookconfigurations',
    kind: 'ValidatingWebhookConfiguration',
    body: { webhooks: [] },
  },
]

async function life(row: Row, path: string): Promise<void> {
  const name = unique('e2e')
  const label = `e2e=${name}`
  const body = { metadata: { name, labels: { e2e: name } }, ...row.body }
  const { resourceVersion } = (await get(path)).metadata
  const stream = await watch(path, { query: { resourceVersion: resourceVersion!, labelSelector: label } })
  const created = await post(path, body)
  assert.deepEqual([created.kind, created.metadata.name], [row.kind, name])
  assert.ok(created.metadata.uid && created.metadata.creationTimestamp && created.metadata.managedFields)
  assert.equal((await get(`${path}/${name}`)).metadata.uid, created.metadata.uid)
  const everywhere = await get(`${row.root}/${row.plural}`, { labelSelector: label })
  assert.deepEqual([everywhere.kind, everywhere['items'].length], [`${row.kind}List`, 1])

  const patched = await patch(`${path}/${name}`, 'strategic', { metadata: { labels: { patched: 'true' } } })
  assert.equal(patched.metadata.labels?.['patched'], 'true')
  assert.equal(patched.metadata.generation, created.metadata.generation)
  const updated = await replace(`${path}/${name}`, (now) => ({
    ...now,
    metadata: { ...now.metadata, annotations: { updated: 'true' } },
  }))
  assert.equal(updated.metadata.annotations?.['updated'], 'true')
  refused(await call('PUT', `${path}/${name}`, { body: patched }), 409, 'Conflict', /the object has been modified/)

  if (row.status !== undefined) await statusOf(row, `${path}/${name}`)
  if (row.scale) await scaleOf(`${path}/${name}`)
  if (row.change !== undefined) {
    const before = (await get(`${path}/${name}`)).metadata.generation!
    assert.equal(
      (await patch(`${path}/${name}`, 'merge', row.change)).metadata.generation,
      before + (row.scale ? 0 : 1),
    )
  }

  const types = (await stream.until((e) => e.object.metadata.annotations?.['updated'] === 'true')).map((e) => e.type)
  assert.deepEqual([types[0], new Set(types.slice(1))], ['ADDED', new Set(['MODIFIED'])])
  await remove(path, {
    query: { labelSelector: label, gracePeriodSeconds: 0 },
    body: { propagationPolicy: 'Background' },
  })
  const last = (await stream.until((e) => e.type === 'DELETED')).at(-1)!
  assert.equal(last.object.metadata.name, name)
  stream.stop()
  assert.deepEqual((await get(path, { labelSelector: label }))['items'], [])
}

/** PUT of the newest state, changed; again when a controller (a new Node has several) wrote in between. */
async function replace(path: string, change: (now: KubeObject) => KubeObject): Promise<KubeObject> {
  for (let attempt = 0; ; attempt++) {
    const answer = await call('PUT', path, { body: change(await get(path)) })
    if (answer.code !== 409 || attempt === 5) {
      assert.equal(answer.code, 200, answer.text)
      return answer.body
    }
  }
}

async function statusOf(row: Row, path: string): Promise<void> {
  const before = await get(`${path}/status`)
  assert.equal(before.kind, row.kind)
  const spec = before['spec']
  const patched = await patch(`${path}/status`, 'merge', {
    metadata: { annotations: { patchedstatus: 'true' } },
    spec: row.kind === 'Node' ? {} : { ...spec, minReadySeconds: 77, replicas: 77, suspend: true },
    status: row.status!,
  })
  // A Node that nobody reports for is tainted meanwhile.
  const own = ({ taints: _, ...rest }: Record<string, unknown>): object => rest
  assert.deepEqual(own(patched['spec']), own(spec), 'status writes leave the spec')
  assert.equal(patched.metadata.annotations?.['patchedstatus'], 'true')
  for (const [field, value] of Object.entries(row.status!)) assert.deepEqual(patched['status'][field], value)
  assert.equal(patched.metadata.generation, before.metadata.generation)
  const updated = await replace(`${path}/status`, (now) => ({ ...now, status: { ...now['status'], ...row.status } }))
  assert.equal(updated.metadata.uid, before.metadata.uid)
  const main = await patch(path, 'merge', { status: { message: 'never', replicas: 99, phase: 'never' } })
  assert.deepEqual(main['status'], updated['status'], 'main writes leave the status')
}

async function scaleOf(path: string): Promise<void> {
  const generation = (await get(path)).metadata.generation!
  const scale = await get(`${path}/scale`)
  assert.deepEqual([scale.kind, scale.apiVersion, scale['spec'].replicas], ['Scale', 'autoscaling/v1', 1])
  assert.match(scale['status'].selector, /^app=x$/)
  const updated = await put(`${path}/scale`, { ...scale, spec: { replicas: 2 } })
  assert.equal(updated['spec'].replicas, 2)
  const patched = await patch(`${path}/scale`, 'strategic', { spec: { replicas: 3 } })
  assert.equal(patched['spec'].replicas, 3)
  const object = await get(path)
  assert.deepEqual([object['spec'].replicas, object.metadata.generation], [3, generation + 2])
  refused(await call('PUT', `${path}/scale`, { body: scale }), 409, 'Conflict', /the object has been modified/)
}

describe('the life of every kind', () => {
  for (const row of NAMESPACED)
    test(row.kind, async () => life(row, `${row.root}/namespaces/${await namespace('life')}/${row.plural}`))
  for (const row of CLUSTER) test(row.kind, async () => life(row, `${row.root}/${row.plural}`))
})

describe('Secrets, ConfigMaps and their rules', () => {
  test('should fail to create with an empty key', async () => {
    const ns = await namespace('keys')
    for (const [plural, data] of [
      ['secrets', { '': 'dmFsdWU=' }],
      ['configmaps', { '': 'value' }],
    ] as const)
      refused(
        await call('POST', `/api/v1/namespaces/${ns}/${plural}`, { body: { metadata: { name: 'x' }, data } }),
        422,
        'Invalid',
        /data\[\]: Invalid value: ""/,
      )
  })

  test('should be immutable if `immutable` field is set', async () => {
    const ns = await namespace('immutable')
    for (const plural of ['secrets', 'configmaps']) {
      const path = `/api/v1/namespaces/${ns}/${plural}`
      const name = 'immutable'
      const object = await post(path, { metadata: { name }, data: { a: 'MQ==' } })
      await put(`${path}/${name}`, { ...object, data: { a: 'Mg==' } })
      const fixed = await patch(`${path}/${name}`, 'merge', { immutable: true })
      for (const change of [{ data: { a: 'Mw==' } }, { immutable: null }])
        refused(
          await call('PATCH', `${path}/${name}`, { body: change, type: 'application/merge-patch+json' }),
          422,
          'Invalid',
          /field is immutable when `immutable` is set/,
        )
      await put(`${path}/${name}`, { ...fixed, metadata: { ...fixed.metadata, labels: { a: 'b' } } })
      await remove(`${path}/${name}`)
    }
  })
})

describe('Namespaces', () => {
  test('patch, status, update, finalizer', async () => {
    const name = await namespace('nspatch')
    const path = `/api/v1/namespaces/${name}`
    assert.equal((await get(path)).metadata.labels?.['kubernetes.io/metadata.name'], name)
    assert.equal(
      (await patch(path, 'strategic', { metadata: { labels: { testLabel: 'v' } } })).metadata.labels?.['testLabel'],
      'v',
    )
    const condition = { type: 'StatusPatch', status: 'True', reason: 'E2E', message: 'Patched by an e2e test' }
    const patched = await patch(`${path}/status`, 'merge', {
      metadata: { annotations: { e: 'y' } },
      status: { conditions: [condition] },
    })
    assert.equal(patched['status'].conditions[0].type, 'StatusPatch')
    assert.equal(patched['status'].phase, 'Active')
    const second = { ...condition, type: 'StatusUpdate' }
    const updated = await put(`${path}/status`, {
      ...patched,
      status: { ...patched['status'], conditions: [...patched['status'].conditions, second] },
    })
    assert.equal(updated['status'].conditions.length, 2)
    const finalizer = 'e2e.example.com/fakeFinalizer'
    const held = await put(`${path}/finalize`, {
      ...updated,
      spec: { finalizers: [...updated['spec'].finalizers, finalizer] },
    })
    assert.deepEqual(held['spec'].finalizers, ['kubernetes', finalizer])
    const free = await put(`${path}/finalize`, { ...held, spec: { finalizers: ['kubernetes'] } })
    assert.deepEqual(free['spec'].finalizers, ['kubernetes'])
    const terminating = await remove(path)
    assert.deepEqual([terminating.kind, terminating['status'].phase], ['Namespace', 'Terminating'])
    await eventually(
      () => call('GET', path),
      (a) => a.code === 404,
    )
  })

  test('all services and pods are removed when a namespace is deleted', async () => {
    const name = await namespace('nsdelete')
    const path = `/api/v1/namespaces/${name}`
    await post(`${path}/services`, { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } })
    await post(`${path}/configmaps`, { metadata: { name: 'c', finalizers: ['e2e.example.com/hold'] } })
    await remove(path)
    refused(
      await call('POST', `${path}/configmaps`, { body: { metadata: { name: 'late' } } }),
      403,
      'Forbidden',
      /because it is being terminated/,
    )
    const stuck = await eventually(
      () => get(path),
      (ns) =>
        (ns['status'].conditions ?? []).some(
          (c: { type: string; status: string }) => c.type === 'NamespaceFinalizersRemaining' && c.status === 'True',
        ),
    )
    assert.equal(stuck['status'].phase, 'Terminating')
    await patch(`${path}/configmaps/c`, 'merge', { metadata: { finalizers: null } })
    await eventually(
      () => call('GET', path),
      (a) => a.code === 404,
    )
    await post('/api/v1/namespaces', { metadata: { name } })
    assert.equal((await call('GET', `${path}/services/s`)).code, 404)
  })

  test('should provide secure master service', async () => {
    const service = await eventually(
      () => call('GET', '/api/v1/namespaces/default/services/kubernetes'),
      (a) => a.code === 200,
    )
    assert.deepEqual(
      service.body['spec'].ports.map((p: { port: number; name: string }) => [p.name, p.port]),
      [['https', 443]],
    )
  })
})

describe('ResourceQuota', () => {
  const used = async (ns: string, want: Record<string, string>): Promise<KubeObject> =>
    eventually(
      () => get(`/api/v1/namespaces/${ns}/resourcequotas/q`),
      (q) => Object.entries(want).every(([k, v]) => q['status']?.used?.[k] === v),
    )
  test('captures the life of services, secrets, config maps, controllers and custom resources', async () => {
    const ns = await namespace('quota')
    const root = `/api/v1/namespaces/${ns}`
    const hard = {
      services: '2',
      'services.nodeports': '1',
      secrets: '10',
      configmaps: '10',
      replicationcontrollers: '3',
      'count/replicasets.apps': '5',
      pods: '5',
    }
    await post(`${root}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard } })
    const start = await used(ns, { services: '0', secrets: '0', configmaps: '1', pods: '0' })
    assert.deepEqual(start['status'].hard, hard)
    await post(`${root}/secrets`, { metadata: { name: 's' } })
    await post(`${root}/configmaps`, { metadata: { name: 'c' } })
    await post(`${root}/services`, { metadata: { name: 'a' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } })
    await post(`${root}/replicationcontrollers`, {
      metadata: { name: 'rc' },
      spec: { selector: { app: 'x' }, template },
    })
    await post(`/apis/apps/v1/namespaces/${ns}/replicasets`, { metadata: { name: 'rs' }, spec: { selector, template } })
    await used(ns, {
      secrets: '1',
      configmaps: '2',
      services: '1',
      'services.nodeports': '1',
      replicationcontrollers: '1',
      'count/replicasets.apps': '1',
    })
    refused(
      await call('POST', `${root}/services`, {
        body: { metadata: { name: 'b' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } },
      }),
      403,
      'Forbidden',
      /exceeded quota: q, requested: services\.nodeports=1, used: services\.nodeports=1, limited: services\.nodeports=1/,
    )
    for (const path of ['secrets/s', 'configmaps/c', 'services/a', 'replicationcontrollers/rc'])
      await remove(`${root}/${path}`)
    await used(ns, {
      secrets: '0',
      configmaps: '1',
      services: '0',
      'services.nodeports': '0',
      replicationcontrollers: '0',
    })
    await put(`${root}/resourcequotas/q`, { metadata: { name: 'q' }, spec: { hard: { ...hard, services: '9' } } })
    const changed = await eventually(
      () => get(`${root}/resourcequotas/q`),
      (q) => q['status'].hard.services === '9',
    )
    assert.equal(changed['spec'].hard.services, '9')
  })
})

describe('Garbage collector', () => {
  test('deletes dependents, orphans them, and waits for them when it shall', async () => {
    const ns = await namespace('gc')
    const path = `/api/v1/namespaces/${ns}/configmaps`
    const owned = async (owner: KubeObject, name: string): Promise<void> => {
      const ownerReferences = [
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name: owner.metadata.name,
          uid: owner.metadata.uid,
          blockOwnerDeletion: true,
        },
      ]
      await post(path, { metadata: { name, ownerReferences } })
    }
    const gone = (name: string): Promise<unknown> =>
      eventually(
        () => call('GET', `${path}/${name}`),
        (a) => a.code === 404,
      )
    for (const policy of ['Background', 'Foreground', 'Orphan']) {
      const name = policy.toLowerCase()
      await owned(await post(path, { metadata: { name } }), `${name}-child`)
      await remove(`${path}/${name}`, { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: policy } })
      await gone(name)
      if (policy === 'Orphan') assert.equal((await get(`${path}/orphan-child`)).metadata.ownerReferences, undefined)
      else await gone(`${name}-child`)
    }
    const object = await post(path, { metadata: { name: 'p' } })
    const wrong = await call('DELETE', `${path}/p`, { body: { preconditions: { uid: 'other' } } })
    refused(wrong, 409, 'Conflict', /Precondition failed: UID in precondition: other, UID in object meta: /)
    await remove(`${path}/p`, { body: { preconditions: { uid: object.metadata.uid } } })
  })
})
