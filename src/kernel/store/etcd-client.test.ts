import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { ControlPlanePki } from '../../features/tls/index.ts'
import { EtcdClient } from './etcd-client.ts'

const directory = mkdtempSync(join(tmpdir(), 'rampart-etcd-client-'))
after(() => rmSync(directory, { recursive: true }))
const pki = new ControlPlanePki({
  directory,
  clock: { now: Date.now },
  clusterName: 'test',
  apiServerNames: [],
  serviceAddress: '10.96.0.1',
})
const anything = { encode: (): Buffer => Buffer.alloc(0), decode: (): object => ({}) }

/** Serves one method with this certificate, and calls it at this address. */
async function callAt(host: string, { cert, key }: { cert: string; key: string }): Promise<object> {
  const server = new Server()
  const method = {
    path: '/test/Call',
    requestStream: false,
    responseStream: false,
    requestSerialize: anything.encode,
    requestDeserialize: anything.decode,
    responseSerialize: anything.encode,
    responseDeserialize: anything.decode,
  } as const
  server.addService(
    { call: method },
    {
      call: (_: unknown, done: (error: null, value: object) => void) => done(null, {}),
    },
  )
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }
  const credentials = ServerCredentials.createSsl(Buffer.from(pki.rootPem), [pair], true)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  const client = new EtcdClient({
    endpoints: [`https://${host}:${port}`],
    tls: { ca: pki.rootPem, ...pki.leaf('etcd-client') },
    timeout: 1500,
  })
  try {
    return await client.call('/test/Call', anything as never, anything as never, {}, false)
  } finally {
    client.close()
    server.forceShutdown()
  }
}

test('an endpoint that is an address is verified as such, without a name in the handshake that is none', async () => {
  const warnings: (string | undefined)[] = []
  const warned = (warning: Error & { code?: string }): number => warnings.push(warning.code)
  process.on('warning', warned)
  const named = (dns: string[]): { cert: string; key: string } => {
    const { certificate, key } = pki.issue('etcd', {
      commonName: 'etcd',
      sans: { dns },
    })
    return { cert: certificate, key }
  }
  assert.deepEqual(await callAt('127.0.0.1', pki.leaf('etcd-server')), {})
  assert.deepEqual(await callAt('localhost', named(['localhost'])), {})
  await assert.rejects(callAt('127.0.0.1', named(['etcd', 'localhost'])), { name: 'StoreError', code: 'unavailable' })
  await assert.rejects(callAt('localhost', named(['etcd'])), { name: 'StoreError', code: 'unavailable' })
  process.off('warning', warned)
  assert.deepEqual(warnings, [])
})
