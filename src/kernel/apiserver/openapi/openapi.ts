import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { ApiError } from '../../api/status.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import {
  buildOpenApiV2,
  buildOpenApiV2Protobuf,
  buildOpenApiV3Document,
  buildOpenApiV3Index,
  byDocument,
  type Document,
} from './documents.ts'

const compress = promisify(gzip)

/** The kinds that are served; `generation` changes whenever they do. */
export type ServedKinds = {
  readonly generation: number
  all: () => Iterable<{ definition: ResourceDefinition }>
}

const JSON_TYPE = 'application/json'
/** kubectl 1.20 writes an @, which Go's own parser of media types refuses in an answer. */
const V2_PROTOBUF_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
const V2_PROTOBUF = /^application\/com\.github\.proto-openapi\.spec\.v2[.@]v1\.0\+protobuf$/
const YEAR_SECONDS = 31_536_000

type Encoded = Document & { gzipped?: Buffer }

/**
 * Serves /openapi/v2 (JSON and gnostic's protobuf), /openapi/v3 and its documents. Documents are built when they are
 * first asked for and kept until the kinds in them change.
 */
export class OpenApi {
  readonly #kinds: ServedKinds
  readonly #version: string
  #generation = -1
  #groups = new Map<string, ResourceDefinition[]>()
  readonly #v3 = new Map<string, { from: readonly ResourceDefinition[]; document: Encoded }>()
  #v2: Encoded | undefined
  #v2Protobuf: Encoded | undefined

  /** `version` stands in the documents' info. */
  constructor(kinds: ServedKinds, version = 'unversioned') {
    this.#kinds = kinds
    this.#version = version
  }

  async serve(path: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#refresh()
    const accept = req.headers.accept ?? '*/*'
    if (path === '/swagger-2.0.0.pb-v1') return send(req, res, this.#protobufV2(), 'application/octet-stream')
    if (path === '/openapi/v2') {
      const protobuf = mediaTypes(accept).find((type) => V2_PROTOBUF.test(type))
      const json = takesJson(accept)
      if (protobuf === undefined && !json) throw notAcceptable()
      const isProtobuf = protobuf !== undefined && (!json || accept.indexOf(protobuf) < accept.indexOf('json'))
      return send(req, res, isProtobuf ? this.#protobufV2() : this.#jsonV2(), isProtobuf ? V2_PROTOBUF_TYPE : JSON_TYPE)
    }
    if (!takesJson(accept)) throw notAcceptable()
    if (path === '/openapi/v3' || path === '/openapi/v3/') return this.#index(req, res)
    return this.#groupVersion(path, req, res)
  }

  #refresh(): void {
    if (this.#generation === this.#kinds.generation) return
    this.#generation = this.#kinds.generation
    this.#groups = byDocument([...this.#kinds.all()].map((kind) => kind.definition))
    for (const path of this.#v3.keys()) if (!this.#groups.has(path)) this.#v3.delete(path)
    this.#v2 = undefined
    this.#v2Protobuf = undefined
  }

  #jsonV2(): Encoded {
    this.#v2 ??= buildOpenApiV2([...this.#groups.values()].flat(), this.#version)
    return this.#v2
  }

  #protobufV2(): Encoded {
    this.#v2Protobuf ??= buildOpenApiV2Protobuf([...this.#groups.values()].flat(), this.#version)
    return this.#v2Protobuf
  }

  #documentV3(path: string, definitions: readonly ResourceDefinition[]): Encoded {
    const known = this.#v3.get(path)
    const isSame = known?.from.length === definitions.length && known.from.every((d, i) => d === definitions[i])
    if (known !== undefined && isSame) return known.document
    const document = buildOpenApiV3Document(definitions, this.#version)
    this.#v3.set(path, { from: definitions, document })
    return document
  }

  #index(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const documents = new Map<string, Document>()
    for (const [path, definitions] of this.#groups) documents.set(path, this.#documentV3(path, definitions))
    const bytes = Buffer.from(JSON.stringify(buildOpenApiV3Index(documents)))
    // Every hash is in the index: hashing one of them again is not needed to tell two indexes apart.
    return send(req, res, { bytes, hash: '' }, JSON_TYPE)
  }

  #groupVersion(path: string, req: IncomingMessage, res: ServerResponse): Promise<void> | void {
    const name = path.slice('/openapi/v3/'.length)
    const definitions = path.startsWith('/openapi/v3/') ? this.#groups.get(name) : undefined
    if (definitions === undefined)
      throw new ApiError('NotFound', 'the server could not find the requested resource', {
        causes: [{ reason: 'UnexpectedServerResponse', message: '404 page not found' }],
      })
    const document = this.#documentV3(name, definitions)
    const asked = new URL(req.url ?? '/', 'http://localhost').searchParams.get('hash')
    if (asked !== null && asked !== document.hash) {
      res.writeHead(301, { Location: `${path}?hash=${document.hash}` })
      res.end()
      return
    }
    if (asked !== null) res.setHeader('Cache-Control', `public, immutable, max-age=${YEAR_SECONDS}`)
    return send(req, res, document, JSON_TYPE)
  }
}

const mediaTypes = (accept: string): string[] => accept.split(',').map((part) => part.split(';', 1)[0]!.trim())

function takesJson(accept: string): boolean {
  return mediaTypes(accept).some((type) => type === JSON_TYPE || type === '*/*' || type === 'application/*')
}

function notAcceptable(): ApiError {
  return new ApiError('NotAcceptable', 'only the following media types are accepted: application/json')
}

async function send(req: IncomingMessage, res: ServerResponse, document: Encoded, type: string): Promise<void> {
  res.setHeader('Vary', 'Accept, Accept-Encoding')
  if (document.hash !== '') {
    const etag = `"${document.hash}"`
    res.setHeader('ETag', etag)
    if (req.headers['if-none-match'] === etag) {
      res.writeHead(304)
      res.end()
      return
    }
  }
  let body = document.bytes
  if (body.length > 4096 && /\bgzip\b/.test(String(req.headers['accept-encoding'] ?? ''))) {
    document.gzipped ??= await compress(body, { level: constants.Z_BEST_SPEED })
    body = document.gzipped
    res.setHeader('Content-Encoding', 'gzip')
  }
  res.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length })
  res.end(body)
}
