import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { credentials, Client as GrpcClient, Metadata, status } from '@grpc/grpc-js'
import type { ContainerPort, Handler, HttpGetAction, IntOrString } from '../../../kernel/resources/kinds/pod/types.ts'
import { type CriClient, isCriError } from '../../../platform/cri/index.ts'
import { integer, type Message, message, string } from '../../../platform/grpc/proto.ts'

export type ProbeTarget = {
  cri: CriClient
  containerId: string
  podIp: string
  ports: readonly ContainerPort[]
}
export type ProbeAnswer = { outcome: 'success' } | { outcome: 'failure'; output: string }

const MAX_OUTPUT = 10 * 1024
const MAX_REDIRECTS = 10
const SUCCESS: ProbeAnswer = { outcome: 'success' }
const failure = (output: string): ProbeAnswer => ({ outcome: 'failure', output: output.slice(0, MAX_OUTPUT) })

/** Asks once, as a probe or as a lifecycle hook. Rejects only when it could not be asked at all. */
export async function ask(
  handler: Handler,
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  if (handler.exec != null) return await askExec(handler.exec.command ?? [], target, timeoutMs, signal)
  if (handler.httpGet != null) return await askHttp(handler.httpGet, target, timeoutMs, signal)
  if (handler.tcpSocket != null) {
    const { host, port } = handler.tcpSocket
    return await askTcp(host || target.podIp, portNumber(port, target.ports), timeoutMs, signal)
  }
  if (handler.grpc != null)
    return await askGrpc(`${bracketed(target.podIp)}:${handler.grpc.port ?? 0}`, handler.grpc.service ?? '', timeoutMs)
  throw new Error('the probe has no handler')
}

async function askExec(
  command: readonly string[],
  { cri, containerId }: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  try {
    const output = await cri.execSync(containerId, command, Math.max(1, Math.ceil(timeoutMs / 1000)), signal)
    if (output.exitCode === 0) return SUCCESS
    return failure(Buffer.concat([output.stdout, output.stderr]).toString())
  } catch (error) {
    if (isCriError(error, 'DEADLINE_EXCEEDED'))
      return failure(`command timed out: ${command.join(' ')} timed out after ${timeoutMs / 1000}s`)
    throw error
  }
}

/** A port's number, or its name among the container's ports. Throws for a name that is not there. */
export function portNumber(port: IntOrString | undefined, ports: readonly ContainerPort[]): number {
  if (typeof port === 'number') return port
  const named = ports.find(({ name }) => name === port)?.containerPort
  const number = named ?? Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65535) throw new Error(`no port ${JSON.stringify(port)}`)
  return number
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

async function askHttp(
  action: HttpGetAction,
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase()
  const host = action.host || target.podIp
  const path = action.path || '/'
  const port = portNumber(action.port, target.ports)
  const headers: Record<string, string[]> = { 'user-agent': ['kube-probe/1.32'], accept: ['*/*'] }
  for (const { name = '', value = '' } of action.httpHeaders ?? []) {
    const key = name.toLowerCase()
    headers[key] = key in headers && key !== 'user-agent' && key !== 'accept' ? [...headers[key]!, value] : [value]
  }
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  let url = new URL(`${scheme}://${bracketed(host)}:${port}${path.startsWith('/') ? path : `/${path}`}`)
  try {
    for (let redirects = 0; ; redirects++) {
      const response = await get(url, headers, deadline)
      const { statusCode = 0 } = response
      const location = response.headers.location
      if ([301, 302, 303, 307, 308].includes(statusCode) && location !== undefined) {
        response.destroy()
        const next = new URL(location, url)
        // Where another host is named, the container has answered.
        if (next.hostname !== url.hostname) return SUCCESS
        if (redirects === MAX_REDIRECTS) return failure(`stopped after ${MAX_REDIRECTS} redirects`)
        url = next
        continue
      }
      response.destroy()
      if (statusCode >= 200 && statusCode < 400) return SUCCESS
      return failure(`HTTP probe failed with statuscode: ${statusCode}`)
    }
  } catch (error) {
    const shown = `Get ${JSON.stringify(url.href)}`
    if (deadline.aborted && !signal.aborted)
      return failure(`${shown}: no answer within ${timeoutMs / 1000}s (Client.Timeout exceeded)`)
    return failure(`${shown}: ${(error as Error).message}`)
  }
}

function get(url: URL, headers: Record<string, string[]>, signal: AbortSignal): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const single = Object.entries(headers).map(([name, values]) => [name, values.length === 1 ? values[0]! : values])
    const call = request(url, { headers: Object.fromEntries(single), signal, agent: false, maxHeaderSize: 64 * 1024 })
    call.on('response', (response) => {
      // Destroyed unread: what breaks then is of no interest.
      response.on('error', () => undefined)
      resolve(response)
    })
    call.on('error', reject)
    call.end()
  })
}

function askTcp(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: ProbeAnswer): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve(answer)
    }
    const abort = (): void => end(failure('given up'))
    const timer = setTimeout(() => end(failure(`dial tcp ${bracketed(host)}:${port}: i/o timeout`)), timeoutMs)
    signal.addEventListener('abort', abort, { once: true })
    socket.once('connect', () => end(SUCCESS))
    socket.once('error', (error) => end(failure(`dial tcp ${bracketed(host)}:${port}: ${error.message}`)))
  })
}

/** grpc.health.v1.Health/Check (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */
const healthRequest: Message<{ service: string }> = message({ service: string(1) })
const healthResponse: Message<{ status: number }> = message({ status: integer(1) })
const SERVING = 1

function askGrpc(address: string, service: string, timeoutMs: number): Promise<ProbeAnswer> {
  const client = new GrpcClient(address, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.max_receive_message_length': 64 * 1024,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.primary_user_agent': 'kube-probe/1.32',
  })
  const pass = (bytes: Buffer): Buffer => bytes
  const deadline = Date.now() + timeoutMs
  return new Promise<ProbeAnswer>((resolve) => {
    const path = '/grpc.health.v1.Health/Check'
    client.makeUnaryRequest(
      path,
      pass,
      pass,
      healthRequest.encode({ service }),
      new Metadata(),
      { deadline },
      (error, answer) => {
        if (error) {
          const code = status[error.code] ?? String(error.code)
          const why =
            error.code === status.UNIMPLEMENTED
              ? `this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}`
              : error.code === status.DEADLINE_EXCEEDED
                ? `timeout: health rpc did not complete within ${timeoutMs / 1000}s`
                : `error: health rpc probe failed: ${code}: ${error.details}`
          resolve(failure(why))
          return
        }
        try {
          const { status: health } = healthResponse.decode(answer!)
          resolve(health === SERVING ? SUCCESS : failure(`service unhealthy (responded with ${health})`))
        } catch (wrong) {
          resolve(failure((wrong as Error).message))
        }
      },
    )
  }).finally(() => client.close())
}
