import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeElement } from './encode.ts'
import type { FieldType } from './program.ts'

const TUPLE: FieldType[] = ['ipv4_addr', 'inet_proto', 'inet_service']

const rows: [FieldType[], string, boolean, string, string?][] = [
  [['ipv4_addr'], '10.244.1.5', false, '0af40105'],
  [TUPLE, '10.244.1.5 . tcp . 80', false, '0af40105 06000000 00500000'],
  [['inet_proto', 'inet_service'], 'sctp . 9999', false, '84000000 270f0000'],
  [TUPLE, '10.0.0.0/8 . 0-255 . 0-65535', true, '0a000000 00000000 00000000', '0affffff ff000000 ffff0000'],
  [TUPLE, '10.0.0.1-10.0.0.6 . udp . 53', true, '0a000001 11000000 00350000', '0a000006 11000000 00350000'],
  [['ipv6_addr'], 'fd00::1', false, 'fd000000000000000000000000000001'],
  [['ifname', 'ipv4_addr'], '"veth0a1b2c3d" . 10.244.1.5', false, '76657468306131623263336400000000 0af40105'],
]

for (const [key, element, interval, first, last] of rows)
  test(element, () => {
    const encoded = encodeElement(key, element, interval)
    assert.equal(encoded.key.toString('hex'), first.replaceAll(' ', ''))
    assert.equal(encoded.end?.toString('hex'), last?.replaceAll(' ', ''))
  })

test('what does not fit is named', () => {
  assert.throws(() => encodeElement(TUPLE, '10.0.0.1 . tcp'), /10\.0\.0\.1 \. tcp has 2 fields, not 3/)
  assert.throws(() => encodeElement(TUPLE, '10.0.0.1 . tcp . 65536'), /65536 is not of type inet_service/)
  assert.throws(() => encodeElement(TUPLE, '10.0.0 . tcp . 1'), /10\.0\.0 is not an address/)
})
