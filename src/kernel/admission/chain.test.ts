import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAdmissionChain } from './chain.ts'
import { makeRequest, object } from './request.fixture.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

const log: string[] = []
const inPlace = (name: string, reinvoke: boolean): AdmissionStep => ({
  name,
  reinvoke,
  handles: () => true,
  mutate: (request) => {
    log.push(name)
    request.object!.metadata.labels = { ...request.object!.metadata.labels, [name]: 'yes' }
  },
})
const replacing = (name: string, changes: boolean, later = false): AdmissionStep => ({
  name,
  handles: () => true,
  mutate: (request) => {
    const run = (): void => {
      log.push(name)
      if (changes) request.object = structuredClone(request.object!)
    }
    return later ? Promise.resolve().then(run) : run()
  },
})

for (const [what, steps, expected] of [
  ['nothing replaced: once', [inPlace('a', true), inPlace('b', true)], ['a', 'b']],
  ['replaced behind: again', [inPlace('a', true), replacing('w', true)], ['a', 'w', 'a']],
  ['replaced behind, later: again', [inPlace('a', true), replacing('w', true, true)], ['a', 'w', 'a']],
  ['asked but not replaced: once', [inPlace('a', true), replacing('w', false, true)], ['a', 'w']],
  ['replaced before: once', [replacing('w', true), inPlace('a', true)], ['w', 'a']],
  ['not marked: once', [inPlace('a', false), replacing('w', true)], ['a', 'w']],
  [
    'all marked ones run again, in order',
    [inPlace('a', true), replacing('w', true, true), inPlace('b', true), inPlace('c', false)],
    ['a', 'w', 'b', 'c', 'a', 'b'],
  ],
] as [string, AdmissionStep[], string[]][])
  test(`reinvocation: ${what}`, async () => {
    log.length = 0
    await createAdmissionChain(steps).mutate(makeRequest({ object: object('Pod', 'web') }))
    assert.deepEqual(log, expected)
  })

test('no promise when no step made one', () => {
  const check = { name: 'v', handles: () => true, validate: () => undefined }
  const chain = createAdmissionChain([inPlace('a', true), replacing('w', true), check])
  const request: AdmissionRequest = makeRequest({ object: object('Pod', 'web') })
  assert.equal(chain.mutate(request), undefined)
  assert.equal(chain.validate(request), undefined)
})

test('a refusal ends the chain', async () => {
  log.length = 0
  const refusing: AdmissionStep = {
    name: 'no',
    handles: () => true,
    mutate: async () => {
      throw new Error('no')
    },
  }
  const chain = createAdmissionChain([inPlace('a', true), refusing, inPlace('b', true)])
  await assert.rejects(async () => await chain.mutate(makeRequest({ object: object('Pod', 'web') })), { message: 'no' })
  assert.deepEqual(log, ['a'])
})
