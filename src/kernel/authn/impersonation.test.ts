import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { test } from 'node:test'
import { impersonationChecks, parseImpersonation } from './impersonation.ts'
import { splitServiceAccountName } from './service-account-name.ts'
import type { UserInfo } from './types.ts'

const caller: UserInfo = { name: 'root', groups: ['system:masters'] }
const checksOf = (headers: IncomingHttpHeaders): string[] =>
  impersonationChecks(parseImpersonation(headers)!, caller).map((c) => {
    assert.ok(c.resourceRequest && c.verb === 'impersonate' && c.user === caller)
    return [c.apiGroup, c.resource, c.subresource, c.namespace, c.name].join('|')
  })

const rows: [name: string, headers: IncomingHttpHeaders, user: UserInfo, checks: string[]][] = [
  ['a user', { 'impersonate-user': 'alice' }, { name: 'alice', groups: ['system:authenticated'] }, ['|users|||alice']],
  [
    'a user with groups',
    { 'impersonate-user': 'alice', 'impersonate-group': 'dev, ops' },
    { name: 'alice', groups: ['dev', 'ops', 'system:authenticated'] },
    ['|users|||alice', '|groups|||dev', '|groups|||ops'],
  ],
  [
    'a service account has its groups',
    { 'impersonate-user': 'system:serviceaccount:shop:web' },
    {
      name: 'system:serviceaccount:shop:web',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
    },
    ['|serviceaccounts||shop|web'],
  ],
  [
    'a service account with groups has these only',
    { 'impersonate-user': 'system:serviceaccount:shop:web', 'impersonate-group': 'dev' },
    { name: 'system:serviceaccount:shop:web', groups: ['dev', 'system:authenticated'] },
    ['|serviceaccounts||shop|web', '|groups|||dev'],
  ],
  [
    'what only looks like a service account is a user',
    { 'impersonate-user': 'system:serviceaccount:Shop:web' },
    { name: 'system:serviceaccount:Shop:web', groups: ['system:authenticated'] },
    ['|users|||system:serviceaccount:Shop:web'],
  ],
  [
    'anonymous is not authenticated',
    { 'impersonate-user': 'system:anonymous' },
    { name: 'system:anonymous', groups: ['system:unauthenticated'] },
    ['|users|||system:anonymous'],
  ],
  [
    'who asks to be unauthenticated is',
    { 'impersonate-user': 'alice', 'impersonate-group': 'system:unauthenticated' },
    { name: 'alice', groups: ['system:unauthenticated'] },
    ['|users|||alice', '|groups|||system:unauthenticated'],
  ],
  [
    'a uid',
    { 'impersonate-user': 'alice', 'impersonate-uid': '42' },
    { name: 'alice', uid: '42', groups: ['system:authenticated'] },
    ['|users|||alice', 'authentication.k8s.io|uids|||42'],
  ],
  [
    'extra keys: lower case, then percent-decoded',
    { 'impersonate-user': 'alice', 'impersonate-extra-example.org%2fScopes': 'view, edit' },
    { name: 'alice', groups: ['system:authenticated'], extra: { 'example.org/scopes': ['view', 'edit'] } },
    [
      '|users|||alice',
      'authentication.k8s.io|userextras|example.org/scopes||view',
      'authentication.k8s.io|userextras|example.org/scopes||edit',
    ],
  ],
  [
    'an extra key with a stray percent sign is taken as it is',
    { 'impersonate-user': 'alice', 'impersonate-extra-a%zz': 'x' },
    { name: 'alice', groups: ['system:authenticated'], extra: { 'a%zz': ['x'] } },
    ['|users|||alice', 'authentication.k8s.io|userextras|a%zz||x'],
  ],
  [
    'names are UTF-8, which node reads as Latin-1',
    { 'impersonate-user': Buffer.from('Zoë').toString('latin1') },
    { name: 'Zoë', groups: ['system:authenticated'] },
    ['|users|||Zoë'],
  ],
]
for (const [name, headers, user, checks] of rows)
  test(`impersonation: ${name}`, () => {
    assert.deepEqual(parseImpersonation(headers)!.user, user)
    assert.deepEqual(checksOf(headers), checks)
  })

test('impersonation: no header, nobody', () => {
  assert.equal(parseImpersonation({ authorization: 'Bearer x', 'impersonate-user': '' }), undefined)
})

test('impersonation: an extra key named __proto__ is a key like any other', () => {
  const headers = { 'impersonate-user': 'a', 'impersonate-extra-__proto__': 'x' }
  const { user } = parseImpersonation(headers)!
  assert.deepEqual(Object.keys(user.extra!), ['__proto__'])
  assert.equal(({} as Record<string, unknown>)['x'], undefined)
  assert.equal(checksOf(headers).length, 2)
})

const refused: [name: string, headers: IncomingHttpHeaders][] = [
  ['groups without a user', { 'impersonate-group': 'system:masters' }],
  ['a uid without a user', { 'impersonate-uid': '42' }],
  ['extra without a user', { 'impersonate-extra-a': 'x' }],
  ['groups with an empty user', { 'impersonate-user': '', 'impersonate-group': 'system:masters' }],
  ['an extra header without a key', { 'impersonate-user': 'a', 'impersonate-extra-': 'x' }],
  [
    'a thousand groups',
    { 'impersonate-user': 'a', 'impersonate-group': Array.from({ length: 1000 }, (_, i) => `g${i}`).join(', ') },
  ],
]
for (const [name, headers] of refused)
  test(`impersonation: ${name} is a bad request`, () => assert.throws(() => parseImpersonation(headers), { code: 400 }))

test('service account names', () => {
  assert.deepEqual(splitServiceAccountName('system:serviceaccount:a-1:b.c'), { namespace: 'a-1', name: 'b.c' })
  for (const bad of [
    'alice',
    'system:serviceaccount:a',
    'system:serviceaccount:a:b:c',
    'system:serviceaccount::b',
    'system:serviceaccount:a:',
    'system:serviceaccount:a/x:b',
  ])
    assert.equal(splitServiceAccountName(bad), undefined, bad)
})
