import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { Log } from '../../../kernel/feature.ts'
import { EncryptionError, type KeyService } from '../encryption/types.ts'

/** A folder that goes away with the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'rampart-kms-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export type Line = { level: string; message: string; fields: Record<string, unknown> | undefined }

export function recordingLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = []
  return { lines, log: (level, message, fields) => void lines.push({ level, message, fields }) }
}

/** "Encrypts" by turning all bits over; `keyId` and `healthz` may be changed at any time. */
export type ToyKeyService = KeyService & { keyId: string; healthz: string; calls: number }

export function toyKeyService(): ToyKeyService {
  const turned = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff)
  const self: ToyKeyService = {
    name: 'toy',
    keyId: 'key-1',
    healthz: 'ok',
    calls: 0,
    status: async () => ({ version: 'v2', healthz: self.healthz, keyId: self.keyId }),
    encrypt: async (plaintext) => {
      self.calls++
      const annotations = { 'a.example.org': Buffer.from([0, 255]), 'b.example.org': new Uint8Array(0) }
      return { ciphertext: turned(plaintext), keyId: self.keyId, annotations }
    },
    decrypt: async ({ ciphertext, keyId }) => {
      self.calls++
      if (keyId !== self.keyId) throw new EncryptionError(`key ${keyId} is not known`)
      return turned(ciphertext)
    },
    close: () => {},
  }
  return self
}

/** What a method answers: bytes as they are, an error, or nothing ever. */
export type RawAnswer = Uint8Array | { code: number; details: string } | 'never'

/** A gRPC server that answers any bytes, at a socket; `close` cuts everything at once. */
export async function serveRaw(
  socket: string,
  methods: Record<string, (request: Buffer) => RawAnswer>,
): Promise<{ close: () => void }> {
  const pass = (bytes: Buffer): Buffer => bytes
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {}
  const handlers: UntypedServiceImplementation = {}
  for (const [path, answer] of Object.entries(methods)) {
    definition[path] = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: pass,
      requestDeserialize: pass,
      responseSerialize: pass,
      responseDeserialize: pass,
    }
    const handler: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
      const given = answer(call.request)
      if (given === 'never') return
      if (given instanceof Uint8Array) callback(null, Buffer.from(given))
      else callback(given)
    }
    handlers[path] = handler
  }
  const server = new Server()
  server.addService(definition, handlers)
  await new Promise<void>((resolve, reject) => {
    const done = (error: Error | null): void => (error ? reject(error) : resolve())
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), done)
  })
  return { close: () => server.forceShutdown() }
}
