import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Credentials, open, request } from './wire.ts'

const PODS = '/api/v1/namespaces/default/pods'

describe('many big requests at once', () => {
  let server: TestServer
  let admin: Credentials
  before(async () => {
    server = await startTestServer()
    admin = { cert: server.adminCert, key: server.adminKey }
  })
  after(() => server.close())

  test('others are served while 8 pods of 30,000 containers are worked on', { timeout: 60_000 }, async () => {
    const containers = Array.from({ length: 30_000 }, (_, i) => ({ name: `c${i}`, image: 'x' }))
    const body = JSON.stringify({ metadata: { name: 'big' }, spec: { containers } })
    const small = await open(server, admin)
    let outstanding = 8
    let served = 0
    const posts = Array.from({ length: outstanding }, async () => {
      const { code } = await request(server, admin, { path: `${PODS}?dryRun=All`, body })
      outstanding--
      return code
    })
    // One after the other on one connection: each needs a round of the event loop or two.
    const ask = (): void => void small.write('GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n')
    small.setEncoding('utf8').on('data', (text: string) => {
      if (!text.startsWith('HTTP/1.1 200')) return
      if (outstanding > 0 && outstanding < 8) served++
      ask()
    })
    ask()
    assert.deepEqual(await Promise.all(posts), Array(8).fill(201))
    small.destroy()
    assert.ok(served >= 20, `${served} small requests were served between them`)
  })

  test('more than can wait are told to come again', { timeout: 60_000 }, async () => {
    const body = JSON.stringify({ metadata: { name: 'big' }, data: { value: 'x'.repeat(400_000) } })
    const path = '/api/v1/namespaces/default/configmaps?dryRun=All'
    const answers = await Promise.all(Array.from({ length: 60 }, () => request(server, admin, { path, body })))
    const refused = answers.filter((a) => a.code !== 201)
    for (const answer of refused) {
      assert.equal(answer.code, 429)
      assert.deepEqual(answer.headers['retry-after'], ['1'])
    }
    assert.ok(answers.length - refused.length >= 18, `${refused.length} of 60 were refused`)
    assert.equal((await request(server, admin, { path, body })).code, 201)
  })
})
