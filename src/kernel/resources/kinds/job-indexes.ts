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
    const [first, end = first] = bounds.map((bound) => (/^\+?\d{1,10}$/.test(bound) ? Number(bound) : undefined))
    for (const [i, bound] of [first, end].entries()) {
      const shown = JSON.stringify(bounds[i] ?? bounds[0])
      if (bound === undefined) return { error: `cannot convert string to integer for index: ${shown}` }
      if (bound >= completions) return { error: `too large index: ${shown}` }
    }
    const previous = last >= first! ? last : bounds.length === 2 && first! >= end! ? first! : undefined
    if (previous !== undefined)
      return { error: `non-increasing order, previous: ${previous}, current: ${previous === last ? first : end}` }
    count += end! - first! + 1
    last = end!
  }
  return { count }
}
