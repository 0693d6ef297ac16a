/** One line of CRI's log format: `2016-10-06T00:17:09.669794202Z stdout F message`. */
export type LogLine = {
  /** RFC 3339 with nanoseconds, as it stands there. */
  timestamp: string
  stream: 'stdout' | 'stderr'
  /** With its newline when the line is whole; a part (tag P) goes on in the next line. */
  message: Buffer
}

const SPACE = 0x20
const NEWLINE = 0x0a
const PARTIAL = 0x50

/** `line` with its newline. undefined: no such line, e.g. written while the disk was full. */
export function parseLogLine(line: Buffer): LogLine | undefined {
  const first = line.indexOf(SPACE)
  const second = line.indexOf(SPACE, first + 1)
  if (first <= 0 || second < 0) return undefined
  const stream = line.toString('latin1', first + 1, second)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  let third = line.indexOf(SPACE, second + 1)
  if (third < 0) third = line.length - 1
  const partial = line[second + 1] === PARTIAL
  let message = line.subarray(third + 1)
  if (partial && message.at(-1) === NEWLINE) message = message.subarray(0, -1)
  return { timestamp: line.toString('latin1', 0, first), stream, message }
}

export type LogFilter = {
  /** Milliseconds since the epoch. */
  since?: number
  timestamps: boolean
  limitBytes?: number
  stream: 'All' | 'Stdout' | 'Stderr'
}

/** What a log is turned into for its reader; `done` once the limit is reached. */
export class LogRenderer {
  readonly #filter: LogFilter
  #left: number
  #started: boolean
  #atLineStart = true

  constructor(filter: LogFilter) {
    this.#filter = filter
    this.#left = filter.limitBytes ?? Number.POSITIVE_INFINITY
    this.#started = filter.since === undefined
  }

  get done(): boolean {
    return this.#left <= 0
  }

  /** Appends what is shown of a line. Lines are in order of time: the first that is young enough opens the rest. */
  render(line: Buffer, out: Buffer[]): void {
    const parsed = parseLogLine(line)
    if (parsed === undefined) return
    if (!this.#started) {
      if (Date.parse(parsed.timestamp) < this.#filter.since!) return
      this.#started = true
    }
    if (this.#filter.stream !== 'All' && this.#filter.stream.toLowerCase() !== parsed.stream) return
    if (this.#filter.timestamps && this.#atLineStart) this.#push(Buffer.from(`${parsed.timestamp} `), out)
    this.#push(parsed.message, out)
    this.#atLineStart = parsed.message.at(-1) === NEWLINE
  }

  #push(bytes: Buffer, out: Buffer[]): void {
    if (this.#left <= 0 || bytes.length === 0) return
    const shown = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= shown.length
    out.push(shown)
  }
}
