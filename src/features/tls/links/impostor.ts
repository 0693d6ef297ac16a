import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:tls'
import type { Identity } from './attempt.ts'

export type Impostor = {
  host: string
  port: number
  /** Bytes that a client has entrusted to it after the handshake. */
  received: () => number
  /** Whether anybody has tried the handshake at all. */
  visited: () => boolean
  close: () => Promise<void>
}

/** A TLS server on loopback that has a certificate it should not be believed with, and counts what it is told. */
export async function startImpostor({ cert, key }: Identity): Promise<Impostor> {
  let received = 0
  let visited = false
  const server: Server = createServer({ cert, key, minVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'] })
  const open = new Set<{ destroy: () => void }>()
  server.on('connection', (socket) => {
    visited = true
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.on('secureConnection', (socket) => {
    socket.on('data', (chunk: Buffer) => (received += chunk.length))
    socket.on('error', () => socket.destroy())
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    received: () => received,
    visited: () => visited,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}
