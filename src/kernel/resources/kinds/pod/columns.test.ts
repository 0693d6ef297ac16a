import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { podKind } from '../pod.ts'
import { cells, container, pod } from './cases.ts'

type Fields = Record<string, unknown>
const waiting = (reason: string): Fields => ({ waiting: { reason } })
const terminated = (fields: Fields): Fields => ({ terminated: fields })
const status = (name: string, state: Fields, fields: Fields = {}): Fields => ({
  name,
  state,
  restartCount: 0,
  ...fields,
})
const up = (name = 'web'): Fields => status(name, { running: {} }, { ready: true })
const sidecar = container({ name: 'side', restartPolicy: 'Always' })

describe('the table of pods', () => {
  // name, spec, status, metadata, Ready, Status, Restarts
  const cases: [string, Fields, Fields, Fields, string, string, string][] = [
    ['pending', {}, { phase: 'Pending' }, {}, '0/1', 'Pending', '0'],
    ['running', {}, { phase: 'Running', containerStatuses: [up()] }, {}, '1/1', 'Running', '0'],
    ['a reason of the pod', {}, { phase: 'Failed', reason: 'Evicted' }, {}, '0/1', 'Evicted', '0'],
    [
      'waiting',
      {},
      { phase: 'Pending', containerStatuses: [status('web', waiting('ImagePullBackOff'))] },
      {},
      '0/1',
      'ImagePullBackOff',
      '0',
    ],
    [
      'crashed three times',
      {},
      {
        phase: 'Running',
        containerStatuses: [
          status('web', waiting('CrashLoopBackOff'), {
            restartCount: 3,
            lastState: terminated({ exitCode: 1, finishedAt: '2025-12-31T23:55:00Z' }),
          }),
        ],
      },
      {},
      '0/1',
      'CrashLoopBackOff',
      '3 (5m ago)',
    ],
    [
      'ended by exit code',
      {},
      { phase: 'Failed', containerStatuses: [status('web', terminated({ exitCode: 137 }))] },
      {},
      '0/1',
      'ExitCode:137',
      '0',
    ],
    [
      'ended by signal',
      {},
      { phase: 'Failed', containerStatuses: [status('web', terminated({ signal: 9 }))] },
      {},
      '0/1',
      'Signal:9',
      '0',
    ],
    [
      'one of two completed',
      { containers: [container(), container({ name: 'b' })] },
      {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        containerStatuses: [status('web', terminated({ exitCode: 0, reason: 'Completed' })), up('b')],
      },
      {},
      '1/2',
      'Running',
      '0',
    ],
    [
      'one of two completed, not ready',
      { containers: [container(), container({ name: 'b' })] },
      {
        phase: 'Running',
        containerStatuses: [status('web', terminated({ exitCode: 0, reason: 'Completed' })), up('b')],
      },
      {},
      '1/2',
      'NotReady',
      '0',
    ],
    [
      'initializing',
      { initContainers: [container({ name: 'i' }), container({ name: 'j' })] },
      {
        phase: 'Pending',
        initContainerStatuses: [
          status('i', terminated({ exitCode: 0 }), { restartCount: 2 }),
          status('j', waiting('PodInitializing')),
        ],
      },
      {},
      '0/1',
      'Init:1/2',
      '2',
    ],
    [
      'an init container failed',
      { initContainers: [container({ name: 'i' })] },
      { phase: 'Pending', initContainerStatuses: [status('i', terminated({ exitCode: 2 }))] },
      {},
      '0/1',
      'Init:ExitCode:2',
      '0',
    ],
    [
      'an init container waits',
      { initContainers: [container({ name: 'i' })] },
      { phase: 'Pending', initContainerStatuses: [status('i', waiting('ErrImagePull'))] },
      {},
      '0/1',
      'Init:ErrImagePull',
      '0',
    ],
    [
      'a sidecar counts',
      { initContainers: [sidecar] },
      {
        phase: 'Running',
        initContainerStatuses: [status('side', { running: {} }, { ready: true, started: true, restartCount: 1 })],
        containerStatuses: [up()],
      },
      {},
      '2/2',
      'Running',
      '1',
    ],
    [
      'gated',
      {},
      { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
      {},
      '0/1',
      'SchedulingGated',
      '0',
    ],
    [
      'being deleted',
      {},
      { phase: 'Running', containerStatuses: [up()] },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
      '1/1',
      'Terminating',
      '0',
    ],
    [
      'deleted after its end',
      {},
      { phase: 'Succeeded' },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
      '0/1',
      'Succeeded',
      '0',
    ],
    [
      'its node is lost',
      {},
      { phase: 'Running', reason: 'NodeLost' },
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
      '0/1',
      'Unknown',
      '0',
    ],
  ]
  for (const [name, spec, state, metadata, ready, text, restarts] of cases)
    it(name, () => {
      const row = cells(podKind, { ...pod(spec, metadata), status: state })
      assert.deepEqual([row['Ready'], row['Status'], row['Restarts']], [ready, text, restarts])
    })

  it('names, places and gates', () => {
    const input = pod(
      { nodeName: 'n1', readinessGates: [{ conditionType: 'a' }, { conditionType: 'b' }] },
      { creationTimestamp: '2025-12-31T00:00:00Z' },
    )
    input['status'] = { podIPs: [{ ip: '10.1.2.3' }], conditions: [{ type: 'a', status: 'True' }] }
    const row = cells(podKind, input)
    assert.deepEqual(row, {
      Name: 'web',
      Ready: '0/1',
      Status: '',
      Restarts: '0',
      Age: '24h',
      IP: '10.1.2.3',
      Node: 'n1',
      'Nominated Node': '<none>',
      'Readiness Gates': '1/2',
    })
    assert.deepEqual(
      podKind.columns.map((c) => c.priority),
      [0, 0, 0, 0, 0, 1, 1, 1, 1],
    )
  })

  it('fields that can be selected', () => {
    const input = { ...pod({ nodeName: 'n1', hostNetwork: true }), status: { phase: 'Running', podIP: '10.0.0.1' } }
    const values = Object.fromEntries(Object.entries(podKind.selectableFields!).map(([k, get]) => [k, get(input)]))
    assert.deepEqual(values, {
      'spec.nodeName': 'n1',
      'spec.restartPolicy': '',
      'spec.schedulerName': '',
      'spec.serviceAccountName': '',
      'spec.hostNetwork': 'true',
      'status.phase': 'Running',
      'status.podIP': '10.0.0.1',
      'status.nominatedNodeName': '',
    })
  })

  it('warnings', () => {
    const input = pod(
      {
        nodeSelector: { 'beta.kubernetes.io/os': 'linux' },
        containers: [
          container({
            env: [
              { name: 'A', value: '1' },
              { name: 'A', value: '2' },
            ],
            ports: [{ containerPort: 80 }, { containerPort: 80 }],
            resources: { requests: { memory: '100m' } },
          }),
        ],
        volumes: [{ name: 'g', gitRepo: { repository: 'x' } }],
      },
      { name: 'a.b' },
    )
    assert.deepEqual(podKind.strategy!.warnings!(input, undefined), [
      "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
      'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
      'spec.volumes[0].gitRepo: deprecated in v1.11',
      'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
      'spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]',
      'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer',
    ])
    assert.deepEqual(podKind.strategy!.warnings!(input, input), [])
  })
})
