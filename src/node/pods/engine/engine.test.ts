import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { NAMESPACE_MODE, PROFILE } from '../../../platform/cri/index.ts'
import { hostsFile, parseResolvConf, podDns, podHostname } from './dns.ts'
import { makePod } from './fixture.ts'
import { afterOutcome, initialState, type Outcome, type ProbeKind } from './probe-state.ts'
import { pullCredentials } from './pull-credentials.ts'
import { cpuQuota, cpuShares, linuxResources, oomScoreAdj, podCgroup } from './resources.ts'
import { containerSecurity, namespaceOptions } from './security.ts'

describe('probe thresholds', () => {
  const rows: [ProbeKind, outcomes: string, results: string][] = [
    // Defaults: three failures, one success. Results after each outcome: - failure, + success, ? unknown, ! held.
    ['readiness', '+', '+'],
    ['readiness', '---+', '---+'],
    ['readiness', '+--+---', '++++++-'],
    ['liveness', '--+--', '+++++'],
    ['liveness', '---', '++!'],
    ['startup', '--+', '??+'],
    ['startup', '---', '??!'],
  ]
  for (const [kind, outcomes, results] of rows)
    it(`${kind} ${outcomes}`, () => {
      let state = initialState(kind)
      const seen = [...outcomes].map((mark) => {
        const outcome: Outcome = mark === '+' ? 'success' : 'failure'
        state = afterOutcome(state, kind, {}, outcome)
        return state.held ? '!' : { success: '+', failure: '-', unknown: '?' }[state.result]
      })
      assert.equal(seen.join(''), results)
    })

  it('counts successes when told to', () => {
    let state = initialState('readiness')
    state = afterOutcome(state, 'readiness', { successThreshold: 2 }, 'success')
    assert.equal(state.result, 'failure')
    state = afterOutcome(state, 'readiness', { successThreshold: 2 }, 'success')
    assert.equal(state.result, 'success')
  })
})

describe('resources', () => {
  it('shares and quota', () => {
    assert.deepEqual([0, 1, 2, 250, 1000, 300_000].map(cpuShares), [2, 2, 2, 256, 1024, 262_144])
    assert.deepEqual([0, 1, 10, 250, 1500].map(cpuQuota), [0, 1000, 1000, 25_000, 150_000])
  })

  it('of a container: a limit alone is a request too', () => {
    const pod = makePod({}, { qosClass: 'Burstable' })
    assert.deepEqual(linuxResources(pod, { limits: { cpu: '500m', memory: '1Gi' } }, 4 * 2 ** 30), {
      cpuPeriod: 100_000,
      cpuQuota: 50_000,
      cpuShares: 512,
      memoryLimitInBytes: 2 ** 30,
      oomScoreAdj: 750,
    })
    assert.equal(linuxResources(pod, undefined, 2 ** 30).cpuShares, 2)
  })

  const scores: [string, object, number, number][] = [
    ['Guaranteed', {}, 2 ** 30, -997],
    ['BestEffort', {}, 0, 1000],
    ['Burstable', {}, 2 ** 30, 750],
    ['Burstable', {}, 0, 999],
    ['Burstable', {}, 5 * 2 ** 30, 3],
    ['BestEffort', { priorityClassName: 'system-node-critical' }, 0, -997],
  ]
  for (const [qosClass, spec, request, score] of scores)
    it(`out of memory: ${qosClass} ${request} ${JSON.stringify(spec)}`, () =>
      assert.equal(oomScoreAdj(makePod(spec, { qosClass }), request, 4 * 2 ** 30), score))

  it('cgroups by class', () => {
    const at = (qosClass: string): string => podCgroup(makePod({}, { qosClass }), '/rampart-a/')
    assert.deepEqual(['Guaranteed', 'Burstable', 'BestEffort'].map(at), [
      '/rampart-a/podu1',
      '/rampart-a/burstable/podu1',
      '/rampart-a/besteffort/podu1',
    ])
  })
})

describe('security', () => {
  const image = { uid: undefined, username: '' }
  const secure = (pod: object, container: object, from: object = image) => {
    const made = makePod({
      securityContext: pod,
      containers: [{ name: 'main', image: 'i', securityContext: container }],
    })
    return containerSecurity(made, made.containers[0]!, from as typeof image, { seccompFolder: '/seccomp' })
  }

  it('a container’s wishes count before its pod’s', () => {
    const made = secure({ runAsUser: 1, runAsGroup: 2, fsGroup: 7, supplementalGroups: [8] }, { runAsUser: 5 })
    assert.deepEqual([made.runAsUser, made.runAsGroup, made.supplementalGroups], [{ value: 5 }, { value: 2 }, [8, 7]])
  })

  it('runs as the image says when nobody else does', () => {
    assert.deepEqual(secure({}, {}, { uid: { value: 0 }, username: '' }).runAsUser, { value: 0 })
    assert.equal(secure({}, {}, { uid: undefined, username: 'web' }).runAsUsername, 'web')
  })

  const roots: [string, object, object, object, RegExp | undefined][] = [
    ['root by number', { runAsNonRoot: true }, { runAsUser: 0 }, image, /its runAsUser is 0/],
    ['another by number', { runAsNonRoot: true }, { runAsUser: 5 }, image, undefined],
    ['an image without a user', {}, { runAsNonRoot: true }, image, /image's user is root/],
    ['an image of root', {}, { runAsNonRoot: true }, { uid: { value: 0 }, username: '' }, /image's user is root/],
    ['an image of another', {}, { runAsNonRoot: true }, { uid: { value: 9 }, username: '' }, undefined],
    ['an image with a name', {}, { runAsNonRoot: true }, { uid: undefined, username: 'web' }, /web is a name/],
    ['the container takes it back', { runAsNonRoot: true }, { runAsNonRoot: false }, image, undefined],
  ]
  for (const [what, pod, container, from, why] of roots)
    it(`runAsNonRoot: ${what}`, () => {
      if (why === undefined) secure(pod, container, from)
      else assert.throws(() => secure(pod, container, from), why)
    })

  it('privileges', () => {
    assert.equal(secure({}, { allowPrivilegeEscalation: false }).noNewPrivs, true)
    assert.equal(secure({}, { allowPrivilegeEscalation: true }).noNewPrivs, false)
    assert.equal(secure({}, {}).noNewPrivs, false)
    assert.equal(secure({}, { procMount: 'Unmasked' }).maskedPaths?.length, 0)
    assert.ok(secure({}, {}).maskedPaths!.includes('/proc/kcore'))
    const seccomp = (profile: object) => secure({ seccompProfile: profile }, {}).seccomp
    assert.equal(seccomp({ type: 'RuntimeDefault' })?.profileType, PROFILE.runtimeDefault)
    assert.equal(seccomp({ type: 'Localhost', localhostProfile: 'a.json' })?.localhostRef, '/seccomp/a.json')
    assert.equal(secure({}, {}).seccomp?.profileType, PROFILE.unconfined)
  })

  it('namespaces', () => {
    const modes = (spec: object): number[] => {
      const { network, pid, ipc } = namespaceOptions(makePod(spec))
      return [network, pid, ipc]
    }
    const { pod, container, node } = NAMESPACE_MODE
    assert.deepEqual(modes({}), [pod, container, pod])
    assert.deepEqual(modes({ hostNetwork: true, hostPID: true, hostIPC: true }), [node, node, node])
    assert.deepEqual(modes({ shareProcessNamespace: true }), [pod, pod, pod])
    assert.equal(namespaceOptions(makePod(), 'abc').pid, NAMESPACE_MODE.target)
  })
})

describe('names', () => {
  const node = parseResolvConf(
    '# a\nnameserver 9.9.9.9\nnameserver 1.1.1.1 ; b\nsearch a.example b.example\noptions ndots:2 rotate\n',
  )
  it('resolv.conf', () =>
    assert.deepEqual(node, {
      servers: ['9.9.9.9', '1.1.1.1'],
      searches: ['a.example', 'b.example'],
      options: ['ndots:2', 'rotate'],
    }))

  it('dnsPolicy and dnsConfig', () => {
    const dnsConfig = {
      nameservers: ['10.0.0.1'],
      searches: ['x'],
      options: [{ name: 'ndots', value: '5' }, { name: 'edns0' }],
    }
    assert.deepEqual(podDns(makePod({ dnsPolicy: 'None', dnsConfig }), node), {
      servers: ['10.0.0.1'],
      searches: ['x'],
      options: ['ndots:5', 'edns0'],
    })
    assert.deepEqual(podDns(makePod({ dnsPolicy: 'ClusterFirst', dnsConfig }), node), {
      servers: ['9.9.9.9', '1.1.1.1', '10.0.0.1'],
      searches: ['a.example', 'b.example', 'x'],
      options: ['ndots:5', 'rotate', 'edns0'],
    })
  })

  it('hostnames', () => {
    assert.equal(podHostname(makePod({}, {}, { name: `${'a'.repeat(62)}-b` })), 'a'.repeat(62))
    assert.equal(podHostname(makePod({ hostname: 'db' })), 'db')
  })

  it('hosts', () => {
    const pod = makePod({ hostname: 'db', subdomain: 'data', hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] })
    const lines = hostsFile(pod, ['10.0.0.5'], '').split('\n')
    assert.ok(lines.includes('10.0.0.5\tdb.data.shop.svc.cluster.local\tdb'))
    assert.ok(lines.includes('1.2.3.4\ta\tb'))
    assert.match(
      hostsFile(makePod({ hostNetwork: true }), [], '127.0.0.1 localhost\n'),
      /^# .*\n127\.0\.0\.1 localhost\n$/,
    )
  })
})

describe('pull credentials', () => {
  const secret = (data: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(JSON.stringify(value)).toString('base64')]),
    ),
  })
  const auth = (text: string): { auth: string } => ({ auth: Buffer.from(text).toString('base64') })
  const config = secret({
    '.dockerconfigjson': {
      auths: {
        'registry.example': auth('host:p:w'),
        'https://registry.example/v1/': auth('url:x'),
        'registry.example/team': auth('team:y'),
        '*.wild.example': { username: 'wild', password: 'w' },
        'https://index.docker.io/v1/': auth('hub:h'),
      },
    },
  })
  const rows: [string, string[]][] = [
    ['registry.example/other/app:1', ['host', 'url']],
    ['registry.example/team/app:1', ['team', 'host', 'url']],
    ['registry.example:5000/app', []],
    ['a.wild.example/app', ['wild']],
    ['a.b.wild.example/app', []],
    ['library/busybox', ['hub']],
    ['docker.io/library/busybox', ['hub']],
    ['busybox:1', ['hub']],
  ]
  for (const [image, users] of rows)
    it(image, () =>
      assert.deepEqual(
        pullCredentials([config], image).map(({ username }) => username),
        users,
      ),
    )

  it('reads both forms, and passes over what it cannot read', () => {
    assert.equal(pullCredentials([config], 'registry.example/a')[0]?.password, 'p:w')
    assert.equal(
      pullCredentials([secret({ '.dockercfg': { 'r.example': auth('old:z') } })], 'r.example/a')[0]?.username,
      'old',
    )
    const broken = { ...config, data: { '.dockerconfigjson': Buffer.from('{').toString('base64') } }
    assert.deepEqual(
      pullCredentials([broken, secret({}), secret({ '.dockerconfigjson': { auths: null } })], 'registry.example/a'),
      [],
    )
  })
})
