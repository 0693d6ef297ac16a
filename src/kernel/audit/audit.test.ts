import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { UserInfo } from '../authn/types.ts'
import type { Attributes } from '../authz/types.ts'
import { AuditLog } from './log-file.ts'
import { compilePolicy, parseAuditPolicy } from './policy.ts'
import type { AuditRecord } from './types.ts'

const alice: UserInfo = { name: 'alice', groups: ['dev', 'system:authenticated'] }
const request = (over: Partial<Extract<Attributes, { resourceRequest: true }>> = {}): Attributes => ({
  resourceRequest: true,
  user: alice,
  verb: 'create',
  apiGroup: '',
  apiVersion: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: 'web',
  ...over,
})
const url = (path: string): Attributes => ({ resourceRequest: false, user: alice, verb: 'get', path })

const policy = (rules: string): string => `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules}`

const ROWS: [name: string, rules: string, attributes: Attributes, level: string][] = [
  ['first match wins', '- {level: None, users: [alice]}\n- {level: Request}', request(), 'None'],
  ['other user', '- {level: None, users: [bob]}\n- {level: Request}', request(), 'Request'],
  ['group', '- {level: Metadata, userGroups: [dev]}', request(), 'Metadata'],
  ['verb', '- {level: Metadata, verbs: [delete]}', request(), 'None'],
  ['resource', '- {level: Request, resources: [{resources: [pods]}]}', request(), 'Request'],
  [
    'resource is not its subresource',
    '- {level: Request, resources: [{resources: [pods]}]}',
    request({ subresource: 'log' }),
    'None',
  ],
  [
    'subresource',
    '- {level: Request, resources: [{resources: [pods/log]}]}',
    request({ subresource: 'log' }),
    'Request',
  ],
  [
    'any subresource',
    '- {level: Request, resources: [{resources: ["pods/*"]}]}',
    request({ subresource: 'log' }),
    'Request',
  ],
  ['group of the resource', '- {level: Request, resources: [{group: apps}]}', request(), 'None'],
  ['namespace', '- {level: Request, namespaces: [shop]}', request(), 'Request'],
  [
    'cluster scope is the empty namespace',
    '- {level: Request, namespaces: [""]}',
    request({ namespace: '' }),
    'Request',
  ],
  ['resource names', '- {level: Request, resources: [{resources: [pods], resourceNames: [db]}]}', request(), 'None'],
  ['url prefix', '- {level: Metadata, nonResourceURLs: ["/api*"]}', url('/apis/apps'), 'Metadata'],
  ['url is no resource', '- {level: Metadata, nonResourceURLs: ["*"]}', request(), 'None'],
  ['secrets never above Metadata', '- {level: RequestResponse}', request({ resource: 'secrets' }), 'Metadata'],
  [
    'nor token requests',
    '- {level: RequestResponse}',
    request({ resource: 'serviceaccounts', subresource: 'token' }),
    'Metadata',
  ],
  [
    'nor token reviews',
    '- {level: Request}',
    request({ apiGroup: 'authentication.k8s.io', resource: 'tokenreviews' }),
    'Metadata',
  ],
  ['service accounts may be', '- {level: Request}', request({ resource: 'serviceaccounts' }), 'Request'],
]
for (const [name, rules, attributes, level] of ROWS)
  test(`policy: ${name}`, () =>
    assert.equal(compilePolicy(parseAuditPolicy(policy(rules)))(attributes, alice).level, level))

const BROKEN: [text: string, place: RegExp][] = [
  ['kind: Policy', /apiVersion/],
  [policy('- {level: Loud}'), /policy\.rules\[0\]\.level/],
  [policy('- {level: None}\n- {level: None, nope: 1}'), /policy\.rules\[1\]\.nope/],
  [policy('- {level: None, resources: [{resourceNames: [a]}]}'), /policy\.rules\[0\]\.resources\[0\]\.resourceNames/],
  [policy('- {level: None, nonResourceURLs: ["/a*b"]}'), /nonResourceURLs/],
  [policy('- {level: None, omitStages: [Never]}'), /omitStages/],
]
for (const [text, place] of BROKEN)
  test(`policy refused: ${place.source}`, () => assert.throws(() => parseAuditPolicy(text), place))

function record(over: Partial<AuditRecord> = {}): AuditRecord {
  return {
    auditID: 'id',
    stage: 'ResponseComplete',
    requestURI: '/api/v1/namespaces/shop/pods',
    verb: 'create',
    user: alice,
    sourceIPs: ['127.0.0.1'],
    userAgent: 'test',
    attributes: request(),
    code: 201,
    receivedAt: 0,
    now: 1,
    annotations: {},
    requestObject: { a: 1 },
    responseObject: { b: 2 },
    ...over,
  }
}

test('log: events in order, bodies by level, file for its owner only, rotation by size', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const log = new AuditLog({
    file,
    policy: { rules: [{ level: 'RequestResponse' }] },
    clock: { now: Date.now },
    log: () => undefined,
    maxBytes: 2000,
    maxFiles: 2,
  })
  log.record('Metadata', record({ auditID: 'one' }))
  log.record('RequestResponse', record({ auditID: 'two' }))
  for (let i = 0; i < 20; i++) {
    log.record('Metadata', record({ auditID: `more-${i}` }))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await log.close()
  const names = readdirSync(folder).sort()
  assert.equal(names.length, 3, names.join())
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const events = names.flatMap((name) =>
    readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => JSON.parse(l)),
  )
  assert.ok(events.every((e) => e.kind === 'Event' && e.apiVersion === 'audit.k8s.io/v1'))
  assert.equal(log.dropped, 0)
  rmSync(folder, { recursive: true })
})

test('log: bodies stand only where the level holds them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-audit-'))
  const file = join(folder, 'audit.log')
  const log = new AuditLog({
    file,
    policy: { rules: [{ level: 'RequestResponse' }] },
    clock: { now: Date.now },
    log: () => undefined,
  })
  for (const level of ['Metadata', 'Request', 'RequestResponse'] as const) log.record(level, record())
  await log.close()
  const events = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l))
  assert.deepEqual(
    events.map((e) => ['requestObject' in e, 'responseObject' in e]),
    [
      [false, false],
      [true, false],
      [true, true],
    ],
  )
  rmSync(folder, { recursive: true })
})
