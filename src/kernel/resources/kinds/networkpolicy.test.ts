import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldErrorMessage } from '../../api/status.ts'
import { networkPolicyKind } from './networkpolicy.ts'

const policy = (spec: object): { apiVersion: string; kind: string; metadata: object; spec: object } => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'a', namespace: 'b' },
  spec,
})

function errors(spec: object): string[] {
  const object = policy(spec)
  networkPolicyKind.strategy!.defaults!(object)
  return networkPolicyKind.strategy!.validate!(object).map(fieldErrorMessage)
}

const from = (peer: object): object => ({ ingress: [{ from: [peer] }] })
const to = (...ports: object[]): object => ({ egress: [{ ports }] })
const at = 'spec.ingress[0].from[0]'

const rows: [string, object, (string | RegExp)[]][] = [
  ['empty', {}, []],
  ['all pods of a namespace', from({ podSelector: {}, namespaceSelector: { matchLabels: { a: 'b' } } }), []],
  ['address block', from({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }), []],
  ['no peer', from({}), [`${at}: Required value: must specify a peer`]],
  [
    'block and selector',
    from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }),
    [`${at}: Forbidden: may not specify both ipBlock and another peer`],
  ],
  ['no cidr', from({ ipBlock: {} }), [`${at}.ipBlock.cidr: Required value`]],
  [
    'bad cidr',
    from({ ipBlock: { cidr: '10.0.0.0' } }),
    [`${at}.ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`],
  ],
  [
    'except outside, the same, of another family, broken',
    from({ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16', '10.0.0.0/8', '::/64', 'x'] } }),
    [
      `${at}.ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of \`cidr\``,
      /except\[1\].*strict subset/,
      /except\[2\].*strict subset/,
      /except\[3\].*must be a valid CIDR value/,
    ],
  ],
  [
    'selector',
    from({ podSelector: { matchLabels: { '/': 'x' } } }),
    [/prefix part must be non-empty/, /name part/, /name part/],
  ],
  ['port range', to({ port: 80, endPort: 90 }), []],
  ['named port', to({ port: 'http' }), []],
  [
    'range of a name',
    to({ port: 'http', endPort: 90 }),
    [/endPort: Invalid value: 90: may not be specified when `port` is non-numeric/],
  ],
  ['range of nothing', to({ endPort: 90 }), [/may not be specified when `port` is not specified/]],
  [
    'range backwards',
    to({ port: 90, endPort: 80 }),
    ['spec.egress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`'],
  ],
  [
    'port numbers',
    to({ port: 0 }, { port: 1, endPort: 65536 }),
    [/ports\[0\].port.*between 1 and 65535/, /ports\[1\].endPort.*between/],
  ],
  [
    'protocol',
    to({ protocol: 'ICMP' }),
    [/protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"/],
  ],
  [
    'types',
    { policyTypes: ['Ingress', 'X'] },
    ['spec.policyTypes[1]: Unsupported value: "X": supported values: "Ingress", "Egress"'],
  ],
  ['too many types', { policyTypes: ['Ingress', 'Egress', 'X'] }, [/may not specify more than two policyTypes/]],
]

for (const [name, spec, want] of rows)
  test(name, () => {
    const got = errors(spec)
    assert.equal(got.length, want.length, got.join('\n'))
    want.forEach((w, i) => {
      if (typeof w === 'string') assert.equal(got[i], w)
      else assert.match(got[i]!, w)
    })
  })

test('defaults', () => {
  const object = policy({ egress: [{ ports: [{ port: 53 }] }] })
  networkPolicyKind.strategy!.defaults!(object)
  assert.deepEqual(object.spec, {
    egress: [{ ports: [{ port: 53, protocol: 'TCP' }] }],
    policyTypes: ['Ingress', 'Egress'],
  })
  const ingress = policy({})
  networkPolicyKind.strategy!.defaults!(ingress)
  assert.deepEqual(ingress.spec, { policyTypes: ['Ingress'] })
})
