import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../kernel/api/object.ts'
import { fieldErrorMessage } from '../../kernel/api/status.ts'
import { clusterRoleKind, rbacKinds, roleBindingKind } from './resources.ts'

const GROUP = 'rbac.authorization.k8s.io'
const make = (kind: string, fields: object): KubeObject => ({
  apiVersion: `${GROUP}/v1`,
  kind,
  metadata: { name: 'x' },
  ...fields,
})
const errors = (kind: string, fields: object): string[] =>
  rbacKinds.find((k) => k.kind === kind)!.strategy!.validate!(make(kind, fields)).map(fieldErrorMessage)
const rules = (...list: object[]): object => ({ rules: list })
const binding = (roleRef: object, ...subjects: object[]): object => ({ roleRef, subjects })
const ref = (kind: string, name = 'r', apiGroup = GROUP): object => ({ apiGroup, kind, name })

const CASES: [kind: string, fields: object, expected: string[]][] = [
  ['Role', rules({ verbs: ['get'], apiGroups: [''], resources: ['pods'] }), []],
  ['Role', rules({ verbs: ['unheard-of'], apiGroups: ['x'], resources: ['*/*'], resourceNames: ['a'] }), []],
  ['Role', {}, []],
  [
    'Role',
    rules({ verbs: [] }),
    [
      'rules[0].verbs: Required value: verbs must contain at least one value',
      'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
      'rules[0].resources: Required value: resource rules must supply at least one resource',
    ],
  ],
  [
    'Role',
    rules({ verbs: ['get'], nonResourceURLs: ['/x'] }),
    ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
  ],
  ['ClusterRole', rules({ verbs: ['get'], nonResourceURLs: ['/x'] }), []],
  [
    'ClusterRole',
    rules({ verbs: ['get'], nonResourceURLs: ['/x'], resources: ['pods'] }),
    [
      'rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs',
    ],
  ],
  [
    'ClusterRole',
    { aggregationRule: {} },
    [
      'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
    ],
  ],
  ['RoleBinding', binding(ref('Role'), { kind: 'User', apiGroup: GROUP, name: 'u' }), []],
  ['RoleBinding', binding(ref('ClusterRole'), { kind: 'ServiceAccount', name: 'sa' }), []],
  [
    'ClusterRoleBinding',
    binding(ref('Role'), { kind: 'ServiceAccount', name: 'sa' }),
    [
      'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
      'subjects[0].namespace: Required value',
    ],
  ],
  [
    'RoleBinding',
    binding(ref('Role', 'a/b', 'x'), { kind: 'User', name: 'u' }, { kind: 'Robot', name: 'r' }),
    [
      'roleRef.apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"',
      'roleRef.name: Invalid value: "a/b": may not contain \'/\'',
      'subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"',
      'subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
    ],
  ],
]
for (const [kind, fields, expected] of CASES)
  test(`${kind} ${JSON.stringify(fields)}`, () => assert.deepEqual(errors(kind, fields), expected))

test('API groups are filled in, roleRef never changes', () => {
  const object = make(
    'RoleBinding',
    binding({ kind: 'Role', name: 'r' }, { kind: 'User', name: 'u' }, { kind: 'ServiceAccount', name: 's' }),
  )
  roleBindingKind.strategy!.defaults!(object)
  assert.equal(object['roleRef'].apiGroup, GROUP)
  assert.equal(object['subjects'][0].apiGroup, GROUP)
  assert.equal(object['subjects'][1].apiGroup, undefined)
  const other = structuredClone(object)
  other['roleRef'].name = 'r2'
  const context = { now: 0, subresource: '', user: 'u' }
  assert.deepEqual(roleBindingKind.strategy!.validateUpdate!(object, structuredClone(object), context), [])
  assert.match(
    fieldErrorMessage(roleBindingKind.strategy!.validateUpdate!(other, object, context)[0]!),
    /^roleRef: Invalid value: .*: cannot change roleRef$/,
  )
})

test('columns of bindings', () => {
  const object = make(
    'RoleBinding',
    binding(
      ref('ClusterRole', 'view'),
      { kind: 'User', name: 'ann' },
      { kind: 'User', name: 'bob' },
      { kind: 'Group', name: 'dev' },
      { kind: 'ServiceAccount', namespace: 'ci', name: 'bot' },
    ),
  )
  object.metadata.creationTimestamp = '2026-01-01T00:00:00Z'
  const now = Date.parse('2026-01-01T00:05:30Z')
  assert.deepEqual(
    roleBindingKind.columns.map((c) => [c.name, c.priority, c.cell(object, now)]),
    [
      ['Name', 0, 'x'],
      ['Role', 0, 'ClusterRole/view'],
      ['Age', 0, '5m30s'],
      ['Users', 1, 'ann, bob'],
      ['Groups', 1, 'dev'],
      ['ServiceAccounts', 1, 'ci/bot'],
    ],
  )
})

test('columns of roles', () => {
  const object = make('ClusterRole', {})
  object.metadata.creationTimestamp = '2026-01-01T00:00:00Z'
  assert.deepEqual(
    clusterRoleKind.columns.map((c) => [c.name, c.type, c.cell(object, 0)]),
    [
      ['Name', 'string', 'x'],
      ['Created At', 'date', '2026-01-01T00:00:00Z'],
    ],
  )
})
