import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'

export type Answer = { status: number; body: Buffer }

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * One keep-alive HTTP/1.1 connection with as little client in it as possible: the load generator shares two cores with
 * the server, so what it costs itself is taken from the figure.
 */
export class Connection {
  readonly #socket: TLSSocket
  #chunks: Buffer[] = []
  #length = 0
  /** Total bytes of the answer that is arriving, once its head is known. */
  #wanted = -1
  #status = 0
  #bodyStart = 0
  #resolve: ((answer: Answer) => void) | undefined
  #reject: ((error: Error) => void) | undefined

  private constructor(socket: TLSSocket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection closed')))
  }

  static open(options: ConnectionOptions): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...options, ALPNProtocols: ['http/1.1'] }, () => {
        socket.setNoDelay(true)
        resolve(new Connection(socket))
      })
      socket.once('error', reject)
    })
  }

  request(
    method: string,
    path: string,
    body?: string | Buffer,
    contentType: string = 'application/json',
  ): Promise<Answer> {
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(body)
    const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n${
      bytes === undefined ? '' : `Content-Type: ${contentType}\r\nContent-Length: ${bytes.length}\r\n`
    }\r\n`
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#socket.write(bytes === undefined ? head : Buffer.concat([Buffer.from(head, 'latin1'), bytes]))
    })
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#wanted < 0) {
      const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length)
      this.#chunks = [all]
      const end = all.indexOf(HEAD_END)
      if (end < 0) return
      const head = all.toString('latin1', 0, end)
      this.#status = Number(head.slice(9, 12))
      const length = /content-length: (\d+)/i.exec(head)
      if (length === null) {
        this.#fail(new Error(`no Content-Length in ${head}`))
        return
      }
      this.#bodyStart = end + 4
      this.#wanted = this.#bodyStart + Number(length[1])
    }
    if (this.#length < this.#wanted) return
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#length)
    const answer = { status: this.#status, body: all.subarray(this.#bodyStart) }
    this.#chunks = []
    this.#length = 0
    this.#wanted = -1
    const resolve = this.#resolve
    this.#resolve = undefined
    this.#reject = undefined
    resolve?.(answer)
  }

  #fail(error: Error): void {
    this.#reject?.(error)
    this.#resolve = undefined
    this.#reject = undefined
  }

  close(): void {
    this.#socket.destroy()
  }
}

export type Figures = { perSecond: number; p50ms: number; p99ms: number; n: number; connections: number }

/** Runs `n` requests over the connections, each sending its next as soon as the last is answered. */
export async function load(
  connections: readonly Connection[],
  n: number,
  send: (connection: Connection, i: number) => Promise<Answer>,
  expected: number,
): Promise<Figures> {
  const times = new Float64Array(n)
  let next = 0
  const started = performance.now()
  await Promise.all(
    connections.map(async (connection) => {
      for (let i = next++; i < n; i = next++) {
        const before = performance.now()
        const { status, body } = await send(connection, i)
        times[i] = performance.now() - before
        if (status !== expected)
          throw new Error(`request ${i} answered ${status}: ${body.toString('utf8').slice(0, 500)}`)
      }
    }),
  )
  const seconds = (performance.now() - started) / 1000
  times.sort()
  const at = (q: number): number => Math.round(times[Math.min(n - 1, Math.floor(n * q))]! * 100) / 100
  return { perSecond: Math.round(n / seconds), p50ms: at(0.5), p99ms: at(0.99), n, connections: connections.length }
}
