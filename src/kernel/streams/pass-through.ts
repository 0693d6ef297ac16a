import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { badRequest } from '../api/status.ts'
import { type BackendAnswer, refusalText } from './exchange.ts'
import { relay, streamUpgrade, switchProtocols, type Upgrade, upgradeOf, webSocketProtocols } from './upgrade.ts'

const WEBSOCKET_HEADERS = ['sec-websocket-version', 'sec-websocket-key', 'sec-websocket-extensions']
const ANSWER_HEADERS = [
  'upgrade',
  'x-stream-protocol-version',
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]
const BEARER_PROTOCOL = 'base64url.bearer.authorization.k8s.io.'

/** Throws BadRequest as Kubernetes does when a stream is asked for without leaving HTTP. */
export function demandUpgrade(req: IncomingMessage): Upgrade {
  const upgrade = upgradeOf(req)
  if (upgrade === undefined) throw badRequest('Upgrade request required')
  return upgrade
}

/** The handshake's headers for the backend: no credential of the caller is among them. */
export function upgradeHeaders(req: IncomingMessage): OutgoingHttpHeaders {
  const protocol = streamUpgrade(req)
  const headers: OutgoingHttpHeaders = { Connection: 'Upgrade', Upgrade: protocol }
  if (protocol === 'SPDY/3.1') {
    const versions = req.headers['x-stream-protocol-version']
    if (versions !== undefined) headers['X-Stream-Protocol-Version'] = versions
    return headers
  }
  for (const name of WEBSOCKET_HEADERS) if (req.headers[name] !== undefined) headers[name] = req.headers[name]
  const offered = webSocketProtocols(req).filter((name) => !name.startsWith(BEARER_PROTOCOL))
  if (offered.length > 0) headers['sec-websocket-protocol'] = offered.join(', ')
  return headers
}

export type Front = {
  req: IncomingMessage
  res: ServerResponse
  /** Called when the streams are open, with what ends them. */
  onOpen: (stop: () => void) => void
}

/** After the backend's 101 the two connections are one; resolves when both have ended. */
export async function passThrough({ req, res, onOpen }: Front, answer: BackendAnswer): Promise<void> {
  if (answer.kind === 'response') return passRefusal(res, answer.response)
  const { socket, head } = demandUpgrade(req)
  const headers: OutgoingHttpHeaders = { Connection: 'Upgrade' }
  for (const name of ANSWER_HEADERS) {
    const value = answer.response.headers[name]
    if (value !== undefined) headers[name] = value
  }
  switchProtocols(res, headers)
  onOpen(() => {
    socket.destroy()
    answer.socket.destroy()
  })
  if (answer.head.length > 0) socket.write(answer.head)
  if (head.length > 0) answer.socket.write(head)
  await relay(socket, answer.socket)
}

/** A backend that does not switch protocols is heard out: its answer is the caller's. */
export async function passRefusal(res: ServerResponse, response: IncomingMessage): Promise<void> {
  const text = Buffer.from(await refusalText(response))
  const code = response.statusCode ?? 500
  res.writeHead(code >= 400 ? code : 502, {
    'Content-Type': response.headers['content-type'] ?? 'text/plain',
    'Content-Length': text.length,
  })
  res.end(text)
}
