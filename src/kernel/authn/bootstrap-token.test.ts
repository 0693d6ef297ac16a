import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { bootstrapTokenAuthenticator } from './bootstrap-token.ts'

const NOW = Date.parse('2026-06-01T00:00:00Z')
const secret = (data: Record<string, string> = {}, over: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
  type: 'bootstrap.kubernetes.io/token',
  data: Object.fromEntries(
    Object.entries({
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
      ...data,
    }).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
  ...over,
})
const TOKEN = 'abcdef.0123456789abcdef'

const ask = (token: string, stored?: KubeObject) =>
  bootstrapTokenAuthenticator(
    (namespace, name) => (namespace === 'kube-system' && name === 'bootstrap-token-abcdef' ? stored : undefined),
    { now: () => NOW },
  ).authenticateToken(token, [])

const base = ['system:bootstrappers', 'system:authenticated']
const allowed: [name: string, stored: KubeObject, groups: string[]][] = [
  ['as it is', secret(), base],
  ['that has not expired', secret({ expiration: '2026-06-01T00:00:01Z' }), base],
  ['with another zone', secret({ expiration: '2026-06-01T01:00:01+01:00' }), base],
  [
    'with groups',
    secret({ 'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token,system:bootstrappers:x' }),
    [
      'system:bootstrappers',
      'system:bootstrappers:kubeadm:default-node-token',
      'system:bootstrappers:x',
      'system:authenticated',
    ],
  ],
]
for (const [name, stored, groups] of allowed)
  test(`bootstrap token: ${name}`, () =>
    assert.deepEqual(ask(TOKEN, stored), {
      verdict: 'allow',
      by: 'bootstrap-token',
      user: { name: 'system:bootstrap:abcdef', groups },
    }))

const denied: [name: string, stored: KubeObject | undefined, token: string, reason: RegExp][] = [
  ['no Secret', undefined, TOKEN, /no such token/],
  ['a wrong secret', secret(), 'abcdef.0123456789abcdee', /secret is wrong/],
  ['an empty secret in the Secret', secret({ 'token-secret': '' }), TOKEN, /secret is wrong/],
  ['no data', { ...secret(), data: undefined }, TOKEN, /secret is wrong/],
  ['another id', secret({ 'token-id': 'fedcba' }), TOKEN, /another id/],
  ['another type', secret({}, { type: 'Opaque' }), TOKEN, /not of type/],
  [
    'deletion',
    secret({}, { metadata: { name: 'x', deletionTimestamp: '2026-05-01T00:00:00Z' } }),
    TOKEN,
    /being deleted/,
  ],
  ['the end of its time', secret({ expiration: '2026-06-01T00:00:00Z' }), TOKEN, /expired/],
  ['an end that cannot be read', secret({ expiration: 'tomorrow' }), TOKEN, /expired/],
  ['an end in another format', secret({ expiration: '1 Jan 2030' }), TOKEN, /expired/],
  ['no usage', secret({ 'usage-bootstrap-authentication': 'yes' }), TOKEN, /not for authentication/],
  ['a group that is not its own', secret({ 'auth-extra-groups': 'system:masters' }), TOKEN, /no group/],
  ['one good group and one bad', secret({ 'auth-extra-groups': 'system:bootstrappers:a,b' }), TOKEN, /no group/],
]
for (const [name, stored, token, reason] of denied)
  test(`bootstrap token refused: ${name}`, () => {
    const verdict = ask(token, stored)
    assert.ok(!(verdict instanceof Promise) && verdict.verdict === 'deny')
    assert.match(verdict.reason, reason)
    assert.ok(!verdict.reason.includes('0123456789'))
  })

for (const token of [
  'abcdef',
  'ABCDEF.0123456789abcdef',
  'abcdef.0123456789abcde',
  `${TOKEN}\n`,
  `x${TOKEN}`,
  '../../x.0123456789abcdef',
])
  test(`bootstrap token: ${JSON.stringify(token)} is none`, () =>
    assert.deepEqual(ask(token, secret()), { verdict: 'next' }))
