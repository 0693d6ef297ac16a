import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../../api/object.ts'
import { podKind } from '../pod.ts'
import { container, created, pod, updated } from './cases.ts'

type Change = (object: KubeObject) => void
const UPDATABLE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

const running = (): KubeObject =>
  created(
    podKind,
    pod({
      activeDeadlineSeconds: 100,
      tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }],
      initContainers: [container({ name: 'init' })],
    }),
  )

describe('updates of pods', () => {
  const cases: [string, Change, string[]][] = [
    ['nothing', () => {}, []],
    ['labels', (p) => (p.metadata.labels = { a: 'b' }), []],
    ['an image', (p) => (p['spec'].containers[0].image = 'nginx:2'), []],
    ["an init container's image", (p) => (p['spec'].initContainers[0].image = 'x:2'), []],
    ['an earlier deadline', (p) => (p['spec'].activeDeadlineSeconds = 50), []],
    [
      'a later deadline',
      (p) => (p['spec'].activeDeadlineSeconds = 200),
      ['spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value'],
    ],
    [
      'no deadline',
      (p) => delete p['spec'].activeDeadlineSeconds,
      ['spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value'],
    ],
    ['one more toleration', (p) => p['spec'].tolerations.push({ key: 'b', operator: 'Exists' }), []],
    ['other tolerationSeconds', (p) => (p['spec'].tolerations[0].tolerationSeconds = 9), []],
    [
      'a toleration changed',
      (p) => (p['spec'].tolerations[0].key = 'b'),
      ['spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds'],
    ],
    [
      'other fields',
      (p) => {
        p['spec'].nodeName = 'n1'
        p['spec'].containers[0].command = ['x']
      },
      [`spec: Forbidden: ${UPDATABLE}\nchanged: spec.containers[0].command, spec.nodeName`],
    ],
    [
      'zero values written out',
      (p) => {
        p['spec'].hostNetwork = false
        p['spec'].nodeSelector = {}
        p['spec'].hostname = ''
      },
      [],
    ],
    [
      'another container',
      (p) => p['spec'].containers.push(container({ name: 'b' })),
      ['spec.containers: Forbidden: pod updates may not add or remove containers'],
    ],
    [
      'no image',
      (p) => (p['spec'].containers[0].image = ''),
      ['spec.containers[0].image: Required value', 'spec.containers[0].image: Required value'],
    ],
    [
      'a gate',
      (p) => (p['spec'].schedulingGates = [{ name: 'x' }]),
      ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x'"],
    ],
    [
      'the mirror mark',
      (p) => {
        p.metadata.annotations = { 'kubernetes.io/config.mirror': 'x' }
      },
      [
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set',
        'metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation',
      ],
    ],
  ]
  for (const [name, change, errors] of cases)
    it(name, () => assert.deepEqual(updated(podKind, running(), change).errors, errors))

  it('a negative grace period becomes 1', () => {
    const old = created(podKind, pod({ terminationGracePeriodSeconds: -5 }))
    assert.deepEqual(updated(podKind, old, (p) => (p['spec'].terminationGracePeriodSeconds = 1)).errors, [])
    assert.equal(updated(podKind, old, (p) => (p['spec'].terminationGracePeriodSeconds = 2)).errors.length, 1)
  })

  describe('of a gated pod', () => {
    const terms = (...nodeSelectorTerms: object[]): object => ({
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
    })
    const zone = { key: 'zone', operator: 'In', values: ['a'] }
    const arch = { key: 'arch', operator: 'Exists' }
    const gated = (): KubeObject =>
      created(
        podKind,
        pod({
          schedulingGates: [{ name: 'x' }],
          nodeSelector: { disk: 'ssd' },
          affinity: terms({ matchExpressions: [zone] }),
        }),
      )
    const rows: [string, Change, string[]][] = [
      ['the gate goes', (p) => delete p['spec'].schedulingGates, []],
      ['one more label of nodes', (p) => (p['spec'].nodeSelector.zone = 'b'), []],
      [
        'another label',
        (p) => (p['spec'].nodeSelector = { disk: 'hdd' }),
        [
          'spec.nodeSelector: Invalid value: {"disk":"hdd"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
        ],
      ],
      ['one more expression', (p) => (p['spec'].affinity = terms({ matchExpressions: [zone, arch] })), []],
      [
        'another term',
        (p) => (p['spec'].affinity = terms({ matchExpressions: [zone] }, { matchExpressions: [arch] })),
        [
          'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Invalid value: [{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]},{"matchExpressions":[{"key":"arch","operator":"Exists"}]}]: no additions/deletions to non-empty NodeSelectorTerms list are allowed',
        ],
      ],
      [
        'another expression',
        (p) => (p['spec'].affinity = terms({ matchExpressions: [arch] })),
        [
          'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {"matchExpressions":[{"key":"arch","operator":"Exists"}]}: only additions are allowed (no mutations or deletions)',
        ],
      ],
    ]
    for (const [name, change, errors] of rows)
      it(name, () => assert.deepEqual(updated(podKind, gated(), change).errors, errors))
  })

  it('a binding assigns the node', () => {
    const { object, errors } = updated(podKind, running(), (p) => (p['spec'].nodeName = 'n1'), 'binding')
    assert.deepEqual(errors, [])
    assert.equal(object['spec'].nodeName, 'n1')
  })
})

describe('status of pods', () => {
  const ended = (exitCode: number): object => ({ name: 'web', state: { terminated: { exitCode } } })
  const old = (restartPolicy: string, exitCode: number): KubeObject => {
    const p = created(podKind, pod({ restartPolicy }))
    p['status'].containerStatuses = [ended(exitCode)]
    return p
  }
  const runs: Change = (p) => (p['status'].containerStatuses = [{ name: 'web', state: { running: {} } }])
  const refused = ['status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state']
  const cases: [string, KubeObject, Change, string[]][] = [
    ['Never: an ended container runs again', old('Never', 1), runs, refused],
    ['OnFailure: a failed one may', old('OnFailure', 1), runs, []],
    ['OnFailure: one that succeeded may not', old('OnFailure', 0), runs, refused],
    ['Always: any may', old('Always', 0), runs, []],
    [
      'the QoS class',
      old('Always', 0),
      (p) => (p['status'].qosClass = 'Guaranteed'),
      ['status.qosClass: Invalid value: "Guaranteed": field is immutable'],
    ],
    [
      'conditions, nomination and addresses',
      old('Always', 0),
      (p) => {
        Object.assign(p['status'], {
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'a b', status: 'True' },
          ],
          nominatedNodeName: 'N',
          podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }, { ip: 'x' }],
          hostIP: '1.2.3.4',
          hostIPs: [{ ip: '1.2.3.5' }],
        })
      },
      [
        "metadata.conditions[1].Type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        "status.nominatedNodeName: Invalid value: \"N\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        'status.podIPs[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"},{"ip":"x"}]: may specify no more than one IP for each IP family',
        'status.hostIPs[0].ip: Invalid value: "1.2.3.5": must be equal to `hostIP`',
      ],
    ],
  ]
  for (const [name, before, change, errors] of cases)
    it(name, () => assert.deepEqual(updated(podKind, before, change, 'status').errors, errors))

  it('keeps the QoS class that an old kubelet drops, and shows podIP beside podIPs', () => {
    const { object } = updated(
      podKind,
      old('Always', 0),
      (p) => (p['status'] = { phase: 'Running', podIPs: [{ ip: '10.0.0.9' }] }),
      'status',
    )
    assert.equal(object['status'].qosClass, 'BestEffort')
    assert.equal(object['status'].podIP, '10.0.0.9')
  })
})

describe('ephemeral containers', () => {
  const debug = (fields: object = {}): object => ({ ...container({ name: 'debug' }), ...fields })
  const add =
    (...list: object[]): Change =>
    (p) =>
      (p['spec'].ephemeralContainers = list)
  const cases: [string, Change, string[]][] = [
    ['one', add(debug({ targetContainerName: 'web' })), []],
    [
      'what they may not have',
      add(
        debug({
          name: 'web',
          targetContainerName: 'none',
          ports: [{ containerPort: 1, protocol: 'TCP' }],
          resources: { limits: { cpu: '1' } },
        }),
      ),
      [
        'spec.ephemeralContainers[0].name: Duplicate value: "web"',
        'spec.ephemeralContainers[0].targetContainerName: Not found: "none"',
        'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
        'spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container',
      ],
    ],
  ]
  for (const [name, change, errors] of cases)
    it(name, () => assert.deepEqual(updated(podKind, running(), change, 'ephemeralcontainers').errors, errors))

  it('stay as they are, and nothing else changes with them', () => {
    const { object: first } = updated(podKind, running(), add(debug()), 'ephemeralcontainers')
    const change = (p: KubeObject): void => {
      p['spec'].nodeName = 'elsewhere'
      p['spec'].ephemeralContainers = [debug({ image: 'other' })]
    }
    const { object, errors } = updated(podKind, first, change, 'ephemeralcontainers')
    assert.equal(object['spec'].nodeName, undefined)
    assert.deepEqual(errors, [
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed\n',
    ])
    const { errors: removed } = updated(podKind, first, add(), 'ephemeralcontainers')
    assert.deepEqual(removed, [
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n',
    ])
  })
})

describe('resize', () => {
  const sized = (): KubeObject =>
    created(
      podKind,
      pod({
        containers: [
          container({ resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '2Gi' } } }),
        ],
      }),
    )
  const resources = (p: KubeObject): Record<string, Record<string, string>> => p['spec'].containers[0].resources
  const cases: [string, Change, string[]][] = [
    ['more cpu', (p) => (resources(p)['requests']!['cpu'] = '1500m'), []],
    [
      'another QoS class',
      (p) => (p['spec'].containers[0].resources = { requests: resources(p)['limits'], limits: resources(p)['limits'] }),
      ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'],
    ],
    [
      'less memory',
      (p) => (resources(p)['limits']!['memory'] = '1Gi'),
      [
        'spec.containers[0].resources.limits[memory]: Forbidden: memory limits cannot be decreased unless resizePolicy is RestartContainer',
      ],
    ],
    [
      'no limits',
      (p) => delete resources(p)['limits'],
      ['spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed'],
    ],
    [
      'other resources',
      (p) => (resources(p)['limits']!['ephemeral-storage'] = '1Gi'),
      ['spec: Forbidden: only cpu and memory resources are mutable'],
    ],
  ]
  for (const [name, change, errors] of cases)
    it(name, () => assert.deepEqual(updated(podKind, sized(), change, 'resize').errors, errors))

  it('changes nothing else', () => {
    const change = (p: KubeObject): void => {
      p['spec'].containers[0].image = 'other'
      resources(p)['requests']!['cpu'] = '1200m'
    }
    const { object, errors } = updated(podKind, sized(), change, 'resize')
    assert.deepEqual(errors, [])
    assert.equal(object['spec'].containers[0].image, 'nginx:1')
    assert.equal(object['spec'].containers[0].resources.requests.cpu, '1200m')
  })
})

describe('the grace of a delete', () => {
  const grace = (spec: object, phase = 'Running'): number =>
    podKind.strategy!.gracePeriodSeconds!({ ...pod({ ...spec }), status: { phase } })
  it('is that of the spec while a kubelet has the pod', () => {
    assert.equal(grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }), 30)
    assert.equal(grace({ nodeName: 'n', terminationGracePeriodSeconds: -3 }), 1)
    assert.equal(grace({ terminationGracePeriodSeconds: 30 }), 0)
    assert.equal(grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, 'Failed'), 0)
  })
})
