import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import type { UserInfo } from '../authn/types.ts'
import { createAuthorizerChain } from './chain.ts'
import { forbiddenMessage } from './message.ts'
import { systemMasters } from './privileged.ts'
import {
  answerSelfSubjectAccessReview,
  answerSelfSubjectReview,
  answerSelfSubjectRulesReview,
  answerSubjectAccessReview,
} from './reviews.ts'
import type { Attributes, Authorizer, Decision } from './types.ts'

const ann: UserInfo = { name: 'ann', groups: ['dev'] }
const ask = (fields: object = {}): Attributes =>
  ({
    resourceRequest: true,
    user: ann,
    verb: 'list',
    apiGroup: '',
    apiVersion: 'v1',
    resource: 'secrets',
    subresource: '',
    namespace: 'default',
    name: '',
    ...fields,
  }) as Attributes
const path = (p: string): Attributes => ({ resourceRequest: false, user: ann, verb: 'get', path: p })
const says = (decision: Decision | Error, late = false): Authorizer => ({
  name: 'says',
  authorize: () => {
    if (late) return decision instanceof Error ? Promise.reject(decision) : Promise.resolve(decision)
    if (decision instanceof Error) throw decision
    return decision
  },
})
const ALLOW: Decision = { verdict: 'allow', by: { authorizer: 'says', reason: 'yes' } }
const DENY: Decision = { verdict: 'deny', by: { authorizer: 'says', reason: 'no' } }
const next = (reason?: string): Decision => ({ verdict: 'next', ...(reason === undefined ? {} : { reason }) })

const CHAINS: [title: string, authorizers: Authorizer[], verdict: string, reason: string][] = [
  ['nobody', [], 'next', ''],
  ['the first allow', [says(next()), says(ALLOW), says(DENY)], 'allow', 'yes'],
  ['the first deny', [says(next()), says(DENY), says(ALLOW)], 'deny', 'no'],
  ['reasons of those who do not know', [says(next('a')), says(next()), says(next('b'))], 'next', 'a\nb'],
  ['an error denies', [says(new Error('broken')), says(ALLOW)], 'deny', 'says could not decide: broken'],
]
for (const [title, authorizers, verdict, reason] of CHAINS)
  test(`chain: ${title}`, async () => {
    const told = (d: Decision): string | undefined => (d.verdict === 'next' ? d.reason : d.by.reason)
    const sync = createAuthorizerChain(authorizers).authorize(ask())
    assert.ok(!(sync instanceof Promise))
    assert.deepEqual([sync.verdict, told(sync)], [verdict, reason])
    const late = authorizers.map((a): Authorizer => ({ name: a.name, authorize: async (q) => a.authorize(q) }))
    const later = await createAuthorizerChain(late).authorize(ask())
    assert.deepEqual([later.verdict, told(later)], [verdict, reason])
  })

test('system:masters', () => {
  assert.equal(
    (systemMasters.authorize(ask({ user: { name: 'x', groups: ['system:masters'] } })) as Decision).verdict,
    'allow',
  )
  assert.equal((systemMasters.authorize(ask()) as Decision).verdict, 'next')
})

const MESSAGES: [attributes: Attributes, reason: string, message: string][] = [
  [ask(), '', 'User "ann" cannot list resource "secrets" in API group "" in the namespace "default"'],
  [ask({ namespace: '' }), '', 'User "ann" cannot list resource "secrets" in API group "" at the cluster scope'],
  [
    ask({ subresource: 'log', apiGroup: 'x.y' }),
    'why',
    'User "ann" cannot list resource "secrets/log" in API group "x.y" in the namespace "default": why',
  ],
  [path('/x'), '', 'User "ann" cannot get path "/x"'],
  [path('/<b>'), 'a<b', 'User "ann" cannot get path "/&lt;b&gt;": a<b'],
]
for (const [attributes, reason, message] of MESSAGES)
  test(`message: ${message}`, () => assert.equal(forbiddenMessage(attributes, reason), message))

const review = (spec: object): KubeObject => ({ apiVersion: 'authorization.k8s.io/v1', kind: 'X', metadata: {}, spec })
const recording = (decision: Decision): { chain: ReturnType<typeof createAuthorizerChain>; asked: Attributes[] } => {
  const asked: Attributes[] = []
  const authorize = (a: Attributes): Decision => {
    asked.push(a)
    return decision
  }
  return { chain: createAuthorizerChain([{ name: 'r', authorize }]), asked }
}

test('SubjectAccessReview asks about its user, SelfSubjectAccessReview about the caller', async () => {
  const { chain, asked } = recording(ALLOW)
  const spec = {
    user: 'bob',
    groups: ['g'],
    uid: '7',
    extra: { a: ['b'] },
    resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'shop' },
  }
  const answer = await answerSubjectAccessReview(review(spec), chain)
  assert.deepEqual(answer['status'], { allowed: true, reason: 'yes' })
  assert.deepEqual(answer['spec'], spec)
  await answerSelfSubjectAccessReview(review({ nonResourceAttributes: { verb: 'get', path: '/x' } }), chain, ann)
  assert.deepEqual(asked, [
    {
      resourceRequest: true,
      user: { name: 'bob', groups: ['g'], uid: '7', extra: { a: ['b'] } },
      verb: 'get',
      apiGroup: '',
      apiVersion: '*',
      resource: 'pods',
      subresource: '',
      namespace: 'shop',
      name: '',
    },
    { resourceRequest: false, user: ann, verb: 'get', path: '/x' },
  ])
})

test('denied and undecided are different answers', async () => {
  const spec = { user: 'bob', resourceAttributes: { verb: 'get', resource: 'pods' } }
  assert.deepEqual((await answerSubjectAccessReview(review(spec), recording(DENY).chain))['status'], {
    allowed: false,
    denied: true,
    reason: 'no',
  })
  assert.deepEqual((await answerSubjectAccessReview(review(spec), recording(next()).chain))['status'], {
    allowed: false,
  })
})

test('SelfSubjectRulesReview joins what the authorizers list, and says what they cannot', () => {
  const lists: Authorizer = {
    name: 'lists',
    authorize: () => next(),
    rulesFor: (user, namespace) => ({
      resourceRules: [{ verbs: [user.name], apiGroups: [''], resources: [namespace] }],
      nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }],
    }),
  }
  const status = answerSelfSubjectRulesReview(
    review({ namespace: 'shop' }),
    createAuthorizerChain([systemMasters, lists]),
    ann,
  )['status']
  assert.deepEqual(status, {
    resourceRules: [{ verbs: ['ann'], apiGroups: [''], resources: ['shop'] }],
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }],
    incomplete: false,
  })
  const mute = answerSelfSubjectRulesReview(review({ namespace: 'shop' }), createAuthorizerChain([says(ALLOW)]), ann)[
    'status'
  ]
  assert.equal(mute.incomplete, true)
  assert.match(mute.evaluationError, /says cannot list its rules/)
})

test('SelfSubjectReview', () => {
  const status = answerSelfSubjectReview(review({}), { name: 'ann', uid: '1', groups: ['g'], extra: { a: ['b'] } })[
    'status'
  ]
  assert.deepEqual(status, { userInfo: { username: 'ann', uid: '1', groups: ['g'], extra: { a: ['b'] } } })
})
