/** Something in a heap; `at` is its place there, so that it is taken out without a search. */
export type HeapItem = { at: number }

type Before<Item> = (a: Item, b: Item) => boolean

/** A binary heap in a plain array: the first by `before` is at 0; adding and removing cost O(log n). */
export function heapAdd<Item extends HeapItem>(heap: Item[], item: Item, before: Before<Item>): void {
  item.at = heap.length
  heap.push(item)
  rise(heap, item, before)
}

export function heapRemove<Item extends HeapItem>(heap: Item[], item: Item, before: Before<Item>): void {
  const { at } = item
  const last = heap.pop()!
  if (last === item) return
  heap[at] = last
  last.at = at
  rise(heap, last, before)
  sink(heap, last, before)
}

function rise<Item extends HeapItem>(heap: Item[], item: Item, before: Before<Item>): void {
  while (item.at > 0) {
    const parent = heap[(item.at - 1) >> 1]!
    if (!before(item, parent)) return
    swap(heap, parent, item)
  }
}

function sink<Item extends HeapItem>(heap: Item[], item: Item, before: Before<Item>): void {
  for (;;) {
    const left = heap[2 * item.at + 1]
    if (left === undefined) return
    const right = heap[2 * item.at + 2]
    const child = right !== undefined && before(right, left) ? right : left
    if (!before(child, item)) return
    swap(heap, item, child)
  }
}

function swap<Item extends HeapItem>(heap: Item[], a: Item, b: Item): void {
  const { at } = a
  a.at = b.at
  b.at = at
  heap[a.at] = a
  heap[b.at] = b
}
