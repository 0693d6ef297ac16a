import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addressToNumber, isLoopback, numberToAddress, parseCidr } from './address.ts'
import { canonicalAddress } from './allocations.ts'

describe('addresses', () => {
  test('IPv4 and IPv6 go to numbers and back', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
        (n) => addressToNumber(numberToAddress(n, 'IPv4')) === n,
      ),
    )
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
        (n) => addressToNumber(numberToAddress(n, 'IPv6')) === n,
      ),
    )
  })

  test('one address has one form', () => {
    const forms = ['fd00:0:0::1', 'FD00::0001', 'fd00:0000:0000:0000:0000:0000:0000:0001']
    assert.deepEqual(new Set(forms.map(canonicalAddress)), new Set(['fd00::1']))
    assert.equal(canonicalAddress('::ffff:1.2.3.4'), '::ffff:1.2.3.4')
    assert.equal(canonicalAddress('None'), undefined)
  })

  const ranges: [string, string, string, string, number][] = [
    ['10.96.0.0/12', '10.96.0.0/12', '10.96.0.1', '10.111.255.254', 1_048_574],
    ['10.96.5.7/24', '10.96.5.0/24', '10.96.5.1', '10.96.5.254', 254],
    ['192.168.1.0/30', '192.168.1.0/30', '192.168.1.1', '192.168.1.2', 2],
    ['fd00::/108', 'fd00::/108', 'fd00::1', 'fd00::f:ffff', 1_048_575],
    ['fd00::/64', 'fd00::/64', 'fd00::1', 'fd00::f:ffff', 1_048_575],
  ]
  for (const [text, cidr, first, last, size] of ranges)
    test(text, () => {
      const range = parseCidr(text)
      assert.deepEqual([range.cidr, range.first, range.at(range.size - 1), range.size], [cidr, first, last, size])
      assert.equal(range.offsetOf(first), 0)
      assert.equal(range.offsetOf(last), size - 1)
      assert.equal(range.offsetOf(cidr.split('/')[0]!), undefined)
      assert.equal(range.offsetOf('1.1.1.1'), undefined)
      assert.equal(range.offsetOf('None'), undefined)
    })

  test('what is no range', () => {
    for (const text of [
      '',
      '10.0.0.0',
      '10.0.0.0/33',
      '10.0.0.0/31',
      'x/8',
      '10.0.0.0/8/8',
      'fd00::/129',
      '10.0.0.0/-1',
    ])
      assert.throws(() => parseCidr(text), /CIDR|too few/, text)
  })

  test('loopback', () => {
    assert.deepEqual(['127.0.0.1', '127.9.9.9', '::1', '10.0.0.1', 'x'].map(isLoopback), [
      true,
      true,
      true,
      false,
      false,
    ])
  })
})
