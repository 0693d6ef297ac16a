import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { MemoryClient } from './memory-client.fixture.ts'
import { makeLookup, makeRequest, object, run } from './request.fixture.ts'
import { serviceAccount } from './service-account.ts'

const SERVICE_ACCOUNTS = { group: '', version: 'v1', resource: 'serviceaccounts' }
const MOUNT = {
  name: 'kube-api-access-12345',
  readOnly: true,
  mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
}

const lookup = makeLookup(
  ['', 'serviceaccounts', object('ServiceAccount', 'default')],
  ['', 'serviceaccounts', object('ServiceAccount', 'quiet', { automountServiceAccountToken: false })],
  ['', 'serviceaccounts', object('ServiceAccount', 'puller', { imagePullSecrets: [{ name: 'registry' }] })],
  [
    '',
    'serviceaccounts',
    object('ServiceAccount', 'strict', {
      metadata: { name: 'strict', annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
      secrets: [{ name: 'mine' }],
      imagePullSecrets: [{ name: 'registry' }],
    }),
  ],
)
const client = new MemoryClient()
let slept = 0
const step = serviceAccount({
  lookup,
  client,
  generateName: (prefix) => `${prefix}12345`,
  sleep: async () => {
    slept++
    if (slept === 3)
      await client.create(
        SERVICE_ACCOUNTS,
        object('ServiceAccount', 'default', { metadata: { namespace: 'new', name: 'default' } }),
      )
  },
})

const pod = (spec: object, metadata: object = {}): KubeObject =>
  object('Pod', 'web', { spec: { containers: [{ name: 'app' }], ...spec }, metadata: { name: 'web', ...metadata } })
const mirror = (spec: object): KubeObject => pod(spec, { annotations: { 'kubernetes.io/config.mirror': 'x' } })

test('ServiceAccount: default account, token volume and mounts', async () => {
  const web = pod({ initContainers: [{ name: 'init' }] })
  await run(step, makeRequest({ object: web }))
  assert.deepEqual(web['spec'], {
    serviceAccountName: 'default',
    serviceAccount: 'default',
    initContainers: [{ name: 'init', volumeMounts: [MOUNT] }],
    containers: [{ name: 'app', volumeMounts: [MOUNT] }],
    volumes: [
      {
        name: 'kube-api-access-12345',
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: {
                items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
              },
            },
          ],
        },
      },
    ],
  })
  const again = structuredClone(web)
  await run(step, makeRequest({ object: again }))
  assert.deepEqual(again, web, 'a second run changes nothing')
})

test('ServiceAccount: own mounts at the path are left alone', async () => {
  const own = { name: 'mine', mountPath: MOUNT.mountPath }
  const web = pod({ containers: [{ name: 'app', volumeMounts: [own] }] })
  await run(step, makeRequest({ object: web }))
  assert.deepEqual([web['spec'].containers, web['spec'].volumes], [[{ name: 'app', volumeMounts: [own] }], undefined])
})

for (const [what, spec, mounted] of [
  ['account says no', { serviceAccountName: 'quiet' }, false],
  ['pod says yes over the account', { serviceAccountName: 'quiet', automountServiceAccountToken: true }, true],
  ['pod says no', { automountServiceAccountToken: false }, false],
] as const)
  test(`ServiceAccount: automount, ${what}`, async () => {
    const web = pod(spec)
    await run(step, makeRequest({ object: web }))
    assert.equal(web['spec'].volumes !== undefined, mounted)
  })

for (const [what, spec, expected] of [
  ['from the account', {}, [{ name: 'registry' }]],
  ["the pod's own stay", { imagePullSecrets: [{ name: 'other' }] }, [{ name: 'other' }]],
] as const)
  test(`ServiceAccount: pull secrets, ${what}`, async () => {
    const web = pod({ serviceAccountName: 'puller', ...spec })
    await run(step, makeRequest({ object: web }))
    assert.deepEqual(web['spec'].imagePullSecrets, expected)
  })

const env = (name: string): object => ({ env: [{ name: 'E', valueFrom: { secretKeyRef: { name, key: 'k' } } }] })
const FORBIDDEN = 'pods "web" is forbidden: '
const NOT_LISTED = 'is not allowed because service account strict does not reference that'

for (const [what, object_, why] of [
  [
    'missing account',
    pod({ serviceAccountName: 'ghost' }),
    'error looking up service account shop/ghost: serviceaccount "ghost" not found',
  ],
  ['mirror with account', mirror({ serviceAccountName: 'x' }), 'a mirror pod may not reference service accounts'],
  [
    'mirror with secret volume',
    mirror({ volumes: [{ name: 'v', secret: { secretName: 's' } }] }),
    'a mirror pod may not reference secrets',
  ],
  [
    'mirror with secret in its environment',
    mirror({ containers: [{ name: 'app', ...env('s') }] }),
    'a mirror pod may not reference secrets',
  ],
  [
    'mirror with token',
    mirror({ volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] }),
    'a mirror pod may not use ServiceAccountToken volume projections',
  ],
  [
    'volume of a secret the account does not list',
    pod({ serviceAccountName: 'strict', volumes: [{ name: 'v', secret: { secretName: 'theirs' } }] }),
    `volume with secret.secretName="theirs" ${NOT_LISTED} secret`,
  ],
  [
    'environment',
    pod({ serviceAccountName: 'strict', containers: [{ name: 'app', ...env('theirs') }] }),
    `container app with envVar E referencing secret.secretName="theirs" ${NOT_LISTED} secret`,
  ],
  [
    'envFrom of an init container',
    pod({
      serviceAccountName: 'strict',
      initContainers: [{ name: 'i', envFrom: [{ secretRef: { name: 'theirs' } }] }],
    }),
    `init container i with envFrom referencing secret.secretName="theirs" ${NOT_LISTED} secret`,
  ],
  [
    'pull secret',
    pod({ serviceAccountName: 'strict', imagePullSecrets: [{ name: 'theirs' }] }),
    `imagePullSecrets[0].name="theirs" ${NOT_LISTED} imagePullSecret`,
  ],
] as const)
  test(`ServiceAccount: refuses ${what}`, async () => {
    await assert.rejects(run(step, makeRequest({ object: object_ })), { code: 403, message: FORBIDDEN + why })
  })

test('ServiceAccount: a mirror pod is not changed', async () => {
  const web = mirror({})
  const before = structuredClone(web)
  await run(step, makeRequest({ object: web }))
  assert.deepEqual(web, before)
})

test('ServiceAccount: ephemeral containers keep to the mountable secrets', async () => {
  const debug = { ephemeralContainers: [{ name: 'debug', ...env('theirs') }] }
  const request = (name: string) =>
    makeRequest({
      operation: 'UPDATE',
      subresource: 'ephemeralcontainers',
      object: pod({ serviceAccountName: name, ...debug }),
    })
  await run(step, request('default'))
  await assert.rejects(run(step, request('strict')), {
    message: `${FORBIDDEN}ephemeral container debug with envVar E referencing secret.secretName="theirs" ${NOT_LISTED} secret`,
  })
})

test('ServiceAccount: waits for the default account of a new namespace', async () => {
  slept = 0
  const web = pod({})
  await run(step, makeRequest({ object: web, namespace: 'new' }))
  assert.equal(slept, 3)
  assert.equal(web['spec'].serviceAccountName, 'default')
})

test('ServiceAccount: gives up waiting in the end', async () => {
  slept = 10
  await assert.rejects(run(step, makeRequest({ object: pod({}), namespace: 'never' })), {
    message: `${FORBIDDEN}error looking up service account never/default: serviceaccount "default" not found`,
  })
  assert.equal(slept, 19)
})
