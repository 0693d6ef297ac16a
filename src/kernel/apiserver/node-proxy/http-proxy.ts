import type { OutgoingHttpHeaders } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { exchange } from '../../streams/exchange.ts'
import { passThrough, upgradeHeaders } from '../../streams/pass-through.ts'
import { STREAM_IDLE_MS, upgradeOf } from '../../streams/upgrade.ts'
import type { ResourceRequest } from '../http/resource-request.ts'
import { dialFailure } from './connection.ts'

/** RFC 9110, section 7.6.1: these are between two neighbours. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
])
const DIAL_TIMEOUT_MS = 10_000

/** What tells who the caller is to the API server is for the API server alone. */
const isCredential = (name: string): boolean =>
  name === 'authorization' || name.startsWith('impersonate-') || name.startsWith('x-remote-')

export const hostPort = (host: string, port: number): string => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`

/** The path behind `/proxy`, as it was written, with its query; undefined: only a redirect makes relative links work. */
export function proxiedPath(r: ResourceRequest): string | undefined {
  const { path, rest, query } = r.info
  const trailing = path.endsWith('/')
  const raw = path.split('/')
  const end = raw.length - (trailing ? 1 : 0)
  const segments = raw.slice(end - rest.length, end)
  if (rest.length === 0 && !trailing && (r.req.method === 'GET' || r.req.method === 'HEAD')) return undefined
  const at = (r.req.url ?? '').indexOf('?')
  const search = at < 0 || query.size === 0 ? '' : (r.req.url ?? '').slice(at)
  return `/${segments.join('/')}${trailing && segments.length > 0 ? '/' : ''}${search}`
}

/** Passes one request on over a connection of its own, and whatever comes back. */
export async function proxy(r: ResourceRequest, dial: () => Promise<Socket>, host: string): Promise<void> {
  const path = proxiedPath(r)
  if (path === undefined) {
    r.res.writeHead(301, { Location: `${r.info.path}/`, 'Content-Length': 0 })
    r.res.end()
    return
  }
  const upgrade = upgradeOf(r.req)
  const method = r.req.method ?? 'GET'
  const headers: OutgoingHttpHeaders = {}
  for (const [name, value] of Object.entries(r.req.headers))
    if (!HOP_BY_HOP.has(name) && !isCredential(name) && name !== 'host' && !name.startsWith('sec-websocket-'))
      headers[name] = value
  const forwarded = upgrade === undefined ? headers : { ...headers, ...upgradeHeaders(r.req) }
  const socket = await dial()
  const answer = await exchange(socket, {
    method,
    path,
    host,
    headers: forwarded,
    signal: r.caller.signal,
    ...(upgrade !== undefined || method === 'GET' || method === 'HEAD' ? {} : { body: r.req }),
  })
  if (upgrade !== undefined) return passThrough({ req: r.req, res: r.res, onOpen: r.onLongRunning }, answer)
  const { response } = answer
  const kept = Object.entries(response.headers).filter(
    ([name]) => !HOP_BY_HOP.has(name) && name !== 'transfer-encoding',
  )
  r.beforeHead()
  r.res.writeHead(response.statusCode ?? 502, Object.fromEntries(kept))
  r.res.flushHeaders()
  r.req.socket.setTimeout(STREAM_IDLE_MS)
  r.onLongRunning(() => r.res.destroy())
  try {
    await pipeline(response, r.res)
  } catch {
    // Either end went away: the other sees a body that is not finished.
    r.res.destroy()
  } finally {
    socket.destroy()
  }
}

/** To a pod, in plain HTTP as pods speak it. */
export function dialPlain(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const fail = (why: string): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(dialFailure(`${hostPort(host, port)}: ${why}`))
    }
    const timer = setTimeout(() => fail('no connection in time'), DIAL_TIMEOUT_MS)
    socket.once('error', (error) => fail(error.message))
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}
