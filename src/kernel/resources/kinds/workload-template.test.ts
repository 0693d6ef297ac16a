import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import type { ResourceDefinition } from '../definition.ts'
import { daemonSetKind } from './daemonset.ts'
import { deploymentKind } from './deployment.ts'
import { cells, created, createErrors, object, template, updated } from './pod/cases.ts'
import { replicaSetKind } from './replicaset.ts'
import { replicationControllerKind } from './replicationcontroller.ts'
import { statefulSetKind } from './statefulset.ts'

type Fields = Record<string, unknown>
const selector = { matchLabels: { app: 'web' } }
const of =
  (kind: string) =>
  (spec: Fields = {}): KubeObject =>
    object('apps/v1', kind, { spec: { selector, template: template(), ...spec } })
const deployment = of('Deployment')
const replicaSet = of('ReplicaSet')
const daemonSet = of('DaemonSet')
const statefulSet = of('StatefulSet')
const controller = (spec: Fields = {}): KubeObject =>
  object('v1', 'ReplicationController', { spec: { template: template(), ...spec } })

/** The spec without its template, after defaults. */
function specOf(kind: ResourceDefinition, input: KubeObject): Fields {
  const { template: _template, ...spec } = created(kind, input)['spec'] as Fields
  return spec
}

describe('defaults of workloads', () => {
  it('Deployment', () =>
    assert.deepEqual(specOf(deploymentKind, deployment()), {
      selector,
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
    }))
  it('Deployment, recreated', () =>
    assert.deepEqual(specOf(deploymentKind, deployment({ strategy: { type: 'Recreate' } }))['strategy'], {
      type: 'Recreate',
    }))
  it('ReplicaSet', () => assert.deepEqual(specOf(replicaSetKind, replicaSet()), { selector, replicas: 1 }))
  it('DaemonSet', () =>
    assert.deepEqual(specOf(daemonSetKind, daemonSet()), {
      selector,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
    }))
  it('StatefulSet', () =>
    assert.deepEqual(
      specOf(
        statefulSetKind,
        statefulSet({
          volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }],
        }),
      ),
      {
        selector,
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            apiVersion: 'v1',
            kind: 'PersistentVolumeClaim',
            spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
            status: { phase: 'Pending' },
          },
        ],
        podManagementPolicy: 'OrderedReady',
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
        replicas: 1,
        revisionHistoryLimit: 10,
      },
    ))
  it('ReplicationController takes the labels of its template', () => {
    const rc = created(replicationControllerKind, controller())
    assert.deepEqual(rc['spec'].selector, { app: 'web' })
    assert.deepEqual(rc.metadata.labels, { app: 'web' })
    assert.equal(rc['spec'].replicas, 1)
  })
  it('templates get the defaults of pod specs, not those of pods', () => {
    const { spec } = created(deploymentKind, deployment({ template: template({ hostNetwork: true }) }))['spec'].template
    assert.equal(spec.dnsPolicy, 'ClusterFirst')
    assert.equal(spec.enableServiceLinks, undefined)
  })
})

describe('validation of workloads', () => {
  const MISMATCH =
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'
  const cases: [string, ResourceDefinition, KubeObject, string[]][] = [
    ['a Deployment', deploymentKind, deployment(), []],
    ['a ReplicaSet', replicaSetKind, replicaSet(), []],
    ['a DaemonSet', daemonSetKind, daemonSet(), []],
    ['a StatefulSet', statefulSetKind, statefulSet(), []],
    ['a ReplicationController', replicationControllerKind, controller(), []],
    ['no selector', deploymentKind, deployment({ selector: undefined }), ['spec.selector: Required value', MISMATCH]],
    [
      'an empty selector',
      deploymentKind,
      deployment({ selector: {} }),
      ['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
    ],
    [
      'a selector of other pods',
      statefulSetKind,
      statefulSet({ selector: { matchLabels: { app: 'db' } } }),
      [MISMATCH],
    ],
    [
      'pods that end',
      replicaSetKind,
      replicaSet({ template: template({ restartPolicy: 'Never', activeDeadlineSeconds: 5 }) }),
      [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        'spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported',
      ],
    ],
    [
      'errors inside the template',
      deploymentKind,
      deployment({ template: template({ containers: [{ name: 'web' }] }) }),
      ['spec.template.spec.containers[0].image: Required value'],
    ],
    [
      'ephemeral containers',
      daemonSetKind,
      daemonSet({ template: template({ ephemeralContainers: [{ name: 'd', image: 'd' }] }) }),
      ['spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template'],
    ],
    [
      'numbers of a Deployment',
      deploymentKind,
      deployment({
        replicas: -1,
        minReadySeconds: 700,
        revisionHistoryLimit: -1,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '0%', maxSurge: 0 } },
      }),
      [
        'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
        'spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0',
        'spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds',
      ],
    ],
    [
      'percentages',
      deploymentKind,
      deployment({ strategy: { rollingUpdate: { maxUnavailable: '101%', maxSurge: 'many' } } }),
      [
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"many\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
      ],
    ],
    [
      'recreate with numbers',
      deploymentKind,
      deployment({ strategy: { type: 'Recreate', rollingUpdate: {} } }),
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      'an unknown strategy',
      deploymentKind,
      deployment({ strategy: { type: 'Magic' } }),
      ['spec.strategy: Unsupported value: {"type":"Magic"}: supported values: "Recreate", "RollingUpdate"'],
    ],
    [
      'surge of a DaemonSet',
      daemonSetKind,
      daemonSet({ updateStrategy: { rollingUpdate: { maxSurge: 1 } } }),
      ['spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero'],
    ],
    [
      'neither surge nor absence',
      daemonSetKind,
      daemonSet({ updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } }),
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
    ],
    [
      'policies of a StatefulSet',
      statefulSetKind,
      statefulSet({
        podManagementPolicy: 'Any',
        updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } },
        persistentVolumeClaimRetentionPolicy: { whenScaled: 'Burn' },
        ordinals: { start: -1 },
      }),
      [
        "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
        'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy \'RollingUpdate\'',
        'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Burn": supported values: "Retain", "Delete"',
        'spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'mounts of claim templates',
      statefulSetKind,
      statefulSet({
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }],
        template: template({
          containers: [{ name: 'web', image: 'x', volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
        }),
      }),
      [],
    ],
    [
      'a ReplicationController without a template',
      replicationControllerKind,
      controller({ template: undefined, replicas: -1 }),
      [
        'spec.selector: Required value',
        'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        'spec.template: Required value',
      ],
    ],
    [
      'a ReplicationController of other pods',
      replicationControllerKind,
      controller({ selector: { app: 'db' } }),
      [MISMATCH],
    ],
  ]
  for (const [name, kind, input, errors] of cases) it(name, () => assert.deepEqual(createErrors(kind, input), errors))
})

describe('updates of workloads', () => {
  it('selectors stay', () => {
    const other = { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'app', operator: 'Exists' }] }
    const message = `spec.selector: Invalid value: ${JSON.stringify(other)}: field is immutable`
    for (const [kind, make] of [
      [deploymentKind, deployment],
      [replicaSetKind, replicaSet],
      [daemonSetKind, daemonSet],
    ] as const) {
      const old = created(kind, make())
      assert.deepEqual(updated(kind, old, (o) => (o['spec'].selector = other)).errors, [message])
      assert.deepEqual(updated(kind, old, (o) => (o['spec'].template.spec.containers[0].image = 'x:2')).errors, [])
    }
  })

  it('of a StatefulSet', () => {
    const old = created(statefulSetKind, statefulSet({ serviceName: 'a' }))
    const allowed = updated(statefulSetKind, old, (o) =>
      Object.assign(o['spec'], {
        replicas: 3,
        minReadySeconds: 5,
        ordinals: { start: 1 },
        template: template({}, { app: 'web', x: 'y' }),
      }),
    )
    assert.deepEqual(allowed.errors, [])
    assert.deepEqual(updated(statefulSetKind, old, (o) => (o['spec'].serviceName = 'b')).errors, [
      "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    ])
  })

  it('of status', () => {
    const old = created(deploymentKind, deployment())
    old['status'] = { collisionCount: 2 }
    const write = (status: Fields): string[] =>
      updated(deploymentKind, old, (o) => (o['status'] = status), 'status').errors
    assert.deepEqual(write({ replicas: 2, readyReplicas: 1, collisionCount: 2 }), [])
    assert.deepEqual(write({ replicas: 1, readyReplicas: 2, availableReplicas: 3, collisionCount: 1 }), [
      'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas',
      'status.collisionCount: Invalid value: 1: cannot be decremented',
    ])
    const counts = created(replicaSetKind, replicaSet())
    assert.deepEqual(updated(replicaSetKind, counts, (o) => (o['status'] = { replicas: -1 }), 'status').errors, [
      'status.replicas: Invalid value: -1: must be greater than or equal to 0',
      'status.fullyLabeledReplicas: Invalid value: 0: cannot be greater than status.replicas',
      'status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas',
    ])
  })
})

describe('tables of workloads', () => {
  const with_ = (input: KubeObject, status: Fields): KubeObject => ({ ...input, status })
  const cases: [string, ResourceDefinition, KubeObject, unknown[]][] = [
    [
      'Deployment',
      deploymentKind,
      with_(deployment({ replicas: 3 }), { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 }),
      ['web', '2/3', 3, 1, '<unknown>', 'web', 'nginx:1', 'app=web'],
    ],
    [
      'ReplicaSet',
      replicaSetKind,
      with_(replicaSet({ replicas: 3 }), { replicas: 2, readyReplicas: 1 }),
      ['web', 3, 2, 1, '<unknown>', 'web', 'nginx:1', 'app=web'],
    ],
    [
      'DaemonSet',
      daemonSetKind,
      with_(daemonSet({ template: template({ nodeSelector: { disk: 'ssd' } }) }), {
        desiredNumberScheduled: 5,
        currentNumberScheduled: 4,
        numberReady: 3,
        updatedNumberScheduled: 2,
        numberAvailable: 1,
      }),
      ['web', 5, 4, 3, 2, 1, 'disk=ssd', '<unknown>', 'web', 'nginx:1', 'app=web'],
    ],
    [
      'StatefulSet',
      statefulSetKind,
      with_(statefulSet({ replicas: 2 }), { readyReplicas: 1 }),
      ['web', '1/2', '<unknown>', 'web', 'nginx:1'],
    ],
    [
      'ReplicationController',
      replicationControllerKind,
      with_(controller({ replicas: 2, selector: { app: 'web' } }), { replicas: 1 }),
      ['web', 2, 1, 0, '<unknown>', 'web', 'nginx:1', 'app=web'],
    ],
  ]
  for (const [name, kind, input, row] of cases) it(name, () => assert.deepEqual(Object.values(cells(kind, input)), row))
})
