import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Registry } from 'prom-client'
import type { Lookup } from '../../kernel/admission/lookup.ts'
import {
  definitionFor,
  makeRequest,
  NAMESPACES,
  object,
  PODS,
  run,
  type TestRequest,
} from '../../kernel/admission/request.fixture.ts'
import type { AdmissionStep } from '../../kernel/admission/types.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { notFound } from '../../kernel/api/status.ts'
import { podSecurityStep } from './admission.ts'
import { type PodSecurityConfiguration, PRIVILEGED_CONFIGURATION } from './configuration.ts'
import { createEvaluator } from './engine/evaluator.ts'
import { createRecorder, NO_RECORDER } from './metrics.ts'

const DEPLOYMENTS = definitionFor('deployments', 'Deployment', 'apps')
const PRIVILEGED_SPEC = { containers: [{ name: 'c', image: 'x', securityContext: { privileged: true } }] }
const VIOLATION = 'privileged (container "c" must not set securityContext.privileged=true)'

const label = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([key, value]) => [`pod-security.kubernetes.io/${key}`, value]))
const namespace = (labels: Record<string, string>, name = 'shop'): KubeObject =>
  object('Namespace', name, { metadata: { name, labels: label(labels) } })
const pod = (fields: object = {}, annotations: Record<string, string> = {}): KubeObject =>
  object('Pod', 'web', { metadata: { annotations }, spec: { ...structuredClone(PRIVILEGED_SPEC), ...fields } })

type Options = {
  labels?: Record<string, string> | undefined
  configuration?: Partial<PodSecurityConfiguration>
  exempt?: Partial<Record<'usernames' | 'namespaces' | 'runtimeClasses', string>>
  pods?: KubeObject[]
  registry?: Registry
  /** Milliseconds that pass from one look at the clock to the next. */
  tick?: number
}

function step({ labels, configuration, exempt = {}, pods = [], registry, tick = 0 }: Options): AdmissionStep {
  const set = (name?: string): Set<string> => new Set(name === undefined ? [] : [name])
  const lookup: Lookup = {
    get: () => (labels === undefined ? undefined : namespace(labels)),
    list: (_group, resource, inside) => {
      assert.deepEqual([resource, inside], ['pods', 'shop'])
      return pods
    },
  }
  let now = 0
  return podSecurityStep({
    configuration: {
      ...PRIVILEGED_CONFIGURATION,
      ...configuration,
      exemptions: {
        usernames: set(exempt.usernames),
        namespaces: set(exempt.namespaces),
        runtimeClasses: set(exempt.runtimeClasses),
      },
    },
    evaluator: createEvaluator(),
    lookup,
    client: { get: () => Promise.reject(notFound('', 'namespaces', 'shop')) },
    clock: { now: () => (now += tick) },
    log: () => undefined,
    recorder: registry === undefined ? NO_RECORDER : createRecorder(registry),
  })
}

/** What the step does: refusal, warnings, and audit annotations without their prefix. */
async function outcome(
  options: Options,
  request: TestRequest,
): Promise<{ refused?: string; warnings: string[]; audit: Record<string, string> }> {
  let refused: string | undefined
  await run(step(options), request).catch((error: Error) => {
    refused = error.message
  })
  const audit = Object.fromEntries(
    Object.entries(request.annotations).map(([key, value]) => [key.replace('pod-security.kubernetes.io/', ''), value]),
  )
  return { ...(refused === undefined ? {} : { refused }), warnings: request.warnings, audit }
}

const create = (fields: object = {}): TestRequest => makeRequest({ object: pod(fields) })

describe('pods', () => {
  test('a refused pod is not warned of as well', async () => {
    assert.deepEqual(await outcome({ labels: { enforce: 'baseline', audit: 'baseline' } }, create()), {
      refused: `pods "web" is forbidden: violates PodSecurity "baseline:latest": ${VIOLATION}`,
      warnings: [],
      audit: {
        'enforce-policy': 'baseline:latest',
        'audit-violations': `would violate PodSecurity "baseline:latest": ${VIOLATION}`,
      },
    })
  })
  test('generated names', async () => {
    const unnamed = pod()
    unnamed.metadata = { generateName: 'web-', namespace: 'shop' }
    const { refused } = await outcome({ labels: { enforce: 'baseline' } }, makeRequest({ object: unnamed, name: '' }))
    assert.equal(refused, `pods "web-" is forbidden: violates PodSecurity "baseline:latest": ${VIOLATION}`)
  })
  test('audit and warn let pass', async () => {
    assert.deepEqual(
      await outcome({ labels: { warn: 'baseline', 'warn-version': 'v1.22', audit: 'baseline' } }, create()),
      {
        warnings: [`would violate PodSecurity "baseline:v1.22": ${VIOLATION}`],
        audit: {
          'enforce-policy': 'privileged:latest',
          'audit-violations': `would violate PodSecurity "baseline:latest": ${VIOLATION}`,
        },
      },
    )
  })
  test('no labels', async () => {
    assert.deepEqual(await outcome({ labels: {} }, create()), {
      warnings: [],
      audit: { 'enforce-policy': 'privileged:latest' },
    })
  })
  test('defaults of the configuration', async () => {
    const defaults = { ...PRIVILEGED_CONFIGURATION.defaults, enforce: { level: 'baseline', version: 30 } as const }
    const { refused } = await outcome({ labels: {}, configuration: { defaults } }, create())
    assert.match(refused!, /violates PodSecurity "baseline:v1\.30": privileged/)
  })
  test('labels that cannot be read enforce the strictest', async () => {
    const { refused, audit, warnings } = await outcome({ labels: { enforce: 'tight', warn: 'x' } }, create())
    assert.match(refused!, /violates PodSecurity "restricted:latest": privileged \(/)
    assert.deepEqual(warnings, [])
    assert.equal(
      audit['error'],
      'Failed to parse policy: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "tight": must be one of privileged, baseline, restricted, ' +
        'metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "x": must be one of privileged, baseline, restricted]',
    )
  })
  test('a namespace that cannot be found', async () => {
    const { refused } = await outcome({}, create())
    assert.equal(refused, 'Internal error occurred: failed to lookup namespace "shop"')
  })
  test('which requests are looked at', () => {
    const { handles } = step({ labels: {} })
    const asked = (
      operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT',
      definition: typeof PODS,
      subresource = '',
    ): boolean => handles({ operation, definition, subresource })
    for (const subresource of ['', 'ephemeralcontainers', 'resize', 'somethingnew'])
      assert.ok(asked('UPDATE', PODS, subresource), subresource)
    for (const subresource of ['exec', 'attach', 'binding', 'eviction', 'log', 'portforward', 'proxy', 'status'])
      assert.ok(!asked('UPDATE', PODS, subresource), subresource)
    assert.ok(!asked('DELETE', PODS) && !asked('CONNECT', PODS, 'exec'))
    assert.ok(asked('CREATE', DEPLOYMENTS) && !asked('UPDATE', DEPLOYMENTS, 'status'))
    assert.ok(asked('UPDATE', NAMESPACES) && !asked('UPDATE', NAMESPACES, 'finalize'))
    assert.ok(!asked('CREATE', definitionFor('deployments', 'Deployment', 'example.com')))
    assert.ok(!asked('CREATE', definitionFor('configmaps', 'ConfigMap')))
  })
})

describe('updates of pods', () => {
  const debug = (name: string, image = 'y'): object => ({ ephemeralContainers: [{ name, image }] })
  const SECCOMP = 'container.seccomp.security.alpha.kubernetes.io/c'
  const rows: [string, KubeObject, KubeObject, boolean][] = [
    ['labels', pod(), pod(), false],
    ['tolerations', pod(), pod({ tolerations: [{ key: 'x' }] }), false],
    ['an image', pod(), pod({ containers: [{ ...PRIVILEGED_SPEC.containers[0], image: 'y' }] }), true],
    [
      'an image of an init container',
      pod({ initContainers: [{ name: 'i', image: 'a' }] }),
      pod({ initContainers: [{ name: 'i', image: 'b' }] }),
      true,
    ],
    ['a container more', pod(), pod({ containers: [PRIVILEGED_SPEC.containers[0], { name: 'd', image: 'x' }] }), true],
    ['an ephemeral container', pod(), pod(debug('d')), true],
    ['the same ephemeral container', pod(debug('d')), pod(debug('d')), false],
    ['its image', pod(debug('d')), pod(debug('d', 'z')), true],
    ['an ephemeral container less', pod(debug('d')), pod(), false],
    ['the seccomp annotation', pod(), pod({}, { [SECCOMP]: 'unconfined' }), true],
    ['another annotation', pod(), pod({}, { x: 'y' }), false],
  ]
  for (const [name, oldObject, changed, looked] of rows)
    test(name, async () => {
      const request = makeRequest({ operation: 'UPDATE', object: changed, oldObject })
      const { refused } = await outcome({ labels: { enforce: 'baseline' } }, request)
      assert.equal(refused !== undefined, looked)
    })
  test('of its ephemeral containers by their own path', async () => {
    const request = makeRequest({
      operation: 'UPDATE',
      subresource: 'ephemeralcontainers',
      object: pod(debug('d')),
      oldObject: pod(),
    })
    assert.match((await outcome({ labels: { enforce: 'baseline' } }, request)).refused!, /violates PodSecurity/)
  })
})

describe('what makes pods is warned of and audited', () => {
  const template = { spec: PRIVILEGED_SPEC }
  const rows: [string, string, string, object][] = [
    ['', 'podtemplates', 'PodTemplate', { template }],
    ['', 'replicationcontrollers', 'ReplicationController', { spec: { template } }],
    ['apps', 'daemonsets', 'DaemonSet', { spec: { template } }],
    ['apps', 'deployments', 'Deployment', { spec: { template } }],
    ['apps', 'replicasets', 'ReplicaSet', { spec: { template } }],
    ['apps', 'statefulsets', 'StatefulSet', { spec: { template } }],
    ['batch', 'jobs', 'Job', { spec: { template } }],
    ['batch', 'cronjobs', 'CronJob', { spec: { jobTemplate: { spec: { template } } } }],
  ]
  for (const [group, plural, kind, fields] of rows)
    test(kind, async () => {
      const request = makeRequest({
        definition: definitionFor(plural, kind, group),
        object: object(kind, 'web', fields),
      })
      assert.deepEqual(await outcome({ labels: { enforce: 'baseline', audit: 'baseline' } }, request), {
        warnings: [`would violate PodSecurity "baseline:latest": ${VIOLATION}`],
        audit: { 'audit-violations': `would violate PodSecurity "baseline:latest": ${VIOLATION}` },
      })
    })
  const rc = (): TestRequest =>
    makeRequest({
      definition: definitionFor('replicationcontrollers', 'ReplicationController'),
      object: object('ReplicationController', 'x', { spec: {} }),
    })
  test('no template', async () => {
    assert.deepEqual(await outcome({ labels: { warn: 'restricted' } }, rc()), { warnings: [], audit: {} })
  })
  test('a namespace that cannot be found', async () => {
    const { refused, audit } = await outcome({}, rc())
    assert.equal(refused, undefined)
    assert.equal(audit['error'], 'failed to lookup namespace "shop": namespaces "shop" not found')
  })
})

describe('exemptions', () => {
  const labels = { enforce: 'restricted' }
  const rows: [string, Options['exempt'], object, string?][] = [
    ['user', { usernames: 'jane' }, {}, 'user'],
    ['another user', { usernames: 'joe' }, {}],
    ['namespace', { namespaces: 'shop' }, {}, 'namespace'],
    ['runtime class', { runtimeClasses: 'gvisor' }, { runtimeClassName: 'gvisor' }, 'runtimeClass'],
    ['another runtime class', { runtimeClasses: 'gvisor' }, { runtimeClassName: 'kata' }],
    ['none', {}, {}],
  ]
  for (const [name, exempt, fields, why] of rows)
    test(name, async () => {
      const { refused, audit } = await outcome({ labels, exempt: exempt! }, create(fields))
      assert.equal(refused === undefined, why !== undefined)
      assert.equal(audit['exempt'], why)
    })
})

const change = (from: Record<string, string>, to: Record<string, string>): TestRequest =>
  makeRequest({
    operation: 'UPDATE',
    definition: NAMESPACES,
    namespace: 'shop',
    object: namespace(to),
    oldObject: namespace(from),
  })

describe('labels of namespaces', () => {
  const INVALID =
    'Namespace "shop" is invalid: metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "x": must be one of privileged, baseline, restricted'
  const created = (labels: Record<string, string>): TestRequest =>
    makeRequest({ definition: NAMESPACES, namespace: 'shop', object: namespace(labels) })
  test('must be valid on create', async () => {
    assert.equal((await outcome({}, created({ warn: 'x' }))).refused, INVALID)
    assert.deepEqual(await outcome({}, created({ enforce: 'restricted' })), { warnings: [], audit: {} })
  })
  test('may stay wrong on update', async () => {
    assert.equal((await outcome({}, change({ warn: 'x' }, { warn: 'x' }))).refused, undefined)
    assert.equal((await outcome({}, change({ warn: 'y' }, { warn: 'x' }))).refused, INVALID)
    assert.equal((await outcome({}, change({}, { warn: 'x' }))).refused, INVALID)
  })
  test('of an exempt namespace are pointed out', async () => {
    const exempt = { namespaces: 'shop' }
    const warning = (policy: string): string[] => [
      `namespace "shop" is exempt from Pod Security, and the policy (${policy}) will be ignored`,
    ]
    const labels = { enforce: 'baseline', audit: 'restricted', 'audit-version': 'v1.25', warn: 'privileged' }
    const policy = 'enforce=baseline:latest, audit=restricted:v1.25'
    assert.deepEqual((await outcome({ exempt }, created(labels))).warnings, warning(policy))
    assert.deepEqual((await outcome({ exempt, pods: [pod()] }, change({}, labels))).warnings, warning(policy))
    assert.deepEqual((await outcome({ exempt }, created({ enforce: 'privileged' }))).warnings, [])
  })
})

describe('tightening a namespace', () => {
  const running = (name: string, spec: object = {}, controller?: string): KubeObject =>
    object('Pod', name, {
      metadata:
        controller === undefined
          ? {}
          : { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: controller, controller: true }] },
      spec: { ...PRIVILEGED_SPEC, ...spec },
    })
  const HEAD = 'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"'
  const warnings = async (
    pods: KubeObject[],
    options: Options = {},
    request = change({}, { enforce: 'baseline' }),
  ): Promise<string[]> => (await outcome({ ...options, pods }, request)).warnings

  test('lists the pods that would be refused, grouped by reasons', async () => {
    const pods = [
      running('b'),
      running('host', { hostPID: true }),
      running('a'),
      running('fine', { containers: [] }),
      running('c'),
      running('z', { hostPID: true }),
      running('port', { containers: [{ name: 'c', ports: [{ hostPort: 1 }] }] }),
    ]
    assert.deepEqual(await warnings(pods), [
      HEAD,
      'a (and 2 other pods): privileged',
      'host (and 1 other pod): host namespaces, privileged',
      'port: hostPort',
    ])
  })
  test('nothing to say of pods that are fine', async () => {
    assert.deepEqual(await warnings([running('fine', { containers: [] })]), [])
  })
  test('which updates look at pods', async () => {
    const rows: [Record<string, string>, Record<string, string>, boolean][] = [
      [{}, { enforce: 'baseline' }, true],
      [{ enforce: 'baseline' }, { enforce: 'baseline' }, false],
      [{ enforce: 'restricted' }, { enforce: 'baseline' }, false],
      [{ enforce: 'restricted', 'enforce-version': 'v1.20' }, { enforce: 'baseline' }, true],
      [{ enforce: 'baseline' }, { enforce: 'baseline', 'enforce-version': 'v1.20' }, true],
      [{ enforce: 'baseline' }, { enforce: 'privileged' }, false],
      [{}, { warn: 'restricted', audit: 'restricted' }, false],
    ]
    for (const [from, to, looks] of rows)
      assert.equal((await warnings([running('a')], {}, change(from, to))).length > 0, looks, JSON.stringify([from, to]))
  })
  test('exempt pods are left out', async () => {
    const pods = [running('a', { runtimeClassName: 'gvisor' })]
    assert.deepEqual(await warnings(pods, { exempt: { runtimeClasses: 'gvisor' } }), [])
  })
  test('at most 3000 pods, one of each controller before its copies', async () => {
    const copies = Array.from({ length: 4000 }, (_, i) => running(`copy-${i}`, { containers: [] }, 'one'))
    assert.deepEqual(await warnings([...copies, running('last', {}, 'two')]), [
      'new PodSecurity enforce level only checked against the first 3000 of 4001 existing pods',
      HEAD,
      'last: privileged',
    ])
  })
  test('at most a second', async () => {
    const pods = Array.from({ length: 10 }, (_, i) => running(`p${i}`))
    assert.deepEqual(await warnings(pods, { tick: 300 }), [
      'new PodSecurity enforce level only checked against the first 4 of 10 existing pods',
      HEAD,
      'p0 (and 3 other pods): privileged',
    ])
  })
  test('not longer than the client waits', async () => {
    const request = change({}, { enforce: 'baseline' })
    const aborted = Object.assign(request, { signal: AbortSignal.abort() })
    assert.equal(
      (await warnings([running('a'), running('b')], {}, aborted))[0],
      'new PodSecurity enforce level only checked against the first 1 of 2 existing pods',
    )
  })
})

test('metrics', async () => {
  const registry = new Registry()
  const shared = step({
    labels: { enforce: 'baseline', 'enforce-version': 'v1.999', audit: 'baseline' },
    exempt: { usernames: 'root' },
    registry,
  })
  for (const request of [
    create(),
    makeRequest({ object: pod(), user: { name: 'root', groups: [] } }),
    makeRequest({
      definition: DEPLOYMENTS,
      object: object('Deployment', 'web', { spec: { template: { spec: PRIVILEGED_SPEC } } }),
    }),
  ])
    await run(shared, request).catch(() => undefined)
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('pod_security'))
  assert.deepEqual(lines.sort(), [
    'pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="future",mode="enforce",request_operation="create",resource="pod",subresource=""} 1',
    'pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="future",mode="warn",request_operation="create",resource="controller",subresource=""} 1',
    'pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="latest",mode="audit",request_operation="create",resource="controller",subresource=""} 1',
    'pod_security_evaluations_total{decision="deny",policy_level="baseline",policy_version="latest",mode="audit",request_operation="create",resource="pod",subresource=""} 1',
    'pod_security_exemptions_total{request_operation="create",resource="pod",subresource=""} 1',
  ])
})
