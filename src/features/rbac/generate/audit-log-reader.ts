/** Receives what a log holds, in order. Neither is ever given the text of a line: it may hold what nobody should see. */
export type AuditLogSink = {
  event: (value: unknown, line: number) => void
  broken: (line: number, what: string) => void
}

const MAX_LINE_BYTES = 32 * 1024 * 1024

/**
 * Takes an audit log piece by piece: one event or EventList a line, as API servers write it, or one EventList printed
 * over many lines. Holds one line at a time; longer ones than `maxLineBytes` are skipped and reported.
 */
export class AuditLogReader {
  readonly #sink: AuditLogSink
  readonly #max: number
  #pieces: Buffer[] = []
  #size = 0
  #line = 1
  /** The rest of a line that is too long is on its way. */
  #skipping = false
  /** Undecided until the first line that is not empty. */
  #form: 'lines' | 'document' | undefined

  constructor(sink: AuditLogSink, maxLineBytes: number = MAX_LINE_BYTES) {
    this.#sink = sink
    this.#max = maxLineBytes
  }

  push(chunk: Buffer): void {
    let start = 0
    while (this.#form !== 'document') {
      const end = chunk.indexOf(0x0a, start)
      if (end < 0) break
      this.#keep(chunk.subarray(start, end))
      start = end + 1
      if (this.#form === undefined && isOpening(this.#text())) {
        this.#form = 'document'
        this.#keep(NEWLINE)
      } else this.#endLine()
    }
    this.#keep(chunk.subarray(start))
  }

  end(): void {
    if (this.#size > 0 || this.#skipping) this.#endLine()
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0 || this.#skipping) return
    this.#size += piece.length
    if (this.#size <= this.#max) {
      // The chunk may be reused by whoever read it.
      this.#pieces.push(Buffer.from(piece))
      return
    }
    this.#pieces = []
    this.#skipping = true
  }

  #text(): string {
    return Buffer.concat(this.#pieces).toString('utf8')
  }

  #endLine(): void {
    const line = this.#line++
    const skipped = this.#skipping
    const text = skipped
      ? ''
      : this.#text()
          .replace(/^\ufeff/, '')
          .trim()
    this.#pieces = []
    this.#size = 0
    this.#skipping = false
    if (skipped) this.#sink.broken(line, `it is longer than ${this.#max} bytes`)
    if (text === '') return
    this.#form ??= 'lines'
    this.#parse(text, line)
  }

  #parse(text: string, line: number): void {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // The parser's own words would quote the line.
      this.#sink.broken(line, 'it is not JSON')
      return
    }
    for (const item of listItems(value) ?? [value]) this.#sink.event(item, line)
  }
}

const NEWLINE = Buffer.from('\n')

/** What the first line of a document printed over many lines looks like. */
function isOpening(text: string): boolean {
  return /^\ufeff?\s*[{[]\s*$/.test(text)
}

function listItems(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (value === null || typeof value !== 'object') return undefined
  const { kind, items } = value as { kind?: unknown; items?: unknown }
  return kind === 'EventList' && Array.isArray(items) ? items : undefined
}
