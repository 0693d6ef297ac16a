import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../api/object.ts'
import { definitionOf } from '../definitions.ts'
import { CONTEXT, container, object, template } from './pod/cases.ts'
import { workloadKinds } from './workloads.ts'

type Fields = Record<string, unknown>

describe('workload kinds', () => {
  // plural, short names, in 'all', namespaced, subresources: as kubectl api-resources and discovery of 1.32 list them
  const facts: [string, string, boolean, boolean, string][] = [
    ['pods', 'po', true, true, 'attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status'],
    ['nodes', 'no', false, false, 'proxy,status'],
    ['services', 'svc', true, true, 'proxy,status'],
    ['podtemplates', '', false, true, ''],
    ['replicationcontrollers', 'rc', true, true, 'scale,status'],
    ['limitranges', 'limits', false, true, ''],
    ['resourcequotas', 'quota', false, true, 'status'],
    ['deployments', 'deploy', true, true, 'scale,status'],
    ['replicasets', 'rs', true, true, 'scale,status'],
    ['daemonsets', 'ds', true, true, 'status'],
    ['statefulsets', 'sts', true, true, 'scale,status'],
    ['controllerrevisions', '', false, true, ''],
    ['jobs', '', true, true, 'status'],
    ['cronjobs', 'cj', true, true, 'status'],
    ['priorityclasses', 'pc', false, false, ''],
    ['poddisruptionbudgets', 'pdb', false, true, 'status'],
  ]
  it('are served as Kubernetes serves them', () => {
    const actual = workloadKinds.map((kind) => [
      kind.plural,
      (kind.shortNames ?? []).join(),
      kind.categories?.includes('all') ?? false,
      kind.namespaced,
      (kind.subresources ?? []).map((s) => s.name).join(),
    ])
    assert.deepEqual(actual, facts)
  })

  for (const kind of workloadKinds)
    it(`${kind.kind} has its definition, and Name as the first column`, () => {
      assert.equal(definitionOf(kind.group, kind.version, kind.kind), kind.schema)
      assert.equal(kind.columns[0]?.name, kind.kind === 'LimitRange' ? undefined : 'Name')
    })

  it('say so where no controller acts', () => {
    const silent = workloadKinds.filter((kind) => kind.createWarning === undefined).map((kind) => kind.plural)
    assert.deepEqual(silent, [
      'pods',
      'nodes',
      'services',
      'podtemplates',
      'limitranges',
      'resourcequotas',
      'controllerrevisions',
      'priorityclasses',
      'poddisruptionbudgets',
    ])
  })
})

const podSpec: Fields = {
  hostNetwork: true,
  nodeSelector: { a: 'b' },
  schedulingGates: [{ name: 'a' }],
  readinessGates: [{ conditionType: 'a' }],
  imagePullSecrets: [{ name: 's' }],
  hostAliases: [{ ip: '1.2.3.4', hostnames: ['a'] }],
  dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a'], options: [{ name: 'x' }] },
  os: { name: 'windows' },
  overhead: { cpu: '1' },
  resources: { limits: { cpu: '1' }, requests: { cpu: '1' } },
  resourceClaims: [{ name: 'c', resourceClaimName: 'x' }],
  securityContext: {
    sysctls: [{ name: 'a', value: 'b' }],
    supplementalGroups: [1],
    seccompProfile: { type: 'Localhost', localhostProfile: 'a' },
    appArmorProfile: { type: 'Localhost', localhostProfile: 'a' },
    windowsOptions: { runAsUserName: 'a\\b', gmsaCredentialSpecName: 'x', hostProcess: true },
  },
  tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 1 }],
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'z',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
      matchLabelKeys: ['v'],
    },
  ],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          {
            matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }],
            matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }],
          },
        ],
      },
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 1, preference: { matchExpressions: [{ key: 'beta.kubernetes.io/os', operator: 'Exists' }] } },
      ],
    },
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        {
          topologyKey: 'z',
          namespaces: ['n'],
          labelSelector: { matchLabels: { a: 'b' } },
          matchLabelKeys: ['v'],
          mismatchLabelKeys: ['w'],
        },
      ],
      preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: 'z' } }],
    },
  },
  initContainers: [container({ name: 'i', restartPolicy: 'Always' })],
  ephemeralContainers: [container({ name: 'e', targetContainerName: 'web' })],
  volumes: [
    {
      name: 'a',
      projected: {
        sources: [
          { serviceAccountToken: { path: 't' } },
          { secret: { name: 's', items: [{ key: 'k', path: 'p' }] } },
          { downwardAPI: { items: [{ path: 'x', fieldRef: { fieldPath: 'metadata.name' } }] } },
          { clusterTrustBundle: { signerName: 'a.b/c', path: 'q' } },
        ],
      },
    },
    {
      name: 'b',
      ephemeral: {
        volumeClaimTemplate: {
          metadata: { labels: { a: 'b' } },
          spec: {
            accessModes: ['ReadWriteOnce'],
            resources: { requests: { storage: '1' } },
            dataSource: { kind: 'a', name: 'b' },
            dataSourceRef: { kind: 'a', name: 'b', namespace: 'n' },
          },
        },
      },
    },
    {
      name: 'c',
      downwardAPI: {
        items: [{ path: 'a', resourceFieldRef: { containerName: 'web', resource: 'limits.cpu', divisor: '1' } }],
      },
    },
    { name: 'd', csi: { driver: 'd', nodePublishSecretRef: { name: 's' } } },
    { name: 'f', flexVolume: { driver: 'd', options: { 'a/b': 'c' } } },
    { name: 'g', azureDisk: { diskName: 'a', diskURI: 'b', kind: 'Managed' } },
    { name: 'h', fc: { targetWWNs: ['a'], lun: 1 } },
    { name: 'i', iscsi: { targetPortal: 'p', iqn: 'iqn.2020-01.a:b', lun: 1, initiatorName: 'iqn.2020-01.a:b' } },
    { name: 'j', quobyte: { registry: 'a:1', volume: 'v' } },
    { name: 'k', image: { reference: 'x' } },
    { name: 'l', secret: { secretName: 's', items: [{ key: 'k', path: 'p', mode: 1 }] } },
  ],
  containers: [
    container({
      ports: [{ name: 'a', containerPort: 1, hostPort: 1 }],
      env: [
        { name: 'A', value: 'b' },
        { name: 'B', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } },
        { name: 'C', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
        { name: 'D', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
        { name: 'E', valueFrom: { fileKeyRef: { volumeName: 'v', path: 'p', key: 'k' } } },
      ],
      envFrom: [{ prefix: 'A', configMapRef: { name: 'c' } }],
      volumeMounts: [
        { name: 'a', mountPath: '/a', subPath: 'x', mountPropagation: 'None', recursiveReadOnly: 'Enabled' },
      ],
      volumeDevices: [{ name: 'b', devicePath: '/b' }],
      resources: { limits: { cpu: '1', 'hugepages-2Mi': '2Mi' }, claims: [{ name: 'c', request: 'r' }] },
      resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }],
      livenessProbe: { httpGet: { port: 'a', httpHeaders: [{ name: 'a', value: 'b' }] } },
      readinessProbe: { exec: { command: ['a'] } },
      startupProbe: { grpc: { port: 1 } },
      lifecycle: { preStop: { sleep: { seconds: 1 } }, postStart: { tcpSocket: { port: 1 } } },
      securityContext: {
        privileged: true,
        allowPrivilegeEscalation: false,
        capabilities: { add: ['CAP_SYS_ADMIN'], drop: ['ALL'] },
        windowsOptions: { hostProcess: true },
      },
    }),
  ],
}

const counted = {
  replicas: 1,
  minReadySeconds: 1,
  selector: { matchLabels: { app: 'web' } },
  template: template(podSpec),
}
const conditions = [{ type: 'Ready', status: 'True' }]
const state = {
  state: { terminated: { exitCode: 0 } },
  lastState: { terminated: { finishedAt: '2026-01-01T00:00:00Z' } },
}

/** One object of each kind with as many fields as its rules look at. */
const rich: Record<string, Fields> = {
  Pod: {
    spec: podSpec,
    status: {
      phase: 'Running',
      conditions,
      podIPs: [{ ip: '10.0.0.1' }],
      hostIPs: [{ ip: '10.0.0.1' }],
      containerStatuses: [{ name: 'web', ...state, user: { linux: { uid: 1, supplementalGroups: [1] } } }],
      initContainerStatuses: [{ name: 'i', ...state }],
      resourceClaimStatuses: [{ name: 'c', resourceClaimName: 'x' }],
    },
  },
  Node: {
    spec: {
      podCIDRs: ['10.0.0.0/24', 'fd00::/64'],
      taints: [{ key: 'a', effect: 'NoSchedule' }],
      configSource: { configMap: { name: 'c' } },
    },
    status: {
      capacity: { cpu: '1' },
      conditions,
      addresses: [{ type: 'InternalIP', address: '1.2.3.4' }],
      nodeInfo: { kubeletVersion: 'v1' },
      config: { active: { configMap: { name: 'c' } } },
    },
  },
  Service: {
    spec: {
      type: 'LoadBalancer',
      clusterIPs: ['10.0.0.1'],
      ipFamilies: ['IPv4'],
      externalIPs: ['1.2.3.4'],
      loadBalancerSourceRanges: ['10.0.0.0/8'],
      selector: { a: 'b' },
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } },
      ports: [{ name: 'a', port: 1, targetPort: 'x', nodePort: 30000, appProtocol: 'http' }],
    },
    status: { loadBalancer: { ingress: [{ ip: '1.2.3.4', hostname: 'a' }] } },
  },
  PodTemplate: { template: template(podSpec) },
  ReplicationController: { spec: { ...counted, selector: { app: 'web' } }, status: { replicas: 1 } },
  LimitRange: {
    spec: { limits: [{ type: 'Container', max: { cpu: '1' }, min: { cpu: '1' }, maxLimitRequestRatio: { cpu: '1' } }] },
  },
  ResourceQuota: {
    spec: {
      hard: { pods: '1' },
      scopes: ['BestEffort'],
      scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['a'] }] },
    },
    status: { hard: { pods: '1' }, used: { pods: '1' } },
  },
  Deployment: {
    spec: { ...counted, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } } },
    status: { replicas: 1, collisionCount: 1 },
  },
  ReplicaSet: { spec: counted, status: { replicas: 1 } },
  DaemonSet: {
    spec: { ...counted, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } },
    status: { numberReady: 1 },
  },
  StatefulSet: {
    spec: {
      ...counted,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1, maxUnavailable: 1 } },
      ordinals: { start: 1 },
      volumeClaimTemplates: [{ metadata: { name: 'a' }, spec: { resources: { requests: { storage: '1' } } } }],
    },
    status: { replicas: 1 },
  },
  ControllerRevision: { data: { a: [1] }, revision: 1 },
  Job: {
    spec: {
      template: template({ ...podSpec, restartPolicy: 'Never' }),
      completionMode: 'Indexed',
      completions: 3,
      backoffLimitPerIndex: 1,
      managedBy: 'a.b/c',
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onExitCodes: { operator: 'In', values: [1], containerName: 'web' } },
          { action: 'Count', onPodConditions: [{ type: 'a', status: 'True' }] },
        ],
      },
      successPolicy: { rules: [{ succeededIndexes: '0-1', succeededCount: 1 }] },
    },
    status: {
      conditions,
      startTime: '2026-01-01T00:00:00Z',
      uncountedTerminatedPods: { succeeded: ['a'], failed: ['b'] },
      completedIndexes: '0',
    },
  },
  CronJob: {
    spec: {
      schedule: '@hourly',
      timeZone: 'UTC',
      jobTemplate: { spec: { template: template({ restartPolicy: 'Never' }), selector: { matchLabels: { a: 'b' } } } },
    },
    status: { active: [{ name: 'a' }], lastScheduleTime: '2026-01-01T00:00:00Z' },
  },
  PriorityClass: { value: 1, globalDefault: true, preemptionPolicy: 'Never' },
  PodDisruptionBudget: {
    spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } },
    status: { conditions, disruptionsAllowed: 1 },
  },
}

/** Every place in a value, as the list of keys that lead there. */
function places(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))]
}

/** What a client may send in the place of a value without breaking the schema: nothing, null, or an empty one. */
function mutate(target: KubeObject, path: readonly string[], how: number): void {
  let holder: Record<string, unknown> = target
  for (const key of path.slice(0, -1)) {
    const next = holder[key]
    if (typeof next !== 'object' || next === null) return
    holder = next as Record<string, unknown>
  }
  const key = path.at(-1)!
  const value = holder[key]
  if (value === undefined || value === null) return
  const empty = Array.isArray(value)
    ? []
    : typeof value === 'object'
      ? {}
      : typeof value === 'string'
        ? ''
        : typeof value === 'number'
          ? -1
          : false
  if (how === 0 && Array.isArray(holder)) holder.splice(Number(key), 1)
  else if (how === 0) delete holder[key]
  else holder[key] = how === 1 ? null : empty
}

describe('odd shapes never make a kind throw', () => {
  for (const kind of workloadKinds)
    it(kind.kind, () => {
      const { strategy } = kind
      const whole = (): KubeObject =>
        object(kind.group === '' ? 'v1' : `${kind.group}/v1`, kind.kind, rich[kind.kind]!, {
          labels: { v: '1', w: '2' },
          annotations: {
            'container.apparmor.security.beta.kubernetes.io/web': 'unconfined',
            'scheduler.alpha.kubernetes.io/tolerations': '[{"key":"a"}]',
          },
        })
      const everywhere = places(rich[kind.kind]).filter((path) => path.length > 0)
      const changes = fc.array(fc.tuple(fc.constantFrom(...everywhere), fc.integer({ min: 0, max: 2 })), {
        minLength: 1,
        maxLength: 6,
      })
      fc.assert(
        fc.property(changes, (list) => {
          const input = whole()
          for (const [path, how] of list) mutate(input, path, how)
          const old = whole()
          old.metadata.resourceVersion = '1'
          strategy?.defaults?.(old)
          strategy?.defaults?.(input)
          for (const column of kind.columns) column.cell(input, CONTEXT.now)
          for (const get of Object.values(kind.selectableFields ?? {})) assert.equal(typeof get(input), 'string')
          const fresh = structuredClone(input)
          strategy?.prepareForCreate?.(fresh, CONTEXT)
          strategy?.validate?.(fresh)
          strategy?.warnings?.(fresh, undefined)
          for (const subresource of ['', 'status', ...(kind.kind === 'Pod' ? ['ephemeralcontainers', 'resize'] : [])]) {
            const context = { ...CONTEXT, subresource }
            const next = structuredClone(input)
            strategy?.prepareForUpdate?.(next, old, context)
            strategy?.validateUpdate?.(next, old, context)
          }
        }),
        { numRuns: 300 },
      )
    })
})
