import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { controllerRevisionKind } from './controllerrevision.ts'
import { limitRangeKind } from './limitrange.ts'
import { cells, created, createErrors, object, template, updated } from './pod/cases.ts'
import { podDisruptionBudgetKind } from './poddisruptionbudget.ts'
import { podTemplateKind } from './podtemplate.ts'
import { priorityClassKind } from './priorityclass.ts'
import { resourceQuotaKind } from './resourcequota.ts'

type Fields = Record<string, unknown>

describe('quotas', () => {
  const quota = (spec: Fields): KubeObject => object('v1', 'ResourceQuota', { spec })
  const cases: [string, Fields, string[]][] = [
    [
      'amounts',
      { hard: { pods: 10, 'requests.cpu': '4', 'count/deployments.apps': '5', 'requests.nvidia.com/gpu': 1 } },
      [],
    ],
    [
      'names and amounts',
      { hard: { disks: '1', pods: '1.5', 'limits.cpu': '-1', storage: '1' } },
      [
        'spec.hard[disks]: Invalid value: "disks": must be a standard resource type or fully qualified',
        'spec.hard[disks]: Invalid value: "disks": must be a standard resource for quota',
        'spec.hard[pods]: Invalid value: "1500m": must be an integer',
        'spec.hard[limits.cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
      ],
    ],
    [
      'scopes',
      { hard: { pods: '1', cpu: '1' }, scopes: ['BestEffort', 'NotBestEffort', 'Odd'] },
      [
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Odd"]: unsupported scope applied to resource',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Odd"]: unsupported scope',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Odd"]: conflicting scopes',
      ],
    ],
    [
      'scope selectors',
      {
        scopeSelector: {
          matchExpressions: [
            { scopeName: 'PriorityClass', operator: 'In' },
            { scopeName: 'BestEffort', operator: 'In', values: ['x'] },
            { scopeName: 'PriorityClass', operator: 'Exists', values: ['x'] },
            { scopeName: 'PriorityClass', operator: 'Near' },
          ],
        },
      },
      [
        "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be \'Exists\' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity',
        "spec.scopeSelector.matchExpressions.values: Invalid value: [\"x\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        'spec.scopeSelector.matchExpressions.operator: Invalid value: "Near": not a valid selector operator',
      ],
    ],
  ]
  for (const [name, spec, errors] of cases)
    it(name, () => assert.deepEqual(createErrors(resourceQuotaKind, quota(spec)), errors))

  it('scopes stay, amounts may change', () => {
    const old = created(resourceQuotaKind, quota({ hard: { pods: '1' }, scopes: ['BestEffort'] }))
    assert.deepEqual(updated(resourceQuotaKind, old, (o) => (o['spec'].hard.pods = '2')).errors, [])
    assert.deepEqual(updated(resourceQuotaKind, old, (o) => (o['spec'].scopes = [])).errors, [
      'spec.scopes: Invalid value: []: field is immutable',
    ])
    assert.deepEqual(
      updated(resourceQuotaKind, old, (o) => (o['status'] = { used: { pods: '-1' } }), 'status').errors,
      ['status.used[pods]: Invalid value: "-1": must be greater than or equal to 0'],
    )
  })

  it('table', () => {
    const input = quota({})
    input['status'] = { hard: { 'limits.cpu': '4', pods: '10', 'requests.memory': '1024Mi' }, used: { pods: '3' } }
    assert.deepEqual(cells(resourceQuotaKind, input), {
      Name: 'web',
      Request: 'pods: 3/10, requests.memory: 0/1Gi',
      Limit: 'limits.cpu: 0/4',
      Age: '<unknown>',
    })
  })
})

describe('limit ranges', () => {
  const range = (...limits: Fields[]): KubeObject => object('v1', 'LimitRange', { spec: { limits } })
  it('defaults of containers follow from each other', () => {
    const made = created(
      limitRangeKind,
      range({ type: 'Container', max: { cpu: '2', memory: '1024Mi' }, min: { cpu: '0.1', 'ephemeral-storage': 1 } }),
    )
    assert.deepEqual(made['spec'].limits[0], {
      type: 'Container',
      max: { cpu: '2', memory: '1Gi' },
      min: { cpu: '100m', 'ephemeral-storage': '1' },
      default: { cpu: '2', memory: '1Gi' },
      defaultRequest: { cpu: '2', memory: '1Gi', 'ephemeral-storage': '1' },
    })
    assert.deepEqual(created(limitRangeKind, range({ type: 'Pod' }))['spec'].limits[0], { type: 'Pod' })
  })
  const cases: [string, KubeObject, string[]][] = [
    ['a range', range({ type: 'Container', max: { cpu: '2' }, min: { cpu: '1' } }), []],
    [
      'types',
      range(
        { type: 'Node' },
        { type: 'Pod' },
        { type: 'Pod', default: { cpu: '1' } },
        { type: 'PersistentVolumeClaim' },
      ),
      [
        'spec.limits[0].type: Invalid value: "Node": must be a standard limit type or fully qualified',
        'spec.limits[2].type: Duplicate value: "Pod"',
        "spec.limits[2].default: Forbidden: may not be specified when `type` is 'Pod'",
        'spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
      ],
    ],
    [
      'order',
      range({
        type: 'Container',
        max: { cpu: '1' },
        min: { cpu: '3' },
        default: { cpu: '2' },
        defaultRequest: { cpu: '2500m' },
      }),
      [
        'spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max value 1',
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": min value 3 is greater than default request value 2500m',
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": default request value 2500m is greater than max value 1',
        'spec.limits[0].defaultRequest[cpu]: Invalid value: "2500m": default request value 2500m is greater than default limit value 2',
        'spec.limits[0].default[cpu]: Invalid value: "3": min value 3 is greater than default value 2',
        'spec.limits[0].default[cpu]: Invalid value: "1": default value 2 is greater than max value 1',
      ],
    ],
    [
      'ratios',
      range({
        type: 'Pod',
        max: { cpu: '2', memory: '1' },
        min: { cpu: '1' },
        maxLimitRequestRatio: { cpu: '2.5', memory: '0.5' },
      }),
      [
        'spec.limits[0].maxLimitRequestRatio[memory]: Invalid value: "500m": ratio 500m is less than 1',
        'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "2500m": ratio 2500m is greater than max/min = 2.000000',
      ],
    ],
  ]
  for (const [name, input, errors] of cases)
    it(name, () => assert.deepEqual(createErrors(limitRangeKind, input).sort(), [...errors].sort()))
})

describe('priority classes', () => {
  const priority = (name: string, fields: Fields = {}): KubeObject =>
    object('scheduling.k8s.io/v1', 'PriorityClass', { value: 1000, ...fields }, { name })
  const cases: [string, KubeObject, string[]][] = [
    ['a class', priority('high'), []],
    ['of the system', priority('system-node-critical', { value: 2000001000 }), []],
    [
      'too high',
      priority('high', { value: 1000000001, preemptionPolicy: 'Ask' }),
      [
        'value: Forbidden: maximum allowed value of a user defined priority is 1000000000',
        'preemptionPolicy: Unsupported value: "Ask": supported values: "PreemptLowerPriority", "Never"',
      ],
    ],
    [
      'the prefix of the system',
      priority('system-mine'),
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
      ],
    ],
    [
      'the wrong value',
      priority('system-cluster-critical'),
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-cluster-critical PriorityClass must be 2000000000",
      ],
    ],
  ]
  for (const [name, input, errors] of cases)
    it(name, () => assert.deepEqual(createErrors(priorityClassKind, input), errors))
  it('value and policy stay', () => {
    const old = created(priorityClassKind, priority('high'))
    const change = (o: KubeObject): void => {
      o['value'] = 5
      o['preemptionPolicy'] = 'Never'
    }
    assert.deepEqual(updated(priorityClassKind, old, change).errors, [
      'value: Forbidden: may not be changed in an update.',
      'preemptionPolicy: Invalid value: "Never": field is immutable',
    ])
    assert.deepEqual(Object.values(cells(priorityClassKind, old)), [
      'high',
      1000,
      false,
      '<unknown>',
      'PreemptLowerPriority',
    ])
  })
})

describe('disruption budgets', () => {
  const budget = (spec: Fields): KubeObject => object('policy/v1', 'PodDisruptionBudget', { spec })
  const cases: [string, Fields, string[]][] = [
    ['a budget', { minAvailable: '50%', selector: { matchLabels: { a: 'b' } } }, []],
    [
      'both',
      { minAvailable: -1, maxUnavailable: '101%', unhealthyPodEvictionPolicy: 'Never' },
      [
        'spec: Invalid value: {"minAvailable":-1,"maxUnavailable":"101%","unhealthyPodEvictionPolicy":"Never"}: minAvailable and maxUnavailable cannot be both set',
        'spec.minAvailable: Invalid value: -1: must be greater than or equal to 0',
        'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
      ],
    ],
  ]
  for (const [name, spec, errors] of cases)
    it(name, () => assert.deepEqual(createErrors(podDisruptionBudgetKind, budget(spec)), errors))
  it('status and table', () => {
    const old = created(podDisruptionBudgetKind, budget({ minAvailable: 0 }))
    const write = updated(podDisruptionBudgetKind, old, (o) => (o['status'].disruptionsAllowed = -1), 'status')
    assert.deepEqual(write.errors, ['status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0'])
    assert.deepEqual(Object.values(cells(podDisruptionBudgetKind, old)), ['web', '0', 'N/A', 0, '<unknown>'])
  })
})

describe('controller revisions and pod templates', () => {
  it('data is needed and stays', () => {
    const revision = (fields: Fields): KubeObject =>
      object(
        'apps/v1',
        'ControllerRevision',
        { revision: 3, ...fields },
        {
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db', uid: 'u', controller: true }],
        },
      )
    assert.deepEqual(createErrors(controllerRevisionKind, revision({ revision: -1 })), [
      'data: Required value: data is mandatory',
      'revision: Invalid value: -1: must be greater than or equal to 0',
    ])
    const old = revision({ data: { a: 1 } })
    assert.deepEqual(updated(controllerRevisionKind, old, (o) => (o['data'] = { a: 2 })).errors, [
      'data: Invalid value: {"a":2}: field is immutable',
    ])
    assert.deepEqual(Object.values(cells(controllerRevisionKind, old)), ['web', 'statefulset.apps/db', 3, '<unknown>'])
  })
  it('templates', () => {
    const made = created(podTemplateKind, object('v1', 'PodTemplate', { template: template() }))
    assert.deepEqual(createErrors(podTemplateKind, made), [])
    assert.deepEqual(Object.values(cells(podTemplateKind, made)), ['web', 'web', 'nginx:1', 'app=web'])
    assert.deepEqual(createErrors(podTemplateKind, object('v1', 'PodTemplate', { template: { spec: {} } })), [
      'template.spec.containers: Required value',
    ])
  })
})
