import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import {
  type Client,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { connectKeyService } from './client.ts'
import { serveKeyService } from './server.ts'
import { folder, recordingLog, toyKeyService } from './testing.ts'

// The other side of each test is protobufjs, fed with the service's definition: nothing of our codec takes part in it.
const PROTO = `
syntax = "proto3";
package v2;
service KeyManagementService {
  rpc Status(StatusRequest) returns (StatusResponse);
  rpc Decrypt(DecryptRequest) returns (DecryptResponse);
  rpc Encrypt(EncryptRequest) returns (EncryptResponse);
}
message StatusRequest {}
message StatusResponse { string version = 1; string healthz = 2; string key_id = 3; }
message DecryptRequest { bytes ciphertext = 1; string uid = 2; string key_id = 3; map<string, bytes> annotations = 4; }
message DecryptResponse { bytes plaintext = 1; }
message EncryptRequest { bytes plaintext = 1; string uid = 2; }
message EncryptResponse { bytes ciphertext = 1; string key_id = 2; map<string, bytes> annotations = 3; }
`

function keyManagementService(t: TestContext): ServiceClientConstructor {
  const file = join(folder(t), 'api.proto')
  writeFileSync(file, PROTO)
  const loaded = loadPackageDefinition(loadSync(file, { keepCase: true, defaults: true }))
  return (loaded['v2'] as GrpcObject)['KeyManagementService'] as ServiceClientConstructor
}

/** protobufjs gives an empty value of a map as an array. */
const asBuffers = (annotations: unknown): Record<string, Buffer> =>
  Object.fromEntries(Object.entries(annotations as Record<string, Uint8Array>).map(([k, v]) => [k, Buffer.from(v)]))

type Fields = Record<string, unknown>
type Method = (request: Fields, done: (error: ServiceError | null, answer: Fields) => void) => void

function ask(client: Client, method: string, request: Fields): Promise<Fields> {
  const call = (client as unknown as Record<string, Method>)[method]!.bind(client)
  return new Promise((resolve, reject) => call(request, (error, answer) => (error ? reject(error) : resolve(answer))))
}

describe('KMS v2 on the wire', () => {
  it("another implementation's client understands our server", async (t) => {
    const socket = join(folder(t), 's')
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    const Service = keyManagementService(t)
    const client = new Service(`unix:${socket}`, credentials.createInsecure())
    t.after(() => client.close())
    assert.deepEqual(await ask(client, 'Status', {}), { version: 'v2', healthz: 'ok', key_id: 'key-1' })
    const plaintext = Buffer.from([0, 1, 2, 253, 254, 255])
    const encrypted = await ask(client, 'Encrypt', { plaintext, uid: 'ü-1' })
    assert.deepEqual(
      { ...encrypted, annotations: asBuffers(encrypted['annotations']) },
      {
        ciphertext: Buffer.from([255, 254, 253, 2, 1, 0]),
        key_id: 'key-1',
        annotations: { 'a.example.org': Buffer.from([0, 255]), 'b.example.org': Buffer.alloc(0) },
      },
    )
    assert.deepEqual(await ask(client, 'Decrypt', { ...encrypted, uid: 'u-2' }), { plaintext })
    await assert.rejects(
      ask(client, 'Decrypt', { ...encrypted, key_id: 'other', uid: 'u-3' }),
      /key other is not known/,
    )
  })

  it("our client understands another implementation's server", async (t) => {
    const socket = join(folder(t), 's')
    const seen: Fields[] = []
    const recording =
      (answer: Fields) =>
      (call: { request: Fields }, done: (error: null, answer: Fields) => void): void => {
        const { annotations, ...rest } = call.request
        seen.push(annotations === undefined ? rest : { ...rest, annotations: asBuffers(annotations) })
        done(null, answer)
      }
    const annotations = { 'version.kms.example.com': Buffer.from('7'), 'empty.example.com': Buffer.alloc(0) }
    const server = new Server()
    server.addService(keyManagementService(t).service, {
      Status: recording({ version: 'v2beta1', healthz: 'ok', key_id: 'kéy/1' }),
      Encrypt: recording({ ciphertext: Buffer.from([9, 0, 9]), key_id: 'kéy/1', annotations }),
      Decrypt: recording({ plaintext: Buffer.from([1, 0, 255]) }),
    })
    t.after(() => server.forceShutdown())
    await new Promise<void>((resolve, reject) => {
      const done = (error: Error | null): void => (error ? reject(error) : resolve())
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), done)
    })
    const client = connectKeyService({ name: 'other', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => client.close())
    assert.deepEqual(await client.status(), { version: 'v2beta1', healthz: 'ok', keyId: 'kéy/1' })
    const encrypted = await client.encrypt(Buffer.from([1, 0, 255]), 'uid-é')
    assert.deepEqual([...encrypted.ciphertext], [9, 0, 9])
    assert.deepEqual({ ...encrypted.annotations }, annotations)
    assert.deepEqual([...(await client.decrypt({ ...encrypted, uid: 'uid-2' }))], [1, 0, 255])
    assert.deepEqual(seen, [
      {},
      { plaintext: Buffer.from([1, 0, 255]), uid: 'uid-é' },
      { ciphertext: Buffer.from([9, 0, 9]), uid: 'uid-2', key_id: 'kéy/1', annotations },
    ])
  })
})
