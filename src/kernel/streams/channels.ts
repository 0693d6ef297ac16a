import type { IncomingMessage, ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { badRequest } from '../api/status.ts'
import { STREAM_IDLE_MS, switchedElsewhere, type Upgrade } from './upgrade.ts'

/** First byte of every message of exec and attach over a WebSocket (k8s.io/apimachinery/pkg/util/remotecommand). */
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const

/** v5 is v4 with a message that closes a channel: `255, channel`. */
export const V5 = 'v5.channel.k8s.io'
export const V4 = 'v4.channel.k8s.io'

/** Clients write 32 KiB at a time; what is longer than this is no exec. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

/** Throws BadRequest for what is no WebSocket handshake (RFC 6455, section 4.2.1), before anything else is begun. */
export function demandWebSocket(req: IncomingMessage): void {
  const key = req.headers['sec-websocket-key'] ?? ''
  if (req.method !== 'GET' || req.headers['sec-websocket-version'] !== '13' || !/^[+/0-9A-Za-z]{22}==$/.test(key))
    throw badRequest('the WebSocket handshake is not that of RFC 6455')
}

/** Completes a handshake that `demandWebSocket` let pass. */
export function acceptWebSocket(
  req: IncomingMessage,
  res: ServerResponse,
  { socket, head }: Upgrade,
  protocol: string,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: () => protocol,
  })
  return new Promise((resolve, reject) => {
    server.once('wsClientError', (error) => reject(error))
    server.handleUpgrade(req, socket, head, (ws) => {
      switchedElsewhere(res)
      socket.setTimeout(STREAM_IDLE_MS, () => socket.destroy())
      ws.on('error', () => ws.terminate())
      resolve(ws)
    })
  })
}

/** Bytes to one channel of a client; takes the next ones when these are with the socket. */
export function channelWriter(ws: WebSocket, channel: number): Writable {
  return new Writable({
    highWaterMark: 64 * 1024,
    write: (chunk: Buffer, _encoding, done) => {
      if (ws.readyState !== ws.OPEN) done()
      else ws.send(Buffer.concat([Buffer.from([channel]), chunk]), { binary: true }, () => done())
    },
  })
}
