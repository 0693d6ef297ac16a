import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, exchange, type RequestOptions, request } from './wire.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
})
after(async () => {
  await server.close()
  assert.deepEqual(
    server.log.filter((line) => line.level === 'error'),
    [],
  )
})

const send = (options: RequestOptions): Promise<Answer> => request(server, admin, options)

describe('names that are no DNS names', () => {
  for (const name of [
    'A',
    'a_b',
    '-a',
    'a-',
    '.a',
    'a..b',
    '..',
    '.',
    'a/b',
    'a b',
    'a%2fb',
    'ä',
    'a\n',
    'a'.repeat(254),
  ]) {
    const label = JSON.stringify(name.length > 20 ? `${name.slice(0, 3)}… (${name.length})` : name)
    test(`object ${label}`, async () => {
      const answer = await send({ path: CONFIGMAPS, body: JSON.stringify({ metadata: { name } }) })
      assert.equal(answer.code, 422, answer.body)
      assert.equal(answer.json().details?.causes?.[0]?.field, 'metadata.name')
    })
  }
  for (const name of ['a.b', 'A', 'a'.repeat(64), '1-', ''])
    test(`namespace ${JSON.stringify(name.slice(0, 10))}`, async () => {
      const answer = await send({ path: '/api/v1/namespaces', body: JSON.stringify({ metadata: { name } }) })
      assert.equal(answer.code, 422, answer.body)
    })
  test('generateName that cannot become one', async () => {
    const answer = await send({ path: CONFIGMAPS, body: JSON.stringify({ metadata: { generateName: '../' } }) })
    assert.equal(answer.code, 422, answer.body)
  })
  test('in the path of an apply', async () => {
    const answer = await send({
      method: 'PATCH',
      path: `${CONFIGMAPS}/A_b?fieldManager=m`,
      headers: { 'Content-Type': 'application/apply-patch+yaml' },
      body: '{"kind":"ConfigMap","apiVersion":"v1"}',
    })
    assert.equal(answer.code, 422, answer.body)
  })
})

describe('paths that could mean two things', () => {
  const cases: readonly [string, number][] = [
    ['/api/v1/namespaces/default/../kube-system/secrets', 400],
    ['/api/v1/namespaces/%2e%2e/secrets', 400],
    ['/api/v1/namespaces/.%2E/secrets', 400],
    ['/api/v1/namespaces/default%2fsecrets', 400],
    ['/api/v1/namespaces/default%2f..%2fkube-system/secrets', 400],
    [`${CONFIGMAPS}/a%2Fb`, 400],
    [`${CONFIGMAPS}/%00`, 400],
    [`${CONFIGMAPS}/%zz`, 400],
    [`${CONFIGMAPS}/%ff`, 400],
    [`${CONFIGMAPS}/%c0%af`, 400],
    [`${CONFIGMAPS}/%252e%252e`, 404],
    [`${CONFIGMAPS}/..;/x`, 404],
    ['/api/v1//namespaces', 400],
    ['//api/v1', 400],
    ['/api/v1/./namespaces', 404],
    ['/livez/../api/v1/secrets', 400],
    ['/livez/%2e%2e/api/v1/secrets', 400],
    ['http://elsewhere/api/v1/namespaces', 400],
    ['*', 400],
    ['/apis/__proto__/v1/constructor', 404],
    ['/api/v1/constructor', 404],
    [`${CONFIGMAPS}/kube-root-ca.crt/__proto__`, 404],
    [`${CONFIGMAPS}/kube-root-ca.crt/status`, 404],
    [`${CONFIGMAPS}/kube-root-ca.crt/a/b/c`, 404],
    ['/api/v1/namespaces/default/pods/x/status/more', 404],
  ]
  for (const [path, code] of cases)
    test(path, async () => {
      const answer = await send({ path })
      assert.equal(answer.code, code, answer.body)
      assert.equal(answer.json().kind, 'Status')
    })
  // Without credentials no spelling of a path leads anywhere but to health.
  for (const path of [
    '/livez/../api/v1/secrets',
    '/livez/%2e%2e/api',
    '/livez%2f..%2fapi',
    '/livezz',
    '/readyz/../metrics',
    '/LIVEZ',
    '/metrics',
    '/version',
    '/apis',
    '/openapi/v2',
  ])
    test(`anonymous: ${path}`, async () => {
      const answer = await request(server, {}, { path })
      assert.ok(answer.code === 400 || answer.code === 401, `${answer.code} ${answer.body}`)
    })
  test('anonymous: /livez', async () => assert.equal((await request(server, {}, { path: '/livez' })).code, 200))
})

describe('query values', () => {
  const cases: readonly [string, number][] = [
    ['limit=99999999999999999999', 400],
    ['limit=x', 400],
    ['resourceVersion=-1', 422],
    ['resourceVersion=99999999999999999999', 422],
    ['continue=AAAA', 400],
    ['continue=%00%ff', 400],
    ['labelSelector=%00', 400],
    ['labelSelector=a%20in%20(', 400],
    [`labelSelector=${'a%2C'.repeat(3000)}a`, 200],
    ['fieldSelector=bogus%3Dx', 400],
    ['watch=1&timeoutSeconds=1e9', 400],
  ]
  for (const [query, code] of cases)
    test(query.slice(0, 60), async () => {
      const answer = await send({ path: `/api/v1/namespaces?${query}` })
      assert.equal(answer.code, code, answer.body.slice(0, 300))
    })
})

describe('header injection', () => {
  const CRLF = String.raw`x\r\nX-Evil: 1\r\n\r\n<html>`
  test('CR LF in a field that a Warning quotes', async () => {
    const answer = await send({
      path: `${CONFIGMAPS}?dryRun=All`,
      body: `{"metadata":{"name":"a"},"${CRLF}":1,"\\u0000\\u2028ä":2}`,
    })
    assert.equal(answer.code, 201)
    assert.equal(answer.headers['x-evil'], undefined)
    assert.equal(answer.headers['warning']?.length, 2)
    for (const warning of answer.headers['warning']!) assert.match(warning, /^299 - "(?:[^"\\]|\\.)*"$/)
  })
  test('CR LF in a name that the error quotes', async () => {
    const answer = await send({ path: `${CONFIGMAPS}/a%0d%0aX-Evil:%201` })
    assert.equal(answer.code, 404)
    assert.equal(answer.headers['x-evil'], undefined)
    assert.match(answer.body, /a\\r\\nX-Evil: 1/)
  })
  test('CR LF in fieldManager', async () => {
    const answer = await send({
      path: `${CONFIGMAPS}?dryRun=All&fieldManager=a%0d%0aX-Evil:1`,
      body: '{"metadata":{"name":"a"}}',
    })
    assert.equal(answer.code, 422)
    assert.equal(answer.headers['x-evil'], undefined)
  })
  for (const id of ['x'.repeat(100), 'a b', 'a\u00ff', '../../etc', '"><script>'])
    test(`Audit-ID ${JSON.stringify(id.slice(0, 12))} is not taken over`, async () => {
      const answer = await send({ path: '/version', headers: { 'Audit-ID': id } })
      assert.equal(answer.code, 200)
      assert.match(answer.headers['audit-id']![0]!, /^[0-9a-f-]{36}$/)
    })
  test('an Audit-ID that is one is', async () => {
    const answer = await send({ path: '/version', headers: { 'Audit-ID': 'abc-1' } })
    assert.deepEqual(answer.headers['audit-id'], ['abc-1'])
  })
  test('the audit log keeps one event a line', async () => {
    await send({ path: `${CONFIGMAPS}/a%0d%0a%7B%22kind%22:1%7D`, headers: { 'User-Agent': 'a"\\u000a{}\u00ff' } })
    const { readFileSync } = await import('node:fs')
    await server.localClient.list({ group: '', version: 'v1', resource: 'namespaces' })
    for (const line of readFileSync(`${server.directory}/audit/audit.log`, 'utf8')
      .split('\n')
      .filter((l) => l !== ''))
      assert.equal((JSON.parse(line) as { kind: string }).kind, 'Event')
  })
})

describe('requests that two servers could read differently', () => {
  const line = `POST ${CONFIGMAPS} HTTP/1.1\r\nHost: x\r\n`
  const cases: readonly [string, string, number][] = [
    ['Content-Length and chunked', `${line}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['two Content-Lengths', `${line}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde`, 400],
    ['a negative Content-Length', `${line}Content-Length: -4\r\n\r\nabcd`, 400],
    ['a bad chunk size', `${line}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
    ['a folded header', 'GET /version HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b: c\r\n\r\n', 400],
    ['a space before the colon', 'GET /version HTTP/1.1\r\nHost : x\r\n\r\n', 400],
    ['no Host', 'GET /version HTTP/1.1\r\n\r\n', 400],
    ['HTTP/9.9', 'GET /version HTTP/9.9\r\nHost: x\r\n\r\n', 400],
    ['no HTTP', '\x00\x01\x02\r\n\r\n', 400],
    ['an unknown method', 'FOO /version HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['TRACE', `TRACE ${CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 405],
    ['headers of 70 KB', `GET /version HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
  ]
  for (const [what, bytes, code] of cases)
    test(what, async () => assert.equal((await exchange(server, admin, bytes)).code, code))
  test('a header behind 4,000 others still counts', async () => {
    const filler = 'a:\r\n'.repeat(4000)
    const answer = await exchange(
      server,
      admin,
      `GET /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${filler}Impersonate-User: nobody\r\n\r\n`,
    )
    assert.equal(answer.code, 403, answer.body)
  })
})
