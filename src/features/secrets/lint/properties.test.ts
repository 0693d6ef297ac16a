import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dump } from 'js-yaml'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { lintDocument } from './document.ts'
import { examineObject } from './findings.ts'

const ALPHABET = [...'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!%^*+-_']
const secret: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...ALPHABET), { minLength: 10, maxLength: 40 })
  .map((c) => c.join(''))

/** Every place in which a value may stand. */
const plantings: readonly ((value: string) => KubeObject)[] = [
  (v) => pod({ env: [{ name: 'DB_PASSWORD', value: v }] }),
  (v) => pod({ args: [`--password=${v}`] }),
  (v) => pod({ command: ['sh', '-c', `PGPASSWORD='${v}' psql`] }),
  (v) => pod({ env: [{ name: 'URL', value: `postgres://a:${v}@db/x` }] }),
  (v) => pod({ env: [{ name: 'HEADER', value: `Bearer ${v}` }] }),
  (v) => configMap({ 'app.properties': `a=b\ndb.password=${v}\n` }),
  (v) => configMap({ 'app.json': JSON.stringify({ db: { password: v } }) }),
  (v) => configMap({ 'app.yaml': `db:\n  password: ${JSON.stringify(v)}\n` }),
  (v) => configMap({ [`${v.replace(/[^A-Za-z0-9]/g, '')}.env`.slice(0, 3)]: `A=b\nTOKEN=${v}\n` }),
  (v) => ({
    apiVersion: 'example.com/v1',
    kind: 'W',
    metadata: { name: 'w' },
    spec: { password: v, list: [{ token: v }] },
  }),
  (v) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: v } }),
  (v) => pod({}, { annotations: { 'x/api-token': v } }),
  (v) =>
    pod(
      {},
      {
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(
            pod({ env: [{ name: 'PASSWORD', value: v }] }),
          ),
        },
      },
    ),
]

function pod(container: object, metadata: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', ...metadata },
    spec: { containers: [{ name: 'web', ...container }] },
  }
}
function configMap(data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data }
}

test('no finding tells the value', () => {
  fc.assert(
    fc.property(secret, fc.constantFrom(...plantings), (value, plant) => {
      const object = plant(value)
      const text = dump(object, { lineWidth: -1 })
      const { found } = lintDocument({ file: 'a.yaml', line: 1, text, objects: [{ object, path: [] }] })
      for (const { finding } of found) {
        const told = JSON.stringify(finding)
        assert.ok(!told.includes(value) && !told.includes(value.slice(0, 6)), told)
      }
    }),
    { numRuns: 600 },
  )
})

test('every JSON object is looked at without an error, and again with the same result', () => {
  fc.assert(
    fc.property(
      fc.object({
        key: fc.oneof(
          fc.string(),
          fc.constantFrom('env', 'containers', 'args', 'command', 'data', 'password', 'annotations', 'name', 'value'),
        ),
        maxDepth: 6,
      }),
      fc.constantFrom('Pod', 'ConfigMap', 'Secret', 'Widget'),
      (fields, kind) => {
        const object = { apiVersion: 'v1', ...fields, kind } as unknown as KubeObject
        assert.deepEqual(examineObject(object), examineObject(structuredClone(object)))
      },
    ),
    { numRuns: 500 },
  )
})
