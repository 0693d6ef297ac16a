import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/object.ts'
import { definitionOf, loadDefinitions } from '../definitions.ts'
import { Schemas } from '../schema.ts'
import { applyDefaults, checkFields } from './index.ts'

const schemas = loadDefinitions()
const defaulted = (object: object): object => {
  const o = structuredClone(object) as KubeObject
  const { group, version } = parseApiVersion(o.apiVersion)
  const schema = schemas.get(definitionOf(group, version, o.kind)!)!
  applyDefaults(o, schema, schemas)
  const once = JSON.stringify(o)
  applyDefaults(o, schema, schemas)
  assert.equal(JSON.stringify(o), once, 'idempotent')
  assert.deepEqual(checkFields(o, schema, schemas, true), { unknown: [] })
  assert.equal(JSON.stringify(o), once, 'defaults survive the check')
  return o
}

test('what Go always writes is there', () => {
  const rows: [object, object][] = [
    [
      { apiVersion: 'v1', kind: 'Namespace' },
      { metadata: {}, spec: {}, status: {} },
    ],
    [{ apiVersion: 'v1', kind: 'Secret', metadata: {} }, { metadata: {} }],
    [
      { apiVersion: 'v1', kind: 'Service', metadata: {}, spec: { ports: [{ port: 80 }, { protocol: 'UDP' }] } },
      {
        metadata: {},
        spec: {
          ports: [
            { port: 80, protocol: 'TCP' },
            { protocol: 'UDP', port: 0 },
          ],
        },
        status: { loadBalancer: {} },
      },
    ],
    [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ownerReferences: [{ uid: 'u' }] },
        spec: {
          imagePullSecrets: [{}],
          containers: [{ ports: [{ containerPort: 1 }], envFrom: [{ secretRef: {} }] }],
        },
      },
      {
        metadata: { ownerReferences: [{ uid: 'u', apiVersion: '', kind: '', name: '' }] },
        spec: {
          imagePullSecrets: [{}],
          containers: [
            { ports: [{ containerPort: 1, protocol: 'TCP' }], envFrom: [{ secretRef: {} }], name: '', resources: {} },
          ],
        },
        status: {},
      },
    ],
    [
      { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 0 } },
      {
        metadata: {},
        spec: { replicas: 0, strategy: {}, template: { metadata: {}, spec: {} } },
        status: {},
      },
    ],
    [
      { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' },
      { metadata: {}, spec: {}, status: { allowed: false } },
    ],
  ]
  for (const [object, expected] of rows) {
    const { apiVersion, kind, ...rest } = defaulted(object) as KubeObject
    assert.deepEqual(rest, expected, `${apiVersion} ${kind}`)
  }
})

test('defaults are copies, and schemas that contain themselves end', () => {
  const own = new Schemas(
    new Map([
      [
        'Node',
        {
          type: 'object' as const,
          properties: {
            tags: { type: 'array' as const, items: { type: 'string' as const }, default: ['a'] },
            child: { $ref: '#/components/schemas/Node' },
          },
        },
      ],
    ]),
  )
  const one = { child: { child: {} } } as unknown as KubeObject
  applyDefaults(one, own.get('Node')!, own)
  assert.deepEqual(one, { tags: ['a'], child: { tags: ['a'], child: { tags: ['a'] } } })
  one['tags'].push('b')
  const two = {} as unknown as KubeObject
  applyDefaults(two, own.get('Node')!, own)
  assert.deepEqual(two, { tags: ['a'] })
})
