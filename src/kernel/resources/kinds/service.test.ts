import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { cells, created, createErrors, object, updated } from './pod/cases.ts'
import { serviceKind } from './service.ts'

type Fields = Record<string, unknown>
const service = (spec: Fields = {}, metadata: Fields = {}): KubeObject =>
  object('v1', 'Service', { spec: { ports: [{ port: 80 }], ...spec } }, metadata)

describe('defaults of services', () => {
  const cases: [string, Fields, Fields][] = [
    [
      'a cluster IP',
      { ports: [{ port: 80 }, { name: 'x', port: 53, protocol: 'UDP', targetPort: 'dns' }], clusterIP: 'None' },
      {
        clusterIP: 'None',
        clusterIPs: ['None'],
        internalTrafficPolicy: 'Cluster',
        ports: [
          { port: 80, protocol: 'TCP', targetPort: 80 },
          { name: 'x', port: 53, protocol: 'UDP', targetPort: 'dns' },
        ],
        sessionAffinity: 'None',
        type: 'ClusterIP',
      },
    ],
    [
      'a load balancer',
      { type: 'LoadBalancer', sessionAffinity: 'ClientIP' },
      {
        allocateLoadBalancerNodePorts: true,
        externalTrafficPolicy: 'Cluster',
        internalTrafficPolicy: 'Cluster',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
        type: 'LoadBalancer',
      },
    ],
    [
      'an external name',
      { type: 'ExternalName', externalName: 'example.com', ports: [] },
      { type: 'ExternalName', externalName: 'example.com', ports: [], sessionAffinity: 'None' },
    ],
  ]
  for (const [name, spec, expected] of cases)
    it(name, () => assert.deepEqual(created(serviceKind, service(spec))['spec'], expected))
  it('the status starts empty', () => assert.deepEqual(created(serviceKind, service())['status'], { loadBalancer: {} }))
})

describe('validation of services', () => {
  const cases: [string, Fields, string[], Fields?][] = [
    ['a port', {}, []],
    ['no ports', { ports: [] }, ['spec.ports: Required value']],
    ['headless without ports', { ports: [], clusterIP: 'None' }, []],
    [
      'ports',
      { ports: [{ port: 0 }, { name: 'a', port: 80, targetPort: 'A' }, { name: 'a', port: 80, appProtocol: 'a b' }] },
      [
        'spec.ports[0].name: Required value',
        'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ports[1].targetPort: Invalid value: "A": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        'spec.ports[1].targetPort: Invalid value: "A": must contain at least one letter (a-z)',
        'spec.ports[2].name: Duplicate value: "a"',
        "spec.ports[2].appProtocol: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        'spec.ports[2]: Duplicate value: {"protocol":"TCP","port":80}',
      ],
    ],
    [
      'node ports',
      {
        ports: [
          { name: 'a', port: 1, nodePort: 30000 },
          { name: 'b', port: 2, nodePort: 30000 },
        ],
      },
      [
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        'spec.ports[1].nodePort: Duplicate value: 30000',
      ],
    ],
    [
      'an unknown type',
      { type: 'Magic' },
      [
        'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
      ],
    ],
    [
      'an external name',
      { type: 'ExternalName', ports: [], clusterIP: '10.0.0.1', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' },
      [
        'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
        'spec.ipFamilies: Forbidden: may not be set for ExternalName services',
        'spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services',
        'spec.externalName: Required value',
      ],
    ],
    [
      'a headless node port',
      { type: 'NodePort', clusterIP: 'None' },
      ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'],
    ],
    [
      'cluster IPs',
      { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.2', 'x'] },
      [
        'spec.clusterIPs: Invalid value: ["10.0.0.2","x"]: first value must match `clusterIP`',
        'spec.clusterIPs[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'families',
      { clusterIP: '10.0.0.1', ipFamilies: ['IPv6', 'IPv6', 'IPX'], ipFamilyPolicy: 'Any' },
      [
        'spec.ipFamilies[1]: Duplicate value: "IPv6"',
        'spec.ipFamilies[2]: Unsupported value: "IPX": supported values: "IPv4", "IPv6"',
        'spec.ipFamilyPolicy: Unsupported value: "Any": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
        'spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`',
      ],
    ],
    [
      'one family twice',
      { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', '10.0.0.2'] },
      ['spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family'],
    ],
    [
      'external IPs',
      { externalIPs: ['127.0.0.1', 'x'] },
      [
        'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        'spec.externalIPs[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      'affinity of sessions',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
      [
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400',
      ],
    ],
    [
      'an unknown affinity',
      { sessionAffinity: 'Cookie' },
      ['spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"'],
    ],
    [
      'what only load balancers have',
      { loadBalancerSourceRanges: ['x'], allocateLoadBalancerNodePorts: true, loadBalancerClass: 'a/b' },
      [
        "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        'spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
      ],
    ],
    [
      'traffic policies',
      {
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Zone',
        healthCheckNodePort: 30000,
        trafficDistribution: 'Far',
      },
      [
        'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
        "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        'spec.internalTrafficPolicy: Unsupported value: "Zone": supported values: "Cluster", "Local"',
        'spec.trafficDistribution: Unsupported value: "Far": supported values: "PreferClose"',
      ],
    ],
    [
      'health checks of a local load balancer',
      { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
      ['spec.healthCheckNodePort: Required value'],
    ],
    [
      'topology annotations',
      {},
      [
        'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Auto": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified',
      ],
      {
        annotations: {
          'service.kubernetes.io/topology-mode': 'Auto',
          'service.kubernetes.io/topology-aware-hints': 'Disabled',
        },
      },
    ],
  ]
  for (const [name, spec, errors, metadata] of cases)
    it(name, () => assert.deepEqual(createErrors(serviceKind, service(spec, metadata)), errors))
})

describe('updates of services', () => {
  const allocated = (spec: Fields = {}): KubeObject =>
    created(
      serviceKind,
      service({
        type: 'NodePort',
        clusterIP: '10.0.0.1',
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        ports: [{ name: 'a', port: 80, nodePort: 30080 }],
        ...spec,
      }),
    )

  it('keep addresses and node ports that the writer leaves out', () => {
    const { object: kept, errors } = updated(serviceKind, allocated(), (s) => {
      s['spec'] = {
        ...s['spec'],
        ports: [
          { name: 'a', port: 81 },
          { name: 'b', port: 82 },
        ],
      }
      delete s['spec'].clusterIP
      delete s['spec'].clusterIPs
    })
    assert.deepEqual(errors, [])
    assert.equal(kept['spec'].clusterIP, '10.0.0.1')
    assert.deepEqual(kept['spec'].clusterIPs, ['10.0.0.1'])
    assert.deepEqual(
      kept['spec'].ports.map((p: Fields) => p['nodePort']),
      [30080, undefined],
    )
  })

  it('drop what belongs to the old type', () => {
    const plain = updated(serviceKind, allocated(), (s) => (s['spec'].type = 'ClusterIP'))
    assert.deepEqual(plain.errors, [])
    assert.equal(plain.object['spec'].ports[0].nodePort, undefined)
    assert.equal(plain.object['spec'].externalTrafficPolicy, undefined)
    const named = updated(serviceKind, allocated(), (s) => {
      s['spec'].type = 'ExternalName'
      s['spec'].externalName = 'example.com'
    })
    assert.deepEqual(named.errors, [])
    assert.equal(named.object['spec'].clusterIP, undefined)
    assert.equal(named.object['spec'].clusterIPs, undefined)
  })

  const cases: [string, (s: KubeObject) => void, string[]][] = [
    ['nothing', () => {}, []],
    [
      'another address',
      (s) => (s['spec'].clusterIP = '10.0.0.2'),
      ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set'],
    ],
    [
      'headless now',
      (s) => Object.assign(s['spec'], { type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'] }),
      ['spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'],
    ],
    [
      'another family',
      (s) => (s['spec'].ipFamilies = ['IPv6']),
      [
        'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set',
        'spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`',
      ],
    ],
  ]
  for (const [name, change, errors] of cases)
    it(name, () => assert.deepEqual(updated(serviceKind, allocated(), change).errors, errors))

  it('a secondary address goes only with its policy', () => {
    const dual = allocated({
      clusterIPs: ['10.0.0.1', 'fd00::1'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'PreferDualStack',
    })
    const release = (policy: string) => (s: KubeObject) => {
      Object.assign(s['spec'], { clusterIPs: ['10.0.0.1'], ipFamilies: ['IPv4'], ipFamilyPolicy: policy })
    }
    assert.deepEqual(updated(serviceKind, dual, release('SingleStack')).errors, [])
    assert.deepEqual(updated(serviceKind, dual, release('PreferDualStack')).errors, [
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary clusterIP',
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary ipFamily',
    ])
  })

  it('the class of a load balancer stays', () => {
    const balancer = allocated({ type: 'LoadBalancer', loadBalancerClass: 'example.com/a' })
    const { errors } = updated(serviceKind, balancer, (s) => (s['spec'].loadBalancerClass = 'example.com/b'))
    assert.deepEqual(errors, ['spec.loadBalancerClass: Invalid value: "example.com/b": may not change once set'])
  })

  it('status', () => {
    const write = (type: string, ingress: Fields[]): string[] =>
      updated(serviceKind, allocated({ type }), (s) => (s['status'] = { loadBalancer: { ingress } }), 'status').errors
    assert.deepEqual(write('LoadBalancer', [{ ip: '1.2.3.4' }, { hostname: 'a.example.com' }]), [])
    assert.deepEqual(write('NodePort', [{ ip: '1.2.3.4' }]), [
      "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
    ])
    assert.deepEqual(
      write('LoadBalancer', [
        { ip: 'x', ipMode: 'Magic' },
        { hostname: '1.2.3.4', ipMode: 'VIP' },
      ]),
      [
        'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'status.loadBalancer.ingress[0].ipMode: Unsupported value: "Magic": supported values: "Proxy", "VIP"',
        'status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
      ],
    )
  })
})

describe('the table of services', () => {
  const row = (spec: Fields, ingress: Fields[] = []): unknown[] => {
    const input = created(serviceKind, service(spec))
    input['status'] = { loadBalancer: { ingress } }
    return Object.values(cells(serviceKind, input)).slice(1)
  }
  const cases: [string, unknown[], unknown[]][] = [
    [
      'cluster IP',
      row({ clusterIP: '10.0.0.1', selector: { b: '2', a: '1' } }),
      ['ClusterIP', '10.0.0.1', '<none>', '80/TCP', '<unknown>', 'a=1,b=2'],
    ],
    [
      'node port',
      row({
        type: 'NodePort',
        externalIPs: ['1.1.1.1'],
        ports: [
          { port: 80, nodePort: 30000 },
          { port: 53, protocol: 'UDP' },
        ],
      }),
      ['NodePort', '<none>', '1.1.1.1', '80:30000/TCP,53/UDP', '<unknown>', '<none>'],
    ],
    ['pending', row({ type: 'LoadBalancer' }).slice(0, 3), ['LoadBalancer', '<none>', '<pending>']],
    [
      'balanced',
      row({ type: 'LoadBalancer', externalIPs: ['9.9.9.9'] }, [
        { ip: '2.2.2.2' },
        { hostname: 'very-long.example.com' },
      ]).slice(2, 3),
      ['2.2.2.2,very-...,9.9.9.9'],
    ],
    [
      'external name',
      row({ type: 'ExternalName', externalName: 'example.com', ports: [] }),
      ['ExternalName', '<none>', 'example.com', '<none>', '<unknown>', '<none>'],
    ],
  ]
  for (const [name, actual, expected] of cases) it(name, () => assert.deepEqual(actual, expected))
})
