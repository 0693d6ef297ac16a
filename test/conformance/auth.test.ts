/** test/e2e/auth/{certificates,service_accounts,subject_reviews,selfsubjectreviews}.go, as far as no pod has to run. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import 'reflect-metadata'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { call, eventually, get, namespace, patch, post, put, refused, remove, server, unique, watch } from './server.ts'

const CSRS = '/apis/certificates.k8s.io/v1/certificatesigningrequests'

async function request(commonName: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${commonName}`,
    keys,
    signingAlgorithm: algorithm,
  })
  return Buffer.from(csr.toString('pem')).toString('base64')
}

describe('Certificates API', () => {
  test('should support CSR API operations', async () => {
    const signerName = `example.com/${unique('e2e')}`
    const body = {
      metadata: { generateName: 'e2e-example-csr-' },
      spec: {
        request: await request('e2e.example.com'),
        signerName,
        expirationSeconds: 3600,
        usages: ['digital signature', 'key encipherment', 'server auth'],
      },
    }
    await post(CSRS, body)
    await post(CSRS, body)
    const created = await post(CSRS, body)
    const path = `${CSRS}/${created.metadata.name}`
    assert.equal((await get(path))['spec'].expirationSeconds, 3600)
    const list = await get(CSRS, { fieldSelector: `spec.signerName=${signerName}` })
    assert.equal(list['items'].length, 3)
    const stream = await watch(CSRS, {
      query: {
        resourceVersion: list.metadata.resourceVersion!,
        fieldSelector: `metadata.name=${created.metadata.name}`,
      },
    })
    const patched = await patch(path, 'merge', { metadata: { annotations: { patched: 'true' } } })
    const updated = await put(path, {
      ...patched,
      metadata: { ...patched.metadata, annotations: { ...patched.metadata.annotations, updated: 'true' } },
    })
    assert.equal(updated.metadata.annotations?.['updated'], 'true')
    assert.deepEqual(
      (await stream.take(2)).map((e) => e.type),
      ['MODIFIED', 'MODIFIED'],
    )
    stream.stop()

    assert.equal((await get(`${path}/approval`)).kind, 'CertificateSigningRequest')
    const approval = await patch(`${path}/approval`, 'merge', {
      metadata: { annotations: { patchedapproval: 'true' } },
      status: { conditions: [{ type: 'ApprovalPatch', status: 'True', reason: 'e2e' }] },
    })
    assert.deepEqual(
      approval['status'].conditions.map((c: { type: string }) => c.type),
      ['ApprovalPatch'],
    )
    assert.equal(approval.metadata.annotations?.['patchedapproval'], 'true')
    const approved = await put(`${path}/approval`, {
      ...approval,
      status: {
        conditions: [
          ...approval['status'].conditions,
          { type: 'Approved', status: 'True', reason: 'E2E', message: 'm' },
        ],
      },
    })
    assert.equal(approved['status'].conditions[1].type, 'Approved')

    assert.equal((await get(`${path}/status`)).metadata.uid, created.metadata.uid)
    const { cert } = server().plane.pki.leaf('admin')
    const certificate = Buffer.from(cert).toString('base64')
    const status = await patch(`${path}/status`, 'merge', {
      metadata: { annotations: { patchedstatus: 'true' } },
      status: { certificate },
    })
    assert.equal(status['status'].certificate, certificate)
    assert.equal(status['status'].conditions.length, 2)
    const more = await put(`${path}/status`, {
      ...status,
      status: {
        ...status['status'],
        conditions: [...status['status'].conditions, { type: 'StatusUpdate', status: 'True', reason: 'E2E' }],
      },
    })
    assert.deepEqual([more['status'].conditions.length, more['status'].conditions[2].type], [3, 'StatusUpdate'])

    await remove(path)
    assert.equal((await call('GET', path)).code, 404)
    await remove(CSRS, { query: { fieldSelector: `spec.signerName=${signerName}` } })
    assert.deepEqual((await get(CSRS, { fieldSelector: `spec.signerName=${signerName}` }))['items'], [])
  })
})

describe('ServiceAccounts', () => {
  test('should run through the lifecycle of a ServiceAccount', async () => {
    const ns = await namespace('sa')
    const path = `/api/v1/namespaces/${ns}/serviceaccounts`
    const name = 'testserviceaccount'
    const stream = await watch(path, { query: { labelSelector: 'test-serviceaccount-static=true' } })
    await post(path, { metadata: { name, labels: { 'test-serviceaccount-static': 'true' } } })
    await patch(`${path}/${name}`, 'strategic', { automountServiceAccountToken: false })
    const all = await get('/api/v1/serviceaccounts', { labelSelector: 'test-serviceaccount-static=true' })
    assert.deepEqual(
      all['items'].map((o: { metadata: { name: string } }) => o.metadata.name),
      [name],
    )
    const updated = await put(`${path}/${name}`, {
      ...(await get(`${path}/${name}`)),
      automountServiceAccountToken: true,
    })
    assert.equal(updated['automountServiceAccountToken'], true)
    const gone = await remove(path, { query: { fieldSelector: `metadata.name=${name}` } })
    assert.equal(gone.kind, 'ServiceAccountList')
    assert.deepEqual(
      (await stream.take(4)).map((e) => e.type),
      ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED'],
    )
    stream.stop()
  })

  test('should guarantee kube-root-ca.crt exist in any namespace', async () => {
    const ns = await namespace('rootca')
    const path = `/api/v1/namespaces/${ns}/configmaps/kube-root-ca.crt`
    const before = await get(path)
    await remove(path)
    const again = await eventually(
      () => call('GET', path),
      (a) => a.code === 200,
    )
    assert.deepEqual(again.body['data'], before['data'])
    await put(path, { ...again.body, data: { 'ca.crt': '' } })
    await eventually(
      () => get(path),
      (o) => o['data']['ca.crt'] === before['data']['ca.crt'],
    )
  })

  const automount: [sa: boolean | undefined, pod: boolean | undefined, mounted: boolean][] = [
    [true, undefined, true],
    [undefined, undefined, true],
    [false, undefined, false],
    [false, true, true],
    [true, false, false],
    [undefined, false, false],
  ]
  test('should allow opting out of API token automount', async () => {
    const ns = await namespace('automount')
    for (const [i, [account, pod, mounted]] of automount.entries()) {
      const name = `sa-${i}`
      await post(`/api/v1/namespaces/${ns}/serviceaccounts`, {
        metadata: { name },
        ...(account === undefined ? {} : { automountServiceAccountToken: account }),
      })
      const created = await post(`/api/v1/namespaces/${ns}/pods`, {
        metadata: { name: `pod-${i}` },
        spec: {
          serviceAccountName: name,
          containers: [{ name: 'c', image: 'i' }],
          ...(pod === undefined ? {} : { automountServiceAccountToken: pod }),
        },
      })
      const mounts = (created['spec'].containers[0].volumeMounts ?? []).map((m: { mountPath: string }) => m.mountPath)
      assert.equal(
        mounts.includes('/var/run/secrets/kubernetes.io/serviceaccount'),
        mounted,
        JSON.stringify(automount[i]),
      )
    }
  })

  test('tokens die with their account and with what they are bound to', async () => {
    const ns = await namespace('tokens')
    const root = `/api/v1/namespaces/${ns}`
    await post(`${root}/serviceaccounts`, { metadata: { name: 'a' } })
    const secret = await post(`${root}/secrets`, { metadata: { name: 's' } })
    const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: 's', uid: secret.metadata.uid }
    const issue = async (spec: object): Promise<string> =>
      (await post(`${root}/serviceaccounts/a/token`, { spec }))['status'].token
    const [plain, bound, foreign] = [
      await issue({}),
      await issue({ boundObjectRef }),
      await issue({ audiences: ['other'] }),
    ]
    const who = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const code = async (token: string): Promise<number> => (await call('POST', who, { body: {}, token })).code
    assert.deepEqual([await code(plain), await code(bound), await code(foreign)], [201, 201, 401])
    const review = await post('/apis/authentication.k8s.io/v1/tokenreviews', {
      spec: { token: foreign, audiences: ['other'] },
    })
    assert.deepEqual([review['status'].authenticated, review['status'].audiences], [true, ['other']])
    await remove(`${root}/secrets/s`)
    assert.deepEqual([await code(plain), await code(bound)], [201, 401])
    await remove(`${root}/serviceaccounts/a`)
    assert.equal(await code(plain), 401)
    refused(
      await call('POST', `${root}/serviceaccounts/none/token`, { body: { spec: {} } }),
      404,
      'NotFound',
      /serviceaccounts "none" not found/,
    )
    refused(
      await call('POST', `${root}/serviceaccounts/default/token`, { body: { spec: { expirationSeconds: 5 } } }),
      422,
      'Invalid',
      /may not specify a duration less than 10 minutes/,
    )
  })

  test('OIDC discovery documents are there', async () => {
    const document = await get('/.well-known/openid-configuration')
    assert.ok(document['issuer'] && document['jwks_uri'])
    assert.ok((await get('/openid/v1/jwks'))['keys'].length > 0)
  })
})

describe('Reviews', () => {
  test('should support SubjectReview API operations', async () => {
    const ns = await namespace('subject')
    await post(`/api/v1/namespaces/${ns}/serviceaccounts`, { metadata: { name: 'e2e' } })
    const user = `system:serviceaccount:${ns}:e2e`
    const resourceAttributes = { verb: 'list', resource: 'configmaps', version: 'v1', namespace: ns }
    const review = await post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      spec: { user, resourceAttributes },
    })
    const as = { 'Impersonate-User': user }
    const really = await call('GET', `/api/v1/namespaces/${ns}/configmaps`, { headers: as })
    assert.equal(review['status'].allowed, really.code === 200)
    const local = await post(`/apis/authorization.k8s.io/v1/namespaces/${ns}/localsubjectaccessreviews`, {
      spec: { user, resourceAttributes },
    })
    assert.equal(local['status'].allowed, really.code === 200)
    refused(
      really,
      403,
      'Forbidden',
      new RegExp(
        `^configmaps is forbidden: User "${user}" cannot list resource "configmaps" in API group "" in the namespace "${ns}"$`,
      ),
    )
  })

  test('should support SelfSubjectReview API operations', async () => {
    const headers = {
      'Impersonate-User': 'jane-doe',
      'Impersonate-Uid': 'uniq-id',
      'Impersonate-Group': 'developers',
      'Impersonate-Extra-Known-Languages': 'python',
    }
    const review = await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { body: {}, headers })
    assert.equal(review.code, 201, review.text)
    assert.deepEqual(review.body['status'].userInfo, {
      username: 'jane-doe',
      uid: 'uniq-id',
      groups: ['developers', 'system:authenticated'],
      extra: { 'known-languages': ['python'] },
    })
  })

  test('nobody without credentials', async () => {
    const answer = await call('GET', '/api/v1/namespaces', {
      token: generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('hex'),
    })
    refused(answer, 401, 'Unauthorized', /^Unauthorized$/)
  })
})
