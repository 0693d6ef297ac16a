import assert from 'node:assert/strict'
import { test } from 'node:test'
import { auditEvent } from '../../../kernel/audit/event.ts'
import type { Access } from './access.ts'
import { type AuditEventReading, readAuditEvent } from './audit-event.ts'

type Fields = Record<string, unknown>
const event = (fields: Fields = {}): Fields => ({
  kind: 'Event',
  apiVersion: 'audit.k8s.io/v1',
  level: 'Metadata',
  auditID: 'id',
  stage: 'ResponseComplete',
  requestURI: '/api/v1/namespaces/shop/pods/web?x=1',
  verb: 'get',
  user: { username: 'alice', groups: ['dev', 'system:authenticated'] },
  objectRef: { resource: 'pods', namespace: 'shop', name: 'web', apiVersion: 'v1' },
  responseStatus: { metadata: {}, code: 200 },
  requestReceivedTimestamp: '2026-11-01T10:00:00.000000Z',
  annotations: { 'authorization.k8s.io/decision': 'allow' },
  ...fields,
})
const read = (fields: Fields = {}, includeDenied = false): AuditEventReading =>
  readAuditEvent(event(fields), { includeDenied })

function accesses(fields: Fields, includeDenied = false): string[] {
  const reading = read(fields, includeDenied)
  assert.equal(reading.kind, 'accesses')
  return reading.kind === 'accesses' ? reading.accesses.map(({ user, access }) => `${user} ${accessText(access)}`) : []
}

function accessText(a: Access): string {
  if ('path' in a) return `${a.verb} ${a.path}`
  return [
    a.verb,
    a.apiGroup === '' ? a.resource : `${a.apiGroup}:${a.resource}`,
    a.namespace || '-',
    a.name || '-',
  ].join(' ')
}

test('what a request needed', () => {
  const ref = (fields: Fields): Fields => ({ objectRef: { resource: 'pods', namespace: 'shop', ...fields } })
  const cases: [what: string, fields: Fields, expected: string[]][] = [
    ['a get', {}, ['alice get pods shop web']],
    ['a subresource', ref({ name: 'web', subresource: 'log' }), ['alice get pods/log shop web']],
    ['an API group', ref({ resource: 'deployments', apiGroup: 'apps' }), ['alice get apps:deployments shop -']],
    ['a cluster-scoped resource', { objectRef: { resource: 'nodes', name: 'n1' } }, ['alice get nodes - n1']],
    ['a path', { objectRef: undefined, requestURI: '/metrics?x=/y', verb: 'get' }, ['alice get /metrics']],
    ['an encoded path', { objectRef: undefined, requestURI: '/a%20b' }, ['alice get /a b']],
    ['a path with broken encoding', { objectRef: undefined, requestURI: '/a%2' }, ['alice get /a%2']],
    ['a patch', { verb: 'patch' }, ['alice patch pods shop web']],
    [
      'a patch that created',
      { verb: 'patch', responseStatus: { code: 201 } },
      ['alice patch pods shop web', 'alice create pods shop web'],
    ],
    [
      'an update that created',
      { verb: 'update', responseStatus: { code: 201 } },
      ['alice update pods shop web', 'alice create pods shop web'],
    ],
    ['a create', { verb: 'create', responseStatus: { code: 201 } }, ['alice create pods shop web']],
    ['a watch at its start', { verb: 'watch', stage: 'ResponseStarted' }, ['alice watch pods shop web']],
    ['a panic', { stage: 'Panic', responseStatus: { code: 500 } }, ['alice get pods shop web']],
    ['no annotation, 200', { annotations: undefined }, ['alice get pods shop web']],
    ['no annotation, 101', { annotations: undefined, responseStatus: { code: 101 } }, ['alice get pods shop web']],
    ['no annotation, 404', { annotations: undefined, responseStatus: { code: 404 } }, ['alice get pods shop web']],
    ['allowed, then refused by admission', { responseStatus: { code: 403 } }, ['alice get pods shop web']],
  ]
  for (const [what, fields, expected] of cases) assert.deepEqual(accesses(fields), expected, what)
})

test('impersonation: the other needs the access, the caller needs to impersonate', () => {
  assert.deepEqual(
    accesses({
      impersonatedUser: {
        username: 'bob',
        groups: ['ops', 'system:authenticated'],
        uid: 'u-1',
        extra: { scopes: ['view'] },
      },
    }),
    [
      'alice impersonate users - bob',
      'alice impersonate groups - ops',
      'alice impersonate authentication.k8s.io:uids - u-1',
      'alice impersonate authentication.k8s.io:userextras/scopes - view',
      'bob get pods shop web',
    ],
  )
  const account = {
    username: 'system:serviceaccount:db:pg',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:db', 'system:authenticated'],
  }
  assert.deepEqual(accesses({ impersonatedUser: account }), [
    'alice impersonate serviceaccounts db pg',
    'system:serviceaccount:db:pg get pods shop web',
  ])
  const denied = { impersonatedUser: { username: 'bob' }, annotations: { 'authorization.k8s.io/decision': 'forbid' } }
  assert.deepEqual(accesses(denied), ['alice impersonate users - bob'])
  assert.deepEqual(accesses(denied, true), ['alice impersonate users - bob', 'bob get pods shop web'])
})

test('what tells nothing', () => {
  const forbid = { annotations: { 'authorization.k8s.io/decision': 'forbid' } }
  const refused = { message: 'users "bob" is forbidden: User "alice" cannot impersonate resource "users"', code: 403 }
  const cases: [fields: Fields, why: string, includeDenied?: boolean][] = [
    [{ stage: 'RequestReceived' }, 'stage'],
    [{ user: {} }, 'unauthenticated'],
    [forbid, 'not authorized'],
    [{ annotations: undefined, responseStatus: { code: 403 } }, 'not authorized'],
    [{ annotations: undefined, responseStatus: { code: 401 } }, 'undecided', true],
    [{ annotations: undefined, responseStatus: { code: 429 } }, 'undecided', true],
    [{ annotations: undefined, responseStatus: undefined }, 'undecided'],
    [{ ...forbid, responseStatus: refused }, 'refused impersonation', true],
    // Whoever asks for a star must not find it in a rule.
    [{ objectRef: { resource: '*' } }, 'wildcard in the request'],
    [{ objectRef: { resource: '*', subresource: 'log' } }, 'wildcard in the request'],
    [{ objectRef: { resource: 'pods', apiGroup: '*' } }, 'wildcard in the request'],
    [{ verb: '*' }, 'wildcard in the request'],
    [{ objectRef: undefined, requestURI: '/api*' }, 'wildcard in the request'],
    [{ objectRef: undefined, requestURI: '/%2a' }, 'wildcard in the request'],
  ]
  for (const [fields, why, includeDenied] of cases)
    assert.deepEqual(read(fields, includeDenied ?? false), { kind: 'ignored', why }, JSON.stringify(fields))
})

test('refused requests, when asked for', () => {
  const forbid = { annotations: { 'authorization.k8s.io/decision': 'forbid' } }
  assert.deepEqual(accesses(forbid, true), ['alice get pods shop web'])
  const message = 'pods "web" is forbidden: User "alice" cannot create resource "pods" in API group ""'
  assert.deepEqual(accesses({ ...forbid, verb: 'patch', responseStatus: { code: 403, message } }, true), [
    'alice patch pods shop web',
    'alice create pods shop web',
  ])
})

test('what is no event is told without quoting it', () => {
  const cases: [value: unknown, expected: RegExp][] = [
    [null, /not an object/],
    ['x', /not an object/],
    [[], /not an object/],
    [{ kind: 'Pod', apiVersion: 'v1' }, /not an audit.k8s.io\/v1 Event/],
    [event({ apiVersion: 'audit.k8s.io/v1beta1' }), /not an audit.k8s.io\/v1 Event/],
    [event({ stage: undefined }), /no stage/],
    [event({ verb: 7 }), /verb is not a text/],
    [event({ user: 'hunter2' }), /user is not an object/],
    [event({ user: { username: 'a', groups: 'hunter2' } }), /groups is not a list/],
    [event({ objectRef: { name: 'hunter2' } }), /no resource/],
    [event({ requestReceivedTimestamp: 'hunter2' }), /no time/],
    [event({ objectRef: { resource: 'x'.repeat(5000) } }), /longer than/],
  ]
  for (const [value, expected] of cases) {
    const reading = readAuditEvent(value, { includeDenied: false })
    assert.equal(reading.kind, 'broken', JSON.stringify(value).slice(0, 80))
    if (reading.kind !== 'broken') continue
    assert.match(reading.what, expected)
    assert.doesNotMatch(reading.what, /hunter2/)
  }
})

test("what Rampart's own audit log writes", () => {
  const user = { name: 'alice', groups: ['dev'] }
  const written = auditEvent(
    'Metadata',
    {
      auditID: 'a',
      stage: 'ResponseComplete',
      requestURI: '/apis/apps/v1/namespaces/shop/deployments/web/scale',
      verb: 'update',
      user,
      impersonatedUser: { name: 'bob', groups: ['system:authenticated'] },
      sourceIPs: [],
      userAgent: '',
      attributes: {
        resourceRequest: true,
        user,
        verb: 'update',
        apiGroup: 'apps',
        apiVersion: 'v1',
        resource: 'deployments',
        subresource: 'scale',
        namespace: 'shop',
        name: 'web',
      },
      code: 200,
      receivedAt: Date.UTC(2026, 10, 1),
      now: Date.UTC(2026, 10, 1),
      annotations: { 'authorization.k8s.io/decision': 'allow' },
    },
    false,
  )
  const reading = readAuditEvent(written, { includeDenied: false })
  assert.ok(reading.kind === 'accesses')
  assert.deepEqual(
    reading.accesses.map(({ user: name, at, access }) => [name, at, accessText(access)]),
    [
      ['alice', Date.UTC(2026, 10, 1), 'impersonate users - bob'],
      ['bob', Date.UTC(2026, 10, 1), 'update apps:deployments/scale shop web'],
    ],
  )
})
