/** test/e2e/apimachinery/field_validation.go and apply.go. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { call, customKind, get, namespace, PATCH, patch, post, refused } from './server.ts'

const podTemplate = {
  metadata: { labels: { app: 'nginx' } },
  spec: { containers: [{ name: 'nginx', image: 'nginx:latest' }] },
}
const deployment = (more: string, metadata = ''): string => `{
  "apiVersion": "apps/v1", "kind": "Deployment",
  "metadata": {"name": "my-dep", ${metadata} "labels": {"app": "nginx"}},
  "spec": {${more} "selector": {"matchLabels": {"app": "nginx"}}, "template": ${JSON.stringify(podTemplate)}}}`

const noxuSchema = (spec: object): Record<string, unknown> => ({
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      ...spec,
      properties: {
        foo: { type: 'string' },
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
        ports: {
          type: 'array',
          'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
          'x-kubernetes-list-type': 'map',
          items: {
            properties: {
              containerPort: { format: 'int32', type: 'integer' },
              hostIP: { type: 'string' },
              hostPort: { format: 'int32', type: 'integer' },
              name: { type: 'string' },
              protocol: { type: 'string' },
            },
            required: ['containerPort', 'protocol'],
            type: 'object',
          },
        },
        ...(spec as { properties?: object }).properties,
      },
    },
  },
})

const cr = (apiVersion: string, kind: string, parts: { meta?: string; root?: string; spec?: string }): string => `
apiVersion: ${apiVersion}
kind: ${kind}
metadata:
  name: mytest
${parts.meta ?? ''}  finalizers:
  - test-finalizer
${parts.root ?? ''}spec:
${parts.spec ?? '  foo: foo1\n'}  cronSpec: "* * * * */5"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP`

const embedded = {
  'x-kubernetes-preserve-unknown-fields': true,
  properties: {
    template: {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      properties: {
        metadata: { type: 'object', properties: { name: { type: 'string' } } },
        spec: { type: 'object' },
      },
    },
  },
}

describe('FieldValidation', () => {
  const typed: [name: string, body: string, message: RegExp][] = [
    [
      'unknown and duplicate fields',
      deployment('"unknownField": "foo", "replicas": 2, "replicas": 3,'),
      /strict decoding error: unknown field "spec\.unknownField", duplicate field "spec\.replicas"/,
    ],
    [
      'unknown metadata',
      deployment('', '"unknownMeta": "foo",'),
      /strict decoding error: unknown field "metadata\.unknownMeta"/,
    ],
  ]
  for (const [name, body, message] of typed)
    test(`should detect ${name} of a typed object`, async () => {
      const ns = await namespace('field-validation')
      const path = `/apis/apps/v1/namespaces/${ns}/deployments`
      const answer = await call('POST', path, { body, query: { fieldManager: 'm', fieldValidation: 'Strict' } })
      refused(answer, 400, 'BadRequest', message)
      const warned = await call('POST', path, { body, query: { fieldManager: 'm', dryRun: 'All' } })
      assert.equal(warned.code, 201, warned.text)
      assert.match(String(warned.headers['warning']), /299 - "unknown field \\"(spec|metadata)\.unknown/)
    })

  const custom: [
    name: string,
    schema: Record<string, unknown> | undefined,
    parts: Parameters<typeof cr>[2],
    message?: RegExp,
  ][] = [
    ['a valid CR with a schema', noxuSchema({}), {}],
    ['unknown fields of a CR without a schema', undefined, { spec: '  unknown: uk1\n' }],
    [
      'extra properties',
      noxuSchema({}),
      { root: 'unknownField: unknown\n' },
      /\.unknownField: field not declared in schema/,
    ],
    [
      'unknown metadata in root and embedded object',
      noxuSchema(embedded),
      {
        meta: '  unknownMeta: unknown\n',
        spec: '  template:\n    apiversion: foo/v1\n    kind: Sub\n    metadata:\n        unknownSubMeta: unknown\n        name: subobject\n  foo: foo1\n',
      },
      /\.(spec\.template\.metadata\.unknownSubMeta|metadata\.unknownMeta): field not declared in schema/,
    ],
    [
      'duplicates where unknown fields are kept',
      noxuSchema({ 'x-kubernetes-preserve-unknown-fields': true }),
      { spec: '  unknown: uk1\n  foo: foo1\n  foo: foo2\n' },
      /line 11: key "foo" already set in map/,
    ],
  ]
  for (const [name, schema, parts, message] of custom)
    test(`apply of a CR: ${name}`, async () => {
      const { path, group, kind } = await customKind({
        ...(schema ? { schema } : {}),
        versions: [{ name: 'v1beta1' }, { name: 'v1' }],
      })
      const answer = await call('PATCH', `${path}/mytest`, {
        body: cr(`${group}/v1beta1`, kind, parts),
        type: PATCH.apply,
        query: { fieldManager: 'field_validation_mgr', fieldValidation: 'Strict' },
      })
      if (message === undefined) assert.equal(answer.code, 201, answer.text)
      else {
        assert.ok(answer.code >= 400, answer.text)
        assert.match(answer.body['message'], message)
      }
    })
})

const nginx = (replicas?: number): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'deployment', labels: { app: 'nginx' } },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    selector: { matchLabels: { app: 'nginx' } },
    template: podTemplate,
  },
})

describe('ServerSideApply', () => {
  const pod = (name: string): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'test', image: 'test' }] },
  })
  test('should create an applied object if it does not already exist', async () => {
    const ns = await namespace('apply')
    const path = `/api/v1/namespaces/${ns}/pods/test-pod`
    const created = await call('PATCH', path, {
      body: pod('test-pod'),
      type: PATCH.apply,
      query: { fieldManager: 'apply_test' },
    })
    assert.equal(created.code, 201, created.text)
    const template = { apiVersion: 'v1', kind: 'PodTemplate', metadata: { name: 't' }, template: podTemplate }
    await patch(`/api/v1/namespaces/${ns}/podtemplates/t`, 'apply', template, { fieldManager: 'apply_test' })
    // Applying again changes nothing, not even the times.
    const again = await patch(path, 'apply', pod('test-pod'), { fieldManager: 'apply_test' })
    assert.deepEqual(again, created.body)
  })

  test('should work for subresources', async () => {
    const ns = await namespace('apply')
    const path = `/api/v1/namespaces/${ns}/pods/test-pod`
    await patch(path, 'apply', pod('test-pod'), { fieldManager: 'apply_test' })
    const status = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'test-pod' },
      status: { conditions: [{ type: 'MyStatus', status: 'True' }] },
    }
    const applied = await patch(`${path}/status`, 'apply', status, { fieldManager: 'subresource_test' })
    const entry = applied.metadata.managedFields?.find((e) => e.manager === 'subresource_test')
    assert.equal(entry?.subresource, 'status')
    assert.equal(entry?.operation, 'Apply')
    assert.ok(applied['status'].conditions.some((c: { type: string }) => c.type === 'MyStatus'))
    assert.equal(applied['spec'].containers[0].image, 'test')
  })

  test('should remove a field if it is owned but removed in the apply request', async () => {
    const ns = await namespace('apply')
    const path = `/apis/apps/v1/namespaces/${ns}/deployments/deployment`
    const replicated = await patch(path, 'apply', nginx(5), { fieldManager: 'apply_test' })
    assert.equal(replicated['spec'].replicas, 5)
    assert.equal((await patch(path, 'apply', nginx(), { fieldManager: 'apply_test' }))['spec'].replicas, 1)
  })

  test('should not remove a field if an owner unsets it but others still own it', async () => {
    const ns = await namespace('apply')
    const path = `/apis/apps/v1/namespaces/${ns}/deployments/deployment`
    await patch(path, 'apply', nginx(3), { fieldManager: 'shared_owner_1' })
    await patch(path, 'apply', nginx(3), { fieldManager: 'shared_owner_2' })
    assert.equal((await patch(path, 'apply', nginx(), { fieldManager: 'shared_owner_1' }))['spec'].replicas, 3)
  })

  test('should ignore conflict errors if force apply is used', async () => {
    const ns = await namespace('apply')
    const path = `/apis/apps/v1/namespaces/${ns}/deployments/deployment`
    await post(`/apis/apps/v1/namespaces/${ns}/deployments`, nginx(5))
    const body = nginx(3)
    const conflict = await call('PATCH', path, { body, type: PATCH.apply, query: { fieldManager: 'apply_test' } })
    refused(
      conflict,
      409,
      'Conflict',
      /^Apply failed with 1 conflict: conflict with "conformance" using apps\/v1: \.spec\.replicas$/,
    )
    assert.equal(conflict.body['details'].causes[0].reason, 'FieldManagerConflict')
    const forced = await patch(path, 'apply', body, { fieldManager: 'apply_test', force: true })
    assert.equal(forced['spec'].replicas, 3)
  })

  test('should work for CRDs, their status and their scale', async () => {
    const { path, group, kind } = await customKind({
      subresources: {
        status: {},
        scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
      },
    })
    const object = (spec: object): object => ({ apiVersion: `${group}/v1`, kind, metadata: { name: 'mytest' }, spec })
    const one = await patch(`${path}/mytest`, 'apply', object({ replicas: 1, a: 1 }), { fieldManager: 'first' })
    assert.equal(one.metadata.generation, 1)
    const conflict = await call('PATCH', `${path}/mytest`, {
      body: object({ replicas: 2 }),
      type: PATCH.apply,
      query: { fieldManager: 'second' },
    })
    refused(conflict, 409, 'Conflict', /\.spec\.replicas/)
    const two = await patch(`${path}/mytest`, 'apply', object({ replicas: 2 }), { fieldManager: 'second', force: true })
    assert.deepEqual(
      { spec: two['spec'], generation: two.metadata.generation },
      { spec: { replicas: 2, a: 1 }, generation: 2 },
    )
    const status = { apiVersion: `${group}/v1`, kind, metadata: { name: 'mytest' }, status: { replicas: 2 } }
    const three = await patch(`${path}/mytest/status`, 'apply', status, { fieldManager: 'status' })
    assert.deepEqual(
      { status: three['status'], generation: three.metadata.generation },
      { status: { replicas: 2 }, generation: 2 },
    )
    const scale = await get(`${path}/mytest/scale`)
    assert.deepEqual(
      { spec: scale['spec'], status: scale['status'] },
      { spec: { replicas: 2 }, status: { replicas: 2 } },
    )
    await patch(`${path}/mytest/scale`, 'merge', { spec: { replicas: 4 } })
    assert.equal((await get(`${path}/mytest`))['spec'].replicas, 4)
  })

  test('should give up ownership of a field if forced applied by a controller', async () => {
    const ns = await namespace('apply')
    const config = (data: object): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data })
    const path = `/api/v1/namespaces/${ns}/configmaps/c`
    await patch(path, 'apply', config({ a: '1', b: '1' }), { fieldManager: 'user' })
    await patch(path, 'apply', config({ a: '2' }), { fieldManager: 'controller', force: true })
    const left = await patch(path, 'apply', config({ b: '1' }), { fieldManager: 'user' })
    assert.deepEqual(left['data'], { a: '2', b: '1' })
    const managers = left.metadata.managedFields?.map((e) => [
      e.manager,
      Object.keys((e.fieldsV1['f:data'] ?? {}) as object),
    ])
    assert.deepEqual(managers?.sort(), [
      ['controller', ['f:a']],
      ['user', ['f:b']],
    ])
  })

  test('needs a field manager, and a body of the kind', async () => {
    const ns = await namespace('apply')
    const path = `/api/v1/namespaces/${ns}/configmaps/c`
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } }
    const nobody = await call('PATCH', path, { body, type: PATCH.apply })
    refused(
      nobody,
      422,
      'Invalid',
      /PatchOptions\.meta\.k8s\.io "" is invalid: fieldManager: Required value: is required for apply patch/,
    )
    const forced = await call('PATCH', path, { body: {}, type: PATCH.merge, query: { force: true } })
    refused(forced, 422, 'Invalid', /force: Forbidden: may not be specified for non-apply patch/)
  })
})
