import type { RequestListener } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import type { Log } from '../../feature.ts'
import { isStreamUpgrade, serveUpgrades } from '../../streams/upgrade.ts'
import { MemoryReturn } from './memory-return.ts'
import { keepPeerCertificatesFromLeaking } from './peer-certificate.ts'

export const BASE_TLS: SecureContextOptions = { minVersion: 'TLSv1.2' }

/** Limits against peers that connect and do nothing, or do it slowly. */
const HANDSHAKE_TIMEOUT_MS = 10_000
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 60_000
/** kube-apiserver's IdleTimeout. */
const KEEP_ALIVE_MS = 90_000
/** No byte read or taken by the peer for this long while a request is served ends it; watches see to it themselves. */
const STALLED_MS = 60_000
const MAX_HEADER_BYTES = 32 * 1024
/** Each costs some 50 KB; those above are closed before their handshake. */
const MAX_CONNECTIONS = 20_000

/** What a client is told whose bytes are no request, by node's error code. */
const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

const PLAIN_HTTP = 'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n'

export type ListenerOptions = {
  /** Hears of memory that was given back; without it none is. */
  log?: Log | undefined
  stalledMs?: number | undefined
}

export type Listener = { server: Server; sockets: ReadonlySet<Socket>; disconnect: (whose: WhoseConnection) => number }
/** By serial number and SHA-256 fingerprint, as x509Authenticator asks. */
export type WhoseConnection = (serialNumber: string, fingerprint256: string) => boolean

/** The HTTPS server with its limits, not yet listening. */
export function createListener(
  tls: SecureContextOptions,
  handle: RequestListener,
  { log, stalledMs = STALLED_MS }: ListenerOptions = {},
): Listener {
  keepPeerCertificatesFromLeaking()
  const server = createServer(
    {
      ...BASE_TLS,
      ...tls,
      requestCert: true,
      // A caller without a certificate may still have a token, so the handshake lets it pass; a certificate that does
      // not verify is refused by the x509 authenticator on every request: no verification is skipped.
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 2000,
      noDelay: true,
      shouldUpgradeCallback: isStreamUpgrade,
    },
    handle,
  )
  server.on('upgrade', serveUpgrades(handle))
  server.timeout = stalledMs
  server.maxConnections = MAX_CONNECTIONS
  // Headers above a maximum count would be dropped in silence, Impersonate-User too: their size is the limit.
  server.maxHeadersCount = 0
  const sockets = new Set<Socket>()
  const memory = log && new MemoryReturn(log)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      memory?.connectionClosed()
    })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable) {
      socket.destroy()
      return
    }
    const refusal = REFUSALS[error.code ?? ''] ?? '400 Bad Request'
    socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'ERR_SSL_HTTP_REQUEST') {
      socket.destroy()
      return
    }
    // Said in clear on the socket below TLS, as Go's servers do: such a client understands nothing else.
    const below = [...sockets].find(
      (s) => s.remotePort === socket.remotePort && s.remoteAddress === socket.remoteAddress,
    )
    if (below === undefined) socket.destroy()
    else below.end(PLAIN_HTTP, () => socket.destroy())
  })
  const secured = new Set<TLSSocket>()
  server.on('secureConnection', (socket) => {
    secured.add(socket)
    socket.once('close', () => secured.delete(socket))
  })
  const disconnect = (whose: WhoseConnection): number => {
    let ended = 0
    for (const socket of secured) {
      const peer = socket.getPeerX509Certificate()
      if (peer === undefined || !whose(peer.serialNumber, peer.fingerprint256)) continue
      socket.destroy()
      ended++
    }
    return ended
  }
  return { server, sockets, disconnect }
}
