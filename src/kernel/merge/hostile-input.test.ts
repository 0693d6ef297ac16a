import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { createFieldManager } from './field-manager.ts'
import { applyJsonPatch } from './json-patch.ts'
import { applyMergePatch } from './merge-patch.ts'
import { applyStrategicMergePatch } from './strategic.ts'
import { widget, widgetSchema, widgetSchemas } from './widget.fixture.ts'

/** Whatever comes in, the answer is a result or an ApiError; no argument changes and no prototype is touched. */
const name = fc.constantFrom(
  ...['containers', 'name', 'colors', 'options', 'strategy', 'free', 'ports', 'port', 'args', 'type', 'title'],
  ...['$patch', '$retainKeys', '$setElementOrder/containers', '$deleteFromPrimitiveList/colors', '$setElementOrder'],
  ...['__proto__', 'constructor', 'prototype', 'toString', ''],
)
const scalar = fc.oneof(
  fc.constantFrom<Json[]>(null, true, 0, 80, -1, 1.5, 'a', 'b', 'replace', 'delete', 'merge', ''),
  name,
)
const { value, map } = fc.letrec<{ value: Json; map: JsonObject }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalar, fc.array(tie('value'), { maxLength: 3 }), tie('map')),
  map: fc
    .array(fc.tuple(name, tie('value')), { maxLength: 4 })
    .map((entries) =>
      JSON.parse(`{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`),
    ),
}))

function answers(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    assert.ok(error.code >= 400 && error.code < 500, String(error.code))
  }
  assert.deepEqual(Object.keys(Object.prototype), [])
}

describe('hostile input', () => {
  it('strategic and merge patches', () => {
    fc.assert(
      fc.property(map, map, (spec, patch) => {
        const text = JSON.stringify([spec, patch])
        answers(() => applyStrategicMergePatch(widget({ spec }), { spec: patch }, widgetSchema, widgetSchemas))
        answers(() => applyStrategicMergePatch(widget({ spec }), patch, widgetSchema, widgetSchemas))
        answers(() => applyMergePatch(spec, patch))
        assert.equal(JSON.stringify([spec, patch]), text)
      }),
      { numRuns: 1000 },
    )
  })

  it('JSON patches', () => {
    const pointer = fc
      .array(fc.oneof(name, fc.constantFrom('0', '1', '-', '-1', '~', '01')))
      .map((p) => ['', ...p].join('/'))
    const operation = fc.record({
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
      path: pointer,
      from: pointer,
      value,
    })
    fc.assert(
      fc.property(map, fc.array(operation, { maxLength: 6 }), (document, patch) => {
        const text = JSON.stringify([document, patch])
        answers(() => applyJsonPatch(document, patch))
        assert.equal(JSON.stringify([document, patch]), text)
      }),
      { numRuns: 1000 },
    )
  })

  it('applies and updates, of built-in and custom kinds', () => {
    for (const custom of [false, true]) {
      const options = { schema: widgetSchema, schemas: widgetSchemas, apiVersion: 'test/v1', subresource: '', custom }
      const manager = createFieldManager(options)
      fc.assert(
        fc.property(map, map, map, value, (first, second, third, managedFields) => {
          const live = manager.update(undefined, widget({ spec: first }), 'u', '2026-01-01T00:00:00Z')
          const text = JSON.stringify(live)
          const config = { spec: second, status: third }
          answers(() => manager.apply(live, widget(config), 'kubectl', false, '2026-01-01T00:00:01Z'))
          answers(() => {
            const applied = manager.apply(live, widget(config), 'm', true, '2026-01-01T00:00:01Z')
            manager.apply(applied, widget({ spec: third }), 'm', true, '2026-01-01T00:00:02Z')
          })
          answers(() => manager.update(live, widget(config, { managedFields }), 'v', '2026-01-01T00:00:03Z'))
          assert.equal(JSON.stringify(live), text)
        }),
        { numRuns: 500 },
      )
    }
  })
})
