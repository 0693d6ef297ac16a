/** The JavaScript client of the Kubernetes project, unmodified, with the kubeconfig that `up` writes. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as k8s from '@kubernetes/client-node'
import { eventually } from '../../src/kernel/controllers/eventually.ts'
import { startCluster, type TestCluster } from '../setup/cluster.ts'

const NS = 'client-node'

describe('@kubernetes/client-node', () => {
  let cluster: TestCluster
  let config: k8s.KubeConfig
  let core: k8s.CoreV1Api
  before(async () => {
    cluster = await startCluster()
    config = new k8s.KubeConfig()
    config.loadFromFile(cluster.kubeconfig)
    core = config.makeApiClient(k8s.CoreV1Api)
    await core.createNamespace({ body: { metadata: { name: NS } } })
  })
  after(async () => await cluster.stop())

  const secret = (name: string, data: Record<string, string> = {}): k8s.V1Secret => ({
    metadata: { name },
    stringData: data,
  })
  const base64 = (text: string): string => Buffer.from(text).toString('base64')

  test('version, discovery, lists', async () => {
    const version = await config.makeApiClient(k8s.VersionApi).getCode()
    assert.match(version.gitVersion, /^v1\.\d+/)
    const groups = await config.makeApiClient(k8s.ApisApi).getAPIVersions()
    assert.ok(groups.groups.some((group) => group.name === 'rbac.authorization.k8s.io'))
    const namespaces = await core.listNamespace()
    assert.ok(namespaces.items.some((item) => item.metadata?.name === NS))
  })

  test('create, read, replace, delete; errors have their code', async () => {
    const made = await core.createNamespacedSecret({ namespace: NS, body: secret('a', { k: 'v1' }) })
    assert.equal(made.data?.['k'], base64('v1'))
    assert.ok(made.metadata?.creationTimestamp instanceof Date)
    const replaced = await core.replaceNamespacedSecret({
      namespace: NS,
      name: 'a',
      body: { ...made, data: { k: base64('v2') } },
    })
    assert.equal(replaced.data?.['k'], base64('v2'))
    const stale = core.replaceNamespacedSecret({ namespace: NS, name: 'a', body: made })
    await assert.rejects(stale, (error: { code?: number }) => error.code === 409)
    await core.deleteNamespacedSecret({ namespace: NS, name: 'a' })
    await assert.rejects(
      core.readNamespacedSecret({ namespace: NS, name: 'a' }),
      (error: { code?: number }) => error.code === 404,
    )
  })

  test('patch: JSON patch by default, the others on request', async () => {
    await core.createNamespacedSecret({ namespace: NS, body: secret('p', { k: 'v1', l: 'v1' }) })
    const json = [{ op: 'replace', path: '/data/k', value: base64('v2') }]
    const first = await core.patchNamespacedSecret({ namespace: NS, name: 'p', body: json })
    assert.equal(first.data?.['k'], base64('v2'))
    const options = (strategy: string) => k8s.setHeaderOptions('Content-Type', strategy)
    const body = { data: { l: null, m: base64('v3') } }
    const merged = await core.patchNamespacedSecret(
      { namespace: NS, name: 'p', body },
      options(k8s.PatchStrategy.MergePatch),
    )
    assert.deepEqual(Object.keys(merged.data ?? {}).sort(), ['k', 'm'])
    const labels = { metadata: { labels: { a: 'b' } } }
    const strategic = await core.patchNamespacedSecret(
      { namespace: NS, name: 'p', body: labels },
      options(k8s.PatchStrategy.StrategicMergePatch),
    )
    assert.deepEqual(strategic.metadata?.labels, { a: 'b' })
    const applied = await core.patchNamespacedSecret(
      {
        namespace: NS,
        name: 'p',
        fieldManager: 'me',
        body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'p' }, data: { n: base64('v4') } },
      },
      options(k8s.PatchStrategy.ServerSideApply),
    )
    assert.ok(applied.metadata?.managedFields?.some((entry) => entry.manager === 'me' && entry.operation === 'Apply'))
  })

  test('the generic object client creates and applies any kind', async () => {
    const objects = k8s.KubernetesObjectApi.makeApiClient(config)
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'reader', namespace: NS },
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
    }
    await objects.create(role)
    const read = await objects.read({ ...role, metadata: { name: 'reader', namespace: NS } })
    assert.equal(read.kind, 'Role')
    await objects.delete(role)
  })

  test('watch tells every change in order', async () => {
    const seen: string[] = []
    const { metadata } = await core.listNamespacedConfigMap({ namespace: NS })
    const watch = new k8s.Watch(config)
    const request = await watch.watch(
      `/api/v1/namespaces/${NS}/configmaps`,
      { resourceVersion: metadata?.resourceVersion, labelSelector: 'watched' },
      (phase: string, object: k8s.V1ConfigMap) => void seen.push(`${phase} ${object.metadata?.name}`),
      () => undefined,
    )
    const body = { metadata: { name: 'w', labels: { watched: 'yes' } } }
    await core.createNamespacedConfigMap({ namespace: NS, body })
    await core.replaceNamespacedConfigMap({ namespace: NS, name: 'w', body: { ...body, data: { a: 'b' } } })
    await core.deleteNamespacedConfigMap({ namespace: NS, name: 'w' })
    await eventually(() => assert.deepEqual(seen, ['ADDED w', 'MODIFIED w', 'DELETED w']))
    request.abort()
  })

  test('an informer lists, follows, and keeps its cache', async () => {
    await core.createNamespacedSecret({
      namespace: NS,
      body: { ...secret('i1'), metadata: { name: 'i1', labels: { informed: 'yes' } } },
    })
    const list = (): Promise<k8s.V1SecretList> =>
      core.listNamespacedSecret({ namespace: NS, labelSelector: 'informed' })
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${NS}/secrets`, list, 'informed')
    const seen: string[] = []
    for (const verb of ['add', 'update', 'delete'] as const)
      informer.on(verb, (object: k8s.V1Secret) => void seen.push(`${verb} ${object.metadata?.name}`))
    await informer.start()
    await core.createNamespacedSecret({
      namespace: NS,
      body: { ...secret('i2'), metadata: { name: 'i2', labels: { informed: 'yes' } } },
    })
    await core.patchNamespacedSecret({
      namespace: NS,
      name: 'i1',
      body: [{ op: 'add', path: '/data', value: { a: base64('b') } }],
    })
    await core.deleteNamespacedSecret({ namespace: NS, name: 'i2' })
    await eventually(() => assert.deepEqual(seen, ['add i1', 'add i2', 'update i1', 'delete i2']))
    assert.deepEqual(
      informer.list().map((object) => object.metadata?.name),
      ['i1'],
    )
    await informer.stop()
  })

  test('access reviews', async () => {
    const authorization = config.makeApiClient(k8s.AuthorizationV1Api)
    const review = await authorization.createSelfSubjectAccessReview({
      body: { spec: { resourceAttributes: { verb: 'delete', resource: 'secrets', namespace: NS } } },
    })
    assert.equal(review.status?.allowed, true)
  })
})
