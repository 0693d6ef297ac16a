import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryClient } from '../../../kernel/admission/memory-client.fixture.ts'
import {
  CONFIG_MAPS,
  definitionFor,
  makeRequest,
  namespaceObject,
  object,
  PODS,
  run,
} from '../../../kernel/admission/request.fixture.ts'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import { LINT_LABEL, lintAdmission, lintStep, type Modes } from './admission.ts'
import { IGNORE_ANNOTATION } from './findings.ts'

const pw = 'q9w8E7r6Tz'
const mode = (value: 'warn' | 'deny' | 'off'): Modes => ({ of: () => value, ready: () => undefined })
const pod = (...values: string[]): KubeObject =>
  object('Pod', 'web', {
    spec: { containers: [{ name: 'a', env: values.map((value, i) => ({ name: `P${i}_PASSWORD`, value })) }] },
  })
const isRefusal = (error: unknown): boolean => {
  assert.ok(error instanceof ApiError && error.reason === 'Forbidden')
  assert.match(error.message, /spec\.containers\[0\]\.env\[0\]\.value holds/)
  assert.ok(!error.message.includes(pw.slice(0, 4)))
  return true
}

describe('admission of secrets in plain text', () => {
  test('warns, and tells the audit log the rules', async () => {
    const request = makeRequest({ object: pod(pw) })
    await run(lintStep(mode('warn')), request)
    assert.deepEqual(request.warnings, [
      'secret in plain text: spec.containers[0].env[0].value holds a value whose name says that it is secret [named-secret]',
    ])
    assert.deepEqual(request.annotations, { 'SecretsLint/found': 'named-secret' })
  })
  test('refuses where the namespace says so', async () => {
    await assert.rejects(run(lintStep(mode('deny')), makeRequest({ object: pod(pw) })), isRefusal)
  })
  test('says nothing where it is off, and of what is clean', async () => {
    for (const [m, o] of [
      ['off', pod(pw)],
      ['deny', pod('$(X)')],
    ] as const) {
      const request = makeRequest({ object: o })
      await run(lintStep(mode(m)), request)
      assert.deepEqual([request.warnings, request.annotations], [[], {}])
    }
  })
  test('of an update only what is new', async () => {
    const update = (object: KubeObject, oldObject: KubeObject): ReturnType<typeof makeRequest> =>
      makeRequest({ operation: 'UPDATE', object, oldObject })
    const deny = lintStep(mode('deny'))
    await run(deny, update(pod(pw), pod(pw)))
    await run(deny, update(pod('x1', pw), pod(pw, 'x1')))
    await assert.rejects(run(deny, update(pod(`${pw}2`), pod(pw))))
    const request = update(pod(pw, `${pw}2`), pod(pw))
    await run(lintStep(mode('warn')), request)
    assert.equal(request.warnings.length, 1)
  })
  test('an annotation accepts it, visibly for the audit log', async () => {
    const o = pod(pw)
    o.metadata.annotations = { [IGNORE_ANNOTATION]: 'named-secret' }
    const request = makeRequest({ object: o })
    await run(lintStep(mode('deny')), request)
    assert.deepEqual(request.annotations, { 'SecretsLint/ignored': 'named-secret' })
  })
  test('looks at pods, workloads and ConfigMaps, and at nothing else', () => {
    const { handles } = lintStep(mode('warn'))
    const asked = (
      definition: typeof PODS,
      operation: 'CREATE' | 'UPDATE' | 'DELETE' = 'CREATE',
      subresource = '',
    ): boolean => handles({ operation, definition, subresource })
    assert.ok(
      asked(PODS) && asked(PODS, 'UPDATE') && asked(PODS, 'UPDATE', 'ephemeralcontainers') && asked(CONFIG_MAPS),
    )
    assert.ok(
      asked(definitionFor('deployments', 'Deployment', 'apps')) && asked(definitionFor('cronjobs', 'CronJob', 'batch')),
    )
    assert.ok(!asked(PODS, 'DELETE') && !asked(PODS, 'UPDATE', 'status') && !asked(PODS, 'CREATE', 'binding'))
    assert.ok(!asked(definitionFor('secrets', 'Secret')) && !asked(definitionFor('widgets', 'Widget', 'example.com')))
  })
  test("the cluster's own ConfigMap passes", async () => {
    const o = object('ConfigMap', 'kube-root-ca.crt', { data: { password: pw } })
    await run(lintStep(mode('deny')), makeRequest({ definition: CONFIG_MAPS, object: o }))
  })
  test('many findings make few warnings', async () => {
    const request = makeRequest({ object: pod(...Array.from({ length: 40 }, (_, i) => `${pw}${i}`)) })
    await run(lintStep(mode('warn')), request)
    assert.equal(request.warnings.length, 11)
    assert.match(request.warnings[10]!, /30 more/)
  })
})

test('labels of namespaces are followed as they change, and waited for at the start', async () => {
  const client = new MemoryClient()
  const namespaces = { group: '', version: 'v1', resource: 'namespaces' }
  await client.create(namespaces, namespaceObject('shop', 'Active', { [LINT_LABEL]: 'deny' }))
  const stop = new AbortController()
  const step = lintAdmission({ client, clock: { now: () => 0 }, log: () => undefined, signal: stop.signal })
  try {
    await assert.rejects(run(step, makeRequest({ object: pod(pw) })), isRefusal)
    for (const [label, warnings] of [
      ['off', 0],
      ['warn', 1],
      ['nonsense', 1],
    ] as const) {
      await client.patch(namespaces, '', 'shop', 'merge', { metadata: { labels: { [LINT_LABEL]: label } } })
      await new Promise((resolve) => setTimeout(resolve, 20))
      const request = makeRequest({ object: pod(pw) })
      await run(step, request)
      assert.equal(request.warnings.length, warnings, label)
    }
  } finally {
    stop.abort()
  }
})
