import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { ApiError } from '../api/status.ts'
import type { ClientWatchEvent } from './client.ts'
import { createRemoteClient, type RemoteClient, type RemoteClientOptions } from './remote.ts'
import { type PemPair, type TestAuthority, testAuthority } from './test-certificates.ts'
import { UnreachableError } from './unreachable.ts'

const SECRETS = { group: '', version: 'v1', resource: 'secrets' }
const ROLES = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'roles' }

type Request = { method: string; url: string; headers: IncomingMessage['headers']; body: string; peer: string }

let authority: TestAuthority
let pair: PemPair
let server: Server
let sockets: Set<Duplex>
let seen: Request[]
let connections: number
let answer: (request: Request, response: ServerResponse) => void

function json(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

const status = (code: number, reason: string, message: string, details?: object): object => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason,
  ...(details ? { details } : {}),
  code,
})

const open: RemoteClient[] = []
function client(options: Partial<RemoteClientOptions> = {}): RemoteClient {
  const { port } = server.address() as AddressInfo
  const made = createRemoteClient({
    server: new URL(`https://127.0.0.1:${port}`),
    ca: authority.ca,
    userAgent: 'test/1',
    ...options,
  })
  open.push(made)
  return made
}

const failure = async (promise: Promise<unknown>): Promise<ApiError> =>
  await promise.then(
    () => assert.fail('it should have failed'),
    (error) => error as ApiError,
  )

async function read(stream: AsyncIterable<ClientWatchEvent>): Promise<ClientWatchEvent[]> {
  const events: ClientWatchEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

describe('remote client', () => {
  before(async () => {
    authority = await testAuthority('test-ca')
    pair = await authority.issue('server', ['127.0.0.1', 'api.example'])
    sockets = new Set()
    // As the API server's listener: callers without a certificate come with a token; the tests look at `authorized`.
    server = createServer({ ...pair, ca: authority.ca, requestCert: true, rejectUnauthorized: false }, (req, res) => {
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => {
        const { CN } = ((req.socket as TLSSocket).getPeerCertificate()?.subject ?? {}) as { CN?: string }
        const { method = '', url = '', headers } = req
        const request = { method, url, headers, body: Buffer.concat(chunks).toString('utf8'), peer: CN ?? '' }
        seen.push(request)
        answer(request, res)
      })
    })
    server.on('connection', (socket) => {
      connections++
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  beforeEach(() => {
    seen = []
    connections = 0
    answer = (_, response) => json(response, 200, { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'a' } })
  })
  after(() => {
    for (const made of open) made.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  describe('what goes out', () => {
    const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a b', namespace: 'ns' } }
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'r', namespace: 'ns' } }
    const cases: [string, (c: RemoteClient) => Promise<unknown>, string, string | undefined][] = [
      ['get', (c) => c.get(SECRETS, 'ns', 'a b'), 'GET /api/v1/namespaces/ns/secrets/a%20b', undefined],
      [
        'get a subresource',
        (c) => c.get(ROLES, 'ns', 'r', 'status'),
        'GET /apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles/r/status',
        undefined,
      ],
      [
        'get of a name that tries to escape',
        (c) => c.get(SECRETS, 'ns', '../x?y'),
        'GET /api/v1/namespaces/ns/secrets/..%2Fx%3Fy',
        undefined,
      ],
      ['list', (c) => c.list(SECRETS), 'GET /api/v1/secrets', undefined],
      [
        'list with everything',
        (c) =>
          c.list(SECRETS, {
            namespace: 'ns',
            labelSelector: 'a in (b,c)',
            fieldSelector: 'type=x',
            limit: 5,
            continue: 't',
            resourceVersion: '7',
            resourceVersionMatch: 'Exact',
          }),
        'GET /api/v1/namespaces/ns/secrets?labelSelector=a+in+%28b%2Cc%29&fieldSelector=type%3Dx&limit=5&continue=t&resourceVersion=7&resourceVersionMatch=Exact',
        undefined,
      ],
      [
        'create',
        (c) => c.create(ROLES, role, { dryRun: true, fieldManager: 'm' }),
        'POST /apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles?dryRun=All&fieldManager=m',
        JSON.stringify(role),
      ],
      [
        'create on a subresource',
        (c) => c.create(SECRETS, object, { subresource: 'token', name: 'robot' }),
        'POST /api/v1/namespaces/ns/secrets/robot/token',
        JSON.stringify(object),
      ],
      [
        'update',
        (c) => c.update(SECRETS, object, { subresource: 'status' }),
        'PUT /api/v1/namespaces/ns/secrets/a%20b/status',
        JSON.stringify(object),
      ],
      [
        'apply',
        (c) => c.patch(SECRETS, 'ns', 'a', 'apply', { x: 1 }, { force: true, fieldManager: 'm' }),
        'PATCH /api/v1/namespaces/ns/secrets/a?fieldManager=m&force=true',
        '{"x":1}',
      ],
      [
        'delete',
        (c) =>
          c.delete(SECRETS, 'ns', 'a', {
            gracePeriodSeconds: 0,
            propagationPolicy: 'Orphan',
            preconditions: { uid: 'u' },
            dryRun: true,
          }),
        'DELETE /api/v1/namespaces/ns/secrets/a',
        '{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"propagationPolicy":"Orphan","preconditions":{"uid":"u"},"dryRun":["All"]}',
      ],
      [
        'deleteCollection',
        (c) => c.deleteCollection(SECRETS, { namespace: 'ns', labelSelector: 'a=b' }),
        'DELETE /api/v1/namespaces/ns/secrets?labelSelector=a%3Db',
        '{"kind":"DeleteOptions","apiVersion":"v1"}',
      ],
      ['raw', (c) => c.raw('POST', '/x?y=z', { a: 1 }), 'POST /x?y=z', '{"a":1}'],
    ]
    for (const [name, call, line, body] of cases)
      test(name, async () => {
        await call(client())
        assert.equal(`${seen[0]!.method} ${seen[0]!.url}`, line)
        assert.equal(seen[0]!.body, body ?? '')
        assert.equal(seen[0]!.headers['user-agent'], 'test/1')
      })

    test('each patch type has its content type', async () => {
      const made = client()
      for (const type of ['json', 'merge', 'strategic', 'apply'] as const)
        await made.patch(SECRETS, 'ns', 'a', type, {})
      assert.deepEqual(
        seen.map((request) => request.headers['content-type']),
        [
          'application/json-patch+json',
          'application/merge-patch+json',
          'application/strategic-merge-patch+json',
          'application/apply-patch+yaml',
        ],
      )
    })

    test('a path in the server address comes first; impersonation goes in headers', async () => {
      const { port } = server.address() as AddressInfo
      const impersonate = { user: 'alice', uid: '7', groups: ['g1', 'g2'], extra: { 'scopes/X': ['v'] } }
      await client({ server: new URL(`https://127.0.0.1:${port}/prefix/`), impersonate }).raw('GET', '/version')
      const { url, headers } = seen[0]!
      assert.equal(url, '/prefix/version')
      assert.equal(headers['impersonate-user'], 'alice')
      assert.equal(headers['impersonate-uid'], '7')
      assert.equal(headers['impersonate-group'], 'g1, g2')
      assert.equal(headers['impersonate-extra-scopes%2fx'], 'v')
    })

    test('one connection serves calls one after the other', async () => {
      const made = client()
      for (let i = 0; i < 5; i++) await made.get(SECRETS, 'ns', 'a')
      assert.equal(connections, 1)
    })
  })

  describe('what comes back', () => {
    test('a Status becomes the ApiError that it was', async () => {
      const details = {
        name: 'a',
        kind: 'secrets',
        causes: [{ reason: 'FieldValueInvalid', message: 'm', field: 'f' }],
      }
      answer = (_, response) => json(response, 422, status(422, 'Invalid', 'wrong', details))
      const error = await failure(client().get(SECRETS, 'ns', 'a'))
      assert.ok(error instanceof ApiError)
      assert.deepEqual([error.reason, error.code, error.message, error.details], ['Invalid', 422, 'wrong', details])
    })

    test('an answer that is no Status is told by its code', async () => {
      for (const [code, reason] of [
        [401, 'Unauthorized'],
        [404, 'NotFound'],
        [418, 'InternalError'],
        [502, 'InternalError'],
        [504, 'Timeout'],
      ] as const) {
        answer = (_, response) => response.writeHead(code, { 'content-type': 'text/plain' }).end('plain words')
        const error = await failure(client().get(SECRETS, 'ns', 'a'))
        assert.deepEqual([error.reason, error.code], [reason, code])
        assert.match(error.message, /plain words/)
      }
    })

    test('a reason that is not known is told by its code, with its message', async () => {
      answer = (_, response) => json(response, 409, status(409, 'SomethingNew', 'words'))
      const error = await failure(client().get(SECRETS, 'ns', 'a'))
      assert.deepEqual([error.reason, error.code, error.message], ['Conflict', 409, 'words'])
    })

    test('items of a list get the apiVersion and kind of their list', async () => {
      answer = (_, response) =>
        json(response, 200, {
          kind: 'SecretList',
          apiVersion: 'v1',
          metadata: { resourceVersion: '5' },
          items: [{ metadata: { name: 'a' } }],
        })
      const { items, metadata } = await client().list(SECRETS)
      assert.deepEqual([items[0]!.kind, items[0]!.apiVersion, metadata.resourceVersion], ['Secret', 'v1', '5'])
    })

    test('an empty list may have items null', async () => {
      answer = (_, response) =>
        json(response, 200, { kind: 'SecretList', apiVersion: 'v1', metadata: { resourceVersion: '5' }, items: null })
      assert.deepEqual((await client().list(SECRETS)).items, [])
    })

    test('text is text', async () => {
      answer = (_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('ok')
      assert.equal(await client().raw('GET', '/livez'), 'ok')
    })

    test('JSON that is none, and an answer that is too long, are errors', async () => {
      answer = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{')
      assert.match((await failure(client().get(SECRETS, 'ns', 'a'))).message, /not/)
      answer = (_, response) => response.writeHead(200).end('x'.repeat(5000))
      assert.match((await failure(client({ maxAnswerBytes: 1000 }).raw('GET', '/'))).message, /over 1000 bytes/)
    })
  })

  describe('faults', () => {
    test('429 and 503 with Retry-After are tried again, after that time', async () => {
      const waits: number[] = []
      let left = 3
      answer = (_, response) => {
        if (left-- > 0)
          json(response, left % 2 === 0 ? 429 : 503, status(429, 'TooManyRequests', 'slow down'), {
            'retry-after': '2',
          })
        else json(response, 200, { kind: 'Secret', apiVersion: 'v1', metadata: {} })
      }
      const sleep = async (ms: number): Promise<void> => void waits.push(ms)
      await client({ sleep }).create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } })
      assert.deepEqual(waits, [2000, 2000, 2000])
      assert.equal(seen.length, 4)
    })

    test('not for ever, not without Retry-After, not after an hour', async () => {
      const sleep = async (): Promise<void> => undefined
      const count = async (headers: Record<string, string>): Promise<number> => {
        seen = []
        answer = (_, response) => json(response, 429, status(429, 'TooManyRequests', 'no'), headers)
        const error = await failure(client({ sleep }).get(SECRETS, 'ns', 'a'))
        assert.equal(error.code, 429)
        return seen.length
      }
      assert.equal(await count({ 'retry-after': '1' }), 11)
      assert.equal(await count({}), 1)
      assert.equal(await count({ 'retry-after': '3600' }), 1)
    })

    test('a read goes again when the kept connection was closed, a write does not', async () => {
      const made = client()
      let calls = 0
      answer = (_, response) => {
        if (++calls % 2 === 1) response.destroy()
        else json(response, 200, { kind: 'Secret', apiVersion: 'v1', metadata: {} })
      }
      await made.get(SECRETS, 'ns', 'a')
      assert.equal(calls, 2)
      const error = await failure(made.update(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } }))
      assert.ok(error instanceof UnreachableError)
      assert.equal(calls, 3)
    })

    test('an answer that does not come ends at the time limit', async () => {
      answer = () => undefined
      const error = await failure(client({ timeoutMs: 50 }).get(SECRETS, 'ns', 'a'))
      assert.deepEqual([error.reason, error.code], ['Timeout', 504])
      assert.match(error.message, /GET https:.*\/secrets\/a: no answer within 50 ms/)
      answer = (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"a":')
      assert.equal((await failure(client({ timeoutMs: 50 }).get(SECRETS, 'ns', 'a'))).reason, 'Timeout')
    })

    test('nobody there', async () => {
      const error = await failure(client({ server: new URL('https://127.0.0.1:1') }).raw('GET', '/'))
      assert.ok(error instanceof UnreachableError)
      assert.match(error.message, /ECONNREFUSED/)
    })
  })

  describe('TLS', () => {
    const certificateError = async (options: Partial<RemoteClientOptions>, pattern: RegExp): Promise<void> => {
      const error = await failure(client(options).get(SECRETS, 'ns', 'a'))
      assert.ok(error instanceof UnreachableError, String(error))
      assert.match(`${error.message} ${(error.cause as { code?: string }).code}`, pattern)
      assert.equal(seen.length, 0)
    }

    test('a certificate of another authority, or for another name, is refused before anything is sent', async () => {
      const foreign = await testAuthority('test-ca')
      await certificateError({ ca: foreign.ca, token: 'secret' }, /CERT|SIGNATURE/)
      await certificateError({ ca: undefined as unknown as string, token: 'secret' }, /SELF_SIGNED|UNABLE_TO/)
      await certificateError({ serverName: 'other.example' }, /ERR_TLS_CERT_ALTNAME_INVALID/)
      await client({ serverName: 'api.example' }).get(SECRETS, 'ns', 'a')
    })

    test('a name that is an address is looked for in the certificate, and is not sent', async () => {
      const warnings: string[] = []
      const warned = (warning: Error & { code?: string }): number => warnings.push(warning.code ?? '')
      process.on('warning', warned)
      const { port } = server.address() as AddressInfo
      const url = new URL(`https://localhost:${port}`)
      await client({ server: url, serverName: '127.0.0.1' }).get(SECRETS, 'ns', 'a')
      seen.length = 0
      await certificateError({ server: url, serverName: '192.0.2.1' }, /ERR_TLS_CERT_ALTNAME_INVALID/)
      await new Promise((resolve) => setImmediate(resolve))
      process.off('warning', warned)
      assert.deepEqual(warnings, [])
    })

    test('the client shows its certificate', async () => {
      const identity = await authority.issue('alice')
      await client(identity).get(SECRETS, 'ns', 'a')
      assert.equal(seen[0]!.peer, 'alice')
      await client().get(SECRETS, 'ns', 'a')
      assert.equal(seen[1]!.peer, '')
    })

    test('plain http is refused when the client is made; a plain server when it is called', async () => {
      assert.throws(() => client({ server: new URL('http://127.0.0.1:80') }), /only https/)
      assert.throws(() => client({ cert: pair.cert }), /needs its key/)
      const plain = createTcpServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 200 OK\r\n\r\n'))
      await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
      const { port } = plain.address() as AddressInfo
      await certificateError(
        { server: new URL(`https://127.0.0.1:${port}`), token: 'secret' },
        /SSL|wrong version|ECONNRESET/,
      )
      plain.close()
    })

    test('new credentials get new connections', async () => {
      const [first, second] = [await authority.issue('one'), await authority.issue('two')]
      let current = first
      const made = client({ credentialProvider: () => current })
      await made.get(SECRETS, 'ns', 'a')
      current = second
      await made.get(SECRETS, 'ns', 'a')
      assert.deepEqual(
        seen.map((request) => request.peer),
        ['one', 'two'],
      )
    })
  })

  describe('tokens', () => {
    test('a refused token is renewed once, and the request goes again', async () => {
      const asked: boolean[] = []
      answer = ({ headers }, response) => {
        if (headers.authorization === 'Bearer new')
          json(response, 200, { kind: 'Secret', apiVersion: 'v1', metadata: {} })
        else json(response, 401, status(401, 'Unauthorized', 'Unauthorized'))
      }
      const tokenProvider = (refresh: boolean): string => {
        asked.push(refresh)
        return refresh ? 'new' : 'old'
      }
      await client({ tokenProvider }).get(SECRETS, 'ns', 'a')
      assert.deepEqual(asked, [false, true])
    })

    test('the same token again is not sent again', async () => {
      answer = (_, response) => json(response, 401, status(401, 'Unauthorized', 'Unauthorized'))
      const error = await failure(client({ token: 't' }).get(SECRETS, 'ns', 'a'))
      assert.deepEqual([error.reason, seen.length], ['Unauthorized', 1])
    })
  })

  describe('watch', () => {
    const line = (type: string, version: number): string =>
      `${JSON.stringify({ type, object: { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'é', resourceVersion: String(version) } } })}\n`
    const signal = (): AbortSignal => AbortSignal.timeout(10_000)

    test('lines in any pieces, bookmarks, errors, until the server ends', async () => {
      answer = (_, response) => {
        const error = `${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired', 'old') })}\n`
        const bytes = Buffer.from(line('ADDED', 1) + line('BOOKMARK', 2) + error)
        response.writeHead(200, { 'content-type': 'application/json' })
        let at = 0
        const next = (): void => {
          if (at >= bytes.length) response.end()
          else response.write(bytes.subarray(at, (at += 7)), next)
        }
        next()
      }
      const options = {
        resourceVersion: '0',
        allowWatchBookmarks: true,
        sendInitialEvents: true,
        timeoutSeconds: 5,
        signal: signal(),
      }
      const events = await read(client().watch(SECRETS, options))
      assert.deepEqual(
        events.map((event) => event.type),
        ['ADDED', 'BOOKMARK', 'ERROR'],
      )
      assert.equal(
        seen[0]!.url,
        '/api/v1/secrets?watch=true&resourceVersion=0&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=5',
      )
    })

    test('a refusal is an ApiError; a connection that breaks is an end', async () => {
      answer = (_, response) => json(response, 410, status(410, 'Expired', 'too old'))
      const error = await failure(read(client().watch(SECRETS, { signal: signal() })))
      assert.deepEqual([error.reason, error.code], ['Expired', 410])
      answer = (_, response) => {
        response.writeHead(200)
        response.write(line('ADDED', 1), () => response.destroy())
      }
      assert.equal((await read(client().watch(SECRETS, { signal: signal() }))).length, 1)
    })

    test('the signal ends it, before and after it has begun', async () => {
      answer = (_, response) => void response.writeHead(200).write(line('ADDED', 1))
      const controller = new AbortController()
      for await (const event of client().watch(SECRETS, { signal: controller.signal })) {
        assert.equal(event.type, 'ADDED')
        controller.abort()
      }
      assert.deepEqual(await read(client().watch(SECRETS, { signal: controller.signal })), [])
      const slow = new AbortController()
      answer = () => slow.abort()
      assert.deepEqual(await read(client().watch(SECRETS, { signal: slow.signal })), [])
    })

    test('a reader that is slow holds the server back', async () => {
      let written = 0
      let closed: () => void
      const gone = new Promise<void>((resolve) => (closed = resolve))
      const filler = 'x'.repeat(60_000)
      answer = (_, response) => {
        response.writeHead(200)
        response.on('close', () => closed())
        const fill = (): void => {
          while (written < 100_000_000) {
            written += filler.length
            if (!response.write(`${JSON.stringify({ type: 'ADDED', object: { metadata: { name: filler } } })}\n`)) {
              response.once('drain', fill)
              return
            }
          }
        }
        fill()
      }
      for await (const event of client().watch(SECRETS, { signal: signal() })) {
        assert.equal(event.type, 'ADDED')
        await new Promise((resolve) => setTimeout(resolve, 200))
        break
      }
      await gone
      assert.ok(written < 50_000_000, `${written} bytes were taken from the server`)
    })
  })
})
