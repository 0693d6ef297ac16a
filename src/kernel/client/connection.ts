import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { checkServerIdentity, type ConnectionOptions as TlsOptions } from 'node:tls'
import { ApiError } from '../api/status.ts'
import { errorFromAnswer } from './status-error.ts'
import { UnreachableError } from './unreachable.ts'

/** PEM texts. */
export type Credentials = { token?: string; cert?: string; key?: string }

/**
 * Asked before every request, so it caches what it can. `refresh` is true after the server said 401 to the last
 * credentials: return others, or the same when there are no others.
 */
export type CredentialProvider = (refresh: boolean) => Credentials | Promise<Credentials>

export type Impersonation = {
  user: string
  uid?: string
  groups?: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

export type ConnectionOptions = {
  server: URL
  /** PEM certificates that are trusted for the server; undefined: those of the system. */
  ca?: string
  /** Instead of `ca`, asked before every request. */
  caProvider?: () => string
  /** Name to verify in the server's certificate when it differs from the host in `server`. */
  serverName?: string
  credentials: CredentialProvider
  impersonate?: Impersonation
  userAgent: string
  /** From sending to the last byte of the answer, and for a watch to its headers. */
  timeoutMs: number
  /** Largest answer that is read into memory. */
  maxAnswerBytes: number
  /** Waits between attempts; injected so that tests need not wait. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>
}

export type Call = {
  method: string
  /** Path with query. */
  path: string
  body?: unknown
  contentType?: string
  signal?: AbortSignal
}

/** Attempts after the first one that are made when the server says 429 or 503 with Retry-After (client-go: 10). */
const MAX_RETRIES = 10
/** A longer Retry-After is not waited for: the caller gets the error. */
const MAX_RETRY_AFTER_SECONDS = 60
const RESET_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

type Agents = { plain: Agent; watch: Agent }
const NOTHING = { ca: undefined, cert: undefined, key: undefined }

/** An address is verified in the certificate, and never sent as the server's name (RFC 6066, section 3). */
function serverName(name: string | undefined): Pick<TlsOptions, 'servername' | 'checkServerIdentity'> {
  if (name === undefined || isIP(name) === 0) return name === undefined ? {} : { servername: name }
  return { servername: '', checkServerIdentity: (_host, peer) => checkServerIdentity(name, peer) }
}

/** Ends what is idle now, and what is busy as soon as it is done. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of [...(sockets ?? [])]) socket.destroy()
}

/** One server: keep-alive connections, credentials, retries. Certificates are always verified. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #basePath: string
  #agents: Agents | undefined
  #agentsFor: Readonly<Record<'ca' | 'cert' | 'key', string | undefined>> = NOTHING

  constructor(options: ConnectionOptions) {
    if (options.server.protocol !== 'https:')
      throw new Error(`${options.server.href}: only https is spoken to an API server`)
    this.#options = options
    this.#basePath = options.server.pathname.replace(/\/+$/, '')
  }

  /** The answer's body: parsed when it is JSON, text otherwise. Rejects with ApiError on a non-2xx. */
  async call(call: Call): Promise<unknown> {
    return await this.#withRetries(call, async (credentials, signal) => {
      const response = await this.#send(call, this.#agentsWith(credentials).plain, credentials, signal)
      const body = await this.#read(response)
      if (response.statusCode! < 200 || response.statusCode! > 299) throw failure(response, body)
      return body
    })
  }

  /** The open answer of a 200; the caller must read or destroy it. `call.signal` destroys it at any time. */
  async stream(call: Call & { signal: AbortSignal }): Promise<IncomingMessage> {
    return await this.#withRetries(call, async (credentials, signal) => {
      const response = await this.#send(call, this.#agentsWith(credentials).watch, credentials, signal)
      if (response.statusCode !== 200) throw failure(response, await this.#read(response))
      const end = (): void => void response.destroy()
      call.signal.addEventListener('abort', end, { once: true })
      response.once('close', () => call.signal.removeEventListener('abort', end))
      return response
    })
  }

  close(): void {
    this.#agents?.plain.destroy()
    this.#agents?.watch.destroy()
    this.#agents = undefined
  }

  #where(call: Call): string {
    const mark = call.path.indexOf('?')
    return `${this.#options.server.origin}${this.#basePath}${mark < 0 ? call.path : call.path.slice(0, mark)}`
  }

  #agentsWith({ cert, key }: Credentials): Agents {
    const ca = this.#options.caProvider?.() ?? this.#options.ca
    const was = this.#agentsFor
    if (this.#agents !== undefined && was.cert === cert && was.key === key && was.ca === ca) return this.#agents
    // Requests under way keep their sockets; idle ones of the old identity are closed.
    for (const agent of Object.values(this.#agents ?? {})) retire(agent)
    const tls = {
      keepAlive: true,
      keepAliveMsecs: 15_000,
      ca,
      cert,
      key,
      ...serverName(this.#options.serverName),
      minVersion: 'TLSv1.2' as const,
      rejectUnauthorized: true,
    }
    this.#agents = { plain: new Agent({ ...tls, maxSockets: 64 }), watch: new Agent(tls) }
    this.#agentsFor = { ca, cert, key }
    return this.#agents
  }

  async #send(call: Call, agent: Agent, credentials: Credentials, signal: AbortSignal): Promise<IncomingMessage> {
    const { server } = this.#options
    const payload = call.body === undefined ? undefined : encodeBody(call.body)
    const request = httpsRequest({
      agent,
      host: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port === '' ? 443 : Number(server.port),
      method: call.method,
      path: this.#basePath + call.path,
      headers: this.#headers(call, credentials, payload),
      signal,
    })
    return await answerOf(request, payload, () => `${call.method} ${this.#where(call)}`)
  }

  #headers(call: Call, credentials: Credentials, payload: Buffer | undefined): OutgoingHttpHeaders {
    const headers: OutgoingHttpHeaders = {
      accept: 'application/json, */*;q=0.5',
      'user-agent': this.#options.userAgent,
    }
    if (payload !== undefined) {
      headers['content-type'] = call.contentType ?? 'application/json'
      headers['content-length'] = payload.length
    }
    if (credentials.token !== undefined) headers.authorization = `Bearer ${credentials.token}`
    const as = this.#options.impersonate
    if (as !== undefined) {
      headers['impersonate-user'] = as.user
      if (as.uid !== undefined) headers['impersonate-uid'] = as.uid
      if (as.groups !== undefined && as.groups.length > 0) headers['impersonate-group'] = [...as.groups]
      for (const [key, values] of Object.entries(as.extra ?? {}))
        headers[`impersonate-extra-${encodeURIComponent(key).toLowerCase()}`] = [...values]
    }
    return headers
  }

  async #read(response: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > this.#options.maxAnswerBytes) {
        response.destroy()
        throw new UnreachableError('ServiceUnavailable', `the answer is over ${this.#options.maxAnswerBytes} bytes`)
      }
      chunks.push(chunk)
    }
    const text = (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString('utf8')
    if (!/json/.test(response.headers['content-type'] ?? '')) return text
    try {
      return JSON.parse(text)
    } catch (error) {
      throw new UnreachableError('ServiceUnavailable', 'the answer says it is JSON and is not', error)
    }
  }

  async #withRetries<T>(call: Call, attempt: Attempt<T>): Promise<T> {
    let credentials = await this.#options.credentials(false)
    let refreshed = false
    let reset = false
    for (let retries = 0; ; retries++) {
      try {
        return await this.#withDeadline(call, (signal) => attempt(credentials, signal))
      } catch (error) {
        if (!(error instanceof ApiError) || call.signal?.aborted === true || retries >= MAX_RETRIES) throw error
        if (error.code === 401 && !refreshed) {
          refreshed = true
          const next = await this.#options.credentials(true)
          if (sameCredentials(credentials, next)) throw error
          credentials = next
        } else if (call.method === 'GET' && !reset && wasReset(error)) {
          // A kept-alive connection that the server closed as we used it. A write may have been done: only reads go
          // again, once.
          reset = true
        } else {
          const seconds = secondsToWait(error)
          if (seconds === undefined) throw error
          await this.#options.sleep(seconds * 1000, call.signal)
        }
      }
    }
  }

  /** The attempt's signal aborts after timeoutMs and with the call's own signal; never after the attempt is done. */
  async #withDeadline<T>(call: Call, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options
    const controller = new AbortController()
    let late = false
    const timer = setTimeout(() => {
      late = true
      controller.abort()
    }, timeoutMs)
    const onAbort = (): void => controller.abort()
    if (call.signal?.aborted === true) onAbort()
    call.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await attempt(controller.signal)
    } catch (error) {
      if (!late) throw error
      throw new UnreachableError('Timeout', `${call.method} ${this.#where(call)}: no answer within ${timeoutMs} ms`)
    } finally {
      clearTimeout(timer)
      call.signal?.removeEventListener('abort', onAbort)
    }
  }
}

type Attempt<T> = (credentials: Credentials, signal: AbortSignal) => Promise<T>

const sameCredentials = (a: Credentials, b: Credentials): boolean =>
  a.token === b.token && a.cert === b.cert && a.key === b.key

function wasReset(error: ApiError): boolean {
  const code = (error.cause as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && RESET_CODES.has(code)
}

/** undefined: the server did not ask to come again, or asked for too long a wait. */
function secondsToWait(error: ApiError): number | undefined {
  if (error.code !== 429 && error.code !== 503) return undefined
  const seconds = error.details?.retryAfterSeconds
  return seconds !== undefined && seconds <= MAX_RETRY_AFTER_SECONDS ? seconds : undefined
}

/** The error that an answer stands for, with its Retry-After header as details.retryAfterSeconds. */
function failure(response: IncomingMessage, body: unknown): ApiError {
  const error = errorFromAnswer(response.statusCode!, body)
  const header = response.headers['retry-after']
  if (header === undefined || !/^\d{1,6}$/.test(header)) return error
  const details = { ...error.details, retryAfterSeconds: Number(header) }
  return new ApiError(error.reason, error.message, details, error.code)
}

const encodeBody = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))

function answerOf(request: ClientRequest, payload: Buffer | undefined, what: () => string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', (error) =>
      reject(new UnreachableError('ServiceUnavailable', `${what()}: ${error.message}`, error)),
    )
    request.end(payload)
  })
}
