import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldErrorMessage } from '../../kernel/api/status.ts'
import { compileKind } from '../../kernel/apiserver/compile-kind.ts'
import { clusterNetworkPolicyKind } from './kind.ts'

const kind = compileKind(clusterNetworkPolicyKind)
const subject = { namespaces: {} }
const rule = { action: 'Deny', to: [{ networks: ['169.254.169.254/32'] }] }
const good = { tier: 'Admin', priority: 10, subject, egress: [rule] }

const policy = (spec: object): Buffer =>
  Buffer.from(
    JSON.stringify({
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name: 'a', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec,
    }),
  )

function errors(spec: object): string[] {
  const { object, unknown } = kind.decode(JSON.parse(policy(spec).toString()), 'Strict')
  assert.deepEqual(unknown, [])
  kind.applyDefaults(object)
  return kind.validate(object).map(fieldErrorMessage)
}

const egress = (change: object): object => ({ ...good, egress: [{ ...rule, ...change }] })

const rows: [string, object, RegExp[]][] = [
  ['good', good, []],
  [
    'everything that is allowed',
    {
      ...good,
      tier: 'Baseline',
      ingress: [
        {
          name: 'from the ingress controller',
          action: 'Pass',
          from: [{ pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: 'lb' } } } }, { namespaces: {} }],
          protocols: [
            { tcp: { destinationPort: { range: { start: 1, end: 65535 } } } },
            { udp: { destinationPort: { number: 53 } } },
            { sctp: {} },
            { destinationNamedPort: 'http' },
          ],
        },
      ],
      egress: [{ action: 'Accept', to: [{ nodes: {} }, { networks: ['fd00::/8'] }] }],
    },
    [],
  ],
  ['tier', { ...good, tier: 'Normal' }, [/^spec\.tier: Unsupported value: "Normal"/]],
  ['priority', { ...good, priority: 1001 }, [/^spec\.priority: Invalid value: 1001: must be between 0 and 1000/]],
  ['no subject', { ...good, subject: {} }, [/^spec\.subject: Required value: one of namespaces, pods/]],
  [
    'two subjects',
    { ...good, subject: { namespaces: {}, pods: { podSelector: {} } } },
    [/^spec\.subject: Forbidden: may not specify both namespaces and pods/],
  ],
  ['action', egress({ action: 'Allow' }), [/^spec\.egress\[0\]\.action: Unsupported value: "Allow"/]],
  ['no peers', egress({ to: [] }), [/^spec\.egress\[0\]\.to: Required value/]],
  ['empty peer', egress({ to: [{}] }), [/^spec\.egress\[0\]\.to\[0\]: Required value/]],
  ['domain names', egress({ to: [{ domainNames: ['example.com'] }] }), [/to\[0\]\.domainNames: Forbidden: .*not supp/]],
  ['bad network', egress({ to: [{ networks: ['10.0.0.0/33'] }] }), [/to\[0\]\.networks\[0\]: Invalid value/]],
  [
    'range backwards',
    egress({ protocols: [{ tcp: { destinationPort: { range: { start: 90, end: 80 } } } }] }),
    [/protocols\[0\]\.tcp\.destinationPort\.range\.end: Invalid value: 80: must be greater than `start`/],
  ],
  [
    'port number',
    egress({ protocols: [{ udp: { destinationPort: { number: 70000 } } }] }),
    [/protocols\[0\]\.udp\.destinationPort\.number: Invalid value: 70000/],
  ],
  [
    'port name of a network',
    egress({ protocols: [{ destinationNamedPort: 'http' }] }),
    [/protocols\[0\]\.destinationNamedPort: Forbidden/],
  ],
  ['too many rules', { ...good, egress: Array(26).fill(rule) }, [/^spec\.egress: Invalid value: 26: .*at most 25/]],
]

for (const [name, spec, want] of rows)
  test(name, () => {
    const got = errors(spec)
    assert.equal(got.length, want.length, got.join('\n'))
    want.forEach((pattern, i) => {
      assert.match(got[i]!, pattern)
    })
  })

test('a mode that would not be heeded is warned about', () => {
  const object = { apiVersion: '', kind: '', metadata: { annotations: { 'rampart.dev/mode': 'observe' } } }
  assert.match(clusterNetworkPolicyKind.strategy!.warnings!(object, undefined)[0]!, /always enforced/)
})
