import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadDefinitions } from '../../definitions.ts'
import { DESCRIPTIONS, FIELD_DESCRIPTIONS } from './descriptions.ts'
import { ENUMS, LIST_KEYS, PATCH } from './merge.ts'
import { shortName } from './names.ts'
import { KEPT_WHEN_EMPTY, OMITTED_WHEN_ZERO } from './omit.ts'
import { OPTIONAL, REQUIRED, ZERO_DEFAULTS } from './required.ts'

const fields = new Map(
  [...loadDefinitions().definitions].map(([name, schema]) => [shortName(name), Object.keys(schema.properties ?? {})]),
)

function assertField(path: string): void {
  const dot = path.lastIndexOf('.')
  assert.ok(fields.get(path.slice(0, dot))?.includes(path.slice(dot + 1)), `${path} does not exist`)
}

test('the tables name only definitions and fields that exist', () => {
  for (const name of Object.keys(DESCRIPTIONS)) assert.ok(fields.has(name), `${name} does not exist`)
  for (const table of [FIELD_DESCRIPTIONS, ENUMS, LIST_KEYS, PATCH])
    for (const path of Object.keys(table)) assertField(path)
  for (const path of OPTIONAL) assertField(path)
  for (const table of [OMITTED_WHEN_ZERO, KEPT_WHEN_EMPTY])
    for (const [name, list] of Object.entries(table))
      for (const field of list.split(' ')) assertField(`${name}.${field}`)
  for (const [name, list] of Object.entries(REQUIRED)) for (const field of list) assertField(`${name}.${field}`)
  for (const [name, zeros] of Object.entries(ZERO_DEFAULTS))
    for (const field of Object.keys(zeros)) assertField(`${name}.${field}`)
})

test('every kind is described', () => {
  for (const [name, schema] of loadDefinitions().definitions)
    if (schema['x-kubernetes-group-version-kind'] !== undefined) assert.ok(schema.description, name)
})
