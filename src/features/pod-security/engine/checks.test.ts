import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { allChecks, createEvaluator, NEWEST_VERSION } from './evaluator.ts'
import type { Level } from './levels.ts'
import { type Change, smallestPod, type TestPod } from './pods.fixture.ts'

/**
 * Each check with pods that meet it and pods that do not, tried at every version and level at which the check holds;
 * each pod is the smallest valid one with one change, and must fail for no other reason.
 */
type Fixture = {
  check: string
  /** Minors of v1.N, both inclusive. */
  from?: number
  to?: number
  levels: readonly Level[]
  pass: Record<string, Change>
  fail: Record<string, Change>
}

const BASELINE = ['baseline'] as const
const RESTRICTED = ['restricted'] as const
const BOTH = ['baseline', 'restricted'] as const

const app =
  (change: (container: TestPod['spec']['containers'][0]) => void): Change =>
  (pod) =>
    change(pod.spec.containers[0])
const init =
  (change: (container: TestPod['spec']['containers'][0]) => void): Change =>
  (pod) =>
    change(pod.spec.initContainers[0])
const context = (fields: TestPod['spec']['containers'][0]['securityContext']): Change =>
  app((container) => Object.assign(container.securityContext, fields))
const initContext = (fields: TestPod['spec']['containers'][0]['securityContext']): Change =>
  init((container) => Object.assign(container.securityContext, fields))
const podContext =
  (fields: TestPod['spec']['securityContext']): Change =>
  (pod) =>
    void Object.assign(pod.spec.securityContext, fields)
const spec =
  (fields: object): Change =>
  (pod) =>
    void Object.assign(pod.spec, fields)
const annotation =
  (key: string, value: string): Change =>
  (pod) => {
    pod.metadata.annotations[key] = value
  }
/** An ephemeral container like the app's, changed. */
const debug =
  (fields: object): Change =>
  (pod) => {
    pod.spec.ephemeralContainers = [{ ...structuredClone(pod.spec.containers[0]), name: 'debug', ...fields }]
  }
const volume = (source: string): Change => spec({ volumes: [{ name: 'data', [source]: {} }] })
const sysctl = (...names: string[]): Change => podContext({ sysctls: names.map((name) => ({ name, value: '1' })) })
const capabilities = (add: string[], drop: string[] = ['ALL']): Change => context({ capabilities: { add, drop } })
const all =
  (...changes: Change[]): Change =>
  (pod) => {
    for (const change of changes) change(pod)
  }

const DEFAULT_CAPABILITIES =
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  )
const RESTRICTED_VOLUMES =
  'gcePersistentDisk awsElasticBlockStore gitRepo nfs iscsi glusterfs rbd flexVolume cinder cephfs flocker fc azureFile vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume scaleIO storageos'.split(
    ' ',
  )
const ALLOWED_VOLUMES =
  'configMap csi downwardAPI emptyDir ephemeral image persistentVolumeClaim projected secret'.split(' ')
const named = (names: readonly string[], change: (name: string) => Change): Record<string, Change> =>
  Object.fromEntries(names.map((name) => [name, change(name)]))

const APP_ARMOR = 'container.apparmor.security.beta.kubernetes.io/app'
const SECCOMP = 'container.seccomp.security.alpha.kubernetes.io/app'
const POD_SECCOMP = 'seccomp.security.alpha.kubernetes.io/pod'
const SYSCTLS =
  'kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range net.ipv4.ip_unprivileged_port_start'.split(
    ' ',
  )
const SYSCTLS_29 =
  'net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes'.split(
    ' ',
  )
const SYSCTLS_32 = ['net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']

const probes: Record<string, (host: string) => Change> = {
  'liveness http': (host) => app((c) => (c.livenessProbe = { httpGet: { port: 80, host } })),
  'readiness http': (host) => app((c) => (c.readinessProbe = { httpGet: { port: 80, host } })),
  'startup http': (host) => app((c) => (c.startupProbe = { httpGet: { port: 80, host } })),
  'liveness tcp': (host) => app((c) => (c.livenessProbe = { tcpSocket: { port: 80, host } })),
  'readiness tcp': (host) => app((c) => (c.readinessProbe = { tcpSocket: { port: 80, host } })),
  'startup tcp': (host) => app((c) => (c.startupProbe = { tcpSocket: { port: 80, host } })),
  'postStart http': (host) => app((c) => (c.lifecycle = { postStart: { httpGet: { port: 80, host } } })),
  'preStop http': (host) => app((c) => (c.lifecycle = { preStop: { httpGet: { port: 80, host } } })),
  'postStart tcp': (host) => app((c) => (c.lifecycle = { postStart: { tcpSocket: { port: 80, host } } })),
  'preStop tcp': (host) => app((c) => (c.lifecycle = { preStop: { tcpSocket: { port: 80, host } } })),
  'of a sidecar': (host) => init((c) => (c.livenessProbe = { httpGet: { port: 80, host } })),
}
const withHost = (host: string): Record<string, Change> =>
  Object.fromEntries(Object.entries(probes).map(([name, make]) => [`${name} ${host}`, make(host)]))

const fixtures: Fixture[] = [
  {
    check: 'windowsHostProcess',
    levels: BOTH,
    pass: {
      'pod false': podContext({ windowsOptions: { hostProcess: false } }),
      'other options': context({ windowsOptions: { runAsUserName: 'x' } }),
    },
    fail: {
      pod: podContext({ windowsOptions: { hostProcess: true } }),
      container: context({ windowsOptions: { hostProcess: true } }),
      'init container': initContext({ windowsOptions: { hostProcess: true } }),
      'ephemeral container': debug({ securityContext: { ...STRICT(), windowsOptions: { hostProcess: true } } }),
    },
  },
  {
    check: 'hostNamespaces',
    levels: BOTH,
    pass: { 'all false': spec({ hostNetwork: false, hostPID: false, hostIPC: false }) },
    fail: named(['hostNetwork', 'hostPID', 'hostIPC'], (field) => spec({ [field]: true })),
  },
  {
    check: 'privileged',
    levels: BOTH,
    pass: { false: context({ privileged: false }) },
    fail: {
      container: context({ privileged: true }),
      'init container': initContext({ privileged: true }),
      'ephemeral container': debug({ securityContext: { ...STRICT(), privileged: true } }),
    },
  },
  {
    check: 'capabilities_baseline',
    to: 21,
    levels: BOTH,
    pass: {
      all: capabilities(DEFAULT_CAPABILITIES),
      none: capabilities([]),
      ...named(DEFAULT_CAPABILITIES, (c) => capabilities([c])),
    },
    fail: named(['NET_RAW', 'SYS_ADMIN', 'CAP_CHOWN', 'chown', 'ALL', ''], (c) => capabilities(['CHOWN', c])),
  },
  {
    check: 'capabilities_baseline',
    from: 22,
    levels: BASELINE,
    pass: { all: capabilities(DEFAULT_CAPABILITIES, []) },
    fail: named(['NET_RAW', 'SYS_ADMIN'], (c) => capabilities([c])),
  },
  {
    check: 'capabilities_restricted',
    from: 22,
    levels: RESTRICTED,
    pass: {
      'adds NET_BIND_SERVICE': capabilities(['NET_BIND_SERVICE']),
      'drops more': capabilities([], ['KILL', 'ALL']),
    },
    fail: {
      'drops nothing': capabilities([], []),
      'drops in other letters': capabilities([], ['all']),
      'no capabilities': app((c) => delete c.securityContext.capabilities),
      'init container': init((c) => delete c.securityContext.capabilities),
      ...named(
        DEFAULT_CAPABILITIES.filter((c) => c !== 'NET_BIND_SERVICE'),
        (c) => capabilities([c]),
      ),
    },
  },
  {
    check: 'hostPathVolumes',
    levels: BASELINE,
    pass: named([...ALLOWED_VOLUMES, ...RESTRICTED_VOLUMES], volume),
    fail: { hostPath: volume('hostPath') },
  },
  {
    check: 'restrictedVolumes',
    levels: RESTRICTED,
    pass: named(ALLOWED_VOLUMES, volume),
    fail: named(['hostPath', ...RESTRICTED_VOLUMES, 'somethingNew'], volume),
  },
  {
    check: 'hostPorts',
    levels: BOTH,
    pass: { 'container port': app((c) => (c.ports = [{ containerPort: 80 }, { containerPort: 81, hostPort: 0 }])) },
    fail: {
      container: app((c) => (c.ports = [{ containerPort: 80, hostPort: 80 }])),
      'init container': init((c) => (c.ports = [{ containerPort: 80 }, { containerPort: 81, hostPort: 81 }])),
    },
  },
  {
    check: 'appArmorProfile',
    levels: BOTH,
    pass: {
      RuntimeDefault: podContext({ appArmorProfile: { type: 'RuntimeDefault' } }),
      Localhost: context({ appArmorProfile: { type: 'Localhost', localhostProfile: 'x' } }),
      ...named(['', 'runtime/default', 'localhost/x', 'localhost/'], (value) => annotation(APP_ARMOR, value)),
    },
    fail: {
      pod: podContext({ appArmorProfile: { type: 'Unconfined' } }),
      container: context({ appArmorProfile: { type: 'Unconfined' } }),
      'init container': initContext({ appArmorProfile: { type: 'Unconfined' } }),
      ...named(['unconfined', 'runtime/other', 'localhost'], (value) => annotation(APP_ARMOR, value)),
    },
  },
  {
    check: 'seLinuxOptions',
    levels: BOTH,
    pass: named(['', 'container_t', 'container_init_t', 'container_kvm_t'], (type) =>
      all(podContext({ seLinuxOptions: { type, level: 's0' } }), context({ seLinuxOptions: { type } })),
    ),
    fail: {
      type: podContext({ seLinuxOptions: { type: 'spc_t' } }),
      user: context({ seLinuxOptions: { user: 'system_u' } }),
      role: initContext({ seLinuxOptions: { role: 'system_r' } }),
    },
  },
  {
    check: 'seLinuxOptions',
    to: 30,
    levels: BOTH,
    pass: {},
    fail: { container_engine_t: podContext({ seLinuxOptions: { type: 'container_engine_t' } }) },
  },
  {
    check: 'seLinuxOptions',
    from: 31,
    levels: BOTH,
    pass: { container_engine_t: podContext({ seLinuxOptions: { type: 'container_engine_t' } }) },
    fail: {},
  },
  {
    check: 'procMount',
    levels: BOTH,
    pass: { Default: context({ procMount: 'Default' }) },
    fail: {
      Unmasked: context({ procMount: 'Unmasked' }),
      other: initContext({ procMount: 'other' }),
      'of a pod in a user namespace': all(spec({ hostUsers: false }), context({ procMount: 'Unmasked' })),
    },
  },
  {
    check: 'seccompProfile_baseline',
    to: 18,
    levels: BOTH,
    pass: {
      ...named(['runtime/default', 'docker/default', 'localhost/x'], (v) =>
        all(annotation(SECCOMP, v), annotation(POD_SECCOMP, v)),
      ),
      'of no container': annotation('container.seccomp.security.alpha.kubernetes.io/nobody', 'unconfined'),
      field: podContext({ seccompProfile: { type: 'Unconfined' } }),
    },
    fail: {
      pod: annotation(POD_SECCOMP, 'unconfined'),
      container: annotation(SECCOMP, 'unconfined'),
      empty: annotation(SECCOMP, ''),
    },
  },
  {
    check: 'seccompProfile_baseline',
    from: 19,
    levels: BASELINE,
    pass: {
      RuntimeDefault: podContext({ seccompProfile: { type: 'RuntimeDefault' } }),
      Localhost: context({ seccompProfile: { type: 'Localhost', localhostProfile: 'x' } }),
      annotation: annotation(POD_SECCOMP, 'unconfined'),
    },
    fail: {
      pod: podContext({ seccompProfile: { type: 'Unconfined' } }),
      container: context({ seccompProfile: { type: 'Unconfined' } }),
      'no type': initContext({ seccompProfile: {} }),
    },
  },
  {
    check: 'seccompProfile_restricted',
    from: 19,
    levels: RESTRICTED,
    pass: {
      'each container': all(
        (pod) => delete pod.spec.securityContext.seccompProfile,
        context({ seccompProfile: { type: 'Localhost', localhostProfile: 'x' } }),
        initContext({ seccompProfile: { type: 'RuntimeDefault' } }),
      ),
    },
    fail: {
      none: (pod) => delete pod.spec.securityContext.seccompProfile,
      'one container alone': all(
        (pod) => delete pod.spec.securityContext.seccompProfile,
        context({ seccompProfile: { type: 'RuntimeDefault' } }),
      ),
      pod: podContext({ seccompProfile: { type: 'Unconfined' } }),
      container: context({ seccompProfile: { type: 'Unconfined' } }),
    },
  },
  {
    check: 'sysctls',
    levels: BOTH,
    pass: { all: sysctl(...SYSCTLS), none: sysctl() },
    fail: named(['kernel.msgmax', 'net.ipv4.tcp_syncookies2', ''], (name) => sysctl('net.ipv4.tcp_syncookies', name)),
  },
  ...(
    [
      [27, ['net.ipv4.ip_local_reserved_ports']],
      [29, SYSCTLS_29],
      [32, SYSCTLS_32],
    ] as const
  ).flatMap(([since, names]): Fixture[] => [
    { check: 'sysctls', to: since - 1, levels: BOTH, pass: {}, fail: named(names, (name) => sysctl(name)) },
    { check: 'sysctls', from: since, levels: BOTH, pass: { all: sysctl(...names) }, fail: {} },
  ]),
  {
    check: 'hostProbesAndHostLifecycle',
    to: 33,
    levels: BOTH,
    pass: { ...withHost('10.0.0.1') },
    fail: {},
  },
  {
    check: 'hostProbesAndHostLifecycle',
    from: 34,
    levels: BOTH,
    pass: { ...withHost('') },
    fail: { ...withHost('127.0.0.1'), ...withHost('localhost') },
  },
  {
    check: 'allowPrivilegeEscalation',
    from: 8,
    levels: RESTRICTED,
    pass: { false: context({ allowPrivilegeEscalation: false }) },
    fail: {
      true: context({ allowPrivilegeEscalation: true }),
      unset: app((c) => delete c.securityContext.allowPrivilegeEscalation),
      'init container': init((c) => delete c.securityContext.allowPrivilegeEscalation),
    },
  },
  {
    check: 'allowPrivilegeEscalation',
    to: 7,
    levels: RESTRICTED,
    pass: { true: context({ allowPrivilegeEscalation: true }) },
    fail: {},
  },
  {
    check: 'runAsNonRoot',
    levels: RESTRICTED,
    pass: {
      'each container': all(
        (pod) => delete pod.spec.securityContext.runAsNonRoot,
        context({ runAsNonRoot: true }),
        initContext({ runAsNonRoot: true }),
      ),
    },
    fail: {
      unset: (pod) => delete pod.spec.securityContext.runAsNonRoot,
      'one container alone': all(
        (pod) => delete pod.spec.securityContext.runAsNonRoot,
        context({ runAsNonRoot: true }),
      ),
      'pod false': podContext({ runAsNonRoot: false }),
      'pod false though containers say true': all(
        podContext({ runAsNonRoot: false }),
        context({ runAsNonRoot: true }),
        initContext({ runAsNonRoot: true }),
      ),
      'container false': context({ runAsNonRoot: false }),
      'in a user namespace': all(spec({ hostUsers: false }), podContext({ runAsNonRoot: false })),
    },
  },
  {
    check: 'runAsUser',
    from: 23,
    levels: RESTRICTED,
    pass: { 1000: podContext({ runAsUser: 1000 }) },
    fail: {
      pod: podContext({ runAsUser: 0 }),
      container: context({ runAsUser: 0 }),
      'init container': initContext({ runAsUser: 0 }),
      'in a user namespace': all(spec({ hostUsers: false }), podContext({ runAsUser: 0 })),
    },
  },
  {
    check: 'runAsUser',
    to: 22,
    levels: RESTRICTED,
    pass: { 0: podContext({ runAsUser: 0 }) },
    fail: {},
  },
]

function STRICT(): TestPod['spec']['containers'][0]['securityContext'] {
  return { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
}

const evaluate = createEvaluator()
const minors = Array.from({ length: NEWEST_VERSION + 1 }, (_, minor) => minor)

test('the smallest pods are valid at every version', () => {
  for (const minor of minors)
    for (const level of BOTH)
      assert.deepEqual(evaluate({ level, version: minor }, smallestPod(level, minor)), { allowed: true }, `v1.${minor}`)
})

test('nothing is asked of privileged pods', () => {
  const pod = smallestPod('privileged', 0, all(context({ privileged: true }), spec({ hostPID: true })))
  assert.deepEqual(evaluate({ level: 'privileged', version: 'latest' }, pod), { allowed: true })
})

test('every check has fixtures', () => {
  assert.deepEqual(
    [...new Set(fixtures.map((f) => f.check))].sort(),
    allChecks()
      .map((c) => c.id)
      .sort(),
  )
})

for (const { check, from = 0, to = NEWEST_VERSION, levels, pass, fail } of fixtures)
  describe(`${check} from v1.${from} to v1.${to}`, () => {
    for (const level of levels) {
      const each = (change: Change, expected: string[]): void => {
        for (const minor of minors.slice(from, to + 1)) {
          const verdict = evaluate({ level, version: minor }, smallestPod(level, minor, change))
          assert.deepEqual(verdict.allowed ? [] : verdict.violations.map((v) => v.check), expected, `v1.${minor}`)
        }
      }
      for (const [name, change] of Object.entries(pass)) test(`${level} allows ${name}`, () => each(change, []))
      for (const [name, change] of Object.entries(fail)) test(`${level} refuses ${name}`, () => each(change, [check]))
    }
  })

describe('Windows', () => {
  const windows = all(
    spec({ os: { name: 'windows' }, securityContext: { runAsNonRoot: true } }),
    ...[app, init].map((of) => of((c) => (c.securityContext = {} as typeof c.securityContext))),
  )
  for (const [version, expected] of [
    [24, ['allowPrivilegeEscalation', 'capabilities_restricted', 'seccompProfile_restricted']],
    [25, []],
    ['latest', []],
  ] as const)
    test(`restricted:${version}`, () => {
      const verdict = evaluate({ level: 'restricted', version }, smallestPod('restricted', 0, windows))
      assert.deepEqual(verdict.allowed ? [] : verdict.violations.map((v) => v.check), expected)
    })
  test('may not add what baseline forbids', () => {
    const pod = smallestPod('restricted', 0, all(windows, context({ privileged: true })))
    assert.equal(evaluate({ level: 'restricted', version: 'latest' }, pod).allowed, false)
  })
})

describe('the gate for user namespaces', () => {
  const relaxed = createEvaluator({ userNamespaces: true })
  const root = all(podContext({ runAsNonRoot: false, runAsUser: 0 }), context({ procMount: 'Unmasked' }))
  for (const [hostUsers, allowed] of [
    [false, true],
    [true, false],
    [undefined, false],
  ] as const)
    test(`hostUsers ${hostUsers}`, () => {
      const pod = smallestPod('restricted', NEWEST_VERSION, all(root, spec({ hostUsers })))
      assert.equal(relaxed({ level: 'restricted', version: 'latest' }, pod).allowed, allowed)
    })
})
