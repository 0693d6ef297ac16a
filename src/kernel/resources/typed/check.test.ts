import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json, KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import { decodeJson } from '../../codec/json.ts'
import { definitionOf, loadDefinitions } from '../definitions.ts'
import { illegalBase64At, isCanonicalBase64 } from './base64.ts'
import { compileTyped, strictDecodingError, type Typed } from './index.ts'

const schemas = loadDefinitions()
const typed = (apiVersion: string, kind: string): Typed => {
  const { group, version } = parseApiVersion(apiVersion)
  return compileTyped(schemas.get(definitionOf(group, version, kind)!)!, schemas, { kind, version })
}
const object = (apiVersion: string, kind: string, rest: object): KubeObject => ({
  apiVersion,
  kind,
  metadata: {},
  ...structuredClone(rest),
})
const pod = (spec: object): KubeObject => object('v1', 'Pod', { spec })
const check = (o: KubeObject): string[] => typed(o.apiVersion, o.kind).check(o, true)
const errorOf = (o: KubeObject): string => {
  try {
    check(o)
  } catch (error) {
    assert.ok(error instanceof ApiError)
    assert.equal(error.code, 400)
    return error.message
  }
  throw new Error('accepted')
}

test('unknown fields are named by path and dropped', () => {
  const rows: [KubeObject, string[], object][] = [
    [pod({ foo: 1, hostname: 'h' }), ['unknown field "spec.foo"'], { hostname: 'h' }],
    [
      pod({ containers: [{ name: 'a' }, { name: 'b', bar: {}, Image: 'x' }] }),
      ['unknown field "spec.containers[1].bar"', 'unknown field "spec.containers[1].Image"'],
      { containers: [{ name: 'a' }, { name: 'b' }] },
    ],
    [
      pod({ volumes: [{ name: 'v', emptyDir: { x: 1 } }] }),
      ['unknown field "spec.volumes[0].emptyDir.x"'],
      {
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    ],
  ]
  for (const [o, unknown, spec] of rows) {
    assert.deepEqual(check(o), unknown)
    assert.deepEqual(o['spec'], spec)
  }
  const top = object('v1', 'ConfigMap', { data: { 'any.key': 'x' }, spec: {} })
  assert.deepEqual(check(top), ['unknown field "spec"'])
  assert.deepEqual(Object.keys(top), ['apiVersion', 'kind', 'metadata', 'data'])
  const crd = object('apiextensions.k8s.io/v1', 'CustomResourceDefinition', {
    spec: { versions: [{ schema: { openAPIV3Schema: { properties: { a: { properties: { b: { x: 1 } } } } } } }] },
  })
  assert.deepEqual(check(crd), ['unknown field "spec.versions[0].schema.openAPIV3Schema.properties.a.properties.b.x"'])
  assert.deepEqual(typed('v1', 'Pod').check(pod({ foo: 1 }), false), [])
})

test('values of wrong types get the message of Go’s decoder', () => {
  const rows: [KubeObject, string][] = [
    [
      pod({ hostNetwork: 'yes' }),
      'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
    ],
    [
      pod({ containers: {} }),
      'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      pod({ containers: [{ name: 5 }] }),
      'json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string',
    ],
    [
      pod({ containers: [{ command: ['a', true] }] }),
      'json: cannot unmarshal bool into Go struct field Container.spec.containers.command of type string',
    ],
    [
      pod({ containers: [{ imagePullPolicy: [] }] }),
      'json: cannot unmarshal array into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy',
    ],
    [
      object('v1', 'Pod', { spec: [] }),
      'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec',
    ],
    [
      object('v1', 'Service', { spec: { ports: [{ port: 99999999999 }] } }),
      'json: cannot unmarshal number 99999999999 into Go struct field ServicePort.spec.ports.port of type int32',
    ],
    [
      pod({ activeDeadlineSeconds: 1.5 }),
      'json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64',
    ],
    [
      pod({ activeDeadlineSeconds: 1e19 }),
      'json: cannot unmarshal number 10000000000000000000 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64',
    ],
    [
      object('v1', 'ConfigMap', { data: { a: 1 } }),
      'json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
    ],
    [
      object('v1', 'ConfigMap', { data: 'x' }),
      'json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string',
    ],
    [object('v1', 'Secret', { data: { a: '!!!!' } }), 'illegal base64 data at input byte 0'],
    [object('v1', 'Secret', { data: { a: 'YQ=' } }), 'illegal base64 data at input byte 3'],
    [
      object('v1', 'Secret', { data: { a: 5 } }),
      'json: cannot unmarshal number into Go struct field Secret.data of type []uint8',
    ],
    [
      pod({ containers: [{ resources: { limits: { cpu: 'x' } } }] }),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      pod({ containers: [{ livenessProbe: { httpGet: { port: true } } }] }),
      'json: cannot unmarshal bool into Go value of type int32',
    ],
    [
      object('v1', 'Pod', { metadata: { creationTimestamp: 'tomorrow' } }),
      'parsing time "tomorrow" as "2006-01-02T15:04:05Z07:00": cannot parse "tomorrow" as "2006"',
    ],
    [
      object('v1', 'Pod', { metadata: { creationTimestamp: '2024-02-30T00:00:00Z' } }),
      'parsing time "2024-02-30T00:00:00Z": day out of range',
    ],
    [
      object('v1', 'Pod', { metadata: { labels: ['a'] } }),
      'json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string',
    ],
  ]
  for (const [o, message] of rows)
    assert.equal(errorOf(o), `${o.kind} in version "v1" cannot be handled as a ${o.kind}: ${message}`)
})

test('nulls and zero values go, where Go’s JSON would not have them', () => {
  const rows: [object, object][] = [
    [{ hostNetwork: false, hostname: '', nodeSelector: {}, tolerations: [] }, {}],
    [
      { priority: 0, automountServiceAccountToken: false, securityContext: {}, runtimeClassName: '' },
      {
        priority: 0,
        automountServiceAccountToken: false,
        securityContext: {},
        runtimeClassName: '',
      },
    ],
    [{ containers: [], volumes: null, affinity: null }, { containers: [] }],
    [{ containers: [null, { args: ['a', null] }] }, { containers: [{}, { args: ['a', ''] }] }],
    [{ nodeSelector: { a: null } }, { nodeSelector: { a: '' } }],
    [
      { terminationGracePeriodSeconds: 0, activeDeadlineSeconds: -0 },
      {
        terminationGracePeriodSeconds: 0,
        activeDeadlineSeconds: -0,
      },
    ],
  ]
  for (const [spec, expected] of rows) {
    const o = pod(spec)
    assert.deepEqual(check(o), [])
    assert.deepEqual(o['spec'], expected)
  }
  const role = object('rbac.authorization.k8s.io/v1', 'Role', { rules: [] })
  check(role)
  assert.deepEqual(role['rules'], [])
})

test('times, quantities and base64 take their canonical form', () => {
  const o = object('v1', 'Pod', {
    metadata: { creationTimestamp: '2024-01-01T01:00:00.5+01:00' },
    spec: {
      containers: [{ resources: { requests: { cpu: 0.5, memory: '1024Mi' } }, ports: [{ containerPort: 80 }] }],
    },
  })
  assert.deepEqual(check(o), [])
  assert.equal(o.metadata.creationTimestamp, '2024-01-01T00:00:00Z')
  assert.deepEqual(o['spec'].containers[0].resources.requests, { cpu: '500m', memory: '1Gi' })
  const lease = object('coordination.k8s.io/v1', 'Lease', { spec: { renewTime: '2024-01-01T01:00:00.000001+01:00' } })
  check(lease)
  assert.equal(lease['spec'].renewTime, '2024-01-01T00:00:00.000001Z')
  const secret = object('v1', 'Secret', { data: { a: 'YR==', b: 'aG\nk=', c: '' } })
  check(secret)
  assert.deepEqual(secret['data'], { a: 'YQ==', b: 'aGk=', c: '' })
})

test('integers beyond 2^53 are kept', () => {
  const body = decodeJson(
    Buffer.from('{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"activeDeadlineSeconds":9223372036854775807}}'),
  ).value as KubeObject
  assert.deepEqual(check(body), [])
  assert.match(JSON.stringify(body), /9223372036854775807/)
})

test('base64 is refused where Go refuses it, and canonical exactly when it survives a round trip', () => {
  const rows: [string, number | undefined][] = [
    ['', undefined],
    ['YQ==', undefined],
    ['YQ=\n=', undefined],
    ['YWI=', undefined],
    ['Y', 0],
    ['YQ', 0],
    ['YWJjZ', 4],
    ['YQ=', 3],
    ['YQ=x', 3],
    ['YQ==x', 4],
    ['=', 0],
    ['Y=', 1],
    ['YW-j', 2],
  ]
  for (const [text, expected] of rows) assert.equal(illegalBase64At(text), expected, JSON.stringify(text))
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString('base64')
      assert.ok(isCanonicalBase64(text))
      assert.equal(illegalBase64At(text), undefined)
    }),
  )
  const alphabet = fc.constantFrom('A', 'B', 'Q', 'w', '=', '\n', '-', '/')
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 9 }), (parts) => {
      const text = parts.join('')
      const survives = Buffer.from(text, 'base64').toString('base64') === text
      assert.equal(isCanonicalBase64(text), survives)
      if (survives) assert.equal(illegalBase64At(text), undefined)
    }),
    { numRuns: 2000 },
  )
})

test('any JSON is checked or refused with 400, and checking twice changes nothing', () => {
  const kinds: [string, string][] = [
    ['v1', 'Pod'],
    ['v1', 'Secret'],
    ['apiextensions.k8s.io/v1', 'CustomResourceDefinition'],
  ]
  const fields = fc.constantFrom('spec', 'metadata', 'data', 'name', 'containers', 'labels', 'versions', 'schema', 'x')
  const tree = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<Json>(null, true, false, 0, 1.5, '', 'a'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fields, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).value
  fc.assert(
    fc.property(fc.constantFrom(...kinds), tree, ([apiVersion, kind], value) => {
      const rest = typeof value === 'object' && !Array.isArray(value) ? value : { spec: value }
      const o = { ...(rest as object), apiVersion, kind } as KubeObject
      try {
        check(o)
      } catch (error) {
        assert.ok(error instanceof ApiError, String((error as Error).stack))
        return
      }
      const once = JSON.stringify(o)
      assert.deepEqual(check(o), [])
      assert.equal(JSON.stringify(o), once)
    }),
    { numRuns: 2000 },
  )
})

test('strict errors are joined as Kubernetes joins them', () => {
  const error = strictDecodingError('Pod', 'v1', ['duplicate field "metadata.name"', 'unknown field "spec.foo"'])
  assert.equal(
    error.message,
    'Pod in version "v1" cannot be handled as a Pod: strict decoding error: duplicate field "metadata.name", unknown field "spec.foo"',
  )
})
