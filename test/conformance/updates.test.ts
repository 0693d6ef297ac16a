/** pkg/registry: what a PUT may leave out, what it may create, and what /status may not touch. */
import assert from 'node:assert/strict'
import { createSign, generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { call, customKind, eventually, get, namespace, PATCH, patch, post, put, refused, unique } from './server.ts'

const without = (object: KubeObject): KubeObject => {
  const { resourceVersion: _version, ...metadata } = object.metadata
  return { ...object, metadata }
}

const hook = {
  name: 'a.example.com',
  clientConfig: { url: 'https://127.0.0.1:9/' },
  rules: [],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
}

describe('a PUT without a resourceVersion', () => {
  const kinds: [resource: string, path: string, spec: object][] = [
    [
      'poddisruptionbudgets.policy',
      '/apis/policy/v1/namespaces/NS/poddisruptionbudgets',
      { spec: { minAvailable: 1 } },
    ],
    ['leases.coordination.k8s.io', '/apis/coordination.k8s.io/v1/namespaces/NS/leases', { spec: {} }],
    ...['validating', 'mutating'].map((way): [string, string, object] => [
      `${way}webhookconfigurations.admissionregistration.k8s.io`,
      `/apis/admissionregistration.k8s.io/v1/${way}webhookconfigurations`,
      { webhooks: [hook] },
    ]),
  ]
  for (const [resource, template, rest] of kinds)
    test(`of ${resource} is refused`, async () => {
      const path = template.replace('NS', await namespace('put'))
      const name = unique('a')
      const object = await post(path, { metadata: { name }, ...rest })
      const message = `${resource} "${name}" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update`
      for (const body of [without(object), { ...object, metadata: { ...object.metadata, resourceVersion: '0' } }]) {
        const answer = await call('PUT', `${path}/${name}`, { body })
        refused(answer, 422, 'Invalid')
        assert.equal(answer.body['message'], message)
        assert.equal(answer.body['details'].causes[0].field, 'metadata.resourceVersion')
      }
      await put(`${path}/${name}`, object)
    })

  test('of custom resources and their definitions is refused, also as a patch that takes it away', async () => {
    const crd = await customKind({ subresources: { status: {} } })
    const types = { apiVersion: `${crd.group}/v1`, kind: crd.kind }
    const one = await post(crd.path, { ...types, metadata: { name: 'one' }, spec: 1 })
    for (const path of [`${crd.path}/one`, `${crd.path}/one/status`]) {
      refused(await call('PUT', path, { body: without(one) }), 422, 'Invalid', /0x0: must be specified for an update$/)
      const body = { metadata: { resourceVersion: null } }
      refused(
        await call('PATCH', path, { body, type: PATCH.merge }),
        422,
        'Invalid',
        /must be specified for an update$/,
      )
    }
    await put(`${crd.path}/one`, { ...one, spec: 2 })
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.name}`
    const definition = await get(path)
    for (const at of [path, `${path}/status`])
      refused(await call('PUT', at, { body: without(definition) }), 422, 'Invalid', /must be specified for an update$/)
  })

  test('of other kinds takes the newest, and so does "0"', async () => {
    const path = `/api/v1/namespaces/${await namespace('put')}/configmaps`
    const object = await post(path, { metadata: { name: 'c' }, data: { a: '1' } })
    await put(`${path}/c`, { ...without(object), data: { a: '2' } })
    const metadata = { ...object.metadata, resourceVersion: '0' }
    assert.deepEqual((await put(`${path}/c`, { ...object, metadata, data: { a: '3' } }))['data'], { a: '3' })
    refused(await call('PUT', `${path}/c`, { body: object }), 409, 'Conflict')
  })
})

describe('a PUT of what does not exist', () => {
  const KINDS: [path: string, body: object][] = [
    ['/api/v1/namespaces/NS/services/s', { spec: { ports: [{ port: 80 }], selector: { a: 'b' } } }],
    ['/api/v1/namespaces/NS/limitranges/l', { spec: { limits: [] } }],
    ['/api/v1/namespaces/NS/endpoints/e', { subsets: [] }],
    ['/apis/coordination.k8s.io/v1/namespaces/NS/leases/l', { spec: {} }],
  ]
  for (const [template, rest] of KINDS)
    test(`creates it: ${template}`, async () => {
      const path = template.replace('NS', await namespace('put'))
      const body = { metadata: { name: path.slice(path.lastIndexOf('/') + 1) }, ...rest }
      const answer = await call('PUT', path, { body })
      assert.equal(answer.code, 201, answer.text)
      if (path.includes('/services/')) assert.match(answer.body['spec'].clusterIP, /^10\./)
      const again = await call('PUT', path, { body: answer.body })
      assert.equal(again.code, 200, again.text)
    })

  test('needs the permission to create', async () => {
    const ns = await namespace('put')
    const rules = [{ apiGroups: [''], resources: ['services', 'limitranges'], verbs: ['get', 'update'] }]
    await post(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/roles`, { metadata: { name: 'r' }, rules })
    await post(`/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/rolebindings`, {
      metadata: { name: 'r' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: ns }],
    })
    const answer = await post(`/api/v1/namespaces/${ns}/serviceaccounts/default/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    })
    const { token } = answer['status']
    const own = `/api/v1/namespaces/${ns}`
    await eventually(
      () => call('GET', `${own}/services/none`, { token }),
      (a) => a.code === 404,
    )
    const service = { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } }
    for (const [path, body] of [
      [`${own}/services/s`, service],
      [`${own}/limitranges/s`, { metadata: { name: 's' }, spec: { limits: [] } }],
    ] as const) {
      refused(await call('PUT', path, { token, body }), 403, 'Forbidden', /cannot create resource/)
      assert.equal((await call('GET', path)).code, 404)
    }
    const created = await post(`${own}/services`, service)
    const changed = { ...created, metadata: { ...created.metadata, labels: { a: 'b' } } }
    assert.equal((await call('PUT', `${own}/services/s`, { token, body: changed })).code, 200)
  })

  test('is not found for the other kinds', async () => {
    const body = { metadata: { name: 'c' } }
    const path = `/api/v1/namespaces/${await namespace('put')}/configmaps/c`
    refused(await call('PUT', path, { body }), 404, 'NotFound')
  })
})

const LABELS = { was: 'there' }
const template = { metadata: { labels: LABELS }, spec: { containers: [{ name: 'c', image: 'i' }] } }
const workload = { selector: { matchLabels: LABELS }, template }

/** Which metadata a write to /status leaves as it is; Kubernetes' strategies keep no other. */
const STATUS: [path: string, rest: object, kept: readonly string[]][] = [
  ['/apis/apps/v1/namespaces/NS/deployments', { spec: workload }, ['labels']],
  ['/apis/apps/v1/namespaces/NS/replicasets', { spec: workload }, []],
  ['/apis/apps/v1/namespaces/NS/daemonsets', { spec: workload }, []],
  ['/apis/apps/v1/namespaces/NS/statefulsets', { spec: { ...workload, serviceName: 's' } }, []],
  [
    '/apis/batch/v1/namespaces/NS/jobs',
    { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
    [],
  ],
  ['/api/v1/namespaces/NS/replicationcontrollers', { spec: { selector: LABELS, template } }, []],
  ['/api/v1/namespaces/NS/pods', { spec: { ...template.spec, schedulerName: 'nobody' } }, ['ownerReferences']],
  ['/api/v1/namespaces/NS/services', { spec: { ports: [{ port: 80 }] } }, []],
  ['/api/v1/namespaces/NS/resourcequotas', { spec: { hard: {} } }, []],
  ['/apis/policy/v1/namespaces/NS/poddisruptionbudgets', { spec: { minAvailable: 1 } }, []],
  ['/api/v1/nodes', {}, []],
  ['/api/v1/namespaces', {}, []],
]
const OWNER = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: '7d1d9b6c-0c0e-4f4e-9d3e-0b6a6f1f3f11' }

async function checkKept(object: KubeObject, path: string, kept: readonly string[]): Promise<void> {
  const given = { labels: { now: 'else' }, annotations: { now: 'else' }, ownerReferences: [OWNER] }
  const before = object.metadata as Record<string, unknown>
  const body = { ...object, metadata: { ...object.metadata, ...given } }
  const answer = (await put(path, body)).metadata as Record<string, unknown>
  for (const [field, value] of Object.entries(given)) {
    if (kept.includes(field)) assert.deepEqual(answer[field], before[field], `${path}: ${field} changed`)
    else if (field === 'labels') assert.equal((answer[field] as Record<string, string>)['now'], 'else', path)
    else assert.deepEqual(answer[field], value, `${path}: ${field} did not change`)
  }
}

/** A new Node is given its pod addresses and taints by controllers. */
async function settled(path: string): Promise<void> {
  for (;;) {
    const { spec } = await get(path)
    if (spec?.podCIDR && spec.taints?.length === 2) return
    await sleep(10)
  }
}

describe('a write to /status', () => {
  for (const [collection, rest, kept] of STATUS)
    test(`of ${collection} keeps ${kept.join(' and ') || 'no metadata'}`, async () => {
      const path = collection.replace('NS', await namespace('status'))
      const name = unique('a')
      await post(path, { metadata: { name, labels: LABELS }, ...rest })
      if (path.endsWith('/nodes')) await settled(`${path}/${name}`)
      await checkKept(await get(`${path}/${name}`), `${path}/${name}/status`, kept)
    })

  test('of a custom resource keeps all metadata, of its definition none', async () => {
    const crd = await customKind({ subresources: { status: {} } })
    const metadata = { name: 'a', labels: LABELS }
    const one = await post(crd.path, { apiVersion: `${crd.group}/v1`, kind: crd.kind, metadata })
    await checkKept(one, `${crd.path}/a/status`, ['labels', 'annotations', 'ownerReferences'])
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.name}`
    await checkKept(await get(path), `${path}/status`, [])
  })

  test('of a certificate signing request keeps no metadata, and neither does /approval', async () => {
    const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
    const name = unique('csr')
    const spec = { request: certificateRequest(), signerName: 'example.com/a', usages: ['client auth'] }
    await post(path, { metadata: { name, labels: LABELS }, spec })
    for (const at of ['status', 'approval']) await checkKept(await get(`${path}/${name}`), `${path}/${name}/${at}`, [])
  })

  test('does not come to own what it cannot change', async () => {
    const path = `/apis/apps/v1/namespaces/${await namespace('status')}/deployments`
    await post(path, { metadata: { name: 'd', labels: LABELS }, spec: workload })
    const answer = await patch(
      `${path}/d/status`,
      'merge',
      { metadata: { labels: { now: 'else' }, annotations: { a: 'b' } }, status: { replicas: 1 } },
      { fieldManager: 'm' },
    )
    assert.deepEqual(answer.metadata.labels, LABELS)
    const own = answer.metadata.managedFields?.find((e) => e.manager === 'm')?.fieldsV1
    assert.deepEqual(own, {
      'f:metadata': { 'f:annotations': { '.': {}, 'f:a': {} } },
      'f:status': { 'f:replicas': {} },
    })
  })

  test('of a pod: neither do /ephemeralcontainers and /resize touch metadata', async () => {
    const path = `/api/v1/namespaces/${await namespace('status')}/pods`
    const pod = await post(path, {
      metadata: { name: 'p', labels: LABELS },
      spec: { ...template.spec, schedulerName: 'nobody' },
    })
    const metadata = { labels: { now: 'else' }, annotations: { a: 'b' } }
    for (const subresource of ['ephemeralcontainers', 'resize']) {
      const answer = await call('PATCH', `${path}/p/${subresource}`, { body: { metadata }, type: PATCH.merge })
      if (answer.code === 404 && subresource === 'resize') continue
      assert.equal(answer.code, 200, answer.text)
      assert.deepEqual([answer.body.metadata.labels, answer.body.metadata.annotations], [LABELS, undefined])
    }
    assert.deepEqual((await get(`${path}/p`)).metadata, pod.metadata)
  })
})

/** A PKCS#10 request of a new P-256 key, without a subject (RFC 2986). */
function certificateRequest(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = (tag: number, ...parts: Buffer[]): Buffer => {
    const body = Buffer.concat(parts)
    const length = body.length < 128 ? [body.length] : [0x81, body.length]
    return Buffer.concat([Buffer.from([tag, ...length]), body])
  }
  const key = publicKey.export({ type: 'spki', format: 'der' })
  const info = der(0x30, Buffer.from('020100', 'hex'), der(0x30), key, der(0xa0))
  const signature = createSign('sha256').update(info).sign(privateKey)
  const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex')
  const request = der(0x30, info, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature))
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${request.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  return Buffer.from(pem).toString('base64')
}

describe('metadata.generation', () => {
  const labels = { app: 'a' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  const selector = { matchLabels: labels }
  const kinds: [kind: string, path: string, body: object, counts: boolean][] = [
    ['Deployment', '/apis/apps/v1/namespaces/NS/deployments', { spec: { selector, template } }, true],
    ['ReplicaSet', '/apis/apps/v1/namespaces/NS/replicasets', { spec: { selector, template } }, false],
    ['StatefulSet', '/apis/apps/v1/namespaces/NS/statefulsets', { spec: { selector, template } }, false],
    ['DaemonSet', '/apis/apps/v1/namespaces/NS/daemonsets', { spec: { selector, template } }, false],
    ['NetworkPolicy', '/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies', { spec: { podSelector: {} } }, false],
  ]
  for (const [kind, where, body, counts] of kinds)
    test(`annotations of a ${kind} ${counts ? 'count' : 'do not count'}`, async () => {
      const path = where.replace('NS', await namespace('generation'))
      const name = unique('a')
      const created = await post(path, { metadata: { name }, ...body })
      const annotated = await patch(`${path}/${name}`, 'merge', { metadata: { annotations: { a: 'b' } } })
      assert.equal(annotated.metadata.generation, created.metadata.generation! + (counts ? 1 : 0))
      const labelled = await patch(`${path}/${name}`, 'merge', { metadata: { labels: { a: 'b' } } })
      assert.equal(labelled.metadata.generation, annotated.metadata.generation)
      if (kind === 'NetworkPolicy') return
      const status = await patch(`${path}/${name}/status`, 'merge', { metadata: { annotations: { c: 'd' } } })
      assert.equal(status.metadata.generation, annotated.metadata.generation)
    })
})

test('webhook configurations take finalizers without a domain, as kinds outside of the core package do', async () => {
  for (const way of ['validating', 'mutating']) {
    const path = `/apis/admissionregistration.k8s.io/v1/${way}webhookconfigurations`
    const name = unique('f')
    await post(path, { metadata: { name, finalizers: ['hold'] }, webhooks: [hook] })
    await patch(`${path}/${name}`, 'merge', { metadata: { finalizers: null } })
  }
  const configMaps = `/api/v1/namespaces/${await namespace('finalizers')}/configmaps`
  const refusedMap = await call('POST', configMaps, { body: { metadata: { name: 'a', finalizers: ['hold'] } } })
  refused(refusedMap, 422, 'Invalid', /name is neither a standard finalizer name nor is it fully qualified/)
})

test('the priority classes of the system are there', async () => {
  const path = '/apis/scheduling.k8s.io/v1/priorityclasses'
  for (const [name, value] of [
    ['system-node-critical', 2_000_001_000],
    ['system-cluster-critical', 2_000_000_000],
  ])
    assert.equal((await get(`${path}/${name}`))['value'], value)
})
