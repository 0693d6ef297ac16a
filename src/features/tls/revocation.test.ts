import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseRevocations, watchRevocations } from './revocation.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-revocation-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
const file = (text?: string): string => {
  const path = join(folder, `${files++}.json`)
  if (text !== undefined) writeFileSync(path, text)
  return path
}
const silent = () => undefined
const FINGERPRINT = 'AB:'.repeat(32).slice(0, -1)

test('revocations: a file that is missing revokes nothing; one that appears counts', () => {
  const path = file()
  const list = watchRevocations(path, silent)
  assert.equal(list.isRevoked('0A', FINGERPRINT), false)
  writeFileSync(path, JSON.stringify({ serialNumbers: ['0a'] }))
  list.reload()
  assert.equal(list.isRevoked('0A', FINGERPRINT), true)
  list.close()
})

test('revocations: any spelling of the same number is the same', () => {
  const list = watchRevocations(
    file(JSON.stringify({ serialNumbers: ['00:0b:CD'], fingerprints: [FINGERPRINT.toLowerCase()] })),
    silent,
  )
  assert.equal(list.isRevoked('0BCD', ''), true)
  assert.equal(list.isRevoked('0BCE', ''), false)
  assert.equal(list.isRevoked('01', FINGERPRINT), true)
  assert.equal(list.isRevoked('01', FINGERPRINT.replaceAll(':', '')), true)
  list.close()
})

test('revocations: revoke writes and counts at once, and survives', () => {
  const path = file()
  const list = watchRevocations(path, silent)
  list.revoke({ serialNumber: '0A' })
  list.revoke({ fingerprint256: FINGERPRINT })
  assert.equal(statSync(path).mode & 0o777, 0o600)
  list.close()
  const again = watchRevocations(path, silent)
  assert.equal(again.isRevoked('0a', ''), true)
  assert.equal(again.isRevoked('', FINGERPRINT), true)
  assert.throws(() => again.revoke({ serialNumber: 'xyz' }), /serialNumbers\[1\]/)
  again.close()
})

test('revocations: a list that becomes unreadable or goes away stays in force and is reported once', () => {
  const path = file(JSON.stringify({ serialNumbers: ['0A'] }))
  const said: string[] = []
  const list = watchRevocations(path, (_level, message) => said.push(message))
  writeFileSync(path, '{')
  list.reload()
  list.reload()
  assert.equal(list.isRevoked('0A', ''), true)
  assert.equal(said.length, 1)
  rmSync(path)
  list.reload()
  assert.equal(list.isRevoked('0A', ''), true)
  assert.equal(said.length, 2)
  list.close()
})

const bad: [text: string, message: RegExp][] = [
  ['{', /JSON/],
  ['[]', /must be an object/],
  ['{"serials": []}', /unknown field "serials"/],
  ['{"serialNumbers": "0A"}', /serialNumbers must be a list/],
  ['{"serialNumbers": ["0A", 7]}', /serialNumbers\[1\]/],
  ['{"fingerprints": ["zz"]}', /fingerprints\[0\]/],
]
for (const [text, message] of bad)
  test(`revocations: ${text} is refused at start`, () => {
    assert.throws(() => parseRevocations(text), message)
    assert.throws(() => watchRevocations(file(text), silent), message)
  })
