import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type HeapItem, heapAdd, heapRemove } from './heap.ts'
import { Ids } from './ids.ts'
import { Names } from './names.ts'
import { NumberPool } from './number-pool.ts'
import { ScopeTable } from './scope-table.ts'

/** Names that are easily taken for one another: lengths around a word, Latin-1 and beyond, NUL, prefixes. */
const arbName = fc.oneof(
  fc.constantFrom(
    '',
    '\0',
    '\0\0',
    'a',
    'ab',
    'abc',
    'abcd',
    'abcde',
    'abcd\0',
    'ÿ',
    'ÿÿ',
    'Ā',
    'aĀ',
    'Āa',
    '日本',
    '日本語',
  ),
  fc.string({ unit: 'binary', maxLength: 9 }),
  fc.integer({ min: 0, max: 99 }).map((i) => `user-${i}@example.com`),
)
const arbSteps = fc.array(fc.record({ name: arbName, acquire: fc.boolean() }), { maxLength: 300, size: 'max' })

for (const [title, make] of [
  ['Names', () => new Names(2)],
  ['Ids', () => new Ids<string>()],
] as const)
  test(`property: ${title} count references and never confuse names`, () => {
    fc.assert(
      fc.property(arbSteps, fc.array(arbName, { maxLength: 20 }), (steps, asked) => {
        const table = make()
        const model = new Map<string, { id: number; references: number }>()
        for (const { name, acquire } of steps) {
          const known = model.get(name)
          if (acquire) {
            const id = table.acquire(name)
            assert.notEqual(id, 0)
            if (known !== undefined) assert.equal(id, known.id)
            model.set(name, { id, references: (known?.references ?? 0) + 1 })
          } else if (known !== undefined) {
            table.release(known.id)
            if (known.references === 1) model.delete(name)
            else known.references--
          }
          for (const other of [name, ...asked]) assert.equal(table.get(other), model.get(other)?.id ?? 0)
        }
        const ids = [...model.values()].map(({ id }) => id)
        assert.equal(new Set(ids).size, ids.length)
        assert.equal(table.size, model.size)
      }),
      { numRuns: 200 },
    )
  })

test('what is kept with a name begins at 0, also for a name in the place of another', () => {
  const names = new Names(2)
  const first = names.acquire('abcd')
  names.setExtra(first, 0, 7)
  names.setExtra(first, 1, -8)
  const other = names.acquire('efgh')
  assert.deepEqual([names.extra(first, 0), names.extra(first, 1), names.extra(other, 0)], [7, -8, 0])
  names.release(first)
  const again = names.acquire('ijkl')
  assert.deepEqual([again, names.extra(again, 0), names.extra(again, 1)], [first, 0, 0])
})

test('property: a ScopeTable is a map of pairs', () => {
  const arbSet = fc.tuple(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: -2, max: 2 }),
  )
  fc.assert(
    fc.property(fc.array(arbSet, { maxLength: 400, size: 'max' }), (sets) => {
      const table = new ScopeTable()
      const model = new Map<string, number>()
      for (const [subject, namespace, value] of sets) {
        table.set(subject, namespace, value)
        if (value === 0) model.delete(`${subject}/${namespace}`)
        else model.set(`${subject}/${namespace}`, value)
      }
      for (let s = 1; s <= 40; s++)
        for (let n = 1; n <= 12; n++) assert.equal(table.get(s, n), model.get(`${s}/${n}`) ?? 0)
    }),
    { numRuns: 200 },
  )
})

test('property: the least is on top of a heap, whatever comes and goes', () => {
  type Item = HeapItem & { key: number }
  const before = (a: Item, b: Item): boolean => a.key < b.key
  fc.assert(
    fc.property(
      fc.array(fc.record({ key: fc.nat(30), remove: fc.nat(3) }), { maxLength: 100, size: 'max' }),
      (steps) => {
        const heap: Item[] = []
        const all: Item[] = []
        for (const { key, remove } of steps) {
          if (remove === 0 && all.length > 0) {
            const [item] = all.splice(key % all.length, 1)
            heapRemove(heap, item!, before)
          } else {
            const item: Item = { key, at: -1 }
            all.push(item)
            heapAdd(heap, item, before)
          }
          assert.equal(heap.length, all.length)
          assert.equal(heap[0]?.key, all.length === 0 ? undefined : Math.min(...all.map((i) => i.key)))
          for (const [at, item] of heap.entries()) assert.equal(item.at, at)
        }
      },
    ),
  )
})

test('property: ranges of a NumberPool do not overlap, and are used again', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ length: fc.integer({ min: 1, max: 70 }), give: fc.boolean() }), {
        maxLength: 80,
        size: 'max',
      }),
      (steps) => {
        const pool = new NumberPool()
        const taken: { offset: number; length: number; value: number }[] = []
        for (const [value, { length, give }] of steps.entries()) {
          const last = give ? taken.pop() : undefined
          if (last !== undefined) pool.give(last.offset, last.length)
          taken.push({ offset: pool.take(new Int32Array(length).fill(value)), length, value })
          for (const t of taken)
            assert.ok(pool.numbers.subarray(t.offset, t.offset + t.length).every((n) => n === t.value))
        }
      },
    ),
  )
})
