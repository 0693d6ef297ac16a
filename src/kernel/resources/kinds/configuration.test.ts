import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import type { ResourceDefinition, StrategyContext } from '../definition.ts'
import { definitionOf, loadDefinitions } from '../definitions.ts'
import { configMapKind } from './configmap.ts'
import { configurationKinds } from './configuration.ts'
import { endpointsKind } from './endpoints.ts'
import { endpointSliceKind } from './endpointslice.ts'
import { eventKind } from './event.ts'
import { leaseKind } from './lease.ts'
import { namespaceKind } from './namespace.ts'
import { secretKind } from './secret.ts'
import { serviceAccountKind } from './serviceaccount.ts'

const context = (subresource = ''): StrategyContext => ({ now: 0, subresource, user: 'alice' })
const make = (kind: ResourceDefinition, fields: object = {}, metadata: object = {}): KubeObject => ({
  apiVersion: kind.version,
  kind: kind.kind,
  metadata: { name: 'a', ...(kind.namespaced ? { namespace: 'b' } : {}), ...metadata },
  ...fields,
})
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Messages after defaulting. */
function errors(kind: ResourceDefinition, fields: object, metadata: object = {}): string[] {
  const object = make(kind, fields, metadata)
  kind.strategy?.defaults?.(object)
  return (kind.strategy?.validate?.(object) ?? []).map(fieldErrorMessage)
}

function updateErrors(kind: ResourceDefinition, fields: object, old: object, subresource = ''): string[] {
  return (kind.strategy?.validateUpdate?.(make(kind, fields), make(kind, old), context(subresource)) ?? []).map(
    fieldErrorMessage,
  )
}

function table(kind: ResourceDefinition, rows: [string, object, (string | RegExp)[], object?][]): void {
  for (const [name, fields, want, metadata] of rows)
    test(name, () => {
      const got = errors(kind, fields, metadata)
      assert.equal(got.length, want.length, got.join('\n'))
      want.forEach((w, i) => {
        if (typeof w === 'string') assert.equal(got[i], w)
        else assert.match(got[i]!, w)
      })
    })
}

test('every kind names a definition, and no name twice', () => {
  const names = new Set<string>()
  for (const kind of configurationKinds) {
    assert.equal(kind.schema, definitionOf(kind.group, kind.version, kind.kind))
    assert.ok(loadDefinitions().get(kind.schema as string))
    for (const name of [kind.plural, ...(kind.shortNames ?? [])]) {
      const full = `${kind.group}/${name}`
      assert.ok(!names.has(full), full)
      names.add(full)
    }
  }
})

test('tables print empty objects', () => {
  for (const kind of configurationKinds)
    for (const column of kind.columns) {
      const cell = column.cell(make(kind), 0)
      assert.ok(cell === null || ['string', 'number', 'boolean'].includes(typeof cell), `${kind.kind} ${column.name}`)
    }
})

describe('Namespace', () => {
  table(namespaceKind, [
    ['plain', {}, []],
    ['finalizer of Kubernetes', { spec: { finalizers: ['kubernetes'] } }, []],
    [
      'finalizer without a domain',
      { spec: { finalizers: ['mine'] } },
      ['spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'],
    ],
  ])

  test('creation sets phase, finalizer and the name label', () => {
    const namespace = make(namespaceKind, { status: { phase: 'Gone' }, spec: { finalizers: ['x/y'] } })
    namespaceKind.strategy!.prepareForCreate!(namespace, context())
    assert.deepEqual(namespace.status, { phase: 'Active' })
    assert.deepEqual(namespace.spec.finalizers, ['x/y', 'kubernetes'])
    assert.deepEqual(namespace.metadata.labels, { 'kubernetes.io/metadata.name': 'a' })
  })

  test('only finalize changes the finalizers, only status the phase', () => {
    const old = make(namespaceKind, { spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } })
    for (const [subresource, spec, phase] of [
      ['', ['kubernetes'], 'Active'],
      ['finalize', [], 'Active'],
      ['status', ['kubernetes'], 'Terminating'],
    ] as const) {
      const object = make(namespaceKind, { spec: { finalizers: [] }, status: { phase: 'Terminating' } })
      namespaceKind.strategy!.prepareForUpdate!(object, old, context(subresource))
      assert.deepEqual([object.spec.finalizers, object.status.phase], [spec, phase], subresource)
    }
  })

  test('the phase follows deletionTimestamp', () => {
    assert.deepEqual(updateErrors(namespaceKind, { status: { phase: 'Terminating' } }, {}, 'status'), [
      'status.phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty',
    ])
    assert.deepEqual(updateErrors(namespaceKind, { status: { phase: 'Terminating' } }, {}), [])
  })
})

describe('Secret', () => {
  const token = 'kubernetes.io/service-account-token'
  table(secretKind, [
    ['plain', { data: { a: base64('x') } }, []],
    ['bad key', { data: { 'a/b': '' } }, [/^data\[a\/b\]: Invalid value: "a\/b": a valid config key must consist/]],
    ['bad key of stringData', { stringData: { '..': 'x' } }, ['data[..]: Invalid value: "..": must not be \'..\'']],
    ['1 MiB', { data: { a: base64('x'.repeat(1024 * 1024)) } }, []],
    [
      'more than 1 MiB',
      { data: { a: base64('x'.repeat(1024 * 1024)), b: base64('x') } },
      ['data: Too long: may not be more than 1048576 bytes'],
    ],
    ['token', { type: token }, [], { annotations: { 'kubernetes.io/service-account.name': 'default' } }],
    ['token of nobody', { type: token }, ['metadata.annotations[kubernetes.io/service-account.name]: Required value']],
    ['dockercfg', { type: 'kubernetes.io/dockercfg', data: { '.dockercfg': base64('{}') } }, []],
    ['dockercfg missing', { type: 'kubernetes.io/dockercfg' }, ['data[.dockercfg]: Required value']],
    [
      'dockerconfigjson is no JSON and is not printed',
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('{"auths": secret') } },
      ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid JSON'],
    ],
    [
      'dockerconfigjson is empty',
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': '' } },
      ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input'],
    ],
    [
      'basic-auth',
      { type: 'kubernetes.io/basic-auth' },
      ['data[username]: Required value', 'data[password]: Required value'],
    ],
    ['basic-auth with one of them', { type: 'kubernetes.io/basic-auth', data: { username: '' } }, []],
    [
      'ssh-auth',
      { type: 'kubernetes.io/ssh-auth', data: { 'ssh-privatekey': '' } },
      ['data[ssh-privatekey]: Required value'],
    ],
    ['tls', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }, ['data[tls.key]: Required value']],
    ['tls with keys of the prototype', { type: 'kubernetes.io/tls', data: {} }, [/tls.crt/, /tls.key/]],
    ['bootstrap tokens and own types are free', { type: 'bootstrap.kubernetes.io/token' }, []],
    ['constructor is no type of its own', { type: 'constructor' }, []],
  ])

  test('stringData replaces data and is gone; the type is Opaque by default', () => {
    const secret = make(secretKind, { data: { a: base64('1'), b: base64('2') }, stringData: { a: 'é', c: '' } })
    secretKind.strategy!.defaults!(secret)
    assert.deepEqual(secret.data, { a: base64('é'), b: base64('2'), c: '' })
    assert.equal(secret.stringData, undefined)
    assert.equal(secret.type, 'Opaque')
  })

  test('updates', () => {
    assert.deepEqual(updateErrors(secretKind, { type: 'a' }, { type: 'b' }), [
      'type: Invalid value: "a": field is immutable',
    ])
    const frozen = { type: 'Opaque', immutable: true, data: { a: 'eA==' } }
    assert.deepEqual(updateErrors(secretKind, frozen, frozen), [])
    assert.deepEqual(updateErrors(secretKind, { type: 'Opaque', data: { a: 'eQ==' } }, frozen), [
      'immutable: Forbidden: field is immutable when `immutable` is set',
      'data: Forbidden: field is immutable when `immutable` is set',
    ])
    assert.deepEqual(updateErrors(secretKind, frozen, { ...frozen, immutable: false, data: {} }), [])
  })

  test('table', () => {
    const secret = make(
      secretKind,
      { type: 'Opaque', data: { a: '', b: '' } },
      { creationTimestamp: '1970-01-01T00:00:00Z' },
    )
    assert.deepEqual(
      secretKind.columns.map((c) => c.cell(secret, 90_000)),
      ['a', 'Opaque', 2, '90s'],
    )
    assert.equal(secretKind.selectableFields!['type']!(secret), 'Opaque')
  })
})

describe('ConfigMap', () => {
  table(configMapKind, [
    ['plain', { data: { a: 'x' }, binaryData: { b: 'AA==' } }, []],
    [
      'the same key in both',
      { data: { a: 'x' }, binaryData: { a: 'AA==' } },
      [
        'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        'binaryData[a]: Invalid value: "a": duplicate of key present in data',
      ],
    ],
    [
      'bytes count, not characters',
      { data: { a: 'é'.repeat(524289) } },
      ['[]: Too long: may not be more than 1048576 bytes'],
    ],
  ])

  test('immutable', () => {
    const frozen = { immutable: true, data: { a: '1' } }
    assert.deepEqual(updateErrors(configMapKind, { ...frozen, binaryData: { b: '' } }, frozen), [
      'binaryData: Forbidden: field is immutable when `immutable` is set',
    ])
  })
})

describe('ServiceAccount', () => {
  test('references to secrets keep only the name', () => {
    const account = make(serviceAccountKind, { secrets: [{ name: 's', uid: 'u' }, { uid: 'u' }] })
    serviceAccountKind.strategy!.prepareForCreate!(account, context())
    assert.deepEqual(account.secrets, [{ name: 's' }, {}])
  })

  test('the annotation that enforces mountable secrets is deprecated', () => {
    const annotated = make(
      serviceAccountKind,
      {},
      { annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
    )
    assert.equal(serviceAccountKind.strategy!.warnings!(annotated, undefined).length, 1)
    assert.deepEqual(serviceAccountKind.strategy!.warnings!(annotated, annotated), [])
  })
})

describe('Endpoints', () => {
  const port = { port: 80, protocol: 'TCP' }
  table(endpointsKind, [
    ['plain', { subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }] }, []],
    [
      'no addresses',
      { subsets: [{ ports: [port] }] },
      ['subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    ],
    [
      'bad address',
      { subsets: [{ addresses: [{ ip: 'x' }] }] },
      [
        'subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address',
      ],
    ],
    ['loopback', { subsets: [{ notReadyAddresses: [{ ip: '127.0.0.1' }] }] }, [/loopback range/]],
    [
      'several ports need names',
      {
        subsets: [
          { addresses: [{ ip: '10.0.0.1' }], ports: [port, { ...port, name: 'b', protocol: 'ICMP', port: 0 }] },
        ],
      },
      [
        'subsets[0].ports[0].name: Required value',
        'subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'subsets[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
      ],
    ],
  ])

  test('cells', () => {
    const cell = (subsets: object[]): unknown => endpointsKind.columns[1]!.cell(make(endpointsKind, { subsets }), 0)
    assert.equal(cell([]), '<none>')
    assert.equal(cell([{ addresses: [{ ip: '::1' }, { ip: '1.1.1.1' }], ports: [port] }]), '[::1]:80,1.1.1.1:80')
    const addresses = ['1', '2', '3', '4', '5'].map((n) => ({ ip: `10.0.0.${n}` }))
    assert.equal(cell([{ addresses }]), '10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...')
  })
})

describe('Event', () => {
  const about = { involvedObject: { kind: 'Pod', name: 'p', namespace: 'b' } }
  const mismatch = 'involvedObject.namespace: Invalid value: "": does not match event.namespace'
  table(eventKind, [
    ['plain', about, []],
    ['another namespace', { involvedObject: { namespace: 'c' } }, [/"c": does not match event.namespace/]],
    ['cluster-scoped object elsewhere', { involvedObject: {} }, [mismatch]],
    ['cluster-scoped object in default', { involvedObject: {} }, [], { namespace: 'default' }],
    [
      'new style needs a reporter',
      { ...about, eventTime: '2025-01-01T00:00:00.000000Z', reason: 'r', action: 'a'.repeat(129) },
      [
        'reportingController: Required value',
        /^reportingController: Invalid value: "": name part must be non-empty/,
        /^reportingController: Invalid value: "": name part must consist/,
        'reportingInstance: Required value',
        'action: Invalid value: "": can have at most 128 characters',
      ],
    ],
  ])

  test('table and selectable fields', () => {
    const event = make(eventKind, {
      ...about,
      type: 'Normal',
      reason: 'Pulled',
      message: ' done \n',
      source: { component: 'kubelet', host: 'n1' },
      firstTimestamp: '1970-01-01T00:00:00Z',
      lastTimestamp: '1970-01-01T00:01:00Z',
    })
    assert.deepEqual(
      eventKind.columns.map((c) => c.cell(event, 121_000)),
      ['61s', 'Normal', 'Pulled', 'pod/p', '', 'kubelet, n1', 'done', '2m1s', 1, 'a'],
    )
    assert.equal(eventKind.selectableFields!['source']!(event), 'kubelet')
    assert.equal(eventKind.selectableFields!['involvedObject.name']!(event), 'p')
  })
})

describe('Lease', () => {
  table(leaseKind, [
    ['plain', { spec: { leaseDurationSeconds: 15, leaseTransitions: 0 } }, []],
    [
      'numbers',
      { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } },
      [
        'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
        'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
  ])

  test('coordinated election is forgotten', () => {
    const lease = make(leaseKind, {
      spec: { strategy: 'OldestEmulationVersion', preferredHolder: 'x', holderIdentity: 'y' },
    })
    leaseKind.strategy!.prepareForCreate!(lease, context())
    assert.deepEqual(lease.spec, { holderIdentity: 'y' })
  })
})

describe('EndpointSlice', () => {
  const slice = (fields: object): object => ({
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ...fields,
  })
  table(endpointSliceKind, [
    ['plain', slice({ ports: [{ port: 80 }] }), []],
    ['no type', { endpoints: [] }, ['addressType: Required value']],
    [
      'unknown type',
      slice({ addressType: 'IP' }),
      ['addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"'],
    ],
    [
      'family',
      slice({ addressType: 'IPv6' }),
      [/^endpoints\[0\]\.addresses\[0\]: Invalid value: "10.0.0.1": must be a valid IPv6 address/],
    ],
    [
      'names',
      slice({ addressType: 'FQDN', endpoints: [{ addresses: ['a.b'] }, { addresses: ['a'] }] }),
      [/at least two segments/],
    ],
    [
      'no address',
      slice({ endpoints: [{}] }),
      ['endpoints[0].addresses: Required value: must contain at least 1 address'],
    ],
    [
      'ports twice',
      slice({ ports: [{ port: 1 }, { port: 2, protocol: 'X' }] }),
      [
        'ports[1].name: Duplicate value: ""',
        'ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
      ],
    ],
    [
      'zone hints',
      slice({ endpoints: [{ addresses: ['10.0.0.1'], hints: { forZones: [{ name: 'a' }, { name: 'a' }] } }] }),
      ['endpoints[0].hints.forZones[1].name: Duplicate value: "a"'],
    ],
    [
      'too many',
      slice({ endpoints: new Array(1001).fill({}) }),
      ['endpoints: Too many: 1001: must have at most 1000 items'],
    ],
  ])

  test('the address type stays', () => {
    assert.deepEqual(updateErrors(endpointSliceKind, { addressType: 'IPv4' }, { addressType: 'IPv6' }), [
      'addressType: Invalid value: "IPv4": field is immutable',
    ])
  })

  test('cells', () => {
    const cells = endpointSliceKind.columns.map((c) =>
      c.cell(make(endpointSliceKind, slice({ ports: [{ port: 80 }, { name: 'x' }, {}] })), 0),
    )
    assert.deepEqual(cells, ['a', 'IPv4', '80,x,*', '10.0.0.1', '<unknown>'])
    assert.equal(endpointSliceKind.columns[2]!.cell(make(endpointSliceKind), 0), '<unset>')
  })
})
