import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { loadDefinitions } from '../resources/definitions.ts'
import { int64ToJson } from './json.ts'
import { decodeProtobuf } from './protobuf.ts'
import { encodeProtobuf } from './protobuf-encode.ts'
import { WireWriter } from './wire.ts'

/** Bytes of an envelope around a hand-written message. */
function envelope(apiVersion: string, kind: string, write: (w: WireWriter) => void): Buffer {
  const writer = new WireWriter()
  writer.message(1, () => {
    writer.string(1, apiVersion)
    writer.string(2, kind)
  })
  writer.message(2, () => write(writer))
  writer.string(3, '')
  writer.string(4, '')
  return Buffer.concat([Buffer.from('k8s\0'), writer.finish()])
}

const refused = (bytes: Uint8Array): string => {
  try {
    decodeProtobuf(bytes)
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error))
    assert.equal(error.code, 400)
    return error.message
  }
  throw new Error('accepted')
}

test('reads what Go writes: every field that is no pointer, empty or not', () => {
  const bytes = envelope('v1', 'Namespace', (w) => {
    w.message(1, () => {
      w.string(1, 'demo')
      for (const field of [2, 3, 4, 5, 6]) w.string(field, '')
      w.int(7, 0)
      w.message(8, () => {})
    })
    w.message(2, () => {})
    w.message(3, () => w.string(1, ''))
  })
  assert.deepEqual(decodeProtobuf(bytes), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'demo' },
    spec: {},
    status: {},
  })
})

/** Bodies as kubectl 1.32.4 sent them for the command named. */
const RECORDED: [command: string, hex: string, object: JsonObject][] = [
  [
    'create namespace demo',
    '6b3873000a0f0a02763112094e616d657370616365121c0a140a0464656d6f12001a0022002a0032003800420012001a020a001a002200',
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'demo' }, spec: {}, status: {} },
  ],
  [
    'create secret generic s --from-literal=a=b',
    '6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a01611201621a001a002200',
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { a: 'Yg==' } },
  ],
  [
    'create token x --duration=10m',
    '6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374121d0a100a0012001a00' +
      '22002a00320038004200120320d8041a040a0012001a002200',
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: { expirationSeconds: 600 },
      status: { token: '' },
    },
  ],
  [
    'create deployment d --image=i --port=80',
    '6b3873000a150a07617070732f7631120a4465706c6f796d656e7412a7010a1b0a016412001a0022002a003200380042005a080a03617070' +
      '120164127a0801120a0a080a036170701201641a620a1a0a0012001a0022002a003200380042005a080a03617070120164124412260a0169' +
      '1201692a00320a0a001000185022002a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01' +
      '009a0100c2010022020a00280038001a0c0800100018002000280038001a002200',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', labels: { app: 'd' } },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'd' } },
        template: {
          metadata: { labels: { app: 'd' } },
          spec: { containers: [{ name: 'i', image: 'i', ports: [{ containerPort: 80 }], resources: {} }] },
        },
        strategy: {},
      },
      status: {},
    },
  ],
  [
    'create pdb p --selector=a=b --min-available=50%',
    '6b3873000a200a09706f6c6963792f76311213506f6444697372757074696f6e42756467657412360a110a017012001a0022002a00320038' +
      '00420012150a09080110001a0335302512080a060a01611201621a0a080018002000280030001a002200',
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'p' },
      spec: { minAvailable: '50%', selector: { matchLabels: { a: 'b' } } },
      status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 },
    },
  ],
]

test('reads what kubectl 1.32 sends', () => {
  for (const [command, hex, object] of RECORDED)
    assert.deepEqual(decodeProtobuf(Buffer.from(hex, 'hex')), object, command)
})

test('zero values are left out where Go leaves them out, and pointers are kept', () => {
  const bytes = envelope('apps/v1', 'Deployment', (w) =>
    w.message(2, () => {
      w.int(1, 0) // replicas, a pointer
      w.int(5, 0) // minReadySeconds
      w.bool(7, false) // paused
      w.message(3, () =>
        w.message(2, () => {
          w.bool(11, false) // hostNetwork
          w.bool(21, false) // automountServiceAccountToken, a pointer
          w.message(2, () => {
            w.string(1, 'c')
            w.string(2, '')
            w.message(10, () => w.message(1, () => w.message(2, () => w.message(2, () => w.int(1, 1)))))
          })
        }),
      )
    }),
  )
  assert.deepEqual(decodeProtobuf(bytes)['spec'], {
    replicas: 0,
    template: {
      spec: {
        automountServiceAccountToken: false,
        containers: [{ name: 'c', livenessProbe: { httpGet: { port: '' } } }],
      },
    },
  })
})

const ROUND_TRIPS: JsonObject[] = [
  {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'a', labels: { x: '', y: 'é' }, creationTimestamp: '2024-02-29T12:00:00Z' },
    immutable: false,
    data: { k: Buffer.from([0, 255, 1]).toString('base64'), empty: '' },
    type: 'Opaque',
  },
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'p',
      managedFields: [
        {
          manager: 'kubectl',
          operation: 'Update',
          apiVersion: 'v1',
          time: '2024-01-01T00:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': { 'k:{"name":"a"}': {} } },
        },
      ],
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u', controller: true }],
    },
    spec: {
      volumes: [
        { name: 'v', emptyDir: {} },
        { name: 's', secret: { secretName: 'x', defaultMode: 0 } },
      ],
      containers: [
        {
          name: 'c',
          image: 'i',
          env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: false } } }],
          resources: { limits: { cpu: '500m', memory: '1Gi' } },
          readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 3 },
          livenessProbe: { tcpSocket: { port: 80 }, terminationGracePeriodSeconds: 0 },
          securityContext: { runAsUser: 0, runAsNonRoot: false },
        },
      ],
      ephemeralContainers: [{ name: 'e', image: 'j', resources: {}, targetContainerName: 'c' }],
      terminationGracePeriodSeconds: int64ToJson(9007199254740993n),
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: {},
    webhooks: [
      {
        name: 'w',
        clientConfig: { caBundle: 'aGk=', service: { namespace: 'n', name: 's', port: 443 } },
        rules: [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: '*' }],
        admissionReviewVersions: ['v1'],
        timeoutSeconds: -1,
      },
    ],
  },
  {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    metadata: {},
    spec: { user: 'u', groups: ['a', 'b'], extra: { k: ['1', '2'] }, resourceAttributes: { verb: 'get' } },
    status: { allowed: false },
  },
  {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {},
    spec: { renewTime: '2024-01-01T00:00:00.000123Z', acquireTime: '1969-12-31T23:59:59.500000Z', holderIdentity: '' },
  },
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    spec: {
      group: 'g',
      versions: [
        {
          name: 'v1',
          served: true,
          storage: false,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              $ref: '',
              default: { a: [1, 'x', null] },
              enum: ['a', 1, null],
              minimum: -1.5,
              properties: {
                a: { type: 'array', items: { type: 'string' } },
                b: { type: 'object', additionalProperties: false },
                c: { additionalProperties: { type: 'integer', maxLength: 0 }, 'x-kubernetes-int-or-string': true },
              },
            },
          },
        },
      ],
    },
  },
  {
    apiVersion: 'policy/v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    preconditions: { uid: '' },
    dryRun: ['All'],
  },
  {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: { audiences: ['a'], expirationSeconds: 600, boundObjectRef: { kind: 'Pod', uid: 'x' } },
    status: { token: '' },
  },
  {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'c' },
    spec: { request: 'LS0t', signerName: 's', usages: ['client auth'], extra: { k: ['v'] } },
    status: { certificate: 'AAEC' },
  },
]

test('objects survive the way to protobuf and back', () => {
  for (const object of ROUND_TRIPS)
    assert.equal(
      JSON.stringify(sorted(decodeProtobuf(encodeProtobuf(object)!))),
      JSON.stringify(sorted(object)),
      String(object['kind']),
    )
})

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) === null) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key]!)]),
  )
}

test('every kind has a message, and its fields are those of its definition', () => {
  for (const [name, schema] of loadDefinitions().definitions)
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      const apiVersion = group === '' ? version : `${group}/${version}`
      const encoded = encodeProtobuf({ apiVersion, kind })
      assert.ok(encoded, name)
      assert.equal(decodeProtobuf(encoded)['kind'], kind)
    }
})

test('fields in two parts are merged, unknown ones skipped, packed ones accepted', () => {
  const bytes = envelope('v1', 'Pod', (w) => {
    w.message(1, () => w.string(1, 'a'))
    w.int(999, 5n)
    w.double(998, 1)
    w.message(1, () => w.string(3, 'ns'))
    w.message(2, () => w.message(14, () => w.bytes(4, Uint8Array.of(1, 2, 0x80, 0x01))))
  })
  assert.deepEqual(decodeProtobuf(bytes), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'ns' },
    spec: { securityContext: { supplementalGroups: [1, 2, 128] } },
  })
})

test('an envelope without a type takes the expected one', () => {
  const bytes = Buffer.from('k8s\0\x12\x02\x08\x05', 'latin1')
  assert.deepEqual(decodeProtobuf(bytes, { apiVersion: 'v1', kind: 'DeleteOptions' }), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 5,
  })
})

test('bodies that are no such message are refused', () => {
  const nested = (depth: number): Buffer => {
    let inner: Buffer = Buffer.alloc(0)
    for (let i = 0; i < depth; i++) {
      const writer = new WireWriter()
      writer.bytes(28, inner)
      inner = writer.finish()
    }
    return envelope('apiextensions.k8s.io/v1', 'CustomResourceDefinition', (w) =>
      w.message(2, () => w.message(7, () => w.message(4, () => w.bytes(1, inner)))),
    )
  }
  const rows: [Buffer, RegExp][] = [
    [Buffer.from('{}'), /prefix/],
    [Buffer.alloc(0), /prefix/],
    [envelope('v1', 'Nothing', () => {}), /no kind "Nothing" is registered for version "v1"/],
    [envelope('v1', 'PodSpec', () => {}), /no kind/],
    [Buffer.from('k8s\0\x0a\xff', 'latin1'), /unexpected end/],
    [Buffer.from('k8s\0\x0a\x7f', 'latin1'), /length exceeds/],
    [Buffer.from(`k8s\0\x12${'\xff'.repeat(12)}`, 'latin1'), /varint exceeds/],
    [Buffer.from('k8s\0\x00', 'latin1'), /field number 0/],
    [envelope('v1', 'Pod', (w) => w.string(1, 'x')), /./],
    [envelope('v1', 'Pod', (w) => w.int(1, 1)), /wire type 0 where 2 belongs/],
    [envelope('v1', 'Pod', (w) => w.message(1, () => w.bytes(1, Uint8Array.of(0xff)))), /invalid UTF-8/],
    [envelope('v1', 'Pod', (w) => w.message(1, () => w.message(11, () => w.string(1, '__proto__')))), /__proto__/],
    [envelope('v1', 'Pod', (w) => w.message(1, () => w.message(8, () => w.int(1, 2n ** 62n)))), /out of range/],
    [
      envelope('v1', 'Pod', (w) => w.message(1, () => w.message(17, () => w.message(7, () => w.string(1, '{'))))),
      /JSON/,
    ],
    [nested(5000), /nested too deeply/],
  ]
  for (const [bytes, expected] of rows) assert.match(refused(bytes), expected)
  decodeProtobuf(nested(100))
})

test('truncated and mutated messages are refused with 400 or read, never anything else', () => {
  const samples = ROUND_TRIPS.map((object) => encodeProtobuf(object)!)
  const mutation = fc.record({
    sample: fc.constantFrom(...samples),
    cut: fc.nat(),
    edits: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
  })
  fc.assert(
    fc.property(mutation, ({ sample, cut, edits }) => {
      const bytes = Buffer.from(sample.subarray(0, edits.length === 0 ? cut % sample.length : sample.length))
      for (const [at, value] of edits) bytes[4 + (at % (bytes.length - 4))] = value
      try {
        JSON.stringify(decodeProtobuf(bytes))
      } catch (error) {
        assert.ok(error instanceof ApiError, String((error as Error).stack))
      }
    }),
    { numRuns: 5000 },
  )
})
