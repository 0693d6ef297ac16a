import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { type ConformanceWorld, conformanceCases, conformanceWorld, runActions } from './conformance.fixture.ts'
import { judge } from './evaluate.ts'
import { sideOf } from './fixture.ts'
import type { Protocol } from './types.ts'

const { cases } = conformanceCases(gunzipSync(readFileSync(new URL('data/conformance.json.gz', import.meta.url))))

/** Digits as in the data; a pod to itself is judged by its policies too, as the data does. */
function cells(world: ConformanceWorld, pods: readonly string[], services: readonly string[]): string {
  const { model } = world
  const found = (key: string) => model.pod(...(key.split('/') as [string, string]))!
  let text = ''
  for (const from of pods.map(found))
    for (const to of pods.map(found))
      for (const service of services) {
        const [port, protocol] = service.split('/') as [string, Protocol]
        const asked = { protocol, port: Number(port) }
        const ingress = judge(model, 'ingress', to, sideOf(from, 4), asked, to).allowed
        const egress = judge(model, 'egress', from, sideOf(to, 4), asked, to).allowed
        text += (ingress ? 1 : 0) + (egress ? 2 : 0)
      }
  return text
}

test('every cell of the conformance cases', () => {
  let count = 0
  for (const { group, description, steps } of cases) {
    const world = conformanceWorld()
    steps.forEach(({ actions, pods, services, cells: expected }, step) => {
      runActions(world, actions)
      const got = cells(world, pods, services)
      assert.equal(got, expected, `${group}: ${description}, step ${step}`)
      count += got.length
    })
  }
  assert.equal(cases.length, 230)
  assert.equal(count, 123_669)
})
