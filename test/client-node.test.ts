/** @kubernetes/client-node, unmodified, against the server: what programs written with it do all day. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as k8s from '@kubernetes/client-node'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'

let server: TestServer
const directory = mkdtempSync(join(tmpdir(), 'rampart-client-node-'))
before(async () => {
  server = await startTestServer({ directory })
})
after(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

function config(user: Partial<k8s.User> = {}): k8s.KubeConfig {
  const kubeconfig = new k8s.KubeConfig()
  const credentials =
    user.token === undefined
      ? {
          certData: Buffer.from(server.adminCert).toString('base64'),
          keyData: Buffer.from(server.adminKey).toString('base64'),
        }
      : {}
  kubeconfig.loadFromOptions({
    clusters: [
      { name: 'c', server: server.url, caData: Buffer.from(server.ca).toString('base64'), skipTLSVerify: false },
    ],
    users: [{ name: 'u', ...credentials, ...user }],
    contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
    currentContext: 'x',
  })
  return kubeconfig
}

const core = (user?: Partial<k8s.User>): k8s.CoreV1Api => config(user).makeApiClient(k8s.CoreV1Api)

let counter = 0
async function namespace(): Promise<string> {
  const name = `client-node-${++counter}`
  await core().createNamespace({ body: { metadata: { name } } })
  return name
}

async function until<T>(ask: () => Promise<T> | T, fits: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const value = await ask()
    if (fits(value)) return value
    if (Date.now() > deadline) assert.fail(`never so: ${JSON.stringify(value)}`)
    await sleep(20)
  }
}

async function refusal(promise: Promise<unknown>): Promise<{ code: number; reason: string; message: string }> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof k8s.ApiException, String(error))
    const { reason, message } = JSON.parse(error.body) as { reason: string; message: string }
    return { code: error.code, reason, message }
  }
  return assert.fail('the call succeeded')
}

type Typed = k8s.KubernetesObject & { spec?: object }
/** One of each client group: create, read, list, replace, patch, delete. */
type Crud = {
  kind: string
  create: (ns: string) => Promise<Typed>
  read: (ns: string) => Promise<Typed>
  list: (ns: string) => Promise<{ items: Typed[] }>
  replace: (ns: string, body: Typed) => Promise<Typed>
  remove: (ns: string) => Promise<unknown>
}

const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } }
const selector = { matchLabels: { a: 'b' } }
const rows = (): Crud[] => {
  const [v1, apps, batch, rbac, net, coordination, discovery] = [
    core(),
    config().makeApiClient(k8s.AppsV1Api),
    config().makeApiClient(k8s.BatchV1Api),
    config().makeApiClient(k8s.RbacAuthorizationV1Api),
    config().makeApiClient(k8s.NetworkingV1Api),
    config().makeApiClient(k8s.CoordinationV1Api),
    config().makeApiClient(k8s.DiscoveryV1Api),
  ]
  const metadata = { name: 'x', labels: { app: 'x' } }
  return [
    {
      kind: 'ConfigMap',
      create: (namespace) => v1.createNamespacedConfigMap({ namespace, body: { metadata, data: { a: '1' } } }),
      read: (namespace) => v1.readNamespacedConfigMap({ namespace, name: 'x' }),
      list: (namespace) => v1.listNamespacedConfigMap({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => v1.replaceNamespacedConfigMap({ namespace, name: 'x', body }),
      remove: (namespace) => v1.deleteNamespacedConfigMap({ namespace, name: 'x' }),
    },
    {
      kind: 'Secret',
      create: (namespace) => v1.createNamespacedSecret({ namespace, body: { metadata, stringData: { a: '1' } } }),
      read: (namespace) => v1.readNamespacedSecret({ namespace, name: 'x' }),
      list: (namespace) => v1.listNamespacedSecret({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => v1.replaceNamespacedSecret({ namespace, name: 'x', body }),
      remove: (namespace) => v1.deleteNamespacedSecret({ namespace, name: 'x' }),
    },
    {
      kind: 'ServiceAccount',
      create: (namespace) => v1.createNamespacedServiceAccount({ namespace, body: { metadata } }),
      read: (namespace) => v1.readNamespacedServiceAccount({ namespace, name: 'x' }),
      list: (namespace) => v1.listNamespacedServiceAccount({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => v1.replaceNamespacedServiceAccount({ namespace, name: 'x', body }),
      remove: (namespace) => v1.deleteNamespacedServiceAccount({ namespace, name: 'x' }),
    },
    {
      kind: 'Pod',
      create: (namespace) => v1.createNamespacedPod({ namespace, body: { metadata, spec: template.spec } }),
      read: (namespace) => v1.readNamespacedPod({ namespace, name: 'x' }),
      list: (namespace) => v1.listNamespacedPod({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => v1.replaceNamespacedPod({ namespace, name: 'x', body: body as k8s.V1Pod }),
      remove: (namespace) => v1.deleteNamespacedPod({ namespace, name: 'x', gracePeriodSeconds: 0 }),
    },
    {
      kind: 'Service',
      create: (namespace) =>
        v1.createNamespacedService({ namespace, body: { metadata, spec: { ports: [{ port: 80 }] } } }),
      read: (namespace) => v1.readNamespacedService({ namespace, name: 'x' }),
      list: (namespace) => v1.listNamespacedService({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => v1.replaceNamespacedService({ namespace, name: 'x', body: body as k8s.V1Service }),
      remove: (namespace) => v1.deleteNamespacedService({ namespace, name: 'x' }),
    },
    {
      kind: 'Deployment',
      create: (namespace) =>
        apps.createNamespacedDeployment({ namespace, body: { metadata, spec: { selector, template } } }),
      read: (namespace) => apps.readNamespacedDeployment({ namespace, name: 'x' }),
      list: (namespace) => apps.listNamespacedDeployment({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) =>
        apps.replaceNamespacedDeployment({ namespace, name: 'x', body: body as k8s.V1Deployment }),
      remove: (namespace) => apps.deleteNamespacedDeployment({ namespace, name: 'x' }),
    },
    {
      kind: 'CronJob',
      create: (namespace) =>
        batch.createNamespacedCronJob({
          namespace,
          body: {
            metadata,
            spec: {
              schedule: '*/5 * * * *',
              jobTemplate: { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
            },
          },
        }),
      read: (namespace) => batch.readNamespacedCronJob({ namespace, name: 'x' }),
      list: (namespace) => batch.listNamespacedCronJob({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) =>
        batch.replaceNamespacedCronJob({ namespace, name: 'x', body: body as k8s.V1CronJob }),
      remove: (namespace) => batch.deleteNamespacedCronJob({ namespace, name: 'x' }),
    },
    {
      kind: 'Role',
      create: (namespace) =>
        rbac.createNamespacedRole({
          namespace,
          body: { metadata, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
        }),
      read: (namespace) => rbac.readNamespacedRole({ namespace, name: 'x' }),
      list: (namespace) => rbac.listNamespacedRole({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) => rbac.replaceNamespacedRole({ namespace, name: 'x', body: body as k8s.V1Role }),
      remove: (namespace) => rbac.deleteNamespacedRole({ namespace, name: 'x' }),
    },
    {
      kind: 'NetworkPolicy',
      create: (namespace) =>
        net.createNamespacedNetworkPolicy({ namespace, body: { metadata, spec: { podSelector: {} } } }),
      read: (namespace) => net.readNamespacedNetworkPolicy({ namespace, name: 'x' }),
      list: (namespace) => net.listNamespacedNetworkPolicy({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) =>
        net.replaceNamespacedNetworkPolicy({ namespace, name: 'x', body: body as k8s.V1NetworkPolicy }),
      remove: (namespace) => net.deleteNamespacedNetworkPolicy({ namespace, name: 'x' }),
    },
    {
      kind: 'Lease',
      create: (namespace) =>
        coordination.createNamespacedLease({
          namespace,
          body: {
            metadata,
            spec: { holderIdentity: 'me', leaseDurationSeconds: 30, renewTime: new k8s.V1MicroTime() },
          },
        }),
      read: (namespace) => coordination.readNamespacedLease({ namespace, name: 'x' }),
      list: (namespace) => coordination.listNamespacedLease({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) =>
        coordination.replaceNamespacedLease({ namespace, name: 'x', body: body as k8s.V1Lease }),
      remove: (namespace) => coordination.deleteNamespacedLease({ namespace, name: 'x' }),
    },
    {
      kind: 'EndpointSlice',
      create: (namespace) =>
        discovery.createNamespacedEndpointSlice({
          namespace,
          body: { metadata, addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }], ports: [{ port: 80 }] },
        }),
      read: (namespace) => discovery.readNamespacedEndpointSlice({ namespace, name: 'x' }),
      list: (namespace) => discovery.listNamespacedEndpointSlice({ namespace, labelSelector: 'app=x' }),
      replace: (namespace, body) =>
        discovery.replaceNamespacedEndpointSlice({ namespace, name: 'x', body: body as k8s.V1EndpointSlice }),
      remove: (namespace) => discovery.deleteNamespacedEndpointSlice({ namespace, name: 'x' }),
    },
  ]
}

describe('typed clients', () => {
  test('create, read, list, replace, delete', async () => {
    for (const row of rows()) {
      const ns = await namespace()
      const created = await row.create(ns)
      assert.equal(created.kind, row.kind)
      assert.ok(created.metadata?.creationTimestamp instanceof Date, row.kind)
      const read = await row.read(ns)
      assert.equal(read.metadata?.uid, created.metadata?.uid, row.kind)
      assert.deepEqual(
        (await row.list(ns)).items.map((o) => o.metadata?.name),
        ['x'],
        row.kind,
      )
      const annotated = { ...read, metadata: { ...read.metadata, annotations: { note: 'n' } } }
      const replaced = await row.replace(ns, annotated)
      assert.equal(replaced.metadata?.annotations?.['note'], 'n', row.kind)
      assert.deepEqual(replaced.spec, read.spec, row.kind)
      const stale = await refusal(row.replace(ns, { ...read, metadata: { ...read.metadata } }))
      assert.deepEqual([stale.code, stale.reason], [409, 'Conflict'], row.kind)
      await row.remove(ns)
      assert.deepEqual(await refusal(row.read(ns)).then((r) => [r.code, r.reason]), [404, 'NotFound'], row.kind)
    }
  })

  test('every patch type', async () => {
    const ns = await namespace()
    const v1 = core()
    await v1.createNamespacedPod({
      namespace: ns,
      body: { metadata: { name: 'x', labels: { a: '1', b: '2' } }, spec: template.spec },
    })
    const send = (body: object, strategy: string, extra: object = {}): Promise<k8s.V1Pod> =>
      v1.patchNamespacedPod(
        { namespace: ns, name: 'x', body, ...extra },
        k8s.setHeaderOptions('Content-Type', strategy),
      )
    const json = await send([{ op: 'replace', path: '/metadata/labels/a', value: '9' }], k8s.PatchStrategy.JsonPatch)
    assert.deepEqual(json.metadata?.labels, { a: '9', b: '2' })
    const merge = await send({ metadata: { labels: { b: null } } }, k8s.PatchStrategy.MergePatch)
    assert.deepEqual(merge.metadata?.labels, { a: '9' })
    const strategic = await send(
      { spec: { containers: [{ name: 'c', image: 'i:2' }] } },
      k8s.PatchStrategy.StrategicMergePatch,
    )
    assert.deepEqual(
      strategic.spec?.containers.map((c) => [c.name, c.image]),
      [['c', 'i:2']],
    )
    const config = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', labels: { s: '1' } } }
    const applied = await send(config, k8s.PatchStrategy.ServerSideApply, { fieldManager: 'me', force: true })
    assert.deepEqual(applied.metadata?.labels, { a: '9', s: '1' })
    assert.ok(applied.metadata?.managedFields?.some((e) => e.manager === 'me' && e.operation === 'Apply'))
    const conflict = await refusal(
      send({ ...config, metadata: { name: 'x', labels: { s: '2' } } }, k8s.PatchStrategy.ServerSideApply, {
        fieldManager: 'you',
      }),
    )
    assert.deepEqual([conflict.code, conflict.reason], [409, 'Conflict'])
    assert.match(conflict.message, /conflict with "me": \.metadata\.labels\.s/)
    const failed = await refusal(
      send([{ op: 'test', path: '/metadata/name', value: 'y' }], k8s.PatchStrategy.JsonPatch),
    )
    assert.equal(failed.code, 422)
  })

  test('lists in pages', async () => {
    const ns = await namespace()
    const v1 = core()
    for (let i = 0; i < 7; i++)
      await v1.createNamespacedSecret({ namespace: ns, body: { metadata: { name: `s${i}` } } })
    const seen: string[] = []
    let token: string | undefined
    do {
      const page: k8s.V1SecretList = await v1.listNamespacedSecret({
        namespace: ns,
        limit: 3,
        ...(token ? { _continue: token } : {}),
      })
      seen.push(...page.items.map((s) => s.metadata?.name ?? ''))
      token = page.metadata?._continue
    } while (token)
    assert.deepEqual(seen, ['s0', 's1', 's2', 's3', 's4', 's5', 's6'])
    await v1.deleteCollectionNamespacedSecret({ namespace: ns, fieldSelector: 'metadata.name!=s3' })
    assert.deepEqual(
      (await v1.listNamespacedSecret({ namespace: ns })).items.map((s) => s.metadata?.name),
      ['s3'],
    )
  })
})

describe('watch and informers', () => {
  test('Watch sees add, change, delete and bookmarks', async () => {
    const ns = await namespace()
    const v1 = core()
    const seen: string[] = []
    const controller = await new k8s.Watch(config()).watch(
      `/api/v1/namespaces/${ns}/secrets`,
      { allowWatchBookmarks: true, timeoutSeconds: 2 },
      (type, object: k8s.KubernetesObject) => seen.push(`${type} ${object.metadata?.name ?? ''}`.trim()),
      () => seen.push('done'),
    )
    await v1.createNamespacedSecret({ namespace: ns, body: { metadata: { name: 's' } } })
    await v1.replaceNamespacedSecret({
      namespace: ns,
      name: 's',
      body: { metadata: { name: 's' }, stringData: { a: 'b' } },
    })
    await v1.deleteNamespacedSecret({ namespace: ns, name: 's' })
    await until(
      () => seen,
      (s) => s.includes('done'),
    )
    controller.abort()
    assert.deepEqual(seen, ['ADDED s', 'MODIFIED s', 'DELETED s', 'BOOKMARK', 'done'])
  })

  test('an informer follows, and goes on after the server was started anew on its data', async () => {
    const ns = await namespace()
    const list = (): Promise<k8s.V1SecretList> => core().listNamespacedSecret({ namespace: ns })
    const informer = k8s.makeInformer(config(), `/api/v1/namespaces/${ns}/secrets`, list)
    const seen: string[] = []
    for (const verb of ['add', 'update', 'delete'] as const)
      informer.on(verb, (object) => seen.push(`${verb} ${object.metadata?.name}`))
    let stopped = false
    informer.on('error', () => {
      if (!stopped) setTimeout(() => void informer.start().catch(() => undefined), 100)
    })
    await informer.start()
    const body = { metadata: { name: 'one' } }
    await core().createNamespacedSecret({ namespace: ns, body })
    await core().replaceNamespacedSecret({ namespace: ns, name: 'one', body: { ...body, stringData: { a: 'b' } } })
    await until(
      () => seen,
      (s) => s.length >= 2,
    )
    assert.deepEqual(seen, ['add one', 'update one'])

    const { port } = server
    await server.close({ keep: true })
    server = await startTestServer({ directory, settings: { port } })
    assert.equal((await core().readNamespacedSecret({ namespace: ns, name: 'one' })).metadata?.name, 'one')
    await core().createNamespacedSecret({ namespace: ns, body: { metadata: { name: 'two' } } })
    await core().deleteNamespacedSecret({ namespace: ns, name: 'one' })
    await until(
      () => seen,
      (s) => s.includes('add two') && s.includes('delete one'),
    )
    assert.equal(informer.get('two', ns)?.metadata?.name, 'two')
    assert.equal(informer.get('one', ns), undefined)
    stopped = true
    await informer.stop()
  })
})

describe('access', () => {
  test('tokens of service accounts, and reviews of what they may', async () => {
    const ns = await namespace()
    const v1 = core()
    await v1.createNamespacedServiceAccount({ namespace: ns, body: { metadata: { name: 'robot' } } })
    const issued = await v1.createNamespacedServiceAccountToken({
      namespace: ns,
      name: 'robot',
      body: { spec: { audiences: [], expirationSeconds: 3600 } },
    })
    const token = issued.status?.token ?? ''
    assert.ok(issued.status?.expirationTimestamp instanceof Date)
    const authentication = config().makeApiClient(k8s.AuthenticationV1Api)
    const review = await authentication.createTokenReview({ body: { spec: { token } } })
    const user = `system:serviceaccount:${ns}:robot`
    assert.deepEqual([review.status?.authenticated, review.status?.user?.username], [true, user])
    const self = await config({ token }).makeApiClient(k8s.AuthenticationV1Api).createSelfSubjectReview({ body: {} })
    assert.equal(self.status?.userInfo?.username, user)
    assert.equal((await refusal(core({ token }).listNamespacedSecret({ namespace: ns }))).code, 403)

    const rbac = config().makeApiClient(k8s.RbacAuthorizationV1Api)
    const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }]
    await rbac.createNamespacedRole({ namespace: ns, body: { metadata: { name: 'r' }, rules } })
    await rbac.createNamespacedRoleBinding({
      namespace: ns,
      body: {
        metadata: { name: 'rb' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
        subjects: [{ kind: 'ServiceAccount', name: 'robot', namespace: ns }],
      },
    })
    assert.deepEqual((await core({ token }).listNamespacedSecret({ namespace: ns })).items, [])

    const authorization = config().makeApiClient(k8s.AuthorizationV1Api)
    const resourceAttributes = { namespace: ns, verb: 'list', resource: 'secrets' }
    const subject = await authorization.createSubjectAccessReview({ body: { spec: { user, resourceAttributes } } })
    assert.equal(subject.status?.allowed, true)
    const local = await authorization.createNamespacedLocalSubjectAccessReview({
      namespace: ns,
      body: { spec: { user, resourceAttributes: { ...resourceAttributes, verb: 'delete' } } },
    })
    assert.equal(local.status?.allowed, false)
    const mine = config({ token }).makeApiClient(k8s.AuthorizationV1Api)
    assert.equal(
      (await mine.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } })).status?.allowed,
      true,
    )
    const all = await mine.createSelfSubjectRulesReview({ body: { spec: { namespace: ns } } })
    assert.ok(all.status?.resourceRules.some((r) => r.resources?.includes('secrets') && r.verbs.includes('list')))
  })
})

describe('custom resources and untyped clients', () => {
  test('a definition, and CustomObjectsApi on what it defines', async () => {
    const ns = await namespace()
    const group = 'client.example.com'
    const names = { plural: 'widgets', singular: 'widget', kind: 'Widget', shortNames: ['wd'] }
    await config()
      .makeApiClient(k8s.ApiextensionsV1Api)
      .createCustomResourceDefinition({
        body: {
          metadata: { name: `widgets.${group}` },
          spec: {
            group,
            names,
            scope: 'Namespaced',
            versions: [
              {
                name: 'v1',
                served: true,
                storage: true,
                subresources: { status: {} },
                schema: {
                  openAPIV3Schema: {
                    type: 'object',
                    properties: {
                      spec: {
                        type: 'object',
                        properties: {
                          size: { type: 'integer', minimum: 1 },
                          color: { type: 'string', _default: 'red' },
                        },
                      },
                      status: { type: 'object', properties: { ready: { type: 'boolean' } } },
                    },
                  },
                },
              },
            ],
          },
        },
      })
    const api = config().makeApiClient(k8s.CustomObjectsApi)
    const at = { group, version: 'v1', namespace: ns, plural: 'widgets' }
    await until(
      () =>
        api.listNamespacedCustomObject(at).then(
          () => true,
          () => false,
        ),
      (there) => there,
    )
    const body = { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'w' }, spec: { size: 3 } }
    const created = (await api.createNamespacedCustomObject({ ...at, body })) as typeof body & {
      spec: { color: string }
    }
    assert.deepEqual(created.spec, { size: 3, color: 'red' })
    const wrong = await refusal(
      api.createNamespacedCustomObject({ ...at, body: { ...body, metadata: { name: 'v' }, spec: { size: 0 } } }),
    )
    assert.deepEqual([wrong.code, wrong.reason], [422, 'Invalid'])
    const patched = (await api.patchNamespacedCustomObject(
      { ...at, name: 'w', body: { spec: { size: 4 } } },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
    )) as typeof body
    assert.equal(patched.spec.size, 4)
    const status = (await api.patchNamespacedCustomObjectStatus(
      { ...at, name: 'w', body: { spec: { size: 9 }, status: { ready: true } } },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
    )) as typeof body & { status: object }
    assert.deepEqual([status.spec.size, status.status], [4, { ready: true }])
    await api.deleteNamespacedCustomObject({ ...at, name: 'w' })
    assert.deepEqual(((await api.listNamespacedCustomObject(at)) as { items: unknown[] }).items, [])
  })

  test('KubernetesObjectApi creates, reads, lists, patches and deletes by kind', async () => {
    const ns = await namespace()
    const objects = k8s.KubernetesObjectApi.makeApiClient(config())
    const body = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', namespace: ns },
      spec: { selector, template },
    }
    const created = await objects.create(body)
    assert.equal(created.kind, 'Deployment')
    const read = (await objects.read(body)) as k8s.V1Deployment
    assert.equal(read.spec?.replicas, 1)
    const scaled = (await objects.patch({ ...body, spec: { replicas: 2 } } as k8s.KubernetesObject)) as k8s.V1Deployment
    assert.equal(scaled.spec?.replicas, 2)
    const applied = (await objects.patch(
      { ...body, spec: { ...body.spec, replicas: 3 } } as k8s.KubernetesObject,
      undefined,
      undefined,
      'me',
      true,
      k8s.PatchStrategy.ServerSideApply,
    )) as k8s.V1Deployment
    assert.equal(applied.spec?.replicas, 3)
    assert.deepEqual(
      (await objects.list('apps/v1', 'Deployment', ns)).items.map((d) => d.metadata?.name),
      ['d'],
    )
    await objects.delete(body)
    assert.equal((await refusal(objects.read(body))).code, 404)
  })
})
