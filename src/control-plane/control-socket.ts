import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'

/** Asked by the command line of the same user, over a Unix socket in the data folder (0600). */
export type ControlRequest = { command: 'backup'; file: string }
export type ControlAnswer = Record<string, unknown>

const MAX_REQUEST_BYTES = 64 * 1024

export const controlSocketPath = (directory: string): string => join(directory, 'control.sock')

/** Serves one JSON line per connection; errors travel as `{ error }`. */
export function serveControl(
  directory: string,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<Server> {
  const path = controlSocketPath(directory)
  rmSync(path, { force: true })
  const server = createServer((socket) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.setTimeout(600_000, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_REQUEST_BYTES) return socket.destroy()
      const end = text.indexOf('\n')
      if (end < 0) return undefined
      const line = text.slice(0, end)
      text = ''
      const answer = (async () => handle(JSON.parse(line) as ControlRequest))()
      answer.then(
        (value) => socket.end(`${JSON.stringify(value)}\n`),
        (error: Error) => socket.end(`${JSON.stringify({ error: error.message })}\n`),
      )
      return undefined
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const mask = process.umask(0o177)
    server.listen(path, () => {
      chmodSync(path, 0o600)
      resolve(server)
    })
    process.umask(mask)
  })
}

/** Rejects with what the control plane says is wrong. */
export function controlRequest(directory: string, request: ControlRequest): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlSocketPath(directory))
    let text = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('end', () => {
      try {
        const answer = JSON.parse(text) as ControlAnswer
        if (typeof answer['error'] === 'string') reject(new Error(answer['error']))
        else resolve(answer)
      } catch (error) {
        reject(new Error(`the control plane answered nothing that can be read: ${(error as Error).message}`))
      }
    })
  })
}
