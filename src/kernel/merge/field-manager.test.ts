import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject, KubeObject, ManagedFieldsEntry } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { createFieldManager, type FieldManager } from './field-manager.ts'
import { type FieldSet, forEachPath } from './field-set.ts'
import { LAST_APPLIED } from './last-applied.ts'
import { printPath } from './path-element.ts'
import { widget, widgetSchema, widgetSchemas } from './widget.fixture.ts'

const make = (subresource = '', custom = false, apiVersion = 'test/v1'): FieldManager =>
  createFieldManager({
    schema: widgetSchema,
    schemas: widgetSchemas,
    apiVersion,
    subresource,
    resetFields: subresource === 'status' ? [['spec']] : [['status']],
    custom,
  })
const main = make()
const status = make('status')

const at = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`
const copy = <T>(value: T): T => structuredClone(value)

const create = (spec: JsonObject, by = 'creator', second = 0): KubeObject =>
  main.update(undefined, widget({ spec }), by, at(second))
const update = (live: KubeObject, spec: JsonObject, by: string, second: number): KubeObject =>
  main.update(live, { ...copy(live), spec: copy(spec) }, by, at(second))
const apply = (live: KubeObject | undefined, spec: JsonObject, by: string, second: number, force = false): KubeObject =>
  main.apply(live, configOf(spec), by, force, at(second))

/** An applied configuration; without a spec when that would be empty, for `spec: {}` owns the empty spec. */
const configOf = (spec: JsonObject): KubeObject => widget(Object.keys(spec).length === 0 ? {} : { spec })

/** What each manager owns: `manager Operation@second: paths`. */
function owners(object: KubeObject): Record<string, string[]> {
  const out: Record<string, string[]> = {}
  for (const entry of object.metadata.managedFields ?? []) {
    const paths: string[] = []
    forEachPath(entry.fieldsV1 as FieldSet, (path) => paths.push(printPath(path).replace(/^\.spec\b/, '')))
    const sub = entry.subresource ? `/${entry.subresource}` : ''
    out[`${entry.manager}${sub} ${entry.operation}@${Number(entry.time?.slice(17, 19))}`] = paths
  }
  return out
}

function conflictOf(run: () => unknown): ApiError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' })
}

describe('field management: updates', () => {
  it('a create owns everything but what the server keeps', () => {
    const object = main.update(
      undefined,
      widget({ spec: { title: 'a', options: { x: '1' } } }, { labels: { a: '1' }, uid: 'u', resourceVersion: '1' }),
      'kubectl-create',
      at(1),
    )
    assert.deepEqual(object.metadata.managedFields, [
      {
        manager: 'kubectl-create',
        operation: 'Update',
        apiVersion: 'test/v1',
        time: at(1),
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
          'f:spec': { 'f:options': { '.': {}, 'f:x': {} }, 'f:title': {} },
        },
      },
    ])
    assert.deepEqual(Object.keys(object.metadata.managedFields![0]!), [
      'manager',
      'operation',
      'apiVersion',
      'time',
      'fieldsType',
      'fieldsV1',
    ])
  })

  it('an update takes what it changes, and what it removes is nobody’s', () => {
    const live = create({ title: 'a', replicas: 1, paused: true })
    const next = update(live, { title: 'b', paused: true }, 'editor', 5)
    assert.deepEqual(owners(next), { 'creator Update@0': ['.paused'], 'editor Update@5': ['.title'] })
  })

  it('adds to what the same manager owns, and moves its time', () => {
    const next = update(create({ title: 'a' }), { title: 'a', replicas: 1 }, 'creator', 5)
    assert.deepEqual(owners(next), { 'creator Update@5': ['.replicas', '.title'] })
  })

  it('only removing leaves the time, and a manager without fields goes', () => {
    const live = create({ title: 'a', replicas: 1 })
    const less = update(live, { title: 'a' }, 'editor', 5)
    assert.deepEqual(owners(less), { 'creator Update@0': ['.title'] })
    assert.equal(update(less, {}, 'editor', 6).metadata.managedFields, undefined)
    assert.deepEqual(owners(update(less, { title: 'b' }, 'editor', 6)), { 'editor Update@6': ['.title'] })
  })

  it('an update without a change keeps the very entries', () => {
    const live = create({ title: 'a' })
    assert.equal(update(live, { title: 'a' }, 'editor', 5).metadata.managedFields, live.metadata.managedFields)
    const without = { ...copy(live), metadata: { ...copy(live.metadata), resourceVersion: '7' } }
    delete without.metadata.managedFields
    assert.equal(main.update(live, without, 'editor', at(5)).metadata.managedFields, live.metadata.managedFields)
  })

  it('changes neither the live object nor its entries', () => {
    const live = apply(create({ title: 'a', colors: ['x'] }), { paused: true }, 'helm', 1)
    const text = JSON.stringify(live)
    update(live, { title: 'b', colors: ['y'] }, 'creator', 2)
    apply(live, { title: 'c', containers: [{ name: 'a' }] }, 'helm', 3, true)
    assert.equal(JSON.stringify(live), text)
  })

  it('an unnamed manager is "unknown"', () => {
    assert.deepEqual(Object.keys(owners(create({ title: 'a' }, ''))), ['unknown Update@0'])
  })

  it('keeps managers of subresources and versions apart', () => {
    const live = create({ title: 'a' }, 'm')
    const next = status.update(live, { ...copy(live), spec: { title: 'ignored' }, status: { phase: 'x' } }, 'm', at(1))
    assert.deepEqual(owners(next), { 'm Update@0': ['.title'], 'm/status Update@1': ['.status.phase'] })
    const other = make('', false, 'test/v2').update(
      next,
      { ...copy(next), spec: { title: 'ignored', replicas: 1 } },
      'm',
      at(2),
    )
    assert.deepEqual(
      other.metadata.managedFields?.map(({ apiVersion, subresource = '' }) => `${apiVersion}${subresource}`),
      ['test/v1', 'test/v1status', 'test/v2'],
    )
  })

  it('never owns what the write resets', () => {
    const object = main.update(undefined, widget({ spec: { title: 'a' }, status: { phase: 'x' } }), 'm', at(0))
    assert.deepEqual(owners(object), { 'm Update@0': ['.title'] })
  })

  it('sorts entries by operation, time, manager', () => {
    let object = create({ title: 'a', replicas: 1, paused: true }, 'z', 3)
    object = update(object, { title: 'b', replicas: 1, paused: true }, 'b', 9)
    object = update(object, { title: 'b', replicas: 2, paused: true }, 'a', 9)
    object = apply(object, { args: ['x'] }, 'late', 20)
    object = apply(object, { colors: ['x'] }, 'early', 10)
    assert.deepEqual(Object.keys(owners(object)), [
      'early Apply@10',
      'late Apply@20',
      'z Update@3',
      'a Update@9',
      'b Update@9',
    ])
  })

  it('keeps ten updaters: the oldest become ancient-changes', () => {
    let object = create({ options: {} }, 'm0', 0)
    for (let i = 1; i <= 13; i++) {
      object = update(object, { options: { ...object['spec'].options, [`k${i}`]: 'v' } }, `m${i}`, i)
    }
    const all = owners(object)
    assert.equal(Object.keys(all).length, 10)
    assert.deepEqual(all['ancient-changes Update@4'], [
      '.options',
      '.options.k1',
      '.options.k2',
      '.options.k3',
      '.options.k4',
    ])
    assert.deepEqual(all['m13 Update@13'], ['.options.k13'])
  })
})

describe('field management: entries in the request', () => {
  const entry = (fieldsV1: Json, more: JsonObject = {}): ManagedFieldsEntry =>
    ({
      manager: 'mover',
      operation: 'Apply',
      apiVersion: 'test/v1',
      time: at(2),
      fieldsType: 'FieldsV1',
      fieldsV1,
      ...more,
    }) as never
  const send = (live: KubeObject, managedFields: unknown, manager = main): KubeObject =>
    manager.update(
      live,
      { ...copy(live), metadata: { ...copy(live.metadata), managedFields: managedFields as never } },
      'editor',
      at(5),
    )
  const live = create({ title: 'a' })

  it('are taken when they are valid, in canonical form', () => {
    const next = send(live, [entry({ 'f:spec': { 'f:title': {}, 'f:args': { '.': {} } } })])
    assert.deepEqual(owners(next), { 'mover Apply@2': ['.args', '.title'] })
  })

  it('are ignored when they are not', () => {
    const wrong: unknown[] = [
      [entry({ title: {} })],
      [entry({}, { operation: 'Frob' })],
      [entry({}, { fieldsType: 'FieldsV2' })],
      [entry({}, { apiVersion: '' })],
      [entry({ 'f:spec': { 'f:title': {} } }), {}],
      [null, null],
      'x',
      null,
    ]
    for (const managedFields of wrong) assert.deepEqual(owners(send(live, managedFields)), owners(live))
  })

  it('are ignored on subresources', () => {
    assert.deepEqual(owners(send(live, [entry({ 'f:spec': { 'f:args': {} } })], status)), owners(live))
    assert.deepEqual(owners(send(live, [], status)), owners(live))
  })

  it('[] and [{}] reset, and nothing is tracked until someone applies', () => {
    for (const reset of [[], [{}]]) {
      const bare = send(live, reset)
      assert.equal(bare.metadata.managedFields, undefined)
      const edited = update(bare, { title: 'b' }, 'editor', 6)
      assert.equal(edited.metadata.managedFields, undefined)
      assert.deepEqual(owners(apply(edited, { replicas: 1 }, 'helm', 7)), {
        'helm Apply@7': ['.replicas'],
        'before-first-apply Update@7': ['.title'],
      })
    }
  })
})

describe('server-side apply', () => {
  it('creates', () => {
    const object = apply(undefined, { title: 'a', options: { x: '1' } }, 'helm', 1)
    assert.deepEqual(object['spec'], { title: 'a', options: { x: '1' } })
    assert.deepEqual(owners(object), { 'helm Apply@1': ['.title', '.options.x'] })
  })

  it('shares what it sets to the same value, without a conflict', () => {
    const object = apply(create({ title: 'a', replicas: 1 }), { title: 'a' }, 'helm', 2)
    assert.deepEqual(owners(object), { 'helm Apply@2': ['.title'], 'creator Update@0': ['.replicas', '.title'] })
  })

  it('names one conflict', () => {
    const live = create({ title: 'a' }, 'kubectl-client-side-apply')
    const error = conflictOf(() => apply(live, { title: 'b' }, 'helm', 2))
    assert.equal(error.code, 409)
    assert.equal(error.reason, 'Conflict')
    assert.equal(
      error.message,
      'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using test/v1: .spec.title',
    )
    assert.deepEqual(error.details, {
      causes: [
        {
          reason: 'FieldManagerConflict',
          message: 'conflict with "kubectl-client-side-apply" using test/v1',
          field: '.spec.title',
        },
      ],
    })
  })

  it('names several conflicts by manager', () => {
    let live = apply(undefined, { replicas: 1, containers: [{ name: 'a', image: '1' }] }, 'owner', 1)
    live = update(live, { ...live['spec'], title: 'a' }, 'editor', 2)
    live = status.update(live, { ...copy(live), status: { phase: 'x' } }, 'kubelet', at(3))
    const config = { title: 'b', replicas: 2, containers: [{ name: 'a', image: '2' }] }
    const error = conflictOf(() =>
      createFieldManager({
        schema: widgetSchema,
        schemas: widgetSchemas,
        apiVersion: 'test/v1',
        subresource: '',
        custom: false,
      }).apply(live, widget({ spec: config, status: { phase: 'y' } }), 'helm', false, at(4)),
    )
    assert.equal(
      error.message,
      [
        'Apply failed with 4 conflicts: conflicts with "editor" using test/v1:',
        '- .spec.title',
        'conflicts with "kubelet" with subresource "status" using test/v1:',
        '- .status.phase',
        'conflicts with "owner":',
        '- .spec.replicas',
        '- .spec.containers[name="a"].image',
      ].join('\n'),
    )
    assert.equal(error.details?.causes?.length, 4)
  })

  it('force takes the fields over', () => {
    const object = apply(create({ title: 'a', replicas: 1 }), { title: 'b' }, 'helm', 2, true)
    assert.equal(object['spec'].title, 'b')
    assert.deepEqual(owners(object), { 'helm Apply@2': ['.title'], 'creator Update@0': ['.replicas'] })
  })

  it('a manager does not conflict with itself, but its updates and its applies are two', () => {
    const live = apply(undefined, { title: 'a' }, 'helm', 1)
    assert.equal(apply(live, { title: 'b' }, 'helm', 2)['spec'].title, 'b')
    assert.throws(() => apply(update(live, { title: 'b' }, 'helm', 2), { title: 'c' }, 'helm', 3), ApiError)
  })

  it('removes what it no longer sets, unless somebody else owns it', () => {
    const live = apply(
      undefined,
      { title: 'a', replicas: 1, options: { x: '1', y: '1' }, colors: ['r', 'g'] },
      'helm',
      1,
    )
    const shared = apply(live, { replicas: 1, options: { y: '1' }, colors: ['g'] }, 'other', 2)
    const object = apply(shared, {}, 'helm', 3)
    assert.deepEqual(object['spec'], { replicas: 1, options: { y: '1' }, colors: ['g'] })
    assert.deepEqual(owners(object), { 'other Apply@2': ['.replicas', '.colors[="g"]', '.options.y'] })
  })

  it('keeps what an updater has changed or added', () => {
    const live = apply(undefined, { title: 'a', options: { x: '1' } }, 'helm', 1)
    const edited = update(live, { title: 'b', options: { x: '1', z: '1' } }, 'editor', 2)
    assert.deepEqual(apply(edited, {}, 'helm', 3)['spec'], { title: 'b', options: { z: '1' } })
  })

  it('an item that goes takes along what nobody owns in it', () => {
    const live = apply(undefined, { containers: [{ name: 'a', image: '1' }, { name: 'b' }] }, 'helm', 1)
    const tracked = copy(live)
    tracked['spec'].containers[0].args = ['defaulted']
    assert.deepEqual(apply(tracked, { containers: [{ name: 'b' }] }, 'helm', 2)['spec'], {
      containers: [{ name: 'b' }],
    })
    const claimed = apply(tracked, { containers: [{ name: 'a', args: ['mine'] }] }, 'other', 2)
    assert.deepEqual(apply(claimed, { containers: [{ name: 'b' }] }, 'helm', 3)['spec'], {
      containers: [{ name: 'a', args: ['mine'] }, { name: 'b' }],
    })
  })

  it('containers go with their last member', () => {
    const live = apply(
      undefined,
      { title: 'a', strategy: { rolling: { surge: 1 } }, containers: [{ name: 'a' }] },
      'helm',
      1,
    )
    assert.deepEqual(apply(live, { title: 'a' }, 'helm', 2)['spec'], { title: 'a' })
  })

  it('the same again changes nothing, not even the time', () => {
    const live = apply(
      undefined,
      { title: 'a', containers: [{ name: 'a', env: [{ name: 'x', value: '1' }] }] },
      'helm',
      1,
    )
    assert.deepEqual(apply(live, live['spec'], 'helm', 9), live)
  })

  it('refuses what Kubernetes refuses', () => {
    const managedFields: never[] = []
    const rows: [() => unknown, number, RegExp][] = [
      [
        () => apply(undefined, {}, '', 1),
        422,
        /^PatchOptions\.meta\.k8s\.io "" is invalid: fieldManager: Required value: is required for apply patch$/,
      ],
      [
        () => main.apply(undefined, widget({}, { managedFields }), 'm', false, at(1)),
        400,
        /^metadata\.managedFields must be nil$/,
      ],
      [
        () => make('', false, 'test/v2').apply(undefined, widget({}), 'm', false, at(1)),
        400,
        /^invalid object type: test\/v1, Kind=Widget$/,
      ],
      [
        () => apply(undefined, { what: 1 }, 'm', 1),
        400,
        /^failed to create typed patch object \(n\/w; test\/v1, Kind=Widget\): \.spec\.what: field not declared in schema$/,
      ],
      [
        () => apply(undefined, { what: 1, replicas: 'x' }, 'm', 1),
        400,
        /: errors:\n {2}\.spec\.what: .*\n {2}\.spec\.replicas: /,
      ],
      [() => apply(undefined, { colors: ['a', 'a'] }, 'm', 1), 400, /duplicate entries for key \[="a"\]/],
    ]
    for (const [run, code, message] of rows) {
      const error = conflictOf(run)
      assert.equal(error.code, code)
      assert.match(error.message, message)
    }
  })

  it('bears duplicates that are already there', () => {
    const live = create({ colors: ['a', 'a', 'b'] })
    assert.deepEqual(owners(live)['creator Update@0'], ['.colors', '.colors[="a"]', '.colors[="b"]'])
    const object = apply(live, { colors: ['c'] }, 'helm', 1)
    assert.deepEqual(object['spec'].colors, ['a', 'a', 'b', 'c'])
  })

  it('treats __proto__ and constructor as plain names', () => {
    const spec = JSON.parse(
      '{"options":{"__proto__":"x","constructor":"y"},"containers":[{"name":"__proto__"}]}',
    ) as JsonObject
    const object = apply(create({ title: 'a' }), spec, 'helm', 1)
    assert.equal(JSON.stringify(object['spec'].options), '{"__proto__":"x","constructor":"y"}')
    assert.deepEqual(owners(object)['helm Apply@1']?.slice(0, 3), [
      '.containers[name="__proto__"]',
      '.containers[name="__proto__"].name',
      '.options.__proto__',
    ])
    const gone = apply(object, {}, 'helm', 2)
    assert.deepEqual(gone['spec'], { title: 'a' })
    const custom = make('', true).update(
      undefined,
      widget({ spec: { free: JSON.parse('{"__proto__":{"a":1}}') as Json } }),
      'm',
      at(1),
    )
    assert.ok(owners(custom)['m Update@1']?.includes('.free.__proto__.a'))
  })
})

describe('large and deep input', () => {
  const custom = make('', true)

  it('lists no more conflicts than fit an answer, and counts the rest', () => {
    const options = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key-${i}`, 'a']))
    const other = Object.fromEntries(Object.keys(options).map((key) => [key, 'b']))
    const error = conflictOf(() => apply(create({ options }), { options: other }, 'helm', 1))
    assert.match(error.message, /^Apply failed with 20000 conflicts: /)
    const listed = error.details?.causes?.length ?? 0
    assert.ok(listed > 1000 && error.message.length < 400_000)
    assert.ok(error.message.endsWith(`- and ${20_000 - listed} more`))
  })

  it('manages lists of many items in any order', () => {
    const containers = Array.from({ length: 20_000 }, (_, i) => ({ name: `c${(i * 7919) % 20_000}` }))
    const live = apply(undefined, { containers }, 'helm', 1)
    const items = Object.keys(
      (live.metadata.managedFields![0]!.fieldsV1['f:spec'] as JsonObject)['f:containers'] as object,
    )
    assert.equal(items.length, 20_000)
    assert.deepEqual(items, [...items].sort())
    assert.deepEqual(apply(live, { containers }, 'helm', 2), live)
    assert.equal(apply(live, { containers: containers.slice(1) }, 'helm', 2)['spec'].containers.length, 19_999)
  })

  it('nesting beyond the stack is a 400', () => {
    let deep: JsonObject = {}
    for (let i = 0; i < 100_000; i++) deep = { a: deep }
    const object = widget({ spec: { free: deep } })
    assert.equal(conflictOf(() => custom.update(undefined, object, 'm', at(1))).code, 400)
    assert.equal(conflictOf(() => custom.apply(undefined, object, 'm', false, at(1))).code, 400)
  })
})

describe('from client-side to server-side apply', () => {
  const config = (title: string, replicas?: number): JsonObject => ({
    apiVersion: 'test/v1',
    kind: 'Widget',
    metadata: { name: 'w', namespace: 'n' },
    spec: { title, ...(replicas === undefined ? {} : { replicas }) },
  })
  const clientSide = (title: string, live: string, replicas = 1): KubeObject =>
    main.update(
      undefined,
      widget(
        { spec: { title: live, replicas } },
        { annotations: { [LAST_APPLIED]: JSON.stringify(config(title, replicas)) } },
      ),
      'kubectl-client-side-apply',
      at(1),
    )

  it('kubectl takes over what it applied before, and keeps the annotation true', () => {
    const object = apply(clientSide('a', 'a'), { title: 'b' }, 'kubectl', 2)
    assert.equal(object['spec'].title, 'b')
    assert.equal(object.metadata.annotations?.[LAST_APPLIED], `${JSON.stringify(config('b'))}\n`)
    const now = owners(object)
    assert.deepEqual(now['kubectl Apply@2'], ['.title'])
    assert.ok(now['kubectl-client-side-apply Update@1']?.includes('.replicas'))
  })

  it('not what has changed since, nor for other managers', () => {
    assert.match(conflictOf(() => apply(clientSide('a', 'x'), { title: 'b' }, 'kubectl', 2)).message, /1 conflict:/)
    assert.match(conflictOf(() => apply(clientSide('a', 'a'), { title: 'b' }, 'helm', 2)).message, /1 conflict:/)
    const message = conflictOf(() => apply(clientSide('a', 'x'), { title: 'b', replicas: 2 }, 'kubectl', 2)).message
    assert.match(message, /1 conflict: .*\.spec\.title$/)
  })

  it('an annotation that is no configuration helps nobody', () => {
    for (const text of ['{', '[]', '{"apiVersion":"test/v0"}', '{"apiVersion":"test/v1","spec":{"what":1}}']) {
      const live = clientSide('a', 'a')
      live.metadata.annotations![LAST_APPLIED] = text
      assert.equal(conflictOf(() => apply(live, { title: 'b' }, 'kubectl', 2)).code, 409)
    }
  })

  it('other managers leave the annotation alone', () => {
    const live = clientSide('a', 'a')
    const object = apply(live, { paused: true }, 'helm', 2)
    assert.equal(object.metadata.annotations?.[LAST_APPLIED], live.metadata.annotations?.[LAST_APPLIED])
  })
})

describe('properties of apply', () => {
  const word = fc.constantFrom('a', 'b', 'c')
  const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 })
  const record = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<JsonObject> =>
    fc.record(fields).map((object) => JSON.parse(JSON.stringify(object)) as JsonObject)
  const containers = fc.uniqueArray(
    record({ name: word, image: some(word), args: some(fc.array(word, { maxLength: 2 })) }),
    { selector: (item) => item['name'], maxLength: 3 },
  )
  const spec = record({
    title: some(word),
    replicas: some(fc.integer({ min: 0, max: 2 })),
    options: some(fc.dictionary(word, word)),
    selector: some(fc.dictionary(word, word)),
    colors: some(fc.uniqueArray(word)),
    containers: some(containers),
    strategy: some(
      record({ type: some(word), rolling: some(record({ surge: some(fc.integer({ min: 0, max: 2 })) })) }),
    ),
    free: some(fc.dictionary(word, fc.oneof(word, fc.dictionary(word, word), fc.array(word)))),
  })

  for (const custom of [false, true]) {
    const manager = make('', custom)
    const put = (live: KubeObject | undefined, value: JsonObject, by: string, second: number): KubeObject =>
      manager.apply(live, configOf(value), by, true, at(second))

    it(`twice is once (${custom ? 'custom' : 'built-in'})`, () => {
      fc.assert(
        fc.property(spec, spec, spec, (first, second, third) => {
          const live = put(manager.update(undefined, widget({ spec: first }), 'u', at(0)), second, 'x', 1)
          const once = put(live, third, 'x', 2)
          assert.deepEqual(put(once, third, 'x', 3), once)
        }),
      )
    })

    it(`what is applied is there (${custom ? 'custom' : 'built-in'})`, () => {
      fc.assert(
        fc.property(spec, spec, (first, second) => {
          const once = put(put(undefined, first, 'x', 1), second, 'y', 2)
          assert.deepEqual(manager.apply(once, configOf(second), 'z', false, at(3))['spec'], once['spec'])
        }),
      )
    })

    it(`an applier that leaves restores what the others have (${custom ? 'custom' : 'built-in'})`, () => {
      fc.assert(
        fc.property(spec, spec, (mine, theirs) => {
          const alone = put(undefined, theirs, 'other', 1)
          const both = put(put(undefined, mine, 'me', 1), theirs, 'other', 2)
          const left = put(both, {}, 'me', 3)
          const mineAlone = put(left, {}, 'other', 4)
          const paths = (object: KubeObject): string[] =>
            owners(object)['other Apply@2'] ?? owners(object)['other Apply@1'] ?? []
          assert.deepEqual(paths(left), paths(alone))
          assert.deepEqual(owners(mineAlone), {})
        }),
      )
    })
  }

  it('a field that one applier drops goes iff no other owns it', () => {
    fc.assert(
      fc.property(fc.dictionary(word, word), fc.dictionary(word, word), fc.subarray(['a', 'b', 'c']), (x, y, keep) => {
        const first = apply(undefined, { options: x }, 'x', 1, true)
        const both = apply(first, { options: y }, 'y', 2, true)
        const fewer = Object.fromEntries(Object.entries(x).filter(([key]) => keep.includes(key)))
        const merged = { ...y, ...fewer }
        const result = apply(both, { options: fewer }, 'x', 3, true)
        assert.deepEqual(result['spec'].options ?? {}, merged)
      }),
    )
  })

  it('entries always read back as they are', () => {
    fc.assert(
      fc.property(spec, spec, (first, second) => {
        const live = put2(first, second)
        const again = main.update(live, copy(live), 'someone', at(9))
        assert.deepEqual(again.metadata.managedFields, live.metadata.managedFields)
      }),
    )
    function put2(first: JsonObject, second: JsonObject): KubeObject {
      return update(apply(undefined, first, 'x', 1), second, 'u', 2)
    }
  })
})
