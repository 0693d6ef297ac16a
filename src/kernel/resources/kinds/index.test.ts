import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definitionOf } from '../definitions.ts'
import { builtinKinds } from './index.ts'

test('no two kinds share a name, and every kind has its definition', () => {
  const taken = new Map<string, string>()
  for (const { group, version, kind, plural, singular, shortNames = [], schema } of builtinKinds) {
    assert.equal(schema, definitionOf(group, version, kind), kind)
    for (const name of new Set([plural, singular, ...shortNames])) {
      const full = `${group}/${name}`
      assert.ok(!taken.has(full), `${full} of ${kind} and ${taken.get(full)}`)
      taken.set(full, kind)
    }
  }
})

test('table columns begin with the name, except those of events', () => {
  for (const { kind, columns } of builtinKinds)
    if (columns.length > 0 && kind !== 'Event')
      assert.deepEqual([columns[0]!.name, columns[0]!.format], ['Name', 'name'], kind)
})
