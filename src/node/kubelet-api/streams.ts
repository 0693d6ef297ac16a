import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { exchange } from '../../kernel/streams/exchange.ts'
import { demandUpgrade, passThrough, upgradeHeaders } from '../../kernel/streams/pass-through.ts'
import { demandContainer, findPod, KubeletError } from './pod-lookup.ts'
import type { KubeletRuntime, StreamRequest } from './runtime.ts'

export type StreamFront = {
  runtime: KubeletRuntime
  query: URLSearchParams
  req: IncomingMessage
  res: ServerResponse
  onOpen: (stop: () => void) => void
}

const DIAL_TIMEOUT_MS = 10_000
const MAX_COMMAND_BYTES = 24 * 1024

/** /exec and /attach: NAMESPACE/POD/CONTAINER, or NAMESPACE/POD/UID/CONTAINER. Rejects with KubeletError or ApiError. */
export async function serveContainerStream(
  front: StreamFront,
  what: 'exec' | 'attach',
  segments: readonly string[],
): Promise<void> {
  const { runtime, query } = front
  const [namespace = '', name = '', third = '', fourth] = segments
  const pod = findPod(runtime.pods(), namespace, name, fourth === undefined ? '' : third)
  const container = fourth ?? third
  demandContainer(pod, container)
  const on = (parameter: string): boolean => ['1', 'true'].includes(query.get(parameter) ?? '')
  const tty = on('tty')
  const streams = { stdin: on('input'), stdout: on('output'), stderr: on('error') && !tty, tty }
  if (!streams.stdin && !streams.stdout && !streams.stderr)
    throw new KubeletError(400, 'you must specify at least 1 of stdin, stdout, stderr')
  demandUpgrade(front.req)
  const run = (await runtime.containerRuns(pod.metadata.uid ?? '', container)).find((r) => r.state === 'running')
  if (run === undefined) throw new KubeletError(404, `container not found (${JSON.stringify(container)})`)
  const request: StreamRequest = { containerId: run.id, ...streams }
  if (what === 'attach') return toRuntime(front, await url(runtime.attach(request)))
  const command = query.getAll('command')
  if (command.length === 0) throw new KubeletError(400, 'no command was given')
  if (command.join('').length > MAX_COMMAND_BYTES) throw new KubeletError(400, 'the command is too long')
  return toRuntime(front, await url(runtime.exec({ ...request, command })))
}

/** /portForward/NAMESPACE/POD, or with /UID. */
export async function servePortForward(front: StreamFront, segments: readonly string[]): Promise<void> {
  const { runtime, query } = front
  const [namespace = '', name = '', uid = ''] = segments
  const pod = findPod(runtime.pods(), namespace, name, uid)
  // SPDY names its ports stream by stream; a WebSocket in its query.
  const ports = [...query.getAll('port'), ...query.getAll('ports')].flatMap((text) => text.split(',')).map(Number)
  if (ports.length > 100 || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65535))
    throw new KubeletError(400, 'port must be from 1 to 65535')
  demandUpgrade(front.req)
  const sandbox = await runtime.sandboxId(pod.metadata.uid ?? '')
  if (sandbox === undefined) throw new KubeletError(404, `pod ${JSON.stringify(name)} has no running sandbox`)
  return toRuntime(front, await url(runtime.portForward(sandbox, ports)))
}

async function url(answer: Promise<string>): Promise<URL> {
  let text: string
  try {
    text = await answer
  } catch (error) {
    throw new KubeletError(500, (error as Error).message)
  }
  const found = URL.parse(text)
  // Bytes in clear may not leave the machine.
  if (found?.protocol !== 'http:' || !/^(127(\.\d+){3}|\[::1\]|localhost)$/.test(found.hostname))
    throw new KubeletError(500, 'the container runtime streams over something else than http on loopback')
  return found
}

async function toRuntime(
  { req, res, onOpen }: StreamFront,
  { hostname, port, host, pathname, search }: URL,
): Promise<void> {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  const socket = await dial(hostname.replace(/^\[|\]$/g, ''), Number(port || 80))
  const answer = await exchange(socket, {
    method: req.method ?? 'POST',
    path: pathname + search,
    host,
    headers: upgradeHeaders(req),
    signal: gone.signal,
  })
  await passThrough({ req, res, onOpen }, answer)
}

function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const fail = (why: string): void => {
      socket.destroy()
      reject(new KubeletError(500, `the container runtime's streaming server: ${why}`))
    }
    socket.setTimeout(DIAL_TIMEOUT_MS, () => fail('no connection in time'))
    socket.once('error', (error) => fail(error.message))
    socket.once('connect', () => {
      socket.removeAllListeners('timeout')
      socket.setTimeout(0)
      socket.removeAllListeners('error')
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}
