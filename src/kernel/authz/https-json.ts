import type { IncomingMessage } from 'node:http'
import { type Agent, request as httpsRequest } from 'node:https'

export type HttpsJsonRequest = {
  /** For the request line, the Host header and messages. https only. */
  url: URL
  /** Where to connect when that is not the URL's own host and port. */
  address?: { host: string; port: number }
  /** Name that the server's certificate must have; the URL's host when undefined. */
  serverName?: string
  headers?: Readonly<Record<string, string>>
  body: string
  /** Keeps connections and holds the trust: the certificate is always verified. */
  agent: Agent
  timeoutMs: number
  maxResponseBytes: number
  signal?: AbortSignal
}

/** The other side could not be asked, or did not answer with what was agreed. The message reads like Kubernetes' own. */
export class HttpsJsonError extends Error {
  /** HTTP status, when there was one. */
  readonly status: number | undefined
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HttpsJsonError'
    this.status = status
  }
}

/** POSTs JSON and reads a JSON answer. Follows no redirect. Rejects with HttpsJsonError, after `timeoutMs` at the latest. */
export async function postJson(options: HttpsJsonRequest): Promise<unknown> {
  const { url } = options
  const deadline = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline])
  try {
    const response = await send(options, signal)
    const text = await read(response, options.maxResponseBytes)
    const status = response.statusCode ?? 0
    if (status < 200 || status > 299) throw new HttpsJsonError(statusMessage(status, text), status)
    return parse(text)
  } catch (error) {
    if (error instanceof HttpsJsonError) throw error
    throw new HttpsJsonError(
      `Post "${url.href}": ${reasonOf(error as NodeJS.ErrnoException, deadline, options)}`,
      undefined,
      {
        cause: error,
      },
    )
  }
}

function send(options: HttpsJsonRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, address, serverName, agent, body, headers } = options
  const host = address?.host ?? bareHost(url.hostname)
  const name = serverName ?? bareHost(url.hostname)
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        method: 'POST',
        host,
        port: address?.port ?? (url.port === '' ? 443 : Number(url.port)),
        path: url.pathname + url.search,
        // An address cannot be a server name indication (RFC 6066, section 3); it is verified all the same.
        ...(isAddress(name) ? {} : { servername: name }),
        agent,
        signal,
        headers: {
          host: url.host,
          accept: 'application/json, */*',
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'kube-apiserver-admission',
          ...headers,
        },
      },
      resolve,
    )
    request.on('error', reject)
    request.end(body)
  })
}

async function read(response: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) {
      response.destroy()
      throw new HttpsJsonError(`the response is larger than ${limit} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text
    throw new HttpsJsonError(`the response is not JSON: ${(error as Error).message}: ${JSON.stringify(shown)}`)
  }
}

/** client-go's sentence for an answer that is no success. */
function statusMessage(status: number, body: string): string {
  const text = body.trim()
  if (status === 404) return 'the server could not find the requested resource'
  if (status >= 500 && text !== '')
    return `an error on the server (${JSON.stringify(text.slice(0, 2048))}) has prevented the request from succeeding`
  return `the server responded with the status code ${status} but did not return more information`
}

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
])

function reasonOf(error: NodeJS.ErrnoException, deadline: AbortSignal, { url, address }: HttpsJsonRequest): string {
  if (deadline.aborted) return 'context deadline exceeded'
  const where = `${address?.host ?? bareHost(url.hostname)}:${address?.port ?? (url.port || 443)}`
  const code = error.code ?? ''
  if (error.name === 'AbortError' || code === 'ABORT_ERR') return 'context canceled'
  if (UNTRUSTED.has(code)) return 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `tls: failed to verify certificate: x509: certificate has expired or is not yet valid: ${error.message}`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `tls: failed to verify certificate: x509: ${error.message}`
  if (code === 'ECONNREFUSED') return `dial tcp ${where}: connect: connection refused`
  if (code === 'ENOTFOUND') return `dial tcp: lookup ${bareHost(url.hostname)}: no such host`
  if (code === 'ECONNRESET') return error.message === 'socket hang up' ? 'EOF' : 'read: connection reset by peer'
  return error.message
}

const bareHost = (hostname: string): string => (hostname.startsWith('[') ? hostname.slice(1, -1) : hostname)
const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':')
