import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultTolerationSeconds } from './default-tolerations.ts'
import { makeRequest, object, run } from './request.fixture.ts'

const added = (key: string): object => ({
  key: `node.kubernetes.io/${key}`,
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: 300,
})
const own = { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }
const everything = { operator: 'Exists' }
const other = { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoSchedule' }

for (const [what, tolerations, expected] of [
  ['none', undefined, [added('not-ready'), added('unreachable')]],
  ["the pod's own", [own], [own, added('unreachable')]],
  ['everything', [everything], [everything]],
  ['another effect', [other], [other, added('not-ready'), added('unreachable')]],
] as const)
  test(`DefaultTolerationSeconds: ${what}`, async () => {
    const pod = object('Pod', 'web', { spec: tolerations === undefined ? {} : { tolerations: [...tolerations] } })
    for (const operation of ['CREATE', 'UPDATE'] as const) {
      await run(defaultTolerationSeconds(), makeRequest({ operation, object: pod }))
      assert.deepEqual(pod['spec'].tolerations, expected)
    }
  })
