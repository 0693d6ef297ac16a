import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { Agent } from 'node:https'
import { after, before, test } from 'node:test'
import { makeCertificate, serve, type TestCertificate, type TestServer } from '../admission/webhook/server.fixture.ts'
import type { KubeObject } from '../api/object.ts'
import type { Attributes } from './types.ts'
import { type WebhookAuthorizerOptions, webhookAuthorizer } from './webhook.ts'

let certificate: TestCertificate
let agent: Agent
const servers: TestServer[] = []
before(() => {
  certificate = makeCertificate('IP:127.0.0.1')
  agent = new Agent({ ca: certificate.cert, keepAlive: true })
})
after(async () => {
  agent.destroy()
  for (const server of servers) await server.close()
})

const question: Attributes = {
  resourceRequest: true,
  user: { name: 'ann', uid: '1', groups: ['dev'], extra: { team: ['a'] } },
  verb: 'get',
  apiGroup: '',
  apiVersion: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: 'p',
}

async function server(answer: (response: ServerResponse) => object | undefined): Promise<TestServer> {
  const made = await serve(certificate, (_body, response) => {
    const status = answer(response)
    if (status !== undefined) response.end(JSON.stringify({ status }))
  })
  servers.push(made)
  return made
}

const logged: string[] = []
let now = 0
const options = (to: TestServer, more: Partial<WebhookAuthorizerOptions> = {}): WebhookAuthorizerOptions => ({
  name: 'hook',
  url: new URL(`https://127.0.0.1:${to.port}/authorize`),
  agent,
  clock: { now: () => now },
  log: (_level, message) => void logged.push(message),
  failurePolicy: 'NoOpinion',
  retryMs: 1,
  ...more,
})

test('a selector is part of the question, and of what is remembered', async () => {
  const to = await server(() => ({ allowed: true }))
  const authorizer = webhookAuthorizer(options(to))
  const list = { ...question, verb: 'list', name: '' } as Attributes
  const fieldSelector = [
    { field: 'spec.nodeName', equal: true, value: 'n1' },
    { field: 'status.phase', equal: false, value: 'Failed' },
  ]
  await authorizer.authorize({ ...list, fieldSelector } as Attributes)
  await authorizer.authorize(list)
  assert.deepEqual(
    to.requests.map((request) => (request as KubeObject)['spec'].resourceAttributes.fieldSelector),
    [
      {
        requirements: [
          { key: 'spec.nodeName', operator: 'In', values: ['n1'] },
          { key: 'status.phase', operator: 'NotIn', values: ['Failed'] },
        ],
      },
      undefined,
    ],
  )
})

test('the review that it sends', async () => {
  const to = await server(() => ({ allowed: true, reason: 'because' }))
  const authorizer = webhookAuthorizer(options(to))
  assert.deepEqual(await authorizer.authorize(question), {
    verdict: 'allow',
    by: { authorizer: 'hook', reason: 'because' },
  })
  await authorizer.authorize({ resourceRequest: false, user: { name: 'u', groups: [] }, verb: 'get', path: '/x' })
  assert.deepEqual(to.requests, [
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        resourceAttributes: { namespace: 'shop', verb: 'get', version: 'v1', resource: 'pods', name: 'p' },
        user: 'ann',
        groups: ['dev'],
        uid: '1',
        extra: { team: ['a'] },
      },
    },
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { nonResourceAttributes: { path: '/x', verb: 'get' }, user: 'u', groups: [] },
    },
  ])
})

const ANSWERS: [status: object, verdict: string][] = [
  [{ allowed: true }, 'allow'],
  [{ allowed: false }, 'next'],
  [{ allowed: false, denied: true }, 'deny'],
  [{ allowed: true, denied: true }, 'next'],
  [{ allowed: 'true' }, 'next'],
]
for (const [status, verdict] of ANSWERS)
  test(`status ${JSON.stringify(status)} → ${verdict}`, async () => {
    const authorizer = webhookAuthorizer(options(await server(() => status)))
    assert.equal((await authorizer.authorize(question)).verdict, verdict)
  })

test('answers are kept, an allow longer than the rest; equal questions share a call', async () => {
  let allowed = true
  const to = await server(() => ({ allowed }))
  const authorizer = webhookAuthorizer(options(to, { authorizedTtlMs: 100, unauthorizedTtlMs: 10 }))
  await Promise.all([authorizer.authorize(question), authorizer.authorize(question)])
  assert.equal(to.requests.length, 1)
  allowed = false
  now += 99
  assert.equal((authorizer.authorize(question) as { verdict: string }).verdict, 'allow')
  now += 1
  assert.equal((await authorizer.authorize(question)).verdict, 'next')
  now += 10
  await authorizer.authorize(question)
  assert.equal(to.requests.length, 3)
})

test('a failing webhook: NoOpinion or Deny, never kept; passing failures are tried again', async () => {
  let failures = 99
  const to = await server((response) => {
    if (failures-- <= 0) return { allowed: true }
    response.writeHead(500).end()
    return undefined
  })
  const deny = webhookAuthorizer(options(to, { failurePolicy: 'Deny' }))
  const decision = await deny.authorize(question)
  assert.equal(decision.verdict, 'deny')
  assert.equal(to.requests.length, 5)
  assert.match(logged.at(-1)!, /hook could not be asked: the server responded with the status code 500/)
  assert.equal((await webhookAuthorizer(options(to)).authorize(question)).verdict, 'next')
  failures = 3
  assert.equal((await deny.authorize(question)).verdict, 'allow')
})

test('a webhook whose certificate does not verify is not asked', async () => {
  const to = await server(() => ({ allowed: true }))
  const stranger = new Agent()
  const authorizer = webhookAuthorizer(options(to, { agent: stranger, failurePolicy: 'Deny' }))
  const decision = await authorizer.authorize(question)
  assert.equal(decision.verdict, 'deny')
  assert.match(decision.verdict === 'deny' ? decision.by.reason : '', /certificate signed by unknown authority/)
  assert.equal(to.requests.length, 0)
  stranger.destroy()
})
