import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { createWebSocketStream } from 'ws'
import { acceptWebSocket } from './channels.ts'
import type { BackendAnswer } from './exchange.ts'
import { demandUpgrade, type Front, passRefusal } from './pass-through.ts'
import { STREAM_IDLE_MS, streamUpgrade, webSocketProtocols } from './upgrade.ts'

const PREFIX = 'SPDY/3.1+'
const PORT_FORWARD = 'portforward.k8s.io'
const TUNNEL = `${PREFIX}${PORT_FORWARD}`

/** What the backend is asked for in the client's stead. */
export const SPDY_PORT_FORWARD_HEADERS: OutgoingHttpHeaders = {
  Connection: 'Upgrade',
  Upgrade: 'SPDY/3.1',
  'X-Stream-Protocol-Version': PORT_FORWARD,
}

/** Whether a WebSocket client wants to speak SPDY through its messages. */
export const isTunnel = (req: IncomingMessage): boolean =>
  streamUpgrade(req) === 'websocket' && webSocketProtocols(req).includes(TUNNEL)

/**
 * The bytes of a WebSocket's binary messages are those of a SPDY connection (KEP-4006). Resolves when it has ended;
 * rejects only before it is a WebSocket.
 */
export async function tunnel({ req, res, onOpen }: Front, answer: BackendAnswer): Promise<void> {
  if (answer.kind === 'response') return passRefusal(res, answer.response)
  const backend = answer.socket
  backend.setTimeout(STREAM_IDLE_MS, () => backend.destroy())
  try {
    const ws = await acceptWebSocket(req, res, demandUpgrade(req), TUNNEL)
    onOpen(() => {
      ws.terminate()
      backend.destroy()
    })
    const client = createWebSocketStream(ws)
    if (answer.head.length > 0) client.write(answer.head)
    // An end that breaks off is the end of both: what broke is not told in SPDY.
    await Promise.allSettled([pipeline(client, backend), pipeline(backend, client)])
    client.destroy()
  } finally {
    backend.destroy()
  }
}
