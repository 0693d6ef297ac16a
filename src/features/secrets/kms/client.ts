import { type ServiceError, status } from '@grpc/grpc-js'
import type { Log } from '../../../kernel/feature.ts'
import { type Message, ProtoError } from '../../../platform/grpc/proto.ts'
import { EncryptionConfigurationError, EncryptionError, type KeyService } from '../encryption/types.ts'
import { excerpt, wrongEncryption, wrongStatus } from './answers.ts'
import { Connection, MAX_ANSWER_BYTES } from './connection.ts'
import { type KeyServiceEndpoint, parseEndpoint } from './endpoint.ts'
import {
  decryptRequest,
  decryptResponse,
  encryptRequest,
  encryptResponse,
  METHODS,
  statusRequest,
  statusResponse,
} from './messages.ts'

export type KeyServiceOptions = {
  /** The plugin's name in the EncryptionConfiguration. */
  name: string
  /** `unix:///path` or `unix:///@name`. */
  endpoint: string
  /** For one call with its repetitions. */
  timeoutMs: number
  log?: Log
}

export type KeyServiceFailure =
  /** Nobody listens, or the connection broke: it may work later. */
  | 'unreachable'
  /** No answer in time: it may work later. */
  | 'timeout'
  /** It answered, but not as KMS v2 asks. */
  | 'protocol'
  /** It answered that it cannot or will not. */
  | 'refused'

/** The message names the plugin and its endpoint; never a value. */
export class KeyServiceError extends EncryptionError {
  readonly failure: KeyServiceFailure

  constructor(failure: KeyServiceFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

/** A plugin that restarts is away for a moment: so long a call keeps trying to reach it. */
const PATIENCE_MS = 500

/**
 * Calls a KMS v2 plugin. Connects at the first call, and anew after a connection failed; the three methods change
 * nothing at the plugin, so a call whose connection broke is repeated. Calls reject with KeyServiceError.
 * Throws EncryptionConfigurationError for options that make no sense.
 */
export function connectKeyService(options: KeyServiceOptions): KeyService {
  return new SocketKeyService(options)
}

class SocketKeyService implements KeyService {
  readonly name: string
  readonly #endpoint: KeyServiceEndpoint
  readonly #timeoutMs: number
  readonly #log: Log | undefined
  #connection: Connection | undefined
  #reachable = true
  #closed = false

  constructor(options: KeyServiceOptions) {
    if (!Number.isFinite(options.timeoutMs) || options.timeoutMs <= 0) {
      throw new EncryptionConfigurationError(`KMS plugin ${JSON.stringify(options.name)}: timeout is not above 0`)
    }
    this.name = options.name
    this.#endpoint = parseEndpoint(options.endpoint)
    this.#timeoutMs = options.timeoutMs
    this.#log = options.log
  }

  async status(): Promise<{ version: string; healthz: string; keyId: string }> {
    const answer = await this.#call('Status', METHODS.status, statusRequest, {}, statusResponse)
    const wrong = wrongStatus(answer)
    if (wrong !== undefined) throw this.#error('protocol', `Status: ${wrong}`)
    return { version: answer.version, healthz: excerpt(answer.healthz), keyId: answer.keyId }
  }

  async encrypt(
    plaintext: Uint8Array,
    uid: string,
  ): Promise<{ ciphertext: Uint8Array; keyId: string; annotations: Record<string, Uint8Array> }> {
    const answer = await this.#call(
      'Encrypt',
      METHODS.encrypt,
      encryptRequest,
      { plaintext, uid },
      encryptResponse,
      plaintext,
    )
    const wrong = wrongEncryption(answer)
    if (wrong !== undefined) throw this.#error('protocol', `Encrypt: ${wrong}`)
    return answer
  }

  async decrypt(request: {
    ciphertext: Uint8Array
    keyId: string
    annotations: Record<string, Uint8Array>
    uid: string
  }): Promise<Uint8Array> {
    const { plaintext } = await this.#call('Decrypt', METHODS.decrypt, decryptRequest, request, decryptResponse)
    if (plaintext.length === 0) throw this.#error('protocol', 'Decrypt: plaintext is empty')
    return plaintext
  }

  close(): void {
    this.#closed = true
    this.#connection?.retire()
    this.#connection = undefined
  }

  /** `secret` is kept out of what the plugin says in its refusal. */
  async #call<Request, Response>(
    method: string,
    path: string,
    request: Message<Request>,
    argument: Partial<Request>,
    response: Message<Response>,
    secret?: Uint8Array,
  ): Promise<Response> {
    const begun = Date.now()
    const deadline = begun + this.#timeoutMs
    for (let pause = 20; ; pause *= 2) {
      if (this.#closed) throw this.#error('unreachable', `${method}: the connection has been closed`)
      const connection = (this.#connection ??= new Connection(this.#endpoint.target))
      try {
        const answer = await connection.unary(path, request.encode(argument), deadline)
        this.#reached()
        return response.decode(answer)
      } catch (error) {
        if (error instanceof ProtoError) throw this.#error('protocol', `${method}: its answer is ${error.message}`)
        const broken = isBroken(error as ServiceError)
        // A new connection also gets past a server that hangs while another took its path over.
        if (broken || (error as ServiceError).code === status.DEADLINE_EXCEEDED) this.#drop(connection)
        const last = Date.now() + pause >= Math.min(deadline, begun + PATIENCE_MS)
        if (!broken || last || this.#closed) throw this.#translate(method, error as ServiceError, secret)
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
    }
  }

  #drop(connection: Connection): void {
    connection.retire()
    if (this.#connection === connection) this.#connection = undefined
  }

  #reached(): void {
    if (this.#reachable) return
    this.#reachable = true
    this.#log?.('info', 'KMS plugin answers again', { plugin: this.name, endpoint: this.#endpoint.shown })
  }

  #translate(method: string, error: ServiceError, secret: Uint8Array | undefined): KeyServiceError {
    const details = excerpt(withoutSecret(error.details ?? '', secret))
    const say = (failure: KeyServiceFailure, what: string): KeyServiceError =>
      this.#error(failure, `${method}: ${what}`)
    switch (error.code) {
      case status.DEADLINE_EXCEEDED:
        this.#unreached('no answer in time')
        return say('timeout', `no answer within ${this.#timeoutMs} ms`)
      case status.UNAVAILABLE:
      case status.CANCELLED:
        this.#unreached(details)
        return say('unreachable', reasonOfConnection(details))
      case status.UNIMPLEMENTED:
        return say('protocol', 'it does not know this method: it is not a KMS v2 plugin (KMS v1 is not supported)')
      case status.RESOURCE_EXHAUSTED:
        return /larger than max/.test(details)
          ? say('protocol', `a message of more than ${MAX_ANSWER_BYTES} bytes is refused`)
          : say('refused', `it says: ${details}`)
      case status.INTERNAL:
        return /protocol error|NGHTTP2|http2/i.test(details)
          ? say('protocol', `the connection broke: ${details}`)
          : say('refused', `it says: INTERNAL: ${details}`)
      default:
        return say('refused', `it says: ${status[error.code] ?? error.code}${details === '' ? '' : `: ${details}`}`)
    }
  }

  #unreached(reason: string): void {
    if (!this.#reachable) return
    this.#reachable = false
    const fields = { plugin: this.name, endpoint: this.#endpoint.shown, reason }
    this.#log?.('warn', 'KMS plugin does not answer', fields)
  }

  #error(failure: KeyServiceFailure, what: string): KeyServiceError {
    return new KeyServiceError(failure, `KMS plugin ${JSON.stringify(this.name)} at ${this.#endpoint.shown}: ${what}`)
  }
}

/** We never cancel: CANCELLED is what a server's sudden end looks like. */
function isBroken(error: ServiceError): boolean {
  return error.code === status.UNAVAILABLE || error.code === status.CANCELLED
}

function reasonOfConnection(details: string): string {
  if (/ENOENT/.test(details)) return 'there is no such socket'
  if (/ECONNREFUSED/.test(details)) return 'nobody listens at the socket'
  if (/EACCES|EPERM/.test(details)) return 'no permission to open the socket'
  if (/ENOTSOCK|EPROTOTYPE/.test(details)) return 'it is not a stream socket'
  if (/protocol error|NGHTTP2|ERR_HTTP2/i.test(details)) return 'it does not speak gRPC'
  return details === '' ? 'the connection broke' : `unavailable: ${details}`
}

/** A plugin must not say what it was to encrypt; if it does, nothing of what it says is passed on. */
function withoutSecret(details: string, secret: Uint8Array | undefined): string {
  if (secret === undefined || secret.length === 0) return details
  const bytes = Buffer.from(secret)
  const texts = (['latin1', 'utf8', 'base64', 'base64url'] as const).map((form) => bytes.toString(form))
  // Go prints bytes as decimal numbers.
  const forms = [...texts, bytes.join(' '), bytes.join(','), bytes.join(', ')]
  const said = forms.some((form) => details.includes(form)) || details.toLowerCase().includes(bytes.toString('hex'))
  return said ? '(its reason held the plaintext and is not shown)' : details
}
