import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { children, readTlv } from '../../kernel/authn/certificate-reader.ts'
import * as der from './der.ts'

const rows: [name: string, bytes: Uint8Array, hex: string][] = [
  ['integer 0', der.smallInteger(0), '020100'],
  ['integer 127', der.smallInteger(127), '02017f'],
  ['integer 128 stays positive', der.smallInteger(128), '02020080'],
  ['integer 256', der.smallInteger(256), '02020100'],
  ['leading zeros go', der.unsignedInteger(Buffer.from('000001', 'hex')), '020101'],
  ['empty integer is zero', der.unsignedInteger(Buffer.alloc(0)), '020100'],
  ['true', der.boolean(true), '0101ff'],
  ['oid', der.objectIdentifier('1.2.840.113549'), '06062a864886f70d'],
  ['oid under 2', der.objectIdentifier('2.5.29.15'), '0603551d0f'],
  ['no bits', der.namedBits([]), '030100'],
  ['keyCertSign and cRLSign', der.namedBits([5, 6]), '03020106'],
  ['decipherOnly needs a second byte', der.namedBits([8]), '0303070080'],
  ['set is ordered', der.setOf(der.smallInteger(2), der.smallInteger(1)), '3106020101020102'],
  [
    '2049 is UTCTime',
    der.time(Date.UTC(2049, 11, 31, 23, 59, 59)),
    `170d${Buffer.from('491231235959Z').toString('hex')}`,
  ],
  ['2050 is GeneralizedTime', der.time(Date.UTC(2050, 0, 1)), `180f${Buffer.from('20500101000000Z').toString('hex')}`],
]
for (const [name, bytes, hex] of rows) test(`der: ${name}`, () => assert.equal(Buffer.from(bytes).toString('hex'), hex))

for (const bad of ['', '1', '3.1', '1.40', '1.2.x', '1.2.-1'])
  test(`der: ${JSON.stringify(bad)} is no object identifier`, () =>
    assert.throws(() => der.objectIdentifier(bad), RangeError))
for (const bad of [Number.NaN, Date.UTC(1949, 0), Date.UTC(10000, 0)])
  test(`der: ${bad} is no time`, () => assert.throws(() => der.time(bad), RangeError))

test('der: what is written is read back, whatever its length', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 5 }), (parts) => {
      const whole = readTlv(der.sequence(...parts.map((p) => der.octetString(p))))
      assert.deepEqual(
        children(whole).map((c) => [...c.content]),
        parts.map((p) => [...p]),
      )
    }),
  )
})

test('der: random bytes never crash the reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        children(readTlv(bytes))
      } catch (error) {
        assert.equal((error as Error).name, 'DerError')
      }
    }),
  )
})
