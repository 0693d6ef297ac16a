import assert from 'node:assert/strict'
import { test } from 'node:test'
import { can, listRules } from './can.ts'
import { ruleText } from './describe.ts'
import { builtinResources } from './known-resources.ts'
import { questionText } from './question.ts'
import { resolveQuestion } from './resolve.ts'
import { smallestChange } from './smallest-change.ts'
import { parseUser, userName } from './subject.ts'
import { bind, clusterRole, makeWorld, role } from './worlds.fixture.ts'

const known = builtinResources()
const world = makeWorld(
  role(
    'shop',
    'worker',
    'get,list core pods',
    'get core secrets tls',
    'get apps deployments',
    'get core services/proxy',
  ),
  bind('shop', 'workers', 'Role/worker', 'user:ann', 'group:system:serviceaccounts:shop'),
  clusterRole('status', 'get /metrics'),
  bind('', 'status', 'ClusterRole/status', 'user:ann'),
  bind('shop', 'ghosts', 'Role/gone', 'user:ghost'),
  bind('dev', 'ops', 'ClusterRole/view', 'group:ops'),
)
const ask = (text: string, namespace = 'shop') => {
  const [verb = '', resource = '', name] = text.split(' ')
  return resolveQuestion(known, { verb, resource, namespace, ...(name === undefined ? {} : { name }) }).question
}
const user = (text: string) => parseUser(text, 'shop')!

const ANSWERS: [who: string, groups: string[], question: string, namespace: string, binding: string | undefined][] = [
  ['ann', [], 'get pods', 'shop', 'workers'],
  ['ann', [], 'get pods', 'dev', undefined],
  ['bob', [], 'get pods', 'shop', undefined],
  ['serviceaccount/web', [], 'get pods', 'shop', 'workers'],
  ['system:serviceaccount:shop:web', [], 'get pods', 'shop', 'workers'],
  ['serviceaccount/dev/web', [], 'get pods', 'shop', undefined],
  ['bob', ['ops'], 'list pods', 'dev', 'ops'],
  ['bob', [], 'create selfsubjectaccessreviews', '', 'system:basic-user'],
  ['bob', ['system:unauthenticated'], 'create selfsubjectaccessreviews', '', undefined],
  ['system:anonymous', [], 'create selfsubjectaccessreviews', '', undefined],
  ['bob', ['system:masters'], 'delete nodes', '', 'cluster-admin'],
]
for (const [who, groups, question, namespace, binding] of ANSWERS)
  test(`can: ${who} ${groups} ${question} in ${namespace || 'the cluster'}`, () => {
    const answer = can(world, user(who), groups, ask(question, namespace))
    if (!answer.allowed || answer.by === 'system:masters') assert.equal(undefined, binding)
    else assert.equal(answer.by.grant.binding.metadata.name, binding)
  })

const MISSES: [question: string, namespace: string, expected: string[]][] = [
  ['delete pods', 'shop', ['verb get,list pods']],
  ['get pods', 'dev', ['namespace get,list pods']],
  ['get secrets other', 'shop', ['name get secrets [tls]']],
  ['list secrets', 'shop', []],
  ['get services', 'shop', ['subresource get services/proxy']],
  ['get deployments.extensions', 'shop', ['apiGroup get deployments.apps']],
  ['list pods/log', 'shop', ['subresource get,list pods']],
  ['post /metrics', '', ['verb get /metrics']],
]
for (const [question, namespace, expected] of MISSES)
  test(`near miss: ${question} in ${namespace}`, () => {
    const answer = can(world, user('ann'), [], ask(question, namespace))
    assert.ok(!answer.allowed)
    const near = answer.nearMisses.filter((m) => m.grant.subject.name === 'ann' && m.reason !== 'resource')
    assert.deepEqual(
      near.filter((m) => m.reason !== 'path').map((m) => `${m.reason} ${ruleText(m.rule)}`),
      expected,
    )
  })

test('a binding to a missing role is told on a no', () => {
  const answer = can(world, user('ghost'), [], ask('get pods'))
  assert.ok(!answer.allowed)
  assert.deepEqual(answer.errors, ['role.rbac.authorization.k8s.io "gone" not found'])
})

test('smallest change as kubectl commands', () => {
  const of = (who: string, text: string, namespace = 'shop') => smallestChange(user(who), ask(text, namespace)).commands
  assert.deepEqual(of('serviceaccount/web', 'create pods/exec'), [
    'kubectl create role web-create-pods-exec --verb=create --resource=pods/exec -n shop',
    'kubectl create rolebinding web-create-pods-exec --role=web-create-pods-exec --serviceaccount=shop:web -n shop',
  ])
  assert.deepEqual(of('ann o’x', 'get deploy a'), [
    'kubectl create role ann-o-x-get-deployments --verb=get --resource=deployments.apps --resource-name=a -n shop',
    "kubectl create rolebinding ann-o-x-get-deployments --role=ann-o-x-get-deployments --user='ann o’x' -n shop",
  ])
  assert.match(of('ann', 'get nodes')[0], /^kubectl create clusterrole ann-get-nodes --verb=get --resource=nodes$/)
  assert.match(of('ann', 'get /x')[0], /--non-resource-url=\/x$/)
})

test('list: every rule with its source, cluster-wide ones included', () => {
  const rules = listRules(world, user('ann'), [], 'shop').map(
    ({ grant, rule }) => `${grant.binding.metadata.name}: ${ruleText(rule)}`,
  )
  assert.ok(rules.includes('workers: get secrets [tls]'))
  assert.ok(rules.includes('status: get /metrics'))
  assert.ok(rules.some((text) => text.startsWith('system:basic-user: create selfsubject')))
  assert.ok(!listRules(world, user('ann'), [], 'dev').some(({ grant }) => grant.namespace === 'shop'))
})

const READ: [resource: string, name: string | undefined, expected: string, remarks: number][] = [
  ['po', undefined, 'get pods in namespace shop', 0],
  ['pod', undefined, 'get pods in namespace shop', 0],
  ['Deployment', undefined, 'get deployments.apps in namespace shop', 0],
  ['deploy.apps', 'web', 'get deployments.apps "web" in namespace shop', 0],
  ['deployments.v1.apps', undefined, 'get deployments.apps in namespace shop', 0],
  ['ingresses.extensions', undefined, 'get ingresses.extensions in namespace shop', 0],
  ['pods/exec', undefined, 'get pods/exec in namespace shop', 1],
  ['pods/exec', 'web-1', 'get pods/exec "web-1" in namespace shop', 0],
  ['pods/web-1', undefined, 'get pods "web-1" in namespace shop', 0],
  ['nodes', undefined, 'get nodes', 0],
  ['ns', 'dev', 'get namespaces "dev" in namespace dev', 0],
  ['widgets.example.com', undefined, 'get widgets.example.com in namespace shop', 1],
  ['*', undefined, 'get *.* in namespace shop', 0],
  ['/healthz', undefined, 'get /healthz', 0],
]
for (const [resource, name, expected, remarks] of READ)
  test(`a resource as typed: ${resource} ${name ?? ''}`, () => {
    const asked = { verb: 'get', resource, namespace: 'shop', ...(name === undefined ? {} : { name }) }
    const resolved = resolveQuestion(known, asked)
    assert.equal(questionText(resolved.question), expected)
    assert.equal(resolved.remarks.length, remarks, resolved.remarks.join())
  })

const USERS: [text: string, expected: string | undefined][] = [
  ['ann', 'ann'],
  ['sa/web', 'system:serviceaccount:shop:web'],
  ['serviceaccount/dev/web', 'system:serviceaccount:dev:web'],
  ['system:serviceaccount:dev:web', 'system:serviceaccount:dev:web'],
  ['serviceaccount/a/b/c', undefined],
  ['serviceaccount/Dev/web', undefined],
  ['', undefined],
]
for (const [text, expected] of USERS)
  test(`a user as typed: ${JSON.stringify(text)}`, () => {
    const parsed = parseUser(text, 'shop')
    assert.equal(parsed && userName(parsed), expected)
  })
