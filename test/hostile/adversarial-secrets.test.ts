/** Values of Secrets that come in a body which is refused: they must not be quoted in the audit log or the server's log. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, request } from './wire.ts'

const SECRETS = '/api/v1/namespaces/default/secrets'
const MARK = 'hunter2mark'
const YAML = 'application/yaml'
const APPLY = 'application/apply-patch+yaml'
const STRATEGIC = 'application/strategic-merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
  const made = await send('POST', SECRETS, 'application/json', {
    metadata: { name: 'kept' },
    immutable: true,
    stringData: { password: MARK },
  })
  assert.equal(made.code, 201)
})

function send(method: string, path: string, type: string, body: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return request(server, admin, { method, path, headers: { 'Content-Type': type }, body: text })
}

describe('refused', () => {
  const rows: [method: string, path: string, type: string, body: unknown][] = [
    ['POST', '', 'application/json', { metadata: { name: 'a' }, data: { password: `${MARK}!` } }],
    ['POST', '', 'application/json', { metadata: { name: 'a' }, data: MARK }],
    ['POST', '', 'application/json', { metadata: { name: 'a' }, stringData: { password: [MARK] } }],
    ['POST', '', 'application/json', `{"stringData":{"password":"${MARK}"`],
    ['POST', '', 'application/json', `{"stringData":{"password":${MARK}}}`],
    ['POST', '', 'application/json', MARK],
    ['POST', '?fieldValidation=Strict', 'application/json', { metadata: { name: 'a' }, [MARK]: 1 }],
    ['POST', '', YAML, `stringData:\n  password: *${MARK}\n`],
    ['POST', '', YAML, `stringData:\n  password: !${MARK}\n`],
    ['POST', '', YAML, `stringData:\n  password: "${MARK}\n`],
    ['PATCH', '/kept', 'application/merge-patch+json', { stringData: { password: `${MARK}2` } }],
    ['PATCH', '/kept', STRATEGIC, { data: { $patch: 'x', password: MARK } }],
    ['PATCH', '/kept', STRATEGIC, { data: [MARK] }],
    ['PATCH', '/kept', JSON_PATCH, [{ op: 'test', path: '/data/password', value: MARK }]],
    ['PATCH', '/kept', JSON_PATCH, [{ op: MARK, path: '/data/password', value: MARK }]],
    ['PATCH', '/kept?fieldManager=f', APPLY, `apiVersion: v1\nkind: Secret\ndata: {password: "${MARK}!"}`],
  ]
  for (const [i, [method, path, type, body]] of rows.entries())
    test(`${i}: ${method} ${type}`, async () => {
      const { code } = await send(method, `${SECRETS}${path}`, type, body)
      assert.ok(code === 400 || code === 422, String(code))
    })
})

after(async () => {
  await server.close({ keep: true })
  const folder = join(server.directory, 'audit')
  const audit = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  assert.match(audit.join(''), /"verb":"patch"/)
  for (const [where, text] of [
    ['audit', audit.join('')],
    ['log', JSON.stringify(server.log)],
  ] as const)
    for (const form of [MARK, Buffer.from(MARK).toString('base64').slice(0, 12)])
      assert.ok(!text.includes(form), `${where}: ${text.split('\n').find((line) => line.includes(form))}`)
  rmSync(server.directory, { recursive: true, force: true })
})
