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

const requirement = (key: string, operator: string, ...values: string[]): object => ({ key, operator, values })

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

const SELECTORS: [title: string, attributes: object, selector: object[] | undefined, error: string | undefined][] = [
  ['none', {}, undefined, undefined],
  [
    'requirements',
    { fieldSelector: { requirements: [requirement('spec.nodeName', 'In', 'n1'), requirement('a', 'NotIn', '')] } },
    [
      { field: 'spec.nodeName', equal: true, value: 'n1' },
      { field: 'a', equal: false, value: '' },
    ],
    undefined,
  ],
  [
    'raw',
    { fieldSelector: { rawSelector: 'spec.nodeName=n1,a!=b' }, labelSelector: { rawSelector: 'x in (y)' } },
    [
      { field: 'spec.nodeName', equal: true, value: 'n1' },
      { field: 'a', equal: false, value: 'b' },
    ],
    undefined,
  ],
  [
    'some that fields do not know',
    { fieldSelector: { requirements: [requirement('a', 'In', 'b'), requirement('c', 'In', 'd', 'e')] } },
    [{ field: 'a', equal: true, value: 'b' }],
    'spec.resourceAttributes.fieldSelector partially ignored due to parse error',
  ],
  [
    'nothing that can be read',
    { fieldSelector: { rawSelector: 'nonsense' }, labelSelector: { rawSelector: 'a in' } },
    undefined,
    'spec.resourceAttributes.fieldSelector ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error',
  ],
  [
    'existence',
    { fieldSelector: { requirements: [requirement('a', 'Exists')] } },
    undefined,
    'spec.resourceAttributes.fieldSelector ignored due to parse error',
  ],
]
for (const [title, attributes, selector, error] of SELECTORS)
  test(`reviews ask with the selector of the request: ${title}`, async () => {
    const { chain, asked } = recording(ALLOW)
    const spec = { user: 'bob', resourceAttributes: { verb: 'list', resource: 'pods', ...attributes } }
    const { status } = await answerSubjectAccessReview(review(spec), chain)
    assert.deepEqual((asked[0] as { fieldSelector?: object }).fieldSelector, selector)
    assert.deepEqual(status, {
      allowed: true,
      reason: 'yes',
      ...(error === undefined ? {} : { evaluationError: error }),
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

test('what went wrong on the way to a whole list does not make it incomplete', () => {
  const lists: Authorizer = {
    name: 'lists',
    authorize: () => next(),
    rulesFor: () => ({ resourceRules: [], nonResourceRules: [], error: 'role "x" not found' }),
  }
  const cannot: Authorizer = {
    name: 'cannot',
    authorize: () => next(),
    rulesFor: () => ({ resourceRules: [], nonResourceRules: [], incomplete: 'not able to' }),
  }
  const statusOf = (...authorizers: Authorizer[]): object =>
    answerSelfSubjectRulesReview(review({ namespace: 'shop' }), createAuthorizerChain(authorizers), ann)['status']
  const empty = { resourceRules: [], nonResourceRules: [] }
  assert.deepEqual(statusOf(lists), { ...empty, incomplete: false, evaluationError: 'role "x" not found' })
  assert.deepEqual(statusOf(cannot, lists), {
    ...empty,
    incomplete: true,
    evaluationError: 'not able to; role "x" not found',
  })
})

test('SelfSubjectReview', () => {
  const status = answerSelfSubjectReview(review({}), { name: 'ann', uid: '1', groups: ['g'], extra: { a: ['b'] } })[
    'status'
  ]
  assert.deepEqual(status, { userInfo: { username: 'ann', uid: '1', groups: ['g'], extra: { a: ['b'] } } })
})
