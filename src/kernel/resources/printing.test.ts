import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import type { LabelSelector } from '../api/selectors.ts'
import { ageCell, formatLabelSelector, formatLabels, humanDuration, translateTimestampSince } from './printing.ts'

const S = 1000
const M = 60 * S
const H = 60 * M
const D = 24 * H

describe('humanDuration', () => {
  const cases: [number, string][] = [
    [-2 * S, '<invalid>'],
    [-1.5 * S, '0s'],
    [-1 * S, '0s'],
    [-0.5 * S, '0s'],
    [0, '0s'],
    [999, '0s'],
    [S, '1s'],
    [119 * S, '119s'],
    [120 * S, '2m'],
    [121 * S, '2m1s'],
    [10 * M - 1, '9m59s'],
    [10 * M, '10m'],
    [10 * M + 30 * S, '10m'],
    [3 * H - 1, '179m'],
    [3 * H, '3h'],
    [3 * H + 5 * M, '3h5m'],
    [8 * H - 1, '7h59m'],
    [8 * H, '8h'],
    [48 * H - 1, '47h'],
    [48 * H, '2d'],
    [49 * H, '2d1h'],
    [8 * D - 1, '7d23h'],
    [8 * D, '8d'],
    [2 * 365 * D - 1, '729d'],
    [2 * 365 * D, '2y'],
    [2 * 365 * D + D, '2y1d'],
    [8 * 365 * D - 1, '7y364d'],
    [8 * 365 * D + 100 * D, '8y'],
  ]
  for (const [milliseconds, expected] of cases)
    it(`${milliseconds} ms is ${expected}`, () => assert.equal(humanDuration(milliseconds), expected))
})

describe('table cells', () => {
  const now = Date.parse('2026-01-01T00:05:12Z')
  it('age', () => {
    const object = (creationTimestamp?: string): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...(creationTimestamp ? { creationTimestamp } : {}) },
    })
    assert.equal(ageCell(object('2026-01-01T00:00:00Z'), now), '5m12s')
    assert.equal(ageCell(object(), now), '<unknown>')
    assert.equal(translateTimestampSince('nonsense', now), '<unknown>')
  })
  it('labels', () => {
    assert.equal(formatLabels({ b: '2', a: '1' }), 'a=1,b=2')
    assert.equal(formatLabels({}), '<none>')
    assert.equal(formatLabels(undefined), '<none>')
  })
  const selectors: [LabelSelector | undefined, string][] = [
    [undefined, '<none>'],
    [{}, '<none>'],
    [{ matchLabels: { b: '2', a: '1' } }, 'a=1,b=2'],
    [
      {
        matchLabels: { m: 'x' },
        matchExpressions: [
          { key: 'z', operator: 'In', values: ['2', '1'] },
          { key: 'n', operator: 'NotIn', values: ['1'] },
          { key: 'e', operator: 'Exists' },
          { key: 'd', operator: 'DoesNotExist' },
        ],
      },
      '!d,e,m=x,n notin (1),z in (1,2)',
    ],
    [{ matchExpressions: [{ key: 'a', operator: 'Gt' as 'In' }] }, '<error>'],
  ]
  for (const [selector, expected] of selectors)
    it(`selector ${expected}`, () => assert.equal(formatLabelSelector(selector), expected))
})
