import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as names from './names.ts'

const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const qualified =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

const formats = new Map(Object.entries(names)) as Map<string, unknown>

const rows: [keyof typeof names, string, (string | RegExp)[]][] = [
  ['dns1123Label', 'a', []],
  ['dns1123Label', '0-a', []],
  ['dns1123Label', 'a'.repeat(63), []],
  ['dns1123Label', 'a'.repeat(64), ['must be no more than 63 characters']],
  ['dns1123Label', 'a.b', ['must not contain dots']],
  ['dns1123Label', '', [label]],
  ['dns1123Label', 'A', [label]],
  ['dns1123Label', 'a\n', [label]],
  ['dns1123Label', '-a', [label]],
  ['dns1123Subdomain', 'a.b-c.d', []],
  ['dns1123Subdomain', 'a..b', [/^a lowercase RFC 1123 subdomain/]],
  ['dns1123Subdomain', 'a'.repeat(254), ['must be no more than 253 characters']],
  ['dns1035Label', 'web-1', []],
  ['dns1035Label', '1web', [/^a DNS-1035 label must/]],
  ['wildcardDns1123Subdomain', '*.a.b', []],
  ['wildcardDns1123Subdomain', 'a.*', [/^a wildcard DNS-1123/]],
  ['qualifiedName', 'a', []],
  ['qualifiedName', 'example.com/My_Name', []],
  ['qualifiedName', '/a', ['prefix part must be non-empty']],
  ['qualifiedName', 'a/', ['name part must be non-empty', `name part ${qualified}`]],
  ['qualifiedName', 'A/b', [/^prefix part a lowercase RFC 1123 subdomain/]],
  [
    'qualifiedName',
    'a/b/c',
    [`a qualified name ${qualified} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`],
  ],
  ['qualifiedName', 'a'.repeat(64), ['name part must be no more than 63 characters']],
  ['qualifiedName', '_a', [`name part ${qualified}`]],
  ['labelValue', '', []],
  ['labelValue', 'A_b.c-1', []],
  ['labelValue', '-', [/^a valid label must be an empty string or consist/]],
  ['labelValue', 'a'.repeat(64), ['must be no more than 63 characters']],
  ['envVarName', '1 any:thing', []],
  [
    'envVarName',
    'a=b',
    ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
  ],
  ['envVarName', '', ['environment variable name must be non-empty']],
  ['envVarName', 'é', [/printable ASCII/]],
  ['strictEnvVarName', '1A', [/must not start with a digit/]],
  ['strictEnvVarName', '..', ["must not be '..'"]],
  ['configMapKey', 'a.b_C-1', []],
  ['configMapKey', '.', ["must not be '.'"]],
  ['configMapKey', '..', ["must not be '..'"]],
  ['configMapKey', '..data', ["must not start with '..'"]],
  ['configMapKey', '.data', []],
  ['configMapKey', 'a/b', [/^a valid config key must consist/]],
  ['portName', 'http-1', []],
  ['portName', '80', ['must contain at least one letter (a-z)']],
  ['portName', '-a--b', ['must not contain consecutive hyphens', 'must not begin or end with a hyphen']],
  ['portName', 'a'.repeat(16), ['must be no more than 15 characters']],
  ['pathSegmentName', 'system:node', []],
  ['pathSegmentName', '..', ["may not be '..'"]],
  ['pathSegmentName', 'a/%', ["may not contain '/'", "may not contain '%'"]],
]

for (const [format, value, want] of rows)
  test(`${format} ${JSON.stringify(value.slice(0, 20))}`, () => {
    const got = (formats.get(format) as (v: string) => string[])(value)
    assert.equal(got.length, want.length, got.join('; '))
    want.forEach((w, i) => {
      if (typeof w === 'string') assert.equal(got[i], w)
      else assert.match(got[i]!, w)
    })
  })

test('multi-byte characters count as their bytes', () => {
  assert.equal(names.labelValue('é'.repeat(32)).includes('must be no more than 63 characters'), true)
})

test('long hostile values are judged in linear time', () => {
  const value = 'a-'.repeat(1_000_000)
  assert.equal(names.dns1123Subdomain(value).length, 2)
  assert.equal(names.qualifiedName(value).length, 2)
})
