import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { clusterNetworkPolicy, namespace, networkPolicy, pod } from '../model/fixture.ts'
import { NetworkPolicyModel } from '../model/model.ts'
import { addObject } from '../model/worlds.fixture.ts'
import { Compiler } from './compiler.ts'
import { renderTable } from './render.ts'

/** `RAMPART_GOLDEN=write` writes the files anew: read the difference before it is committed. */

const WORLD = [
  namespace('shop', { team: 'front' }),
  namespace('db', { team: 'back' }),
  pod('shop', 'web', { labels: { app: 'web' }, addresses: ['10.244.2.5'], node: 'n2' }),
  pod('shop', 'lb', { labels: { app: 'lb' }, addresses: ['10.244.2.6'], node: 'n2' }),
  pod('db', 'pg', {
    labels: { app: 'pg' },
    addresses: ['10.244.1.6'],
    ports: [{ name: 'sql', containerPort: 5432 }],
  }),
]
const everyone = { podSelector: {} }
const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } })
const front = { namespaceSelector: { matchLabels: { team: 'front' } } }

const cases: Record<string, KubeObject[]> = {
  'one-client': [
    networkPolicy('db', 'deny', everyone),
    networkPolicy('db', 'allow-web', {
      ...app('pg'),
      ingress: [{ from: [{ ...front, ...app('web') }], ports: [{ port: 'sql' }] }, { from: [app('backup')] }],
    }),
  ],
  'blocks-and-ranges': [
    networkPolicy('db', 'out', {
      ...everyone,
      policyTypes: ['Egress'],
      egress: [
        { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '169.254.169.254/32'] } }] },
        { to: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 443 }] },
        { ports: [{ protocol: 'UDP', port: 53 }] },
        { to: [front], ports: [{ port: 8000, endPort: 8999 }] },
        { to: [{ namespaceSelector: {} }], ports: [{ protocol: 'UDP', port: 9000, endPort: 9009 }] },
      ],
    }),
  ],
  'tiers-and-observe': [
    clusterNetworkPolicy('guard', {
      tier: 'Admin',
      priority: 1,
      subject: { namespaces: {} },
      egress: [
        { name: 'metadata', action: 'Deny', to: [{ networks: ['169.254.169.254/32'] }] },
        { action: 'Pass', to: [{ namespaces: {} }] },
      ],
    }),
    clusterNetworkPolicy('default', {
      tier: 'Baseline',
      priority: 9,
      subject: { namespaces: { matchLabels: { team: 'back' } } },
      egress: [{ action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] }],
    }),
    networkPolicy(
      'db',
      'try',
      { ...everyone, policyTypes: ['Egress'], egress: [{ to: [app('pg')] }] },
      { 'rampart.dev/mode': 'observe' },
    ),
  ],
}

for (const [name, policies] of Object.entries(cases))
  test(name, () => {
    const model = new NetworkPolicyModel()
    for (const object of [...WORLD, ...policies]) addObject(model, object)
    model.attachPod('db', 'pg', { addresses: ['10.244.1.6'], link: 'veth6a1b2c3d' })
    const compiler = new Compiler(model, { node: 'n1', podCidrs: { ip: ['10.244.1.0/24'], ip6: [] } })
    compiler.update()
    const got = renderTable(compiler.program().get('ip rampart_policy')!)
    const file = new URL(`golden/${name}.nft`, import.meta.url)
    if (process.env['RAMPART_GOLDEN'] === 'write') writeFileSync(file, got)
    assert.equal(got, readFileSync(file, 'utf8'))
  })
