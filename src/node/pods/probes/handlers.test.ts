import assert from 'node:assert/strict'
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js'
import type { Handler } from '../../../kernel/resources/kinds/pod/types.ts'
import type { CriClient } from '../../../platform/cri/index.ts'
import { ask, type ProbeAnswer, portNumber } from './handlers.ts'

/** Exec is asked of the container runtime: see the slow tests. */
const target = { cri: {} as CriClient, containerId: '', podIp: '127.0.0.1', ports: [] }
const signal = new AbortController().signal
const asked = (handler: Handler, timeoutMs = 2000): Promise<ProbeAnswer> => ask(handler, target, timeoutMs, signal)
const outcome = async (handler: Handler, timeoutMs?: number): Promise<string> => {
  const answer = await asked(handler, timeoutMs)
  return answer.outcome === 'success' ? 'success' : answer.output
}

describe('HTTP and TCP probes', () => {
  let http: Server
  let silent: TcpServer
  let port = 0
  let seen: IncomingMessage | undefined
  before(async () => {
    http = createHttpServer((request, response) => {
      seen = request
      const [, kind, value = ''] = request.url!.split('/')
      if (kind === 'status') response.writeHead(Number(value)).end()
      else if (kind === 'to') response.writeHead(302, { location: decodeURIComponent(value) }).end()
      else if (kind === 'large') {
        response.on('error', () => undefined)
        response.writeHead(200)
        const more = (): void => {
          if (!response.destroyed && !response.closed) response.write('x'.repeat(65_536), () => setImmediate(more))
        }
        more()
      } else if (kind !== 'hang') response.end('ok')
    }).listen(0, '127.0.0.1')
    silent = createTcpServer(() => undefined).listen(0, '127.0.0.1')
    await Promise.all([http, silent].map((server) => new Promise((resolve) => server.once('listening', resolve))))
    port = (http.address() as AddressInfo).port
  })
  after(() => {
    http.closeAllConnections()
    http.close()
    silent.close()
  })

  const rows: [path: string, expected: RegExp][] = [
    ['/', /^success$/],
    ['/status/204', /^success$/],
    ['/status/399', /^success$/],
    ['/status/400', /^HTTP probe failed with statuscode: 400$/],
    ['/status/500', /^HTTP probe failed with statuscode: 500$/],
    ['/to/%2Fstatus%2F200', /^success$/],
    ['/to/%2Fstatus%2F503', /statuscode: 503$/],
    ['/to/http:%2F%2Fother.invalid%2F', /^success$/],
    ['/large/', /^success$/],
    ['/hang/', /no answer within 0\.3s/],
  ]
  for (const [path, expected] of rows)
    it(`GET ${path}`, async () =>
      assert.match(await outcome({ httpGet: { path, port } }, path === '/hang/' ? 300 : 2000), expected))

  it('stops following itself', async () => {
    const loop = createHttpServer((_, response) => response.writeHead(302, { location: '/again' }).end()).listen(
      0,
      '127.0.0.1',
    )
    await new Promise((resolve) => loop.once('listening', resolve))
    const answer = await outcome({ httpGet: { path: '/', port: (loop.address() as AddressInfo).port } })
    loop.close()
    assert.equal(answer, 'stopped after 10 redirects')
  })

  it('sends the headers that it is told to', async () => {
    const httpHeaders = [
      { name: 'Host', value: 'shop.example' },
      { name: 'X-A', value: '1' },
      { name: 'X-A', value: '2' },
      { name: 'User-Agent', value: 'mine' },
    ]
    assert.equal(await outcome({ httpGet: { port, httpHeaders } }), 'success')
    assert.deepEqual(
      [seen?.headers.host, seen?.headers['x-a'], seen?.headers['user-agent']],
      ['shop.example', '1, 2', 'mine'],
    )
  })

  it('verifies certificates, and says so', async () =>
    assert.match(await outcome({ httpGet: { scheme: 'HTTPS', port } }), /^Get "https:\/\/127\.0\.0\.1:\d+\/": /))

  it('TCP', async () => {
    const { port: open } = silent.address() as AddressInfo
    assert.equal(await outcome({ tcpSocket: { port: open } }), 'success')
    const closed = createTcpServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const { port: gone } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    assert.match(
      await outcome({ tcpSocket: { port: gone } }),
      new RegExp(`^dial tcp 127.0.0.1:${gone}: .*ECONNREFUSED`),
    )
    assert.match(await outcome({ httpGet: { port: gone } }), /ECONNREFUSED/)
    assert.match(await outcome({ httpGet: { port: open } }, 200), /no answer within/)
  })

  it('ports by number and by name', () => {
    const ports = [{ name: 'web', containerPort: 8080 }]
    assert.deepEqual([portNumber(80, ports), portNumber('web', ports), portNumber('81', ports)], [80, 8080, 81])
    for (const wrong of ['none', '0', '70000', undefined]) assert.throws(() => portNumber(wrong, ports), /no port/)
  })
})

describe('gRPC probes', () => {
  let server: GrpcServer
  let port = 0
  before(async () => {
    server = new GrpcServer()
    const pass = (bytes: Buffer): Buffer => bytes
    const method = {
      path: '/grpc.health.v1.Health/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: pass,
      requestDeserialize: pass,
      responseSerialize: pass,
      responseDeserialize: pass,
    }
    server.addService(
      { check: method },
      {
        check: (call: { request: Buffer }, answer: (error: object | null, bytes?: Buffer) => void) => {
          const service = call.request.subarray(2).toString()
          if (service === 'hang') return
          if (service === 'none') answer({ code: status.NOT_FOUND, details: 'unknown service' })
          else answer(null, service === 'down' ? Buffer.from([8, 2]) : Buffer.from([8, 1]))
        },
      },
    )
    port = await new Promise((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    )
  })
  after(() => server.forceShutdown())

  const rows: [service: string, expected: RegExp][] = [
    ['', /^success$/],
    ['shop', /^success$/],
    ['down', /^service unhealthy \(responded with 2\)$/],
    ['none', /NOT_FOUND: unknown service/],
    ['hang', /did not complete within 0\.3s/],
  ]
  for (const [service, expected] of rows)
    it(service === '' ? 'the server' : service, async () =>
      assert.match(await outcome({ grpc: { port, service } }, service === 'hang' ? 300 : 2000), expected),
    )
})
