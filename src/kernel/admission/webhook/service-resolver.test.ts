import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { makeLookup, object } from '../request.fixture.ts'
import { endpointResolver } from './service-resolver.ts'

const service = (spec: object): [string, string, KubeObject] => ['', 'services', object('Service', 'hook', { spec })]
const endpoints = (...subsets: object[]): [string, string, KubeObject] => [
  '',
  'endpoints',
  object('Endpoints', 'hook', { subsets }),
]
const slice = (fields: object): [string, string, KubeObject] => [
  'discovery.k8s.io',
  'endpointslices',
  object('EndpointSlice', 'hook-1', { metadata: { labels: { 'kubernetes.io/service-name': 'hook' } }, ...fields }),
]
const PORTS = { clusterIP: '10.96.0.9', ports: [{ name: 'web', port: 443, targetPort: 8443 }] }

const CASES: [title: string, entries: [string, string, KubeObject][], expected: string][] = [
  ['no service', [], 'service "hook" not found'],
  ['no such port', [service({ ...PORTS, ports: [{ port: 80 }] })], 'no service port 443 found for service "hook"'],
  ['no record of endpoints: the cluster address', [service(PORTS)], '10.96.0.9:443'],
  [
    'a ready endpoint',
    [service(PORTS), endpoints({ addresses: [{ ip: '10.1.0.1' }], ports: [{ name: 'web', port: 8443 }] })],
    '10.1.0.1:8443',
  ],
  [
    'only unready ones',
    [service(PORTS), endpoints({ notReadyAddresses: [{ ip: '10.1.0.1' }], ports: [{ name: 'web', port: 8443 }] })],
    'no endpoints available for service "hook"',
  ],
  [
    'the port of another name',
    [service(PORTS), endpoints({ addresses: [{ ip: '10.1.0.1' }], ports: [{ name: 'x', port: 1 }] })],
    'no endpoints available for service "hook"',
  ],
  [
    'slices',
    [
      service(PORTS),
      slice({
        endpoints: [{ addresses: ['10.1.0.3'], conditions: { ready: false } }, { addresses: ['10.1.0.2'] }],
        ports: [{ name: 'web', port: 8443 }],
      }),
    ],
    '10.1.0.2:8443',
  ],
  ['ExternalName', [service({ type: 'ExternalName', externalName: 'hook.example.com' })], 'hook.example.com:443'],
  [
    'headless without endpoints',
    [service({ ...PORTS, clusterIP: 'None' })],
    'no endpoints available for service "hook"',
  ],
]
for (const [title, entries, expected] of CASES)
  test(`service: ${title}`, async () => {
    const resolve = endpointResolver(makeLookup(...entries), () => 0)
    let answer: string
    try {
      const { host, port } = await resolve('shop', 'hook', 443)
      answer = `${host}:${port}`
    } catch (error) {
      answer = (error as Error).message
    }
    assert.equal(answer, expected)
  })
