import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { startTestServer, type TestServer } from '../apiserver/testing.ts'
import type { Client, ResourceId } from '../client/client.ts'
import { makeCertificate, serve } from './webhook/server.fixture.ts'

/** The steps as the server runs them: through HTTPS, validation and storage. */

const core = (resource: string): ResourceId => ({ group: '', version: 'v1', resource })
const PODS = core('pods')
const NAMESPACES = core('namespaces')
const CONFIG_MAPS = core('configmaps')

let server: TestServer
let client: Client
before(async () => {
  server = await startTestServer()
  client = server.remoteClient
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
})
after(() => server.close())

const pod = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop' },
  spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
})
const configMap = (name: string, namespace = 'shop', data: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
})

test('a pod gets account, token, priority and tolerations, and may be written back as it is', async () => {
  const made = await client.create(PODS, pod('web'))
  assert.equal(made['spec'].serviceAccountName, 'default')
  assert.equal(made['spec'].priority, 0)
  assert.equal(made['spec'].tolerations.length, 2)
  assert.match(made['spec'].volumes[0].name, /^kube-api-access-[a-z0-9]{5}$/)
  const written = await client.update(PODS, made)
  assert.deepEqual(written['spec'], made['spec'])
})

test('a missing namespace', async () => {
  await assert.rejects(client.create(CONFIG_MAPS, configMap('x', 'gone')), {
    code: 404,
    message: 'namespaces "gone" not found',
  })
})

test('limit ranges fill in and refuse', async () => {
  await client.create(core('limitranges'), {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'bounds', namespace: 'shop' },
    spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, max: { cpu: '1' } }] },
  })
  const made = await client.create(PODS, pod('bounded'))
  assert.deepEqual(made['spec'].containers[0].resources, { limits: { cpu: '500m' }, requests: { cpu: '500m' } })
  const greedy = { containers: [{ name: 'app', image: 'app:1', resources: { limits: { cpu: '2' } } }] }
  await assert.rejects(client.create(PODS, pod('greedy', greedy)), {
    code: 403,
    message: 'pods "greedy" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
  })
})

type Review = { request: { uid: string; object: KubeObject } }

const PATCH = [{ op: 'add', path: '/spec/containers/-', value: { name: 'side', image: 'side:1' } }]

/** Denies what is called `bad`, adds a container to pods. */
async function reviewer() {
  const certificate = makeCertificate('IP:127.0.0.1')
  const running = await serve(certificate, ({ request }: Review, response) => {
    const { name } = request.object.metadata
    const patch = request.object.kind === 'Pod' && request.object['spec'].containers.length === 1
    const answer = {
      uid: request.uid,
      allowed: name !== 'bad',
      ...(name === 'bad' ? { status: { code: 409, reason: 'Conflict', message: 'not this one' } } : {}),
      ...(patch && name !== 'bad'
        ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(PATCH)).toString('base64') }
        : {}),
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }))
  })
  return { ...running, caBundle: Buffer.from(certificate.cert).toString('base64') }
}

test('a webhook patches and denies; built-in steps and defaults hold for what it made', async () => {
  const hook = await reviewer()
  const configurations = {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    resource: 'mutatingwebhookconfigurations',
  }
  try {
    await client.create(configurations, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'side' },
      webhooks: [
        {
          name: 'side.example.com',
          clientConfig: { url: `https://127.0.0.1:${hook.port}/`, caBundle: hook.caBundle },
          rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods', 'configmaps'] }],
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
        },
      ],
    })
    const made = await client.create(PODS, pod('patched'))
    const side = made['spec'].containers[1]
    assert.equal(side.name, 'side')
    assert.equal(side.imagePullPolicy, 'IfNotPresent', 'defaults')
    assert.deepEqual(side.resources.limits, { cpu: '500m' }, 'limit range')
    assert.match(side.volumeMounts[0].name, /^kube-api-access-/, 'token')
    await assert.rejects(client.create(CONFIG_MAPS, configMap('bad')), {
      code: 409,
      reason: 'Conflict',
      message: 'admission webhook "side.example.com" denied the request: not this one',
    })
  } finally {
    await client.delete(configurations, '', 'side')
    await hook.close()
  }
})

test('a quota counts, refuses, and gives back what is deleted', async () => {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'small' } })
  const quotas = core('resourcequotas')
  await client.create(quotas, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'few', namespace: 'small' },
    spec: { hard: { secrets: '2' } },
  })
  const until = async (used: string): Promise<void> => {
    const signal = AbortSignal.timeout(10_000)
    for await (const { object } of client.watch(quotas, { namespace: 'small', signal }))
      if ((object['status'] as { used?: { secrets?: string } } | undefined)?.used?.secrets === used) return
    assert.fail(`used never became ${used}`)
  }
  const secret = (name: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'small' },
  })
  await until('0')
  const tries = await Promise.allSettled(
    ['a', 'b', 'c', 'd'].map((name) => client.create(core('secrets'), secret(name))),
  )
  const refused = tries.flatMap((t) => (t.status === 'rejected' ? [(t.reason as Error).message] : []))
  assert.equal(refused.length, 2)
  for (const message of refused)
    assert.match(
      message,
      /^secrets "[a-d]" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=2, limited: secrets=2$/,
    )
  await until('2')
  const kept = tries.find((t) => t.status === 'fulfilled')!
  await client.delete(core('secrets'), 'small', kept.value.metadata.name!)
  await until('1')
})
