import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { cidrContains, parseAddress, parseCidr, validateNonSpecialIP } from './addresses.ts'

test('addresses', () => {
  const rows: [string, 4 | 6 | undefined][] = [
    ['10.0.0.1', 4],
    ['010.001.0.1', 4],
    ['10.0.0.256', undefined],
    ['10.0.0', undefined],
    ['::', 6],
    ['2001:db8::ffff', 6],
    ['::ffff:1.2.3.4', 4],
    ['fe80::1%eth0', undefined],
    ['1::2::3', undefined],
    ['', undefined],
  ]
  for (const [text, family] of rows) assert.equal(parseAddress(text)?.family, family, text)
})

test('every IPv6 address reads as the same number whichever way it is written', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const address = parseAddress(text)
      assert.ok(address)
      const groups = Array.from({ length: 8 }, (_, i) =>
        ((address.value >> BigInt(16 * (7 - i))) & 0xffffn).toString(16),
      )
      const long = groups.join(':')
      assert.ok(isIPv6(long))
      if (address.family === 6) assert.equal(parseAddress(long)?.value, address.value)
    }),
  )
})

test('CIDRs clear the host bits', () => {
  assert.deepEqual(parseCidr('10.1.2.3/8'), { family: 4, network: 10n << 24n, prefix: 8 })
  assert.equal(parseCidr('10.0.0.0/33'), undefined)
  assert.equal(parseCidr('10.0.0.0'), undefined)
  assert.equal(parseCidr('::/129'), undefined)
  assert.ok(cidrContains(parseCidr('10.0.0.0/8')!, parseAddress('10.255.0.1')!))
  assert.ok(!cidrContains(parseCidr('10.0.0.0/8')!, parseAddress('11.0.0.1')!))
  assert.ok(!cidrContains(parseCidr('::/0')!, parseAddress('11.0.0.1')!))
})

test('addresses that no endpoint may have', () => {
  const rows: [string, RegExp | undefined][] = [
    ['10.0.0.1', undefined],
    ['0.0.0.0', /^may not be unspecified \(0\.0\.0\.0\)$/],
    ['127.0.0.1', /loopback/],
    ['::1', /loopback/],
    ['169.254.169.254', /link-local range/],
    ['fe80::1', /link-local range/],
    ['224.0.0.1', /link-local multicast/],
    ['x', /must be a valid IP address/],
  ]
  for (const [text, want] of rows) {
    const [error] = validateNonSpecialIP(text, 'ip')
    if (want === undefined) assert.equal(error, undefined, text)
    else assert.match(error!.detail, want)
  }
})
