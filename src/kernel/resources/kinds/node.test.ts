import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { nodeKind } from './node.ts'
import { cells, created, createErrors, object, updated } from './pod/cases.ts'

type Fields = Record<string, unknown>
const node = (spec: Fields = {}, status: Fields = {}, metadata: Fields = {}): KubeObject =>
  object('v1', 'Node', { spec, status }, { name: 'n1', namespace: undefined, ...metadata })

describe('nodes', () => {
  it('defaults', () => {
    const { spec, status } = created(
      nodeKind,
      node({ podCIDR: '10.1.0.0/24' }, { capacity: { cpu: 4, memory: '8192Mi', pods: '110' } }),
    )
    assert.deepEqual(spec, { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24'] })
    assert.deepEqual(status.capacity, { cpu: '4', memory: '8Gi', pods: '110' })
    assert.deepEqual(status.allocatable, status.capacity)
  })

  const creations: [string, KubeObject, string[]][] = [
    ['a bare node', node(), []],
    [
      'taints',
      node({
        taints: [
          { key: 'a', effect: 'NoSchedule' },
          { key: 'a', value: '2', effect: 'NoSchedule' },
          { key: 'a', effect: 'Now' },
          { key: 'b', value: '-' },
        ],
      }),
      [
        'metadata.taints[1]: Duplicate value: {"key":"a","value":"2","effect":"NoSchedule"}: taints must be unique by key and effect pair',
        'metadata.taints[2].effect: Unsupported value: "Now": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        "metadata.taints[3].value: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        'metadata.taints[3].effect: Required value',
      ],
    ],
    ['two families', node({ podCIDRs: ['10.0.0.0/24', 'fd00::/64'] }), []],
    [
      'pod networks',
      node({ podCIDRs: ['10.0.0.0/24', '10.0.0.0/24', 'x'] }),
      [
        'spec.podCIDRs[2]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24","x"]: may specify no more than one CIDR for each IP family',
        'spec.podCIDRs[1]: Duplicate value: "10.0.0.0/24"',
      ],
    ],
    [
      'amounts',
      node({}, { capacity: { cpu: '-1', pods: '1.5' }, allocatable: { cpu: '1' } }),
      [
        'status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0',
        'status.capacity.pods: Invalid value: "1500m": must be an integer',
      ],
    ],
  ]
  for (const [name, input, errors] of creations)
    it(`creation: ${name}`, () => assert.deepEqual(createErrors(nodeKind, input), errors))

  const old = created(nodeKind, node({ podCIDR: '10.1.0.0/24', providerID: 'p://1' }))
  const updates: [string, (n: KubeObject) => void, string, string[]][] = [
    ['cordon', (n) => (n['spec'].unschedulable = true), '', []],
    [
      'another pod network',
      (n) => (n['spec'] = { providerID: 'p://1', podCIDR: '10.2.0.0/24' }),
      '',
      ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ],
    [
      'another provider',
      (n) => (n['spec'].providerID = ''),
      '',
      ['spec.providerID: Forbidden: node updates may not change providerID except from "" to valid'],
    ],
    [
      'addresses twice',
      (n) => {
        n['status'] = {
          addresses: [
            { type: 'InternalIP', address: '1.2.3.4' },
            { type: 'InternalIP', address: '1.2.3.4' },
          ],
        }
      },
      'status',
      ['status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"1.2.3.4"}'],
    ],
    [
      'configuration',
      (n) => (n['spec'].configSource = { configMap: { uid: 'u', name: 'c', namespace: 'n' } }),
      '',
      [
        'spec.configSource.configMap.uid: Forbidden: uid must not be set in spec',
        'spec.configSource.configMap.kubeletConfigKey: Required value: kubeletConfigKey must be set',
      ],
    ],
  ]
  for (const [name, change, subresource, errors] of updates)
    it(`update: ${name}`, () => assert.deepEqual(updated(nodeKind, old, change, subresource).errors, errors))

  const rows: [string, KubeObject, Fields][] = [
    [
      'a ready control plane',
      node(
        {},
        {
          conditions: [{ type: 'Ready', status: 'True' }],
          addresses: [
            { type: 'InternalIP', address: '10.0.0.5' },
            { type: 'ExternalIP', address: '1.2.3.4' },
          ],
          nodeInfo: {
            kubeletVersion: 'v1.32.0',
            osImage: 'Debian',
            kernelVersion: '6.1',
            containerRuntimeVersion: 'containerd://1.7',
          },
        },
        { labels: { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/role': 'etcd' } },
      ),
      {
        Name: 'n1',
        Status: 'Ready',
        Roles: 'control-plane,etcd',
        Age: '<unknown>',
        Version: 'v1.32.0',
        'Internal-IP': '10.0.0.5',
        'External-IP': '1.2.3.4',
        'OS-Image': 'Debian',
        'Kernel-Version': '6.1',
        'Container-Runtime': 'containerd://1.7',
      },
    ],
    [
      'cordoned and not ready',
      node({ unschedulable: true }, { conditions: [{ type: 'Ready', status: 'Unknown' }] }),
      {
        Name: 'n1',
        Status: 'NotReady,SchedulingDisabled',
        Roles: '<none>',
        Age: '<unknown>',
        Version: '',
        'Internal-IP': '<none>',
        'External-IP': '<none>',
        'OS-Image': '<unknown>',
        'Kernel-Version': '<unknown>',
        'Container-Runtime': '<unknown>',
      },
    ],
  ]
  for (const [name, input, row] of rows) it(`table: ${name}`, () => assert.deepEqual(cells(nodeKind, input), row))

  it('table: never heard of', () => assert.equal(cells(nodeKind, node())['Status'], 'Unknown'))
  it('selectable', () => {
    assert.equal(nodeKind.selectableFields!['spec.unschedulable']!(node()), 'false')
    assert.equal(nodeKind.selectableFields!['spec.unschedulable']!(node({ unschedulable: true })), 'true')
  })
})
