import { once } from 'node:events'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { finished, pipeline } from 'node:stream/promises'
import type { WebSocket } from 'ws'
import { ApiError } from '../api/status.ts'
import { acceptWebSocket, CHANNEL, channelWriter, V4, V5 } from './channels.ts'
import type { BackendAnswer } from './exchange.ts'
import { demandUpgrade, type Front, passRefusal } from './pass-through.ts'
import { SpdyConnection } from './spdy/connection.ts'
import type { SpdyStream } from './spdy/stream.ts'
import { STREAM_IDLE_MS, streamUpgrade, webSocketProtocols } from './upgrade.ts'

export type TranslatedStreams = { stdin: boolean; stdout: boolean; stderr: boolean; tty: boolean }

/** What the backend is asked for in the client's stead. */
export const SPDY_EXEC_HEADERS: OutgoingHttpHeaders = {
  Connection: 'Upgrade',
  Upgrade: 'SPDY/3.1',
  'X-Stream-Protocol-Version': V4,
}

const MAX_STATUS_BYTES = 64 * 1024

/** The protocol in which a WebSocket client of exec or attach is served by translation. */
export function translatedProtocol(req: IncomingMessage): typeof V5 | typeof V4 | undefined {
  if (streamUpgrade(req) !== 'websocket') return undefined
  return webSocketProtocols(req).find((name) => name === V5 || name === V4) as typeof V5 | typeof V4 | undefined
}

/**
 * A WebSocket's channels to the backend's SPDY streams (KEP-4006). Resolves when the connection has ended; rejects only
 * before it is a WebSocket.
 */
export async function translate(
  { req, res, onOpen }: Front,
  protocol: typeof V5 | typeof V4,
  wanted: TranslatedStreams,
  answer: BackendAnswer,
): Promise<void> {
  if (answer.kind === 'response') return passRefusal(res, answer.response)
  answer.socket.setTimeout(STREAM_IDLE_MS, () => answer.socket.destroy())
  const spdy = new SpdyConnection(answer.socket, { role: 'client', head: answer.head })
  let ws: WebSocket
  try {
    ws = await acceptWebSocket(req, res, demandUpgrade(req), protocol)
  } catch (error) {
    spdy.destroy()
    throw error
  }
  onOpen(() => {
    ws.terminate()
    spdy.destroy()
  })
  ws.once('close', () => spdy.destroy())
  // Messages that come while the streams are being opened wait in the socket.
  ws.pause()
  const closed = ws.readyState === ws.CLOSED ? Promise.resolve() : once(ws, 'close')
  let status: string
  try {
    status = await run(ws, spdy, protocol, wanted)
  } catch (error) {
    status = JSON.stringify(new ApiError('InternalError', (error as Error).message).toStatus())
  }
  await say(ws, status)
  spdy.close()
  ws.close(1000)
  // The closing handshake has a time limit of its own (30 s).
  ws.resume()
  await closed
}

/** Returns the JSON Status that the command ended with. */
async function run(ws: WebSocket, spdy: SpdyConnection, protocol: string, wanted: TranslatedStreams): Promise<string> {
  const open = (streamtype: string): Promise<SpdyStream> => spdy.createStream({ streamtype })
  const errors = await open('error')
  const [stdin, stdout, stderr, resize] = await Promise.all([
    wanted.stdin ? open('stdin') : undefined,
    wanted.stdout ? open('stdout') : undefined,
    wanted.stderr ? open('stderr') : undefined,
    wanted.tty ? open('resize') : undefined,
  ])
  errors.end()
  // The backend writes nothing to these; its end of them must still be seen.
  stdin?.resume()
  resize?.resume()
  const status = read(errors)
  status.catch(() => undefined)
  receive(ws, protocol, stdin, resize)
  const copy = async (stream: SpdyStream | undefined, channel: number): Promise<void> => {
    if (stream === undefined) return
    stream.end()
    await pipeline(stream, channelWriter(ws, channel))
  }
  await Promise.all([copy(stdout, CHANNEL.stdout), copy(stderr, CHANNEL.stderr)])
  const said = await status
  stdin?.destroy()
  resize?.destroy()
  if (said === '') throw new Error('the connection to the container was lost before the command ended')
  return said
}

/** Messages of the client to the streams; a stream that is full holds up the client. */
function receive(ws: WebSocket, protocol: string, stdin: SpdyStream | undefined, resize: SpdyStream | undefined): void {
  const streams = new Map([
    [CHANNEL.stdin as number, stdin],
    [CHANNEL.resize as number, resize],
  ])
  ws.on('message', (data) => {
    const bytes = data as Buffer
    const channel = bytes[0]
    if (channel === undefined) return
    if (channel === CHANNEL.close && protocol === V5) {
      const which = bytes[1]
      if (which !== undefined) streams.get(which)?.end()
      return
    }
    const stream = streams.get(channel)
    if (stream === undefined || stream.writableEnded || bytes.length === 1) return
    if (stream.write(bytes.subarray(1))) return
    ws.pause()
    const resume = (): void => {
      stream.off('drain', resume)
      stream.off('close', resume)
      ws.resume()
    }
    stream.once('drain', resume)
    stream.once('close', resume)
  })
  ws.resume()
}

async function read(stream: SpdyStream): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > MAX_STATUS_BYTES) stream.destroy()
    else chunks.push(chunk)
  })
  await finished(stream, { writable: false })
  return Buffer.concat(chunks).toString('utf8')
}

const say = (ws: WebSocket, status: string): Promise<void> =>
  new Promise((resolve) => {
    if (ws.readyState !== ws.OPEN) resolve()
    else ws.send(Buffer.concat([Buffer.from([CHANNEL.error]), Buffer.from(status)]), { binary: true }, () => resolve())
  })
