import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  addQuantity,
  canonicalQuantity,
  compareQuantity,
  parseQuantity,
  QUANTITY_FORMAT_MESSAGE,
  quantityMilliValue,
  quantityOf,
  quantityValue,
  roundUpToMilli,
  subtractQuantity,
  tryQuantity,
} from './quantity.ts'

describe('quantity', () => {
  const canonical: [unknown, string][] = [
    ['0', '0'],
    [0, '0'],
    ['0Mi', '0'],
    ['-0', '0'],
    [1, '1'],
    [0.5, '500m'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['5.', '5.'],
    ['100m', '100m'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['1.5', '1500m'],
    ['0.1m', '100u'],
    ['1n', '1n'],
    ['0.1n', '1n'],
    ['1.0000000001', '1000000001n'],
    ['1k', '1k'],
    ['1000k', '1M'],
    ['1024', '1024'],
    ['1Ki', '1Ki'],
    ['1024Ki', '1Mi'],
    ['1025Ki', '1025Ki'],
    ['512Mi', '512Mi'],
    ['1.5Gi', '1536Mi'],
    ['0.5Ki', '512'],
    ['0.5Mi', '512Ki'],
    ['0.0001Ki', '102400u'],
    ['1.1Ki', '1126400m'],
    ['100000Ki', '100000Ki'],
    ['1e3', '1e3'],
    ['1E3', '1E3'],
    ['1000e3', '1e6'],
    ['12e-3', '12e-3'],
    ['1e1', '10'],
    ['1E', '1E'],
    ['1000E', '1e21'],
    ['9Ei', '9223372036854775807'],
    ['-1Ki', '-1Ki'],
    ['-0.5', '-500m'],
    [' 5 ', '5'],
    ['007', '007'],
    ['1.500G', '1.500G'],
    ['123456789012345678901234567890', '123456789012345678901234567890'],
  ]
  for (const [input, expected] of canonical)
    it(`prints ${JSON.stringify(input)} as ${expected}`, () => assert.equal(canonicalQuantity(input), expected))

  const broken: [unknown, string][] = [
    ['', QUANTITY_FORMAT_MESSAGE],
    ['abc', QUANTITY_FORMAT_MESSAGE],
    ['1 Gi', QUANTITY_FORMAT_MESSAGE],
    ['1.2.3', QUANTITY_FORMAT_MESSAGE],
    ['1GiB', QUANTITY_FORMAT_MESSAGE],
    ['1K', "unable to parse quantity's suffix"],
    ['1ki', "unable to parse quantity's suffix"],
    ['1e99999', "unable to parse quantity's suffix"],
    ['.', 'unable to parse numeric part of quantity'],
    ['1'.repeat(5000), 'unable to parse numeric part of quantity'],
    [null, QUANTITY_FORMAT_MESSAGE],
    [{}, QUANTITY_FORMAT_MESSAGE],
  ]
  for (const [input, message] of broken)
    it(`refuses ${String(JSON.stringify(input)).slice(0, 20)}`, () => {
      assert.throws(() => parseQuantity(input), { name: 'QuantityError', message })
      assert.equal(tryQuantity(input), undefined)
    })

  const order: [string, string, -1 | 0 | 1][] = [
    ['1', '1000m', 0],
    ['1Ki', '1k', 1],
    ['999m', '1', -1],
    ['-1', '1n', -1],
    ['1Gi', '1024Mi', 0],
  ]
  for (const [a, b, expected] of order)
    it(`compares ${a} with ${b}`, () => assert.equal(compareQuantity(parseQuantity(a), parseQuantity(b)), expected))

  it('adds and subtracts in the format of the first', () => {
    assert.equal(addQuantity(parseQuantity('1Gi'), parseQuantity('1G')).text, '2073741824')
    assert.equal(addQuantity(parseQuantity('1Gi'), parseQuantity('1024Mi')).text, '2Gi')
    assert.equal(addQuantity(parseQuantity('0'), parseQuantity('1Gi')).text, '1Gi')
    assert.equal(addQuantity(parseQuantity('100m'), parseQuantity('1.9')).text, '2')
    assert.equal(subtractQuantity(parseQuantity('1'), parseQuantity('1500m')).text, '-500m')
  })

  it('gives whole units and thousandths, rounded away from zero', () => {
    assert.equal(quantityValue(parseQuantity('1.1')), 2n)
    assert.equal(quantityValue(parseQuantity('-1.1')), -2n)
    assert.equal(quantityMilliValue(parseQuantity('1.0001')), 1001n)
    assert.equal(roundUpToMilli(parseQuantity('100u')).text, '1m')
    assert.equal(quantityOf(5).text, '5')
  })

  it('prints a form that reads back as the same amount', () => {
    const text = fc
      .tuple(
        fc.constantFrom('', '-'),
        fc.nat({ max: 1e9 }),
        fc.option(fc.nat({ max: 99999 })),
        fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e2', 'e-5', 'E7'),
      )
      .map(([sign, whole, fraction, suffix]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${suffix}`)
    fc.assert(
      fc.property(text, (input) => {
        const q = parseQuantity(input)
        const again = parseQuantity(q.text)
        assert.equal(again.nanos, q.nanos)
        assert.equal(again.text, q.text)
      }),
    )
  })
})
