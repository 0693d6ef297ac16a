import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

/** What the command line of the same user asks over a Unix socket in the data folder (0600). */
export type ControlRequest = { command: string } & Record<string, unknown>
export type ControlAnswer = Record<string, unknown>

/** Answers one command; may tell how far it is. The signal aborts when the caller has gone. */
export type ControlHandler = (
  request: ControlRequest,
  progress: (value: ControlAnswer) => void,
  signal: AbortSignal,
) => Promise<ControlAnswer>

const MAX_REQUEST_BYTES = 64 * 1024
const SILENCE_MS = 600_000

export const controlSocketPath = (directory: string): string => join(directory, 'control.sock')

/** Serves one request per connection, JSON lines: `{ progress }` any number of times, then `{ result }` or `{ error }`. */
export function serveControl(directory: string, handlers: Readonly<Record<string, ControlHandler>>): Promise<Server> {
  const path = controlSocketPath(directory)
  rmSync(path, { force: true })
  const server = createServer((socket) => {
    let text = ''
    const gone = new AbortController()
    socket.setEncoding('utf8')
    socket.setTimeout(SILENCE_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => gone.abort())
    const receive = (chunk: string): void => {
      text += chunk
      if (text.length > MAX_REQUEST_BYTES) return void socket.destroy()
      const end = text.indexOf('\n')
      if (end < 0) return
      socket.off('data', receive)
      void answer(socket, handlers, text.slice(0, end), gone.signal)
    }
    socket.on('data', receive)
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

async function answer(
  socket: Socket,
  handlers: Readonly<Record<string, ControlHandler>>,
  line: string,
  signal: AbortSignal,
): Promise<void> {
  const send = (value: unknown): void => {
    if (!socket.destroyed) socket.write(`${JSON.stringify(value)}\n`)
  }
  // A caller may end its half: keep reading, so that its going is seen.
  socket.resume()
  try {
    const request = JSON.parse(line) as ControlRequest
    const handler = Object.hasOwn(handlers, request.command) ? handlers[request.command] : undefined
    if (handler === undefined)
      throw new Error(
        `this control plane knows no command ${JSON.stringify(request.command)}: was it started by another version?`,
      )
    send({ result: await handler(request, (progress) => send({ progress }), signal) })
  } catch (error) {
    send({ error: (error as Error).message })
  }
  socket.end()
}

/** Rejects with what the control plane says is wrong. */
export function controlRequest(
  directory: string,
  request: ControlRequest,
  onProgress: (value: ControlAnswer) => void = () => undefined,
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlSocketPath(directory))
    let text = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('data', (chunk: string) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop()!
      for (const line of lines) {
        let message: { progress?: ControlAnswer; result?: ControlAnswer; error?: string }
        try {
          message = JSON.parse(line) as typeof message
        } catch (error) {
          socket.destroy(new Error(`the control plane answered what cannot be read: ${(error as Error).message}`))
          return
        }
        if (message.progress !== undefined) onProgress(message.progress)
        else if (message.error !== undefined) reject(new Error(message.error))
        else resolve(message.result ?? {})
      }
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the control plane closed the connection without an answer')))
  })
}
