import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { ecKey, letters } from './credentials.fixture.ts'
import { lintDocument } from './document.ts'
import { examineObject } from './findings.ts'

const MEGABYTE = 1024 * 1024
/** Far beyond what any of these takes, far below what a quadratic search would. */
const SECONDS = 10_000
const fill = (unit: string, length: number = MEGABYTE): string => unit.repeat(Math.ceil(length / unit.length))

describe('a megabyte that looks like the beginning of everything', () => {
  const units = [
    'a', 'A', '0', ' ', '\n', '=', '$', '${', '$(', '{', '[', '"', "'", '\\', '://', 'a://b:', 'a://b:c@', 'eyJ', '-eyJ', '.eyJ', 'eyJa.eyJa.',
    'LS0tLS1CRUdJTi', '-----BEGIN ', '-----BEGIN PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----\nAAAA\n', 'PuTTY-User-Key-File', 'Bearer ', 'bearer a',
    `gh${'p'}_`, 'SK', 'sk-', 'key-', 'hvs.', 'glpat-', 'dp.', '$2y$', '{SHA}', 'password', 'password=', 'password: ', 'password ', '<a>', '</', '<a>b</a>', 'a=b\n', '- a\n',
    'a: b\n', '# ', '//', "'\"", 'pass:', '--password ', 'x;', '&&', 'xxx', 'user', 'test1', '1', '_', '/a', '*', '&a *a ', 'A_', '! ',
  ] // biome-ignore format: a list
  for (const unit of units)
    test(JSON.stringify(unit), { timeout: SECONDS }, () => {
      const text = fill(unit)
      const spec = {
        containers: [
          {
            name: 'a',
            env: [
              { name: 'PASSWORD', value: text },
              { name: 'X', value: text },
            ],
            args: [text, `--password=${text}`],
          },
        ],
      }
      examineObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', annotations: { a: text } }, spec })
      examineObject({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'a' },
        data: { 'a.yaml': text, a: `x\n${text}`, b: `{${text}` },
      })
      examineObject({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'a' },
        spec: { containers: [{ command: ['sh', '-c', `a ${text}`] }] },
      })
    })
})

test('keys cut off after keys: one end for many beginnings', { timeout: SECONDS }, () => {
  const data = { a: `${fill('-----BEGIN PRIVATE KEY-----')}-----END PRIVATE KEY-----`, b: fill(`${ecKey}\n`) }
  const { leaks } = examineObject({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data })
  assert.ok(leaks.length > 0 && leaks.length <= 1000)
})

test('findings of one object are bounded, and it says so', { timeout: SECONDS }, () => {
  const data = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`password-${i}`, `q9w8E7r6${i}`]))
  const { leaks, incomplete } = examineObject({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data })
  assert.equal(leaks.length, 1000)
  assert.equal(incomplete, true)
})

test('nesting without end', { timeout: SECONDS }, () => {
  let deep: Record<string, unknown> = { password: 'q9w8E7r6' }
  for (let i = 0; i < 900; i++) deep = { a: deep }
  const object: KubeObject = { apiVersion: 'v1', kind: 'Widget', metadata: { name: 'a' }, spec: deep }
  assert.equal(examineObject(object).incomplete, true)
  const applied = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': applied, b: applied }
  examineObject({ apiVersion: 'v1', kind: 'Widget', metadata: { name: 'a', annotations } })
  let json = JSON.stringify({ kind: 'Pod', apiVersion: 'v1', spec: { password: letters(12) } })
  for (let i = 0; i < 12; i++)
    json = JSON.stringify({
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': json } },
    })
  examineObject(JSON.parse(json) as KubeObject)
})

test('an alias bomb is placed without being expanded', { timeout: SECONDS }, () => {
  let text =
    'apiVersion: v1\nkind: Widget\nmetadata: {name: a}\npassword: q9w8E7r6Tz\na0: &a0 [x, x, x, x, x, x, x, x, x]\n'
  for (let i = 1; i < 30; i++)
    text += `a${i}: &a${i} [${Array(9)
      .fill(`*a${i - 1}`)
      .join(', ')}]\n`
  const object: KubeObject = { apiVersion: 'v1', kind: 'Widget', metadata: { name: 'a' }, password: 'q9w8E7r6Tz' }
  const { found } = lintDocument({ file: 'a', line: 1, text, objects: [{ object, path: [] }] })
  assert.deepEqual(
    found.map(({ finding }) => finding.line),
    [4],
  )
})
