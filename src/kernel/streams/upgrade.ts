import { type IncomingMessage, type OutgoingHttpHeaders, type RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A connection that asked to leave HTTP, and what it sent behind its head. */
export type Upgrade = { socket: Socket; head: Buffer }

/** exec, attach and port-forward may be silent this long; kubelet's streamingConnectionIdleTimeout. */
export const STREAM_IDLE_MS: number = 4 * 60 * 60_000
/** What a closing peer may still be sent. */
const LINGER_MS = 10_000

const upgrades = new WeakMap<IncomingMessage, Upgrade>()

const tokens = (value: string | undefined): string[] => (value ?? '').split(',').map((token) => token.trim())

/** 'websocket', 'SPDY/3.1', or undefined: whoever offers something else (h2c) is answered as if it had not. */
export function streamUpgrade(req: IncomingMessage): 'websocket' | 'SPDY/3.1' | undefined {
  for (const token of tokens(req.headers.upgrade)) {
    const name = token.toLowerCase()
    if (name === 'websocket') return 'websocket'
    if (name === 'spdy/3.1') return 'SPDY/3.1'
  }
  return undefined
}

/** For http.createServer's `shouldUpgradeCallback`. */
export const isStreamUpgrade = (req: IncomingMessage): boolean => streamUpgrade(req) !== undefined

/** Sub-protocols that a WebSocket client offers, in its order. */
export const webSocketProtocols = (req: IncomingMessage): string[] =>
  tokens(req.headers['sec-websocket-protocol']).filter((token) => token !== '')

/**
 * Listener of a server's 'upgrade' event which serves such requests like all others: until `switchProtocols` the answer
 * is an ordinary response, after which the connection closes.
 */
export function serveUpgrades(handle: RequestListener): (req: IncomingMessage, socket: Duplex, head: Buffer) => void {
  return (req, duplex, head) => {
    const socket = duplex as Socket
    socket.on('error', () => socket.destroy())
    upgrades.set(req, { socket, head })
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(socket)
    res.once('finish', () => socket.destroySoon())
    handle(req, res)
  }
}

/** undefined for a request that came without an upgrade. */
export const upgradeOf = (req: IncomingMessage): Upgrade | undefined => upgrades.get(req)

/** Answers 101; the socket is the caller's from here on. */
export function switchProtocols(res: ServerResponse, headers: OutgoingHttpHeaders): void {
  res.writeHead(101, headers)
  res.flushHeaders()
}

/** Takes the place of a 101 that another library writes, so that audit and metrics know of it. */
export function switchedElsewhere(res: ServerResponse): void {
  res.statusCode = 101
}

/**
 * Copies bytes both ways until both ends have closed; a slow reader stops its writer. An end that closes lets the other
 * take what is on its way, for ten seconds.
 */
export function relay(a: Socket, b: Socket, idleMs: number = STREAM_IDLE_MS): Promise<void> {
  return new Promise((resolve) => {
    let open = 2
    const timers: NodeJS.Timeout[] = []
    const join = (from: Socket, to: Socket): void => {
      from.setTimeout(idleMs, () => {
        from.destroy()
        to.destroy()
      })
      from.on('error', () => from.destroy())
      from.once('close', () => {
        to.destroySoon()
        timers.push(setTimeout(() => to.destroy(), LINGER_MS))
        if (--open > 0) return
        for (const timer of timers) clearTimeout(timer)
        resolve()
      })
      from.pipe(to)
      if (from.destroyed) from.emit('close')
    }
    join(a, b)
    join(b, a)
  })
}
