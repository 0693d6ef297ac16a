import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { podKind } from '../pod.ts'
import { container, created, object, pod } from './cases.ts'
import { dropNulls } from './defaults.ts'
import { imageTag } from './image-reference.ts'

describe('defaults of pods', () => {
  it('fills a minimal pod as Kubernetes does', () => {
    assert.deepEqual(created(podKind, pod({ containers: [{ name: 'web', image: 'nginx' }] })), {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'shop', uid: 'u-1' },
      spec: {
        containers: [
          {
            name: 'web',
            image: 'nginx',
            imagePullPolicy: 'Always',
            terminationMessagePath: '/dev/termination-log',
            terminationMessagePolicy: 'File',
          },
        ],
        dnsPolicy: 'ClusterFirst',
        enableServiceLinks: true,
        restartPolicy: 'Always',
        schedulerName: 'default-scheduler',
        securityContext: {},
        terminationGracePeriodSeconds: 30,
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    })
  })

  it('fills probes, ports, field references and volumes', () => {
    const { spec } = created(
      podKind,
      pod({
        hostNetwork: true,
        serviceAccount: 'builder',
        containers: [
          container({
            ports: [{ containerPort: 80 }, { containerPort: 90, hostPort: 90, protocol: 'UDP' }],
            livenessProbe: { httpGet: { port: 80 } },
            readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 3 },
            lifecycle: { preStop: { httpGet: { port: 80, path: '/bye' } } },
            env: [
              { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
            ],
            resources: { limits: { cpu: '0.5', memory: '1024Mi' }, requests: { cpu: 0.25 } },
          }),
        ],
        volumes: [
          { name: 'a' },
          { name: 'b', secret: { secretName: 's' } },
          { name: 'c', hostPath: { path: '/x' } },
          { name: 'd', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } },
          { name: 'e', emptyDir: { sizeLimit: '0.5Gi' } },
          { name: 'f', image: { reference: 'data' } },
          {
            name: 'g',
            ephemeral: { volumeClaimTemplate: { spec: { resources: { requests: { storage: '1024Mi' } } } } },
          },
          { name: 'h', downwardAPI: { items: [{ path: 'p', fieldRef: { fieldPath: 'metadata.labels' } }] } },
        ],
      }),
    )
    const [web] = spec.containers
    assert.equal(spec.serviceAccountName, 'builder')
    assert.deepEqual(web.ports, [
      { containerPort: 80, protocol: 'TCP', hostPort: 80 },
      { containerPort: 90, hostPort: 90, protocol: 'UDP' },
    ])
    assert.deepEqual(web.livenessProbe, {
      httpGet: { port: 80, path: '/', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    })
    assert.equal(web.readinessProbe.periodSeconds, 3)
    assert.equal(web.lifecycle.preStop.httpGet.scheme, 'HTTP')
    assert.equal(web.env[0].valueFrom.fieldRef.apiVersion, 'v1')
    assert.equal(web.env[1].valueFrom.resourceFieldRef.divisor, '0')
    assert.deepEqual(web.resources, {
      limits: { cpu: '500m', memory: '1Gi' },
      requests: { cpu: '250m', memory: '1Gi' },
    })
    assert.deepEqual(spec.volumes, [
      { name: 'a', emptyDir: {} },
      { name: 'b', secret: { secretName: 's', defaultMode: 420 } },
      { name: 'c', hostPath: { path: '/x', type: '' } },
      {
        name: 'd',
        projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 3600 } }], defaultMode: 420 },
      },
      { name: 'e', emptyDir: { sizeLimit: '512Mi' } },
      { name: 'f', image: { reference: 'data', pullPolicy: 'Always' } },
      {
        name: 'g',
        ephemeral: {
          volumeClaimTemplate: { spec: { resources: { requests: { storage: '1Gi' } }, volumeMode: 'Filesystem' } },
        },
      },
      {
        name: 'h',
        downwardAPI: {
          items: [{ path: 'p', fieldRef: { fieldPath: 'metadata.labels', apiVersion: 'v1' } }],
          defaultMode: 420,
        },
      },
    ])
  })

  it('is idempotent', () => {
    const once = created(
      podKind,
      pod({ hostNetwork: true, containers: [container({ ports: [{ containerPort: 1 }] })] }),
    )
    const twice = structuredClone(once)
    podKind.strategy!.defaults!(twice)
    assert.deepEqual(twice, once)
  })

  it('rounds amounts up to thousandths', () => {
    const { spec } = created(podKind, pod({ containers: [container({ resources: { limits: { cpu: '0.0001' } } })] }))
    assert.equal(spec.containers[0].resources.limits.cpu, '1m')
  })

  it('gives a pod with limits of its own the requests of its containers', () => {
    const { spec, status } = created(
      podKind,
      pod({
        resources: { limits: { cpu: '2', memory: '1Gi' } },
        containers: [container({ resources: { requests: { cpu: '300m' } } })],
        initContainers: [container({ name: 'i', resources: { requests: { cpu: '500m' } } })],
      }),
    )
    assert.deepEqual(spec.resources.requests, { cpu: '500m', memory: '1Gi' })
    assert.equal(status.qosClass, 'Burstable')
  })

  it('takes nulls for missing fields', () => {
    const value = { a: null, b: [null, { c: null, d: 1 }], e: { f: null } }
    dropNulls(value)
    assert.deepEqual(value, { b: [{ d: 1 }], e: {} })
  })
})

describe('what creation decides', () => {
  const qos: [string, Record<string, unknown>[], string][] = [
    ['nothing', [{}], 'BestEffort'],
    ['a request', [{ requests: { cpu: '1' } }], 'Burstable'],
    [
      'equal limits',
      [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1024Mi' } }],
      'Guaranteed',
    ],
    ['limits alone', [{ limits: { cpu: '1', memory: '1Gi' } }], 'Guaranteed'],
    ['one of two', [{ limits: { cpu: '1', memory: '1Gi' } }, {}], 'Burstable'],
    ['other resources', [{ limits: { 'example.com/gpu': '1' } }], 'BestEffort'],
    ['zero', [{ requests: { cpu: '0' } }], 'BestEffort'],
  ]
  for (const [name, resources, expected] of qos)
    it(`QoS class of ${name}: ${expected}`, () => {
      const containers = resources.map((r, i) => container({ name: `c${i}`, resources: r }))
      assert.equal(created(podKind, pod({ containers }))['status'].qosClass, expected)
    })

  it('drops a status that came with the request, and notes scheduling gates', () => {
    const input = object('v1', 'Pod', {
      spec: { containers: [container()], schedulingGates: [{ name: 'example.com/wait' }] },
      status: { phase: 'Running', podIP: '10.0.0.1' },
    })
    assert.deepEqual(created(podKind, input)['status'], {
      phase: 'Pending',
      qosClass: 'BestEffort',
      conditions: [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
      ],
    })
  })

  it('turns matchLabelKeys into terms of the selector', () => {
    const term = {
      topologyKey: 'zone',
      labelSelector: { matchLabels: { app: 'web' } },
      matchLabelKeys: ['v', 'missing'],
      mismatchLabelKeys: ['tenant'],
    }
    const input = pod(
      { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } },
      { labels: { v: '2', tenant: 'a' } },
    )
    const [merged] = created(podKind, input)['spec'].affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert.deepEqual(merged.labelSelector.matchExpressions, [
      { key: 'v', operator: 'In', values: ['2'] },
      { key: 'tenant', operator: 'NotIn', values: ['a'] },
    ])
  })

  it('keeps AppArmor fields and annotations together', () => {
    const key = 'container.apparmor.security.beta.kubernetes.io/web'
    const annotated = created(podKind, pod({}, { annotations: { [key]: 'localhost/strict' } }))
    assert.deepEqual(annotated['spec'].containers[0].securityContext, {
      appArmorProfile: { type: 'Localhost', localhostProfile: 'strict' },
    })
    const fields = created(podKind, pod({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } }))
    assert.equal(fields.metadata.annotations?.[key], 'runtime/default')
  })
})

describe('imageTag', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const cases: [string, string][] = [
    ['nginx', 'latest'],
    ['nginx:1.25', '1.25'],
    ['nginx:latest', 'latest'],
    ['localhost:5000/a/b', 'latest'],
    ['localhost:5000/a/b:v1', 'v1'],
    ['Registry.Example.com/a', 'latest'],
    [`nginx@${digest}`, ''],
    [`nginx:latest@${digest}`, 'latest'],
    ['nginx@sha256:abc', ''],
    ['Nginx', ''],
    ['a//b', ''],
    ['nginx:', ''],
    ['', ''],
    ['a'.repeat(64), ''],
    ['g'.repeat(64), 'latest'],
    ['x'.repeat(300), ''],
    ['foo__bar/a.b-c', 'latest'],
  ]
  for (const [image, tag] of cases) it(`${image.slice(0, 30)} → '${tag}'`, () => assert.equal(imageTag(image), tag))
})
