/** Lists of completion indexes such as `0,2-4`: ascending, each below the number of completions. */
export type Indexes = { count: number } | { error: string }

export function parseIndexes(text: string, completions: number): Indexes {
  let count = 0
  let last = -1
  for (const part of text === '' ? [] : text.split(',')) {
    const bounds = part.split('-')
    if (bounds.length > 2)
      return {
        error: `the fragment ${JSON.stringify(part)} violates the requirement that an index interval can have at most two parts separated by '-'`,
      }
    const numbers = bounds.map((bound) => (/^\+?\d{1,10}$/.test(bound) ? Number(bound) : undefined))
    for (const [i, number] of numbers.entries()) {
      const shown = JSON.stringify(bounds[i])
      if (number === undefined) return { error: `cannot convert string to integer for index: ${shown}` }
      if (number >= completions) return { error: `too large index: ${shown}` }
    }
    const first = numbers[0]!
    const end = numbers.at(-1)!
    if (numbers.length === 2 && first >= end) return { error: outOfOrder(first, end) }
    if (last >= first) return { error: outOfOrder(last, first) }
    count += end - first + 1
    last = end
  }
  return { count }
}

const outOfOrder = (previous: number, current: number): string =>
  `non-increasing order, previous: ${previous}, current: ${current}`
