import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatCheck, isKnownFormat } from './formats.ts'

const rows: [format: string, good: string[], bad: string[]][] = [
  ['date', ['2024-02-29', '0001-01-01'], ['2023-02-29', '2023-13-01', '2023-1-1', '']],
  [
    'date-time',
    ['2024-01-01T00:00:00Z', '2024-01-01t23:59:59.123+02:00'],
    ['2024-01-01', '2024-01-01T24:00:00Z', '2024-01-01T00:00:00', 'x'],
  ],
  ['byte', ['YQ==', 'YWJj'], ['', 'YQ', 'YQ=', 'a b=', '===']],
  ['duration', ['1h30m', '-1.5s', '0', '3 days', '300ms', '1 week'], ['', '1', 'h', '1y', '5 parsecs']],
  ['ipv4', ['1.2.3.4'], ['1.2.3', '01.2.3.4', '::1']],
  ['ipv6', ['::1', '2001:db8::1'], ['1.2.3.4', 'fe80::1%eth0', ':::']],
  ['cidr', ['10.0.0.0/8', '::/0'], ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/08', 'x/8']],
  [
    'uri',
    ['https://example.com/a?b#c', '/path', 'mailto:a@b', 'http://[::1]:80/'],
    ['', 'example.com', 'http://a b/', 'http://x:port/', 'https://%zz'],
  ],
  ['email', ['a@b.c', 'a.b+c@example.org'], ['a', 'a@', '@b', 'a b@c', 'a@b c']],
  ['hostname', ['example.com', 'a', 'a-b.c.'], ['', '-a', 'a..b', `${'a'.repeat(64)}.com`]],
  [
    'uuid',
    ['00000000-0000-0000-0000-000000000000', '0123456789abcdefABCDEF0123456789'],
    ['x', '00000000-0000-0000-0000'],
  ],
  [
    'uuid4',
    ['f47ac10b-58cc-4372-a567-0e02b2c3d479'],
    ['f47ac10b-58cc-1372-a567-0e02b2c3d479', 'f47ac10b-58cc-4372-c567-0e02b2c3d479'],
  ],
  [
    'mac',
    ['00:00:5e:00:53:01', '0000.5e00.5301', '02-00-5e-10-00-00-00-01'],
    ['00:00:5e', '00:00-5e:00:53:01', 'zz:00:5e:00:53:01'],
  ],
  ['hexcolor', ['#fff', 'AABBCC'], ['#ffff', 'red']],
  ['rgbcolor', ['rgb(0, 128,255)'], ['rgb(0,0,256)', 'rgb(0,0)']],
  ['ssn', ['123-45-6789'], ['123-45-678']],
  ['creditcard', ['4111 1111 1111 1111'], ['4111111111111112']],
  ['isbn10', ['0-306-40615-2'], ['0-306-40615-3']],
  ['isbn13', ['978-0-306-40615-7'], ['978-0-306-40615-8']],
  ['bsonobjectid', ['507f1f77bcf86cd799439011'], ['507f']],
  ['password', ['', 'anything'], []],
]

for (const [format, good, bad] of rows)
  test(format, () => {
    const check = formatCheck(format)!
    for (const value of good) assert.equal(check(value), true, value)
    for (const value of bad) assert.equal(check(value), false, value)
  })

test('long hostile values are judged in linear time', () => {
  const values = [
    'a'.repeat(200_000),
    '1'.repeat(200_000),
    `${'a.'.repeat(100_000)}!`,
    `http://${':'.repeat(200_000)}`,
    ' '.repeat(200_000),
    `"${'\\'.repeat(200_000)}`,
  ]
  for (const [format] of rows) for (const value of values) assert.equal(typeof formatCheck(format)!(value), 'boolean')
})

test('unknown formats are not checked, and known as such', () => {
  assert.equal(formatCheck('int33'), undefined)
  assert.deepEqual(['int32', 'datetime', 'int33'].map(isKnownFormat), [true, true, false])
})
