import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestCaller } from './caller.ts'

const callerOf = (...warnings: string[]): RequestCaller => {
  const caller = new RequestCaller({ username: 'u', uid: '', groups: [], extra: {} } as never, 'test', () => undefined)
  for (const warning of warnings) caller.warn(warning)
  return caller
}
const long = (letter: string, length: number): string => letter.repeat(length)

test('warnings of up to 4,096 characters in sum are sent whole, each once', () => {
  const given = [long('a', 2000), 'b', long('a', 2000), '', long('é', 2095)]
  assert.deepEqual(callerOf(...given).warnings, [given[0], 'b', given[4]])
})

test('a single warning of more is cut, not dropped', () => {
  assert.deepEqual(callerOf(long('a', 5000)).warnings, [long('a', 256)])
})

test('one more character, and those before are cut too', () => {
  const given = [long('a', 2000), 'b', long('c', 2096)]
  const caller = callerOf(...given)
  assert.deepEqual(caller.warnings, [long('a', 256), 'b', long('c', 256)])
  caller.warn(long('a', 2000))
  assert.equal(caller.warnings.length, 3, 'known before it was cut')
  caller.warn(long('d', 300))
  assert.equal(caller.warnings[3], long('d', 256))
})

test('what is cut is cut between characters', () => {
  assert.deepEqual(callerOf(long('😀', 4097)).warnings, [long('😀', 256)])
})

test('cut warnings end with the one that passes 4,096', () => {
  const caller = callerOf(long('x', 4097))
  for (let i = 0; i < 100; i++) caller.warn(`${i}-${long('y', 252)}`)
  const lengths = caller.warnings.map((warning) => warning.length)
  const before = lengths.slice(0, -1).reduce((sum, length) => sum + length, 0)
  assert.ok(before < 4096 && before + lengths.at(-1)! >= 4096, String(lengths))
})
