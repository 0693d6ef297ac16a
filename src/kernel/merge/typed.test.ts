import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Json, JsonObject } from '../api/object.ts'
import { type FieldSet, forEachPath } from './field-set.ts'
import { compileType, DEDUCED } from './merge-type.ts'
import { printPath } from './path-element.ts'
import { compare } from './typed-compare.ts'
import { mergeTyped } from './typed-merge.ts'
import { fieldSetOf, withDeclaredFields } from './typed-set.ts'
import { validateTyped } from './typed-validate.ts'
import { widgetSchema, widgetSchemas } from './widget.fixture.ts'

const custom = compileType(widgetSchema, widgetSchemas, true)
const builtIn = compileType(widgetSchema, widgetSchemas, false)

const list = (set: FieldSet | undefined): string[] => {
  const out: string[] = []
  forEachPath(set, (path) => out.push(printPath(path).replace(/^\.spec\b/, '')))
  return out
}
const inSpec = (spec: Json): JsonObject => ({ spec })

type Row = { name: string; left: Json; right: Json; added?: string[]; modified?: string[]; removed?: string[] }
const rows: Row[] = [
  {
    name: 'the same',
    left: { title: 'a', options: { b: '1', a: '2' } },
    right: { options: { a: '2', b: '1' }, title: 'a' },
  },
  {
    name: 'scalars',
    left: { title: 'a', replicas: 1 },
    right: { title: 'b', paused: true },
    added: ['.paused'],
    modified: ['.title'],
    removed: ['.replicas'],
  },
  { name: 'a map appears', left: {}, right: { options: { a: '1' } }, added: ['.options', '.options.a'] },
  {
    name: 'an entry appears and goes',
    left: { options: { a: '1' } },
    right: { options: { b: '1' } },
    added: ['.options.b'],
    removed: ['.options.a'],
  },
  { name: 'a map is emptied', left: { options: { a: '1' } }, right: { options: {} }, removed: ['.options.a'] },
  { name: 'an atomic map', left: { selector: { a: '1' } }, right: { selector: { b: '1' } }, modified: ['.selector'] },
  { name: 'an atomic list', left: { args: ['a'] }, right: { args: ['a', 'b'] }, modified: ['.args'] },
  {
    name: 'a set',
    left: { colors: ['a', 'b'] },
    right: { colors: ['c', 'b'] },
    added: ['.colors[="c"]'],
    removed: ['.colors[="a"]'],
  },
  { name: 'the order of a set does not count', left: { colors: ['a', 'b'] }, right: { colors: ['b', 'a'] } },
  {
    name: 'items',
    left: { containers: [{ name: 'a', image: '1' }, { name: 'b' }] },
    right: { containers: [{ name: 'c' }, { name: 'a', image: '2' }] },
    added: ['.containers[name="c"]', '.containers[name="c"].name'],
    modified: ['.containers[name="a"].image'],
    removed: ['.containers[name="b"]', '.containers[name="b"].name'],
  },
  {
    name: 'default keys',
    left: { containers: [{ name: 'a', ports: [{ port: 1 }] }] },
    right: {
      containers: [
        {
          name: 'a',
          ports: [
            { port: 1, protocol: 'TCP' },
            { port: 1, protocol: 'UDP' },
          ],
        },
      ],
    },
    added: [
      '.containers[name="a"].ports[port=1,protocol="UDP"]',
      '.containers[name="a"].ports[port=1,protocol="TCP"].protocol',
      '.containers[name="a"].ports[port=1,protocol="UDP"].port',
      '.containers[name="a"].ports[port=1,protocol="UDP"].protocol',
    ],
  },
  { name: 'duplicates appear', left: { colors: ['a'] }, right: { colors: ['a', 'a'] }, added: ['.colors[="a"]'] },
  {
    name: 'duplicates are the same',
    left: { containers: [{ name: 'a' }, { name: 'a', image: '1' }] },
    right: { containers: [{ name: 'a' }, { name: 'a', image: '1' }] },
  },
  {
    name: 'duplicates differ',
    left: { containers: [{ name: 'a' }, { name: 'a', image: '1' }] },
    right: { containers: [{ name: 'a' }, { name: 'a', image: '2' }] },
    modified: ['.containers[name="a"]'],
  },
  {
    name: 'duplicates go',
    left: { containers: [{ name: 'a' }, { name: 'a' }] },
    right: { containers: [{ name: 'a' }] },
    added: ['.containers[name="a"]', '.containers[name="a"].name'],
  },
  {
    name: 'untyped maps and lists',
    left: { free: { a: { b: 1, c: [1] } } },
    right: { free: { a: { b: 2, c: [2], d: {} } } },
    added: ['.free.a.d'],
    modified: ['.free.a.b', '.free.a.c'],
  },
  {
    name: 'an untyped value changes its shape',
    left: { free: { a: 1, b: { c: 1 } } },
    right: { free: { a: { x: 1 }, b: 2 } },
    added: ['.free.a.x'],
    modified: ['.free.a', '.free.b'],
    removed: ['.free.b.c'],
  },
  {
    name: 'null',
    left: { options: null, title: null },
    right: { options: { a: '1' }, title: 'x' },
    added: ['.options.a'],
    modified: ['.title'],
  },
  { name: 'undeclared fields', left: { what: 1 }, right: { what: 2 }, modified: ['.what'] },
]

describe('typed values', () => {
  for (const { name, left, right, added = [], modified = [], removed = [] } of rows) {
    it(`compare: ${name}`, () => {
      const found = compare(custom, inSpec(left), inSpec(right))
      const lists = found === undefined ? [[], [], []] : [found.added, found.modified, found.removed].map(list)
      assert.deepEqual(lists, [added, modified, removed])
      const back = compare(custom, inSpec(right), inSpec(left))
      assert.equal(back === undefined, found === undefined)
    })
  }

  it('built-in kinds always have their structs, custom kinds only what was sent', () => {
    const object = { spec: { title: 'x' }, status: {} }
    assert.deepEqual(list(compare(builtIn, {}, object)?.added), ['.title'])
    const asSent = compare(custom, {}, object)
    const paths: string[] = []
    forEachPath(asSent?.added, (path) => paths.push(printPath(path)))
    assert.deepEqual(paths, ['.spec', '.status', '.spec.title'])
    assert.equal(compare(builtIn, object, {})?.removed?.['f:status'], undefined)
  })

  it('field sets of configurations', () => {
    const cases: [Json, string[]][] = [
      [{ title: 'a', options: { a: '1' } }, ['.title', '.options.a']],
      [{ options: {} }, ['.options']],
      [{ options: null, title: null }, ['.options', '.title']],
      [{ strategy: { type: 'x' } }, ['.strategy.type']],
      [
        { colors: ['b', 'a'], args: ['x'], selector: { a: '1' } },
        ['.args', '.selector', '.colors[="a"]', '.colors[="b"]'],
      ],
      [{ colors: [] }, []],
      [
        { containers: [{ name: 'a', resources: {} }] },
        ['.containers[name="a"]', '.containers[name="a"].name', '.containers[name="a"].resources'],
      ],
      [{ free: { a: { b: [1] } } }, ['.free.a', '.free.a.b']],
    ]
    for (const [spec, expected] of cases) assert.deepEqual(list(fieldSetOf(custom, inSpec(spec))), expected)
  })

  it('declared fields own themselves through their members, map entries do not', () => {
    const set = fieldSetOf(custom, inSpec({ strategy: { rolling: { surge: 1 } }, free: { a: { b: 1 } } }))
    const paths = new Set(list(withDeclaredFields(custom, set)))
    assert.deepEqual(
      paths,
      new Set(['', '.strategy', '.strategy.rolling', '.strategy.rolling.surge', '.free', '.free.a', '.free.a.b']),
    )
  })

  type Merge = { name: string; live: JsonObject; config: JsonObject; result: JsonObject }
  const named = (...names: string[]): JsonObject[] => names.map((name) => ({ name }))
  const merges: Merge[] = [
    { name: 'fields', live: { title: 'a', replicas: 1 }, config: { title: 'b' }, result: { title: 'b', replicas: 1 } },
    {
      name: 'maps',
      live: { options: { a: '1' } },
      config: { options: { b: '1' } },
      result: { options: { a: '1', b: '1' } },
    },
    {
      name: 'atomic',
      live: { selector: { a: '1' }, args: ['a'] },
      config: { selector: { b: '1' }, args: [] },
      result: { selector: { b: '1' }, args: [] },
    },
    { name: 'sets', live: { colors: ['a', 'b'] }, config: { colors: ['c', 'a'] }, result: { colors: ['c', 'a', 'b'] } },
    {
      name: 'items',
      live: { containers: [{ name: 'a', image: '1' }] },
      config: { containers: [{ name: 'a', args: ['x'] }] },
      result: { containers: [{ name: 'a', image: '1', args: ['x'] }] },
    },
    {
      name: 'appended items',
      live: { containers: named('a') },
      config: { containers: named('b') },
      result: { containers: named('a', 'b') },
    },
    {
      name: 'the order of the configuration',
      live: { containers: named('a', 'b', 'c') },
      config: { containers: named('c', 'a') },
      result: { containers: named('b', 'c', 'a') },
    },
    {
      name: 'items in between',
      live: { containers: named('a', 's', 'b') },
      config: { containers: named('a', 'n', 'b') },
      result: { containers: named('a', 's', 'n', 'b') },
    },
    {
      name: 'live duplicates give way',
      live: {
        containers: [
          { name: 'a', image: '1' },
          { name: 'a', image: '2' },
        ],
      },
      config: { containers: [{ name: 'a', args: ['x'] }] },
      result: { containers: [{ name: 'a', args: ['x'] }] },
    },
    {
      name: 'live duplicates stay',
      live: { colors: ['a', 'a'] },
      config: { colors: ['b'] },
      result: { colors: ['a', 'a', 'b'] },
    },
    { name: 'empty containers', live: {}, config: { options: {}, colors: [] }, result: { options: {}, colors: [] } },
    {
      name: 'untyped: another shape wins',
      live: { free: { a: { b: 1 } } },
      config: { free: { a: 1 } },
      result: { free: { a: 1 } },
    },
  ]
  for (const { name, live, config, result } of merges) {
    it(`merge: ${name}`, () => {
      const text = JSON.stringify([live, config])
      assert.deepEqual(mergeTyped(custom, inSpec(live), inSpec(config), true), inSpec(result))
      assert.equal(JSON.stringify([live, config]), text)
    })
  }

  it('null unsets in a built-in kind and stays in a custom one', () => {
    const live = inSpec({ title: 'a' })
    assert.deepEqual(mergeTyped(builtIn, live, inSpec({ title: null }), false), inSpec({}))
    assert.deepEqual(mergeTyped(custom, live, inSpec({ title: null }), true), inSpec({ title: null }))
  })

  it('validation', () => {
    const cases: [Json, string[]][] = [
      [{ title: 'a', replicas: null, free: { x: [1, { y: 2 }] } }, []],
      [{ what: 1 }, ['.spec.what: field not declared in schema']],
      [{ replicas: 'x' }, ['.spec.replicas: expected numeric (int or float), got string']],
      [{ title: 1 }, ['.spec.title: expected string, got &value.valueUnstructured{Value:1}']],
      [{ paused: 'yes' }, ['.spec.paused: expected boolean, got &{yes}']],
      [{ options: ['a'] }, ['.spec.options: expected map, got &{[a]}']],
      [{ args: { a: 1 } }, ['.spec.args: expected list, got &{map[a:1]}']],
      [{ args: [1] }, ['.spec.args[0]: expected string, got &value.valueUnstructured{Value:1}']],
      [
        { containers: [{ image: 'x' }] },
        [
          '.spec.containers: element 0: associative list with keys has an element that omits key field "name" (and doesn\'t have default value)',
        ],
      ],
      [{ containers: [null] }, ['.spec.containers: element 0: associative list with keys may not have a null element']],
      [{ containers: [{ name: 'a' }, { name: 'a' }] }, ['.spec.containers: duplicate entries for key [name="a"]']],
      [{ colors: ['a', 'a'] }, ['.spec.colors: duplicate entries for key [="a"]']],
      [
        { colors: [{}] },
        ["spec.colors: element 0: associative list without keys has an element that's a map type"].map((e) => `.${e}`),
      ],
      [
        { containers: [{ name: 'a', ports: [{ port: 1 }, { port: 1, protocol: 'TCP' }] }] },
        ['.spec.containers[name="a"].ports: duplicate entries for key [port=1,protocol="TCP"]'],
      ],
    ]
    for (const [spec, expected] of cases) assert.deepEqual(validateTyped(custom, inSpec(spec)), expected)
  })

  it('schemas that say nothing are deduced', () => {
    const type = compileType({}, widgetSchemas, false)
    assert.deepEqual([type.scalar, type.list, type.map], [DEDUCED.scalar, DEDUCED.list, DEDUCED.map])
  })
})
