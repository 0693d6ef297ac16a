/** A word of a shell script without its quotes, and where its pieces stand in the script. */
export type ShellWord = { text: string; pieces: readonly Piece[] }
type Piece = { /** Offset in the word. */ at: number /** Offset in the script. */; start: number; length: number }

/** The stretch of the script that holds the word's characters from `start` to `end`, quotes between them included. */
export function locate(word: ShellWord, start: number, end: number): { start: number; end: number } {
  const piece = (offset: number): Piece | undefined => word.pieces.findLast((p) => p.at <= offset)
  const [first, last] = [piece(start), piece(Math.max(start, end - 1))]
  if (first === undefined || last === undefined) return { start, end }
  return {
    start: first.start + Math.min(start - first.at, first.length),
    end: last.start + Math.min(end - last.at, last.length),
  }
}

const MAX_SCRIPT = 256 * 1024
const BREAK = new Set([';', '|', '&', '\n', '(', ')', '`'])

/**
 * The simple commands of a script, each as words (POSIX.1-2017, XCU 2.3 and 2.9), as far as finding words goes:
 * expansions stay as they are written. One pass.
 */
export function shellCommands(script: string): ShellWord[][] {
  const text = script.slice(0, MAX_SCRIPT)
  const commands: ShellWord[][] = []
  let command: ShellWord[] = []
  let i = 0
  const flush = (): void => {
    if (command.length > 0) commands.push(command)
    command = []
  }
  while (i < text.length) {
    const c = text[i]!
    if (c === ' ' || c === '\t' || c === '\r') i++
    else if (c === '\\' && text[i + 1] === '\n') i += 2
    else if (BREAK.has(c)) {
      flush()
      i++
    } else if (c === '#') {
      const end = text.indexOf('\n', i)
      i = end < 0 ? text.length : end
    } else {
      const word = readWord(text, i)
      command.push(word)
      i = word.next
    }
  }
  flush()
  return commands
}

function readWord(text: string, from: number): ShellWord & { next: number } {
  let out = ''
  let i = from
  const pieces: Piece[] = []
  const add = (start: number, end: number, value: string): void => {
    pieces.push({ at: out.length, start, length: end - start })
    out += value
  }
  while (i < text.length) {
    const c = text[i]!
    if (c === ' ' || c === '\t' || c === '\r' || BREAK.has(c)) break
    if (c === "'" || c === '"') {
      const end = closingQuote(text, i)
      const inner = text.slice(i + 1, end)
      add(i + 1, end, c === '"' ? inner.replace(/\\(["\\$`])/g, '$1') : inner)
      i = end + 1
    } else if (c === '$' && text[i + 1] === '(') {
      const close = text.indexOf(')', i)
      const end = close < 0 ? text.length : close + 1
      add(i, end, text.slice(i, end))
      i = end
    } else if (c === '\\' && i + 1 < text.length) {
      add(i, i + 2, text[i + 1]!)
      i += 2
    } else {
      let end = i + 1
      while (end < text.length && !/[\s'"\\;|&()`$]/.test(text[end]!)) end++
      add(i, end, text.slice(i, end))
      i = end
    }
  }
  return { text: out, pieces, next: Math.max(i, from + 1) }
}

function closingQuote(text: string, open: number): number {
  const quote = text[open]!
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '\\' && quote === '"') i++
    else if (text[i] === quote) return i
  }
  return text.length
}
