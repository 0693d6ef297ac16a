import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { covers } from '../engine/covers.ts'
import type { PolicyRule } from '../engine/types.ts'
import { dangerOf, dangersOf } from './danger.ts'
import { mergeRules } from './merge-rules.ts'
import { permissionKey, permissionsOf, ruleOf } from './permission.ts'
import { PermissionSet } from './permission-set.ts'

const some = <T>(...values: T[]): fc.Arbitrary<T[]> => fc.uniqueArray(fc.constantFrom(...values), { maxLength: 3 })

const rule: fc.Arbitrary<PolicyRule> = fc.oneof(
  fc.record({
    verbs: some('*', 'get', 'list', 'create'),
    apiGroups: some('*', '', 'apps'),
    resources: some('*', 'pods', 'pods/log', '*/log', 'secrets'),
    resourceNames: fc.oneof(fc.constant([]), some('', 'a', 'b', '*')),
  }),
  fc.record({ verbs: some('*', 'get'), nonResourceURLs: some('*', '/', '/a', '/a*', '/a**', '/a/b', '/a/b*', '') }),
)
const rules = fc.array(rule, { maxLength: 5 })

test('property: a permission set covers what covers() says', () => {
  fc.assert(
    fc.property(rules, rules, (held, wanted) => {
      const set = new PermissionSet(permissionsOf(held, 'cluster'))
      for (const permission of permissionsOf(wanted, 'cluster'))
        assert.equal(set.covers(permission), covers(held, [ruleOf(permission)]).covered, permissionKey(permission))
    }),
    { numRuns: 2000 },
  )
})

test('property: merged rules grant exactly the permissions, whatever the order', () => {
  fc.assert(
    fc.property(rules, fc.nat(), (list, turn) => {
      const permissions = permissionsOf(list, 'cluster')
      const merged = mergeRules(permissions)
      const keys = (r: readonly PolicyRule[]): string[] => permissionsOf(r, 'cluster').map(permissionKey).sort()
      assert.deepEqual(keys(merged), permissions.map(permissionKey).sort())
      assert.ok(merged.length <= Math.max(1, permissions.length))
      const at = turn % (permissions.length + 1)
      assert.deepEqual(mergeRules([...permissions.slice(at), ...permissions.slice(0, at)].reverse()), merged)
    }),
  )
})

test('rules are merged as people would write them', () => {
  const permission = (verb: string, apiGroup: string, resource: string, name?: string) => ({
    verb,
    apiGroup,
    resource,
    name,
  })
  assert.deepEqual(
    mergeRules([
      permission('watch', '', 'pods'),
      permission('get', '', 'pods'),
      permission('get', '', 'services'),
      permission('watch', '', 'services'),
      permission('get', 'apps', 'deployments', 'b'),
      permission('get', 'apps', 'deployments', 'a'),
      { verb: 'get', url: '/version' },
      { verb: 'get', url: '/healthz' },
    ]),
    [
      { apiGroups: [''], resources: ['pods', 'services'], verbs: ['get', 'watch'] },
      { apiGroups: ['apps'], resources: ['deployments'], resourceNames: ['a', 'b'], verbs: ['get'] },
      { nonResourceURLs: ['/healthz', '/version'], verbs: ['get'] },
    ],
  )
})

test('in a namespace URLs mean nothing', () => {
  assert.deepEqual(permissionsOf([{ verbs: ['get'], nonResourceURLs: ['/healthz'] }], 'namespace'), [])
})

test('dangerous permissions', () => {
  const cases: [rule: PolicyRule, expected: RegExp | undefined][] = [
    [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, /everything/],
    [{ verbs: ['get'], apiGroups: ['*'], resources: ['*'] }, /all resources, Secrets/],
    [{ verbs: ['get'], apiGroups: ['apps'], resources: ['*'] }, /of the group/],
    [{ verbs: ['*'], apiGroups: [''], resources: ['configmaps'] }, /all verbs/],
    [{ verbs: ['*'], apiGroups: [''], resources: ['secrets'] }, /Secrets/],
    [{ verbs: ['list'], apiGroups: ['*'], resources: ['secrets'] }, /Secrets/],
    [{ verbs: ['create'], apiGroups: [''], resources: ['secrets'] }, undefined],
    [{ verbs: ['escalate'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'] }, /escalate/],
    [{ verbs: ['bind'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] }, /bind/],
    [{ verbs: ['impersonate'], apiGroups: [''], resources: ['groups'] }, /impersonate/],
    [{ verbs: ['impersonate'], apiGroups: ['authentication.k8s.io'], resources: ['userextras/scopes'] }, /impersonate/],
    [{ verbs: ['create'], apiGroups: [''], resources: ['*/exec'] }, /commands/],
    [{ verbs: ['create'], apiGroups: [''], resources: ['pods'] }, /any service account/],
    [{ verbs: ['patch'], apiGroups: ['apps'], resources: ['deployments'] }, /any service account/],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, undefined],
    [{ verbs: ['*'], nonResourceURLs: ['*'] }, /paths/],
    [{ verbs: ['get'], nonResourceURLs: ['/metrics'] }, undefined],
  ]
  for (const [rule, expected] of cases) {
    const reasons = dangersOf(rule)
    assert.equal(reasons.length, expected === undefined ? 0 : 1, JSON.stringify(rule))
    if (expected !== undefined) assert.match(reasons[0]!, expected)
  }
  assert.match(dangerOf({ verb: 'get', apiGroup: '', resource: 'secrets', name: 'tls' })!, /Secrets/)
})
