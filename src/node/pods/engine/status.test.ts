import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makePod, NOW, run, runtime, sandbox } from './fixture.ts'
import type { Pod } from './pod.ts'
import { NO_RUNTIME, type PodRuntime } from './runtime-state.ts'
import { podStatus, type StatusInput } from './status.ts'
import type { PodStatus } from './status-types.ts'

const of = (pod: Pod, now: PodRuntime, fields: Partial<StatusInput> = {}): PodStatus =>
  podStatus({
    pod,
    runtime: now,
    waiting: new Map(),
    ready: () => true,
    started: () => true,
    hostIP: '192.0.2.1',
    startTime: NOW - 60_000,
    now: NOW,
    ended: false,
    ...fields,
  })

const c = (name: string, fields: object = {}): object => ({ name, image: 'web:1', ...fields })
const onFailure = makePod({ restartPolicy: 'OnFailure' })
const never = makePod({ restartPolicy: 'Never' })
const withInit = (policy: string): Pod => makePod({ restartPolicy: policy, initContainers: [c('one')] })
const withSidecar = makePod({ restartPolicy: 'Never', initContainers: [c('proxy', { restartPolicy: 'Always' })] })
const crashing = { waiting: new Map([['main', { reason: 'CrashLoopBackOff', message: 'back-off' }]]) }

const phases: [what: string, phase: string, pod: Pod, runtime: PodRuntime, fields?: Partial<StatusInput>][] = [
  ['nothing yet', 'Pending', makePod(), NO_RUNTIME],
  ['a sandbox', 'Pending', makePod(), runtime([])],
  ['created', 'Pending', makePod(), runtime([run('main', 'created')])],
  ['running', 'Running', makePod(), runtime([run('main', 'running')])],
  ['one of two', 'Pending', makePod({ containers: [c('main'), c('b')] }), runtime([run('main', 'running')])],
  [
    'one of two ended',
    'Running',
    makePod({ restartPolicy: 'Never', containers: [c('main'), c('b')] }),
    runtime([run('main', 'running'), run('b', 1)]),
  ],
  ['Always: ended', 'Running', makePod(), runtime([run('main', 0)])],
  ['Always: crash loop', 'Running', makePod(), runtime([run('main', 1)]), crashing],
  ['OnFailure: failed', 'Running', onFailure, runtime([run('main', 1)])],
  [
    'OnFailure: succeeded, its sandbox still stands',
    'Running',
    makePod({ restartPolicy: 'OnFailure' }, { phase: 'Running' }),
    runtime([run('main', 0)]),
  ],
  ['OnFailure: succeeded', 'Succeeded', onFailure, runtime([run('main', 0)]), { ended: true }],
  ['Never: succeeded', 'Succeeded', never, runtime([run('main', 0)]), { ended: true }],
  ['Never: failed', 'Failed', never, runtime([run('main', 1)]), { ended: true }],
  [
    'Never: one of two failed',
    'Failed',
    makePod({ restartPolicy: 'Never', containers: [c('main'), c('b')] }),
    runtime([run('main', 0), run('b', 2)]),
    { ended: true },
  ],
  ['init runs', 'Pending', withInit('Always'), runtime([run('one', 'running')])],
  ['init failed, and is repeated', 'Pending', withInit('Always'), runtime([run('one', 1)])],
  ['init failed, Never', 'Failed', withInit('Never'), runtime([run('one', 1)]), { ended: true }],
  ['init is done', 'Pending', withInit('Always'), runtime([run('one', 0)])],
  ['sidecar has not started', 'Pending', withSidecar, runtime([run('proxy', 'running')]), { started: () => false }],
  ['sidecar and container', 'Running', withSidecar, runtime([run('proxy', 'running'), run('main', 'running')])],
  [
    'the sidecar failed at the end',
    'Succeeded',
    withSidecar,
    runtime([run('proxy', 137), run('main', 0)]),
    { ended: true },
  ],
  ['deleted while it ran', 'Failed', makePod(), runtime([run('main', 137)]), { ended: true }],
  ['deleted before it started', 'Failed', makePod(), NO_RUNTIME, { ended: true }],
  [
    'its time is over',
    'Failed',
    makePod(),
    runtime([run('main', 'running')]),
    { verdict: { reason: 'DeadlineExceeded', message: 'm' }, ended: true },
  ],
  ['it has ended and stays so', 'Succeeded', makePod({}, { phase: 'Succeeded' }), runtime([run('main', 'running')])],
]

describe('phase', () => {
  for (const [what, phase, pod, now, fields] of phases) it(what, () => assert.equal(of(pod, now, fields).phase, phase))
})

describe('container statuses', () => {
  const main = (pod: Pod, now: PodRuntime, fields?: Partial<StatusInput>) => of(pod, now, fields).containerStatuses![0]!

  it('waits, for what it waits', () => {
    assert.deepEqual(main(makePod(), NO_RUNTIME).state, { waiting: { reason: 'ContainerCreating' } })
    assert.deepEqual(main(withInit('Always'), NO_RUNTIME).state, { waiting: { reason: 'PodInitializing' } })
    const waiting = new Map([['main', { reason: 'ErrImagePull', message: 'no such host' }]])
    assert.deepEqual(main(makePod(), NO_RUNTIME, { waiting }).state, {
      waiting: { reason: 'ErrImagePull', message: 'no such host' },
    })
  })

  it('runs', () => {
    assert.deepEqual(
      main(
        makePod(),
        runtime([run('main', 'running', { restartCount: 2 }), run('main', 7, { restartCount: 1, message: 'bye' })]),
      ),
      {
        name: 'main',
        state: { running: { startedAt: '2026-11-01T11:59:10Z' } },
        lastState: {
          terminated: {
            exitCode: 7,
            reason: 'Error',
            message: 'bye',
            startedAt: '2026-11-01T11:59:10Z',
            finishedAt: '2026-11-01T11:59:59Z',
            containerID: 'containerd://main-1',
          },
        },
        ready: true,
        restartCount: 2,
        image: 'web:1',
        imageID: 'sha256:1',
        containerID: 'containerd://main-2',
        started: true,
      },
    )
  })

  it('in a crash loop its last run is its last state', () => {
    const status = main(makePod(), runtime([run('main', 1, { reason: 'OOMKilled' })]), crashing)
    assert.deepEqual(status.state, { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } })
    assert.equal(status.lastState.terminated?.reason, 'OOMKilled')
    assert.deepEqual([status.ready, status.started], [false, false])
  })

  it('is ready when it has started and its probe says so', () => {
    const now = runtime([run('main', 'running')])
    assert.deepEqual(
      [main(makePod(), now, { ready: () => false }).ready, main(makePod(), now, { started: () => false }).ready],
      [false, false],
    )
  })

  it('keeps what was told of a container that the runtime has lost', () => {
    const terminated = { exitCode: 0, reason: 'Completed', startedAt: null, finishedAt: null }
    const told = {
      containerStatuses: [{ name: 'main', state: { terminated }, lastState: {}, restartCount: 1 }],
      phase: 'Succeeded',
    }
    assert.deepEqual(main(makePod({ restartPolicy: 'Never' }, told), NO_RUNTIME).state, { terminated })
    const running = { containerStatuses: [{ name: 'main', state: { running: { startedAt: '2026-11-01T11:00:00Z' } } }] }
    const lost = main(makePod({}, running), NO_RUNTIME, { ended: true }).state.terminated
    assert.deepEqual([lost?.exitCode, lost?.reason], [137, 'ContainerStatusUnknown'])
  })
})

describe('conditions', () => {
  const shown = (status: PodStatus): string[] =>
    status.conditions.map(({ type, status: is, reason }) => `${type}=${is}${reason === undefined ? '' : ` ${reason}`}`)

  it('of a pod that starts', () => {
    const pod = makePod({ initContainers: [c('one')] })
    const status = of(pod, runtime([run('one', 'running')], [sandbox({ ips: [] })]))
    assert.deepEqual(shown(status), [
      'PodReadyToStartContainers=False',
      'Initialized=False ContainersNotInitialized',
      'Ready=False ContainersNotReady',
      'ContainersReady=False ContainersNotReady',
      'PodScheduled=True',
    ])
    assert.equal(status.conditions[1]?.message, 'containers with incomplete status: [one]')
    assert.equal(status.conditions[2]?.message, 'containers with unready status: [main]')
  })

  it('dates a transition only when the status changes, and leaves those of others', () => {
    const conditions = [
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' },
      { type: 'ContainersReady', status: 'False', lastTransitionTime: '2026-01-01T00:00:00Z' },
      { type: 'example.com/gate', status: 'False', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ]
    const status = of(makePod({}, { conditions }), runtime([run('main', 'running')]))
    const time = (type: string): string | undefined =>
      status.conditions.find((one) => one.type === type)?.lastTransitionTime
    assert.equal(time('Ready'), '2026-01-01T00:00:00Z')
    assert.equal(time('ContainersReady'), '2026-11-01T12:00:00Z')
    assert.deepEqual(status.conditions.at(-1), conditions[2])
  })

  it('waits for readiness gates', () => {
    const gates = { readinessGates: [{ conditionType: 'example.com/gate' }] }
    const now = runtime([run('main', 'running')])
    const ready = (status: PodStatus) => status.conditions.find(({ type }) => type === 'Ready')
    assert.equal(ready(of(makePod(gates), now))?.reason, 'ReadinessGatesNotReady')
    const open = { conditions: [{ type: 'example.com/gate', status: 'True' }] }
    assert.equal(ready(of(makePod(gates, open), now))?.status, 'True')
  })
})

describe('addresses', () => {
  it('are the sandbox’s, in the node’s network the node’s, and stay when it is gone', () => {
    assert.deepEqual(of(makePod(), runtime([])).podIPs, [{ ip: '10.0.0.5' }])
    assert.equal(of(makePod({ hostNetwork: true }), runtime([], [sandbox({ ips: [] })])).podIP, '192.0.2.1')
    assert.equal(of(makePod({}, { podIPs: [{ ip: '10.0.0.9' }] }), NO_RUNTIME).podIP, '10.0.0.9')
    assert.equal(of(makePod(), NO_RUNTIME).podIP, undefined)
  })
})
