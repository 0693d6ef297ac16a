import { chmodSync, lstatSync, statSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { MAX_SOCKET_PATH_BYTES } from './endpoint.ts'

/** The socket cannot be made; the message names its path. */
export class SocketError extends Error {
  override readonly name = 'SocketError'
}

const PROBE_MS = 2_000

/**
 * Listens at a Unix socket that only its owner may open (0600, from its first moment on). A socket that a dead server
 * left is removed; one that somebody answers at, and whatever is not a socket, stays and is an error.
 */
export async function listenPrivately(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  if (!path.startsWith('/') || path.includes('\0')) throw new SocketError(`socket ${path}: not an absolute path`)
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new SocketError(
      `socket ${path}: longer than the ${MAX_SOCKET_PATH_BYTES} bytes that a socket's path may have`,
    )
  }
  const folder = statSync(dirname(path), { throwIfNoEntry: false })
  if (!folder?.isDirectory()) throw new SocketError(`socket ${path}: the folder ${dirname(path)} does not exist`)
  await removeStale(path)
  return listen(path, onConnection)
}

/** Whether others than the owner could put a socket of their own in this one's place. */
export function replaceable(path: string): boolean {
  const { mode } = statSync(dirname(path))
  return (mode & 0o022) !== 0 && (mode & 0o1000) === 0
}

async function removeStale(path: string): Promise<void> {
  const found = identity(path)
  if (found === undefined) return
  if (await answers(path)) throw new SocketError(`socket ${path}: in use, another server answers there`)
  // Between look and removal another server may have done the same and put its own socket here.
  if (identity(path) === found) unlinkSync(path)
}

function identity(path: string): string | undefined {
  const entry = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (entry === undefined) return undefined
  if (!entry.isSocket()) throw new SocketError(`socket ${path}: exists and is not a socket; it is left as it is`)
  return `${entry.dev} ${entry.ino} ${entry.ctimeNs}`
}

/** Only a refused connection proves that nobody listens. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const done = (live: boolean): void => {
      socket.destroy()
      resolve(live)
    }
    socket.setTimeout(PROBE_MS, () => done(true))
    socket.once('connect', () => done(true))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return done(false)
      if (error.code === 'EAGAIN') return done(true)
      socket.destroy()
      return reject(new SocketError(`socket ${path}: whether a server answers there cannot be told: ${error.message}`))
    })
  })
}

function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onConnection)
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'another server has just taken it' : error.message
      reject(new SocketError(`socket ${path}: ${reason}`))
    })
    // Binding happens within the call, so the mask holds for nothing else of this process.
    const mask = process.umask(0o177)
    try {
      server.listen(path, () => {
        chmodSync(path, 0o600)
        resolve(server)
      })
    } finally {
      process.umask(mask)
    }
  })
}
