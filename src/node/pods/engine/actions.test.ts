import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Actions, computeActions, duration, type ProbeVerdicts } from './actions.ts'
import { Backoffs } from './backoff.ts'
import { makePod, NOW, run, runtime, sandbox } from './fixture.ts'
import type { Pod } from './pod.ts'
import { NO_RUNTIME, type PodRuntime } from './runtime-state.ts'

const HEALTHY: ProbeVerdicts = { started: () => true, failed: () => undefined }
const unstarted: ProbeVerdicts = { started: () => false, failed: () => undefined }
const failing = (kind: 'liveness' | 'startup'): ProbeVerdicts => ({
  started: () => kind === 'liveness',
  failed: () => kind,
})

const c = (name: string, fields: object = {}): object => ({ name, image: 'web:1', ...fields })
const side = (name: string): object => c(name, { restartPolicy: 'Always' })

/** Written as `killPod sandbox#1 -main +init:one +main(2) ~main finished`. */
function written(actions: Actions): string {
  const parts = [
    actions.killPod ? 'killPod' : '',
    actions.createSandbox === undefined ? '' : `sandbox#${actions.createSandbox.attempt}`,
    ...actions.kill.map(({ record }) => `-${record.name}`),
    ...actions.start.map(
      ({ container, role, restartCount }) =>
        `+${role === 'main' ? '' : `${role}:`}${container.name}${restartCount > 0 ? `(${restartCount})` : ''}`,
    ),
    ...[...actions.waiting.keys()].map((name) => `~${name}`),
    actions.finished ? 'finished' : '',
  ]
  return parts.filter((part) => part !== '').join(' ')
}

const plain = makePod()
const two = makePod({ containers: [c('main'), c('side')] })
const never = makePod({ restartPolicy: 'Never' })
const onFailure = makePod({ restartPolicy: 'OnFailure' })
const withInit = (policy = 'Always'): Pod => makePod({ restartPolicy: policy, initContainers: [c('one'), c('two')] })
const withSidecar = (policy = 'Always'): Pod =>
  makePod({ restartPolicy: policy, initContainers: [side('proxy'), c('two')] })

type Row = [what: string, pod: Pod, runtime: PodRuntime, expected: string, probes?: ProbeVerdicts]

const rows: Row[] = [
  ['nothing is there', plain, NO_RUNTIME, 'sandbox#0 +main'],
  ['two containers', two, NO_RUNTIME, 'sandbox#0 +main +side'],
  ['a sandbox without containers', plain, runtime([]), '+main'],
  ['all runs', two, runtime([run('main', 'running'), run('side', 'running')]), ''],
  ['one is missing', two, runtime([run('main', 'running')]), '+side'],
  ['created, never started', plain, runtime([run('main', 'created')]), '+main(1)'],
  ['ended well', plain, runtime([run('main', 0)]), '+main(1)'],
  [
    'ended badly, again',
    plain,
    runtime([run('main', 1, { restartCount: 3 }), run('main', 1, { restartCount: 2 })]),
    '+main(4)',
  ],
  ['Never: ended well', never, runtime([run('main', 0)]), 'killPod finished'],
  ['Never: ended badly', never, runtime([run('main', 1)]), 'killPod finished'],
  ['OnFailure: ended well', onFailure, runtime([run('main', 0)]), 'killPod finished'],
  ['OnFailure: ended badly', onFailure, runtime([run('main', 1)]), '+main(1)'],
  [
    'OnFailure: one of two goes on',
    makePod({ restartPolicy: 'OnFailure', containers: [c('main'), c('side')] }),
    runtime([run('main', 0), run('side', 'running')]),
    '',
  ],
  ['unknown to the runtime', plain, runtime([run('main', 'unknown')]), '-main +main(1)'],
  ['the image was changed', plain, runtime([run('main', 'running', { hash: 'other' })]), '-main +main(1)'],
  ['liveness fails', plain, runtime([run('main', 'running')]), '-main +main(1)', failing('liveness')],
  ['startup fails', plain, runtime([run('main', 'running')]), '-main +main(1)', failing('startup')],
  ['Never: liveness fails', never, runtime([run('main', 'running')]), '-main', failing('liveness')],

  [
    'the sandbox died',
    plain,
    runtime([run('main', 'running')], [sandbox({ ready: false })]),
    'killPod sandbox#1 +main(1)',
  ],
  [
    'the sandbox died, containers are over',
    plain,
    runtime([run('main', 1)], [sandbox({ ready: false, attempt: 4 })]),
    'sandbox#5 +main(1)',
  ],
  [
    'Never: the sandbox died',
    never,
    runtime([run('main', 'running')], [sandbox({ ready: false })]),
    'killPod finished',
  ],
  [
    'Never: the sandbox died before it had containers',
    never,
    runtime([], [sandbox({ ready: false })]),
    'sandbox#1 +main',
  ],
  [
    'OnFailure: the sandbox died after success',
    onFailure,
    runtime([run('main', 0)], [sandbox({ ready: false })]),
    'finished',
  ],
  [
    'an old sandbox is ready beside a new dead one',
    plain,
    runtime([], [sandbox({ id: 's1', attempt: 1, ready: false }), sandbox()]),
    'killPod sandbox#2 +main',
  ],
  [
    'with init containers a new sandbox begins anew',
    withInit(),
    runtime([run('one', 0), run('two', 0), run('main', 'running')], [sandbox({ ready: false })]),
    'killPod sandbox#1 +init:one(1)',
  ],

  ['init: the first', withInit(), NO_RUNTIME, 'sandbox#0 +init:one'],
  ['init: it runs', withInit(), runtime([run('one', 'running')]), ''],
  ['init: the second', withInit(), runtime([run('one', 0)]), '+init:two'],
  ['init: both are done', withInit(), runtime([run('one', 0), run('two', 0)]), '+main'],
  ['init: it failed', withInit(), runtime([run('one', 1)]), '+init:one(1)'],
  ['init: it failed, Never', withInit('Never'), runtime([run('one', 1)]), 'killPod finished'],
  [
    'init: not repeated when a container ends',
    withInit(),
    runtime([run('main', 1), run('one', 0), run('two', 0)]),
    '+main(1)',
  ],
  [
    'init: of an old sandbox does not count',
    withInit(),
    runtime([run('one', 0, { sandboxId: 'old' })]),
    '+init:one(1)',
  ],

  ['sidecar: first', withSidecar(), NO_RUNTIME, 'sandbox#0 +sidecar:proxy'],
  ['sidecar: it has not started', withSidecar(), runtime([run('proxy', 'running')]), '', unstarted],
  ['sidecar: it has started', withSidecar(), runtime([run('proxy', 'running')]), '+init:two'],
  ['sidecar: it ended during initialization', withSidecar(), runtime([run('proxy', 1)]), '+sidecar:proxy(1)'],
  [
    'sidecar: it ended later',
    withSidecar(),
    runtime([run('proxy', 0), run('two', 0), run('main', 'running')]),
    '+sidecar:proxy(1)',
  ],
  [
    'sidecar: liveness fails',
    withSidecar('Never'),
    runtime([run('proxy', 'running'), run('two', 0)]),
    '-proxy +sidecar:proxy(1) +main',
    { started: () => true, failed: ({ name }) => (name === 'proxy' ? 'liveness' : undefined) },
  ],
  [
    'sidecar: it does not keep the pod',
    withSidecar('Never'),
    runtime([run('proxy', 'running'), run('two', 0), run('main', 0)]),
    'killPod finished',
  ],
  [
    'sidecar: nor is it started for that',
    withSidecar('Never'),
    runtime([run('proxy', 1), run('two', 0), run('main', 0)]),
    'killPod finished',
  ],

  [
    'ephemeral: once',
    makePod({ ephemeralContainers: [c('debug')] }),
    runtime([run('main', 'running')]),
    '+ephemeral:debug',
  ],
  [
    'ephemeral: never again',
    makePod({ ephemeralContainers: [c('debug')] }),
    runtime([run('main', 'running'), run('debug', 0)]),
    '',
  ],
]

describe('what to do next for a pod', () => {
  for (const [what, pod, now, expected, probes = HEALTHY] of rows)
    it(what, () => {
      const actions = computeActions({ pod, runtime: now, probes, backoffs: new Backoffs(), now: NOW })
      assert.equal(written(actions), expected)
    })
})

describe('back-off', () => {
  it('waits 10 s after the second failure, then twice as long, up to 5 minutes; peace resets it', () => {
    const backoffs = new Backoffs()
    let now = NOW
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      const failedAt = now
      const waiting = backoffs.waiting('k', failedAt, now)
      waits.push((waiting?.waitMs ?? 0) / 1000)
      now = waiting?.until ?? now
      assert.equal(backoffs.waiting('k', failedAt, now), undefined)
      backoffs.next('k', failedAt, now)
      now += 1000
    }
    assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300])
    now += 600_001
    assert.equal(backoffs.waiting('k', now, now), undefined)
    backoffs.next('k', now, now)
    assert.equal(backoffs.waiting('k', now, now)?.waitMs, 10_000)
    backoffs.forget('k')
    assert.equal(backoffs.waiting('k', now, now), undefined)
  })

  it('shows in the plan: who waits is not started, and when it may be', () => {
    const backoffs = new Backoffs()
    backoffs.next('u1/main', NOW - 5000, NOW - 5000)
    const plan = computeActions({
      pod: plain,
      runtime: runtime([run('main', 1, { finishedAt: NOW - 1000 })]),
      probes: HEALTHY,
      backoffs,
      now: NOW,
    })
    assert.equal(written(plan), '~main')
    assert.equal(plan.wakeAt, NOW + 9000)
    assert.deepEqual(plan.waiting.get('main'), {
      reason: 'CrashLoopBackOff',
      message: 'back-off 10s restarting failed container=main pod=web_shop(u1)',
    })
  })

  it('is said as Go says it', () =>
    assert.deepEqual([10_000, 40_000, 80_000, 160_000, 300_000].map(duration), [
      '10s',
      '40s',
      '1m20s',
      '2m40s',
      '5m0s',
    ]))
})
