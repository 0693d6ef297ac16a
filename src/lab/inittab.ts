const BEGIN = '# lab: made anew at every start'
const END = '# lab: end; lines below stay'

/** The lab's own lines, and below them what others have added: the node agent's line is one of those. */
export function mergeInittab(present: string, own: readonly string[]): string {
  const end = present.indexOf(`${END}\n`)
  const others = end === -1 ? '' : present.slice(end + END.length + 1)
  return `${[BEGIN, ...own, END].join('\n')}\n${others}`
}
