export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError'
  constructor(maxBytes: number) {
    super(`a line of the stream is longer than ${maxBytes} bytes`)
  }
}

/**
 * Splits a stream of chunks at newlines. One line at a time is held, at most `maxBytes` of it: a longer one throws.
 * It reads the next chunk only when the reader has taken all lines of the last: back-pressure reaches the socket.
 */
export async function* lines(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string> {
  let parts: Uint8Array[] = []
  let held = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end))
      const line = Buffer.concat(parts).toString('utf8')
      parts = []
      held = 0
      start = end + 1
      if (line !== '' && line !== '\r') yield line
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start))
      held += chunk.length - start
      if (held > maxBytes) throw new LineTooLongError(maxBytes)
    }
  }
  if (parts.length > 0) yield Buffer.concat(parts).toString('utf8')
}
