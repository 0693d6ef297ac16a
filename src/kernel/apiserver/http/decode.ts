import type { IncomingMessage } from 'node:http'
import type { Json } from '../../api/object.ts'
import { ApiError, badRequest } from '../../api/status.ts'
import { decodeJson } from '../../codec/json.ts'
import { decodeProtobuf } from '../../codec/protobuf.ts'
import { decodeYaml } from '../../codec/yaml.ts'

export type DecodedBody = { value: Json; duplicates: readonly string[] }

export function mediaType(req: IncomingMessage): string {
  const header = req.headers['content-type'] ?? ''
  const semicolon = header.indexOf(';')
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase()
}

/** Parses a request body by its Content-Type; none means JSON, as kubectl 1.20 sends it. */
export function decodeBody(media: string, bytes: Buffer): DecodedBody {
  switch (media) {
    case '':
    case 'application/json':
    case '*/*':
      return decodeJson(bytes)
    case 'application/yaml':
    case 'application/apply-patch+yaml':
      return decodeYaml(bytes)
    case 'application/vnd.kubernetes.protobuf':
      return { value: decodeProtobuf(bytes) as Json, duplicates: [] }
    default:
      throw new ApiError(
        'UnsupportedMediaType',
        'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
      )
  }
}

export function requireObject(value: Json): { [key: string]: Json | undefined } {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw badRequest('the request body must be an object')
  return value
}
