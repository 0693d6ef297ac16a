import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import {
  type ChannelOptions,
  type ClientDuplexStream,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import type { Message } from '../../platform/grpc/proto.ts'
import type { Log } from '../feature.ts'
import { type EtcdWatchRequest, type EtcdWatchResponse, watchRequest, watchResponse } from './etcd-messages.ts'
import { CompactedError, FutureRevisionError, StoreError } from './store.ts'

export type EtcdTls = {
  /** PEM. */
  ca: string | Uint8Array
  cert: string | Uint8Array
  key: string | Uint8Array
}

/** Certificates that are renewed while the client runs. */
export type EtcdTlsSource = {
  current: () => EtcdTls
  /** Returns how to stop that. */
  onChange: (listener: () => void) => () => void
}

export type EtcdClientOptions = {
  /** `https://host:port`, tried in order; `http://` only to loopback addresses. */
  endpoints: readonly string[]
  tls: EtcdTls | EtcdTlsSource | undefined
  /** Milliseconds for one call with all its attempts; default 10,000. */
  timeout?: number
  log?: Log
}

// No answer is refused for its size: pages of a range are bounded by what is asked for.
const channelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
}

export type WatchStream = ClientDuplexStream<Partial<EtcdWatchRequest>, EtcdWatchResponse>

/** Calls etcd over gRPC, on the first of the endpoints that answers. Errors come as the store's own. */
export class EtcdClient {
  readonly #clients: GrpcClient[]
  readonly #endpoints: readonly string[]
  readonly #timeout: number
  readonly #log: Log | undefined
  readonly #stopRenewals: () => void
  #current = 0

  /** @throws TypeError for an endpoint that is not acceptable. */
  constructor(options: EtcdClientOptions) {
    if (options.endpoints.length === 0) throw new TypeError('etcd: no endpoints are given')
    this.#endpoints = options.endpoints
    this.#timeout = options.timeout ?? 10_000
    this.#log = options.log
    const { tls } = options
    const source = tls !== undefined && 'current' in tls ? tls : undefined
    const current = (): EtcdTls | undefined => (source === undefined ? (tls as EtcdTls | undefined) : source.current())
    this.#clients = this.#connect(current())
    this.#stopRenewals = source?.onChange(() => this.#renew(current())) ?? (() => undefined)
  }

  #connect(tls: EtcdTls | undefined): GrpcClient[] {
    return this.#endpoints.map((endpoint) => {
      const target = address(endpoint, tls !== undefined)
      const { hostname } = new URL(endpoint)
      const ip = hostname.replace(/^\[|\]$/g, '')
      return new GrpcClient(target, ...channelTo(isIP(ip) === 0 ? undefined : ip, tls))
    })
  }

  /** New calls go over new connections; those under way, and the watch, end on theirs. */
  #renew(tls: EtcdTls | undefined): void {
    const old = this.#clients.splice(0, this.#clients.length, ...this.#connect(tls))
    setTimeout(() => {
      for (const client of old) client.close()
    }, this.#timeout * 2).unref()
  }

  /**
   * One call. It is repeated, on the next endpoint, only when it cannot have been executed: reads, and whatever never
   * left this process.
   */
  async call<Request, Response>(
    path: string,
    request: Message<Request>,
    response: Message<Response>,
    argument: Partial<Request>,
    repeatable: boolean,
    timeout: number = this.#timeout,
  ): Promise<Response> {
    const deadline = Date.now() + timeout
    for (let attempt = 1; ; attempt++) {
      const index = this.#current
      try {
        // An endpoint that hangs must not eat all the time of a read that another one could answer.
        const slice = repeatable && attempt < this.#clients.length
        const until = slice ? Math.min(deadline, Date.now() + timeout / this.#clients.length) : deadline
        return await this.#unary(index, path, request, response, argument, until)
      } catch (error) {
        const { code, details } = error as ServiceError
        // A refused stream was not processed either (RFC 9113 section 8.7): etcd was about to stop.
        const unsent =
          code === status.UNAVAILABLE && /^(No connection established|Stream refused by server)/.test(details)
        const unavailable = code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED
        if (unavailable) this.advance(index)
        if (!unavailable || !(unsent || repeatable) || Date.now() >= deadline) throw translate(error)
        // One quick round over all endpoints, then slower.
        if (attempt % this.#clients.length === 0) await sleep(Math.min(50 * attempt, 500, deadline - Date.now()))
      }
    }
  }

  /** A new watch stream; the caller listens to 'error' and moves to the next endpoint with `advance`. */
  watch(): { stream: WatchStream; endpoint: number } {
    const endpoint = this.#current
    const stream = this.#clients[endpoint]!.makeBidiStreamRequest<Partial<EtcdWatchRequest>, EtcdWatchResponse>(
      '/etcdserverpb.Watch/Watch',
      (value) => watchRequest.encode(value),
      (bytes) => watchResponse.decode(bytes),
      requireLeader(),
    )
    return { stream, endpoint }
  }

  /** Leaves an endpoint that failed, unless that was done already. */
  advance(endpoint: number): void {
    if (this.#current !== endpoint || this.#clients.length === 1) return
    this.#current = (endpoint + 1) % this.#clients.length
    this.#log?.('warn', 'etcd endpoint does not answer; the next one is used', {
      failed: this.#endpoints[endpoint],
      next: this.#endpoints[this.#current],
    })
  }

  close(): void {
    this.#stopRenewals()
    for (const client of this.#clients) client.close()
  }

  #unary<Request, Response>(
    index: number,
    path: string,
    request: Message<Request>,
    response: Message<Response>,
    argument: Partial<Request>,
    deadline: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#clients[index]!.makeUnaryRequest(
        path,
        (value: Partial<Request>) => request.encode(value),
        (bytes: Buffer) => response.decode(bytes),
        argument,
        requireLeader(),
        { deadline },
        (error, value) => (error ? reject(error) : resolve(value!)),
      )
    })
  }
}

/** A member that was cut off from the others refuses, where it would serve old data or hang. */
function requireLeader(): Metadata {
  const metadata = new Metadata()
  metadata.set('hasleader', 'true')
  return metadata
}

function address(endpoint: string, tls: boolean): string {
  const url = URL.parse(endpoint)
  if (url === null || url.port === '' || !['http:', 'https:'].includes(url.protocol)) {
    throw new TypeError(`etcd: endpoint ${JSON.stringify(endpoint)} is not of the form https://host:port`)
  }
  if (url.protocol === 'https:' && !tls) throw new TypeError(`etcd: endpoint ${endpoint} needs ca, cert and key`)
  if (url.protocol === 'http:') {
    if (tls) throw new TypeError(`etcd: endpoint ${endpoint} is not https, but certificates are given`)
    if (!/^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(url.hostname)) {
      throw new TypeError(`etcd: endpoint ${endpoint} is not https; plain http is for loopback addresses only`)
    }
  }
  return url.host
}

/**
 * grpc-js would send an address as the name in the TLS handshake, which RFC 6066 (section 3) does not allow: a name is
 * sent in its place, and the certificate is checked for the address.
 */
function channelTo(
  ip: string | undefined,
  tls: EtcdTls | undefined,
): [ReturnType<typeof credentials.createSsl>, ChannelOptions] {
  if (tls === undefined) return [credentials.createInsecure(), channelOptions]
  const [ca, key, cert] = [Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert)]
  if (ip === undefined) return [credentials.createSsl(ca, key, cert), channelOptions]
  const verify = { checkServerIdentity: (_name: string, peer: PeerCertificate) => checkServerIdentity(ip, peer) }
  return [credentials.createSsl(ca, key, cert, verify), { ...channelOptions, 'grpc.ssl_target_name_override': 'etcd' }]
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)))
}

/** Revisions of CompactedError and FutureRevisionError are not in etcd's answer: 0 stands for them. */
function translate(error: unknown): Error {
  const { code, details } = error as ServiceError
  const reason = `etcd: ${details || (error as Error).message}`
  const as = (kind: StoreError['code']): StoreError => new StoreError(kind, reason, { cause: error })
  if (/required revision has been compacted/.test(reason)) return new CompactedError(0)
  if (/required revision is a future revision/.test(reason)) return new FutureRevisionError(0, 0)
  if (/database space exceeded/.test(reason)) return as('no-space')
  if (/request is too large|too many operations|larger than max/.test(reason)) return as('too-large')
  if (/corrupt/.test(reason) || code === status.DATA_LOSS) return as('corrupt')
  if (/too many requests/.test(reason)) return as('unavailable')
  const transient = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED, status.ABORTED]
  return as(code !== undefined && transient.includes(code) ? 'unavailable' : 'internal')
}
