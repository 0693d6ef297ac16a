import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { CliError } from './error.ts'
import {
  MAX_DOCUMENT_BYTES,
  MAX_FILE_BYTES,
  manifestDocuments,
  manifestFiles,
  parseDocument,
  readManifests,
  splitDocuments,
} from './manifests.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-manifests-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
function file(content: string | Uint8Array, extension = 'yaml'): string {
  const path = join(folder, `f${files++}.${extension}`)
  writeFileSync(path, content)
  return path
}
const read = (content: string | Uint8Array, extension?: string): string[] =>
  [...readManifests([file(content, extension)])].map(
    ({ object, line }) => `${line} ${object.kind}/${object.metadata?.name}`,
  )
const refused = (content: string | Uint8Array, message: RegExp, extension?: string): void => {
  assert.throws(
    () => read(content, extension),
    (error) =>
      error instanceof CliError &&
      error.exitCode === 2 &&
      message.test(error.message) &&
      !error.message.includes('hunter2'),
  )
}
const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\n`

describe('documents', () => {
  const rows: [string, string, [line: number, text: string][]][] = [
    ['none', '', []],
    ['only separators', '---\n---\n', []],
    ['one', 'a: 1\n', [[1, 'a: 1\n']]],
    [
      'two',
      'a: 1\n---\nb: 2\n',
      [
        [1, 'a: 1\n'],
        [3, 'b: 2\n'],
      ],
    ],
    ['a separator first and last', '---\na: 1\n---\n', [[2, 'a: 1\n']]],
    [
      'a comment behind the separator',
      'a: 1\n--- # next\nb: 2',
      [
        [1, 'a: 1\n'],
        [3, 'b: 2'],
      ],
    ],
    [
      'CRLF',
      'a: 1\r\n---\r\nb: 2\r\n',
      [
        [1, 'a: 1\r\n'],
        [3, 'b: 2\r\n'],
      ],
    ],
    ['dashes within', 'a: |\n  ---\nb: ---x\n', [[1, 'a: |\n  ---\nb: ---x\n']]],
    ['four dashes', 'a: 1\n----\n', [[1, 'a: 1\n----\n']]],
    [
      'blank ones between',
      'a: 1\n---\n\n---\n\nb: 2\n',
      [
        [1, 'a: 1\n'],
        [5, '\nb: 2\n'],
      ],
    ],
    ['a separator at the very end', 'a: 1\n---', [[1, 'a: 1\n']]],
  ]
  for (const [what, text, expected] of rows)
    test(what, () => {
      const documents = [...splitDocuments('x', text)]
      assert.deepEqual(
        documents.map((d) => [d.line, d.text]),
        expected,
      )
      for (const d of documents) assert.equal(text.slice(d.start, d.start + d.text.length), d.text)
    })
  test('ten thousand', () => {
    const all = [...readManifests([file(Array.from({ length: 10_000 }, (_, i) => pod(`p${i}`)).join('---\n'))])]
    assert.equal(all.length, 10_000)
    assert.equal(all[9_999]!.line, 9_999 * 4 + 1)
    assert.equal(all[9_999]!.object.metadata.name, 'p9999')
  })
})

describe('objects', () => {
  test('YAML and JSON, comments alone are nothing', () => {
    assert.deepEqual(read(`# head\n---\n${pod('a')}---\n# nothing\n---\n${pod('b')}`), ['3 Pod/a', '9 Pod/b'])
    assert.deepEqual(read('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}', 'json'), ['1 Pod/a'])
    assert.deepEqual(read('{apiVersion: v1, kind: Pod, metadata: {name: a}}'), ['1 Pod/a'])
    assert.deepEqual(read(`\uFEFF${pod('a')}`), ['1 Pod/a'])
    assert.deepEqual(read('\uFEFF{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}', 'json'), ['1 Pod/a'])
  })
  test('Lists give their items and where each stands', () => {
    const list =
      'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n'
    const all = [...readManifests([file(list)])]
    assert.deepEqual(
      all.map(({ object, path }) => [object.apiVersion, object.kind, path]),
      [
        ['v1', 'Pod', ['items', 0]],
        ['apps/v1', 'Deployment', ['items', 1]],
      ],
    )
    assert.deepEqual(read('apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: a}}]\n'), ['1 Secret/a'])
    // A custom kind that ends in List and has no items is an object.
    assert.deepEqual(read('apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\n'), ['1 AllowList/a'])
  })
  test('what is refused says where, and never what stands there', () => {
    refused('hunter2\n', /f\d+\.yaml:1: this is not a Kubernetes object/)
    refused('- hunter2\n', /not a Kubernetes object/)
    refused('kind: ""\nx: hunter2\n', /no kind/)
    refused('kind: Pod\nx: hunter2\n', /no apiVersion/)
    refused('apiVersion: v1\nkind: List\nitems: [hunter2]\n', /item of the list is not an object/)
    refused('apiVersion: v1\nkind: List\nitems: [[hunter2]]\n', /item of the list is not an object/)
    refused('apiVersion: v1\nkind: List\nitems: [{a: hunter2}]\n', /item of the list has no kind/)
    refused(`${pod('a')}---\nkind: Pod\n  x: hunter2\n`, /f\d+\.yaml:5: .*line 6/)
    refused('{"kind": "hunter2\n', /:1: /, 'json')
    refused(Uint8Array.of(0x61, 0x3a, 0xff, 0xfe), /not UTF-8/)
  })
  test('bombs and giants are refused', () => {
    let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
    for (let i = 1; i < 12; i++)
      bomb += `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]\n`
    refused(`${pod('a')}${bomb}`, /alias/)
    refused(`${pod('a')}x: ${'['.repeat(5000)}${']'.repeat(5000)}\n`, /deep|depth|nest/i)
    refused(`${pod('a')}x: ${'a'.repeat(MAX_DOCUMENT_BYTES)}\n`, /larger than/)
    const giant = file('')
    truncateSync(giant, MAX_FILE_BYTES + 1)
    assert.throws(() => [...readManifests([giant])], /larger than \d+ bytes/)
  })
  test('a device without an end is no file to read whole', () => {
    assert.throws(() => [...manifestDocuments(['/dev/zero'])], /larger than \d+ bytes/)
  })
  test('one broken document does not hide that others can be parsed one by one', () => {
    const [good, bad] = [...manifestDocuments([file(`${pod('a')}---\nkind: [\n`)])]
    assert.equal([...parseDocument(good!)].length, 1)
    assert.throws(() => [...parseDocument(bad!)], CliError)
  })
})

test('folders: their manifests in order, deeper ones when asked', () => {
  const root = join(folder, 'tree')
  mkdirSync(join(root, 'deep'), { recursive: true })
  for (const name of ['b.yml', 'a.yaml', 'c.json', 'notes.txt', 'deep/d.yaml']) writeFileSync(join(root, name), '{}')
  symlinkSync(root, join(root, 'deep', 'loop'))
  const names = (recursive: boolean): string[] =>
    [...manifestFiles([root], { recursive })].map((f) => f.slice(root.length + 1))
  assert.deepEqual(names(false), ['a.yaml', 'b.yml', 'c.json'])
  assert.deepEqual(names(true), ['a.yaml', 'b.yml', 'c.json', 'deep/d.yaml'])
  assert.deepEqual([...manifestFiles([join(root, 'notes.txt')])].length, 1)
  assert.throws(() => [...manifestFiles([join(root, 'missing')])], /missing cannot be read/)
})

test('a manifest link that leads nowhere names itself', () => {
  const root = join(folder, 'dangling')
  mkdirSync(root)
  symlinkSync(join(root, 'gone'), join(root, 'a.yaml'))
  assert.throws(
    () => [...manifestFiles([root])],
    (error) => error instanceof CliError && error.exitCode === 2 && /a\.yaml/.test(error.message),
  )
})
