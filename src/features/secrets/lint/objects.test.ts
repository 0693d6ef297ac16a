import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { base64, jwt, letters } from './credentials.fixture.ts'
import { examineObject, fieldOf, IGNORE_ANNOTATION, describe as tell } from './findings.ts'

const pw = 'q9w8E7r6Tz'
const container = { name: 'web', image: 'web:1', env: [{ name: 'DB_PASSWORD', value: pw }] }
const object = (apiVersion: string, kind: string, rest: object, metadata: object = {}): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name: 'web', namespace: 'shop', ...metadata },
  ...rest,
})
const fields = (o: KubeObject): string[] => examineObject(o).leaks.map(fieldOf)

describe('where secrets are found', () => {
  const template = { spec: { template: { spec: { containers: [container] } } } }
  const env = 'spec.template.spec.containers[0].env[0].value'
  const rows: [string, KubeObject, string[]][] = [
    ['Pod', object('v1', 'Pod', { spec: { containers: [container] } }), ['spec.containers[0].env[0].value']],
    ['Deployment', object('apps/v1', 'Deployment', template), [env]],
    ['StatefulSet', object('apps/v1', 'StatefulSet', template), [env]],
    ['DaemonSet', object('apps/v1', 'DaemonSet', template), [env]],
    ['ReplicaSet', object('apps/v1', 'ReplicaSet', template), [env]],
    ['ReplicationController', object('v1', 'ReplicationController', template), [env]],
    ['Job', object('batch/v1', 'Job', template), [env]],
    ['CronJob', object('batch/v1', 'CronJob', { spec: { jobTemplate: template } }), [`spec.jobTemplate.${env}`]],
    [
      'PodTemplate',
      object('v1', 'PodTemplate', { template: { spec: { containers: [container] } } }),
      ['template.spec.containers[0].env[0].value'],
    ],
    [
      'init and ephemeral containers',
      object('v1', 'Pod', { spec: { initContainers: [container], ephemeralContainers: [container], containers: [] } }),
      ['spec.initContainers[0].env[0].value', 'spec.ephemeralContainers[0].env[0].value'],
    ],
    [
      'headers of probes',
      object('v1', 'Pod', {
        spec: {
          containers: [
            { name: 'a', readinessProbe: { httpGet: { httpHeaders: [{ name: 'X-Api-Key', value: letters(24) }] } } },
            {
              name: 'b',
              livenessProbe: { httpGet: { httpHeaders: [{ name: 'Authorization', value: `token ${letters(24)}` }] } },
            },
          ],
        },
      }),
      [
        'spec.containers[0].readinessProbe.httpGet.httpHeaders[0].value',
        'spec.containers[1].livenessProbe.httpGet.httpHeaders[0].value',
      ],
    ],
    [
      'commands of probes and hooks',
      object('v1', 'Pod', {
        spec: {
          containers: [
            { name: 'a', livenessProbe: { exec: { command: ['mysqladmin', `-p${pw}`, 'ping'] } } },
            { name: 'b', lifecycle: { preStop: { exec: { command: ['sh', '-c', `redis-cli -a ${pw} save`] } } } },
          ],
        },
      }),
      ['spec.containers[0].livenessProbe.exec.command[1]', 'spec.containers[1].lifecycle.preStop.exec.command[2]'],
    ],
    [
      'attributes of volumes',
      object('v1', 'Pod', {
        spec: {
          containers: [],
          volumes: [
            { name: 'a', flexVolume: { driver: 'x/y', options: { password: pw } } },
            { name: 'b', csi: { driver: 'x', volumeAttributes: { accessKey: letters(24) } } },
            { name: 'c', secret: { secretName: 'web-1a2b3c4d', items: [{ key: 'password', path: 'password' }] } },
          ],
        },
      }),
      ['spec.volumes[0].flexVolume.options.password', 'spec.volumes[1].csi.volumeAttributes.accessKey'],
    ],
    [
      'annotations and labels',
      object(
        'v1',
        'Service',
        {},
        { annotations: { 'lb.example.com/api-token': letters(24) }, labels: { password: pw } },
      ),
      ['metadata.annotations["lb.example.com/api-token"]', 'metadata.labels.password'],
    ],
    [
      'annotations of an Ingress that name Secrets',
      object(
        'networking.k8s.io/v1',
        'Ingress',
        {},
        {
          annotations: {
            'nginx.ingress.kubernetes.io/auth-secret': 'shop/basic-auth',
            'cert-manager.io/issuer': 'prod',
          },
        },
      ),
      [],
    ],
    [
      'custom resources, by the names of their fields',
      object('example.com/v1', 'Database', {
        spec: {
          admin: { password: pw },
          users: [{ name: 'a', token: letters(24) }],
          passwordSecretRef: { name: 'x', key: 'password' },
        },
      }),
      ['spec.admin.password', 'spec.users[0].token'],
    ],
    [
      'custom resources with containers',
      object('argoproj.io/v1alpha1', 'Workflow', {
        spec: {
          templates: [{ container: { command: ['sh', '-c'], args: [`mysql -p${pw}`] } }, { containers: [container] }],
        },
      }),
      ['spec.templates[0].container.args[0]', 'spec.templates[1].containers[0].env[0].value'],
    ],
    [
      'values of a chart in a string',
      object('argoproj.io/v1alpha1', 'Application', {
        spec: { source: { helm: { values: `db:\n  password: ${pw}\n  x: y\n` } } },
      }),
      ['spec.source.helm.values (db.password)'],
    ],
    [
      'binaryData',
      object('v1', 'ConfigMap', { binaryData: { a: base64(`x=y\npassword=${pw}\n`) } }),
      ['binaryData.a (password)'],
    ],
    ['status is not looked at', object('example.com/v1', 'Database', { status: { password: pw } }), []],
    [
      'names of Secrets are no secrets',
      object('v1', 'Pod', {
        spec: {
          imagePullSecrets: [{ name: 'registry-1a2B3c4D' }],
          containers: [
            { name: 'a', env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'web', key: 'Password1' } } }] },
          ],
        },
      }),
      [],
    ],
    [
      'a SealedSecret',
      object('bitnami.com/v1alpha1', 'SealedSecret', { spec: { encryptedData: { password: `AgA${letters(80)}` } } }),
      [],
    ],
    [
      'an ExternalSecret',
      object('external-secrets.io/v1', 'ExternalSecret', {
        spec: { data: [{ secretKey: 'password', remoteRef: { key: 'prod/db', property: 'password' } }] },
      }),
      [],
    ],
  ]
  for (const [what, o, expected] of rows) test(what, () => assert.deepEqual(fields(o), expected))
})

describe('Secrets in manifests', () => {
  const secret = (rest: object, metadata: object = {}): KubeObject => object('v1', 'Secret', rest, metadata)
  test('one finding of low severity for each, which can be switched off', () => {
    const plain = secret({ stringData: { a: pw, b: pw }, data: { c: base64(pw) } })
    assert.deepEqual(
      examineObject(plain).leaks.map((l) => [l.rule, l.severity]),
      [['secret-manifest', 'low']],
    )
    assert.deepEqual(examineObject(plain, { secretManifests: false }).leaks, [])
  })
  test('none when the values are elsewhere, encrypted or missing', () => {
    for (const rest of [
      {},
      { data: {} },
      { stringData: { a: '{{ .Values.a }}' } },
      { data: { a: '' } },
      { sops: { version: '3' }, stringData: { a: 'ENC[AES256_GCM,data:x]' } },
      { stringData: { a: 'vault:secret/data/x#y' } },
    ])
      assert.deepEqual(examineObject(secret(rest)).leaks, [])
  })
  test("kubectl's copy in an annotation is a finding of its own", () => {
    const annotation = (o: object): object => ({
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(o) },
    })
    const copy = secret({}, annotation(secret({ data: { a: base64(pw) } })))
    assert.deepEqual(
      examineObject(copy).leaks.map((l) => [l.rule, l.severity]),
      [['last-applied-configuration', 'high']],
    )
    const spec = { spec: { containers: [container] } }
    const own = object('v1', 'Pod', spec, annotation(object('v1', 'Pod', spec)))
    assert.deepEqual(
      examineObject(own)
        .leaks.map((l) => l.rule)
        .sort(),
      ['last-applied-configuration', 'named-secret'],
    )
    assert.deepEqual(examineObject(secret({}, annotation(secret({})))).leaks, [])
  })
})

test('an annotation accepts rules, and what it accepts is counted', () => {
  const leaky = (ignored: string): KubeObject =>
    object(
      'v1',
      'Pod',
      { spec: { containers: [{ ...container, args: [`--token=${jwt()}`] }] } },
      {
        annotations: { [IGNORE_ANNOTATION]: ignored },
      },
    )
  const counts = (ignored: string): number[] => {
    const { leaks, suppressed } = examineObject(leaky(ignored))
    return [leaks.length, suppressed.length]
  }
  assert.deepEqual(counts('jwt'), [1, 1])
  assert.deepEqual(counts('jwt, named-secret'), [0, 2])
  assert.deepEqual(counts('*'), [0, 2])
  assert.deepEqual(counts('private-key'), [2, 0])
})

test('a finding names everything but the value', () => {
  const pod = object('v1', 'Pod', { spec: { containers: [container] } })
  const [leak] = examineObject(pod).leaks
  const finding = tell(leak!, pod, { file: 'a.yaml', line: 3 })
  assert.deepEqual(finding.object, { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web' })
  assert.equal(finding.masked, 'q… (10 characters)')
  assert.equal(finding.replacement?.automatic, true)
  assert.deepEqual(finding.replacement.secret, { name: 'web-secrets', namespace: 'shop', key: 'DB_PASSWORD' })
  assert.match(finding.replacement.yaml, /kind: Secret[\s\S]*secretKeyRef:\s+name: web-secrets\s+key: DB_PASSWORD/)
  assert.ok(!JSON.stringify(finding).includes(pw))
})

test('a token used as a key is not shown in the path', () => {
  const token = `gh${'p'}_${letters(36)}`
  const o = object('example.com/v1', 'Thing', { spec: { [token]: { password: pw } } })
  assert.deepEqual(fields(o), ['spec.….password'])
})
