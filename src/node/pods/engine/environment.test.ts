import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { fieldValue, resourceValue } from './downward.ts'
import { ContainerConfigError, type EnvironmentSources, environment, environmentReferences } from './environment.ts'
import { expand } from './expansion.ts'
import { makePod } from './fixture.ts'
import type { PodContainer } from './pod.ts'
import { serviceEnvironment } from './service-environment.ts'

const object = (kind: string, name: string, fields: object): KubeObject =>
  ({ apiVersion: 'v1', kind, metadata: { name, namespace: 'shop' }, ...fields }) as KubeObject
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('$(NAME)', () => {
  const values: Readonly<Record<string, string>> = { A: 'a', B: '$(A)', EMPTY: '' }
  const rows: [string, string][] = [
    ['plain', 'plain'],
    ['$(A)', 'a'],
    ['x$(A)y$(A)z', 'xayaz'],
    ['$(B)', '$(A)'],
    ['$(EMPTY)', ''],
    ['$(NO)', '$(NO)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$$$$(A)', '$$(A)'],
    ['$', '$'],
    ['$$', '$'],
    ['$A', '$A'],
    ['$(A', '$(A'],
    ['$(A$(A)', '$(A$(A)'],
    ['$()', '$()'],
    ['a$', 'a$'],
  ]
  for (const [text, expected] of rows)
    it(text, () =>
      assert.equal(
        expand(text, (name) => values[name]),
        expected,
      ),
    )

  it('leaves texts without a dollar sign, and undoes doubled ones', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (!text.includes('$'))
          assert.equal(
            expand(text, () => 'x'),
            text,
          )
        assert.equal(
          expand(text.replaceAll('$', '$$$$'), () => 'x'),
          text,
        )
      }),
    )
  })
})

describe('environment', () => {
  const sources: EnvironmentSources = {
    configMap: (name) =>
      name === 'settings'
        ? object('ConfigMap', name, { data: { color: 'blue', 'b=c': 'x' }, binaryData: { raw: base64('r') } })
        : undefined,
    secret: (name) => (name === 'door' ? object('Secret', name, { data: { key: base64('s3same') } }) : undefined),
    services: new Map([['KUBERNETES_SERVICE_HOST', '10.96.0.1']]),
    addresses: { podIPs: ['10.0.0.5', 'fd00::5'], hostIP: '192.0.2.1' },
    allocatable: { milliCpu: 4000, memoryBytes: 8 * 2 ** 30 },
  }
  const container = (fields: object): PodContainer => ({ name: 'main', image: 'web:1', ...fields }) as PodContainer
  const made = (fields: object): Record<string, string> => {
    const one = container(fields)
    const result = environment(makePod({ containers: [one] }), one, sources)
    return Object.fromEntries([...result].map(([name, value]) => [name, Buffer.from(value).toString()]))
  }
  const services = { KUBERNETES_SERVICE_HOST: '10.96.0.1' }

  it('later wins, and may use what came before', () => {
    const env = [
      { name: 'A', value: '1' },
      { name: 'B', value: '$(A)$(color)$(KUBERNETES_SERVICE_HOST)$(LATER)' },
      { name: 'color', value: 'red' },
      { name: 'LATER', value: '$(color)' },
    ]
    assert.deepEqual(made({ envFrom: [{ configMapRef: { name: 'settings' } }], env }), {
      color: 'red',
      A: '1',
      B: '1blue10.96.0.1$(LATER)',
      LATER: 'red',
      ...services,
    })
  })

  it('from all sources', () => {
    const env = [
      { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
      { name: 'KEY', valueFrom: { secretKeyRef: { name: 'door', key: 'key' } } },
      { name: 'RAW', valueFrom: { configMapKeyRef: { name: 'settings', key: 'raw' } } },
      { name: 'MAYBE', valueFrom: { secretKeyRef: { name: 'none', key: 'x', optional: true } } },
      { name: 'KUBERNETES_SERVICE_HOST', value: 'mine' },
    ]
    assert.deepEqual(
      made({
        env,
        envFrom: [{ prefix: 'P_', secretRef: { name: 'door' } }, { secretRef: { name: 'no', optional: true } }],
      }),
      {
        P_key: 's3same',
        IPS: '10.0.0.5,fd00::5',
        KEY: 's3same',
        RAW: 'r',
        KUBERNETES_SERVICE_HOST: 'mine',
      },
    )
  })

  const missing: [object, RegExp][] = [
    [{ envFrom: [{ secretRef: { name: 'no' } }] }, /^secret "no" not found$/],
    [{ envFrom: [{ configMapRef: { name: 'no' } }] }, /^configmap "no" not found$/],
    [
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'door', key: 'no' } } }] },
      /^couldn't find key no in Secret shop\/door$/,
    ],
    [
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'no' } } }] },
      /in ConfigMap shop\/settings$/,
    ],
    [{ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] }, /unsupported fieldPath/],
  ]
  for (const [fields, why] of missing)
    it(`refuses: ${why.source}`, () => {
      assert.throws(
        () => made(fields),
        (error: Error) => error instanceof ContainerConfigError && why.test(error.message),
      )
    })

  it('names what it reads', () => {
    const references = environmentReferences(
      container({
        envFrom: [{ configMapRef: { name: 'a' } }, { secretRef: { name: 'b' } }],
        env: [
          { name: 'X', valueFrom: { secretKeyRef: { name: 'c', key: 'k' } } },
          { name: 'Y', value: 'z' },
        ],
      }),
    )
    assert.deepEqual([[...references.configMaps], [...references.secrets]], [['a'], ['b', 'c']])
  })
})

describe('downward API', () => {
  const resources = { limits: { cpu: '1500m' }, requests: { cpu: '250m', memory: '64Mi' } }
  const pod = makePod(
    { nodeName: 'n1', serviceAccountName: 'robot', containers: [{ name: 'main', image: 'i', resources }] },
    {},
    { labels: { b: 'x "y"', a: '1' }, annotations: { note: 'line\nbreak' } },
  )
  const addresses = { podIPs: ['10.0.0.5'], hostIP: '192.0.2.1' }
  const fields: [string, string][] = [
    ['metadata.name', 'web'],
    ['metadata.namespace', 'shop'],
    ['metadata.uid', 'u1'],
    ['metadata.labels', 'a="1"\nb="x \\"y\\""'],
    ["metadata.labels['a']", '1'],
    ["metadata.labels['none']", ''],
    ["metadata.annotations['note']", 'line\nbreak'],
    ['metadata.annotations', 'note="line\\nbreak"'],
    ['spec.nodeName', 'n1'],
    ['spec.serviceAccountName', 'robot'],
    ['status.hostIP', '192.0.2.1'],
    ['status.podIP', '10.0.0.5'],
  ]
  for (const [path, value] of fields) it(path, () => assert.equal(fieldValue(pod, path, addresses), value))

  const amounts: [string, string | undefined, string][] = [
    ['limits.cpu', undefined, '2'],
    ['limits.cpu', '1m', '1500'],
    ['requests.cpu', undefined, '1'],
    ['limits.memory', '1Mi', '8192'],
    ['requests.memory', undefined, String(64 * 2 ** 20)],
    ['requests.memory', '1M', '68'],
    ['requests.ephemeral-storage', undefined, '0'],
  ]
  for (const [resource, divisor, value] of amounts)
    it(`${resource} in ${divisor ?? 'units'}`, () => {
      const selector = { resource, ...(divisor === undefined ? {} : { divisor }) }
      const allocatable = { milliCpu: 4000, memoryBytes: 8 * 2 ** 30 }
      assert.equal(resourceValue(pod, selector, 'main', allocatable), value)
    })
})

describe('service variables', () => {
  const service = (namespace: string, name: string, spec: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec,
  })
  const all = [
    service('default', 'kubernetes', {
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443, protocol: 'TCP' }],
    }),
    service('shop', 'my-db', {
      clusterIP: '10.96.0.7',
      ports: [{ port: 5432 }, { name: 'admin', port: 53, protocol: 'UDP' }],
    }),
    service('shop', 'headless', { clusterIP: 'None', ports: [{ port: 1 }] }),
    service('other', 'web', { clusterIP: '10.96.0.8', ports: [{ port: 80 }] }),
  ]
  it('of the namespace, and kubernetes always', () => {
    assert.deepEqual(Object.fromEntries(serviceEnvironment(all, 'shop', true)), {
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
      KUBERNETES_PORT: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
      KUBERNETES_PORT_443_TCP_PORT: '443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
      MY_DB_SERVICE_HOST: '10.96.0.7',
      MY_DB_SERVICE_PORT: '5432',
      MY_DB_SERVICE_PORT_ADMIN: '53',
      MY_DB_PORT: 'tcp://10.96.0.7:5432',
      MY_DB_PORT_5432_TCP: 'tcp://10.96.0.7:5432',
      MY_DB_PORT_5432_TCP_PROTO: 'tcp',
      MY_DB_PORT_5432_TCP_PORT: '5432',
      MY_DB_PORT_5432_TCP_ADDR: '10.96.0.7',
      MY_DB_PORT_53_UDP: 'udp://10.96.0.7:53',
      MY_DB_PORT_53_UDP_PROTO: 'udp',
      MY_DB_PORT_53_UDP_PORT: '53',
      MY_DB_PORT_53_UDP_ADDR: '10.96.0.7',
    })
  })
  it('without links only kubernetes', () => {
    const names = [...serviceEnvironment(all, 'shop', false).keys()]
    assert.ok(names.length > 0 && names.every((name) => name.startsWith('KUBERNETES_')))
  })
})
