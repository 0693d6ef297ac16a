import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ServiceSpec } from '../../resources/kinds/service-types.ts'
import type { Family } from './address.ts'
import { settleFamilies } from './families.ts'

const V4: Family[] = ['IPv4']
const DUAL: Family[] = ['IPv4', 'IPv6']
const base: ServiceSpec = { type: 'ClusterIP', selector: { app: 'x' } }

type Row = {
  name: string
  spec: ServiceSpec
  old?: ServiceSpec
  cluster: Family[]
  /** `families policy`, or the first error. */
  gives: string | RegExp
}

const rows: Row[] = [
  { name: 'nothing said', spec: {}, cluster: V4, gives: 'IPv4 SingleStack' },
  { name: 'nothing said, dual cluster', spec: {}, cluster: DUAL, gives: 'IPv4 SingleStack' },
  {
    name: 'prefer dual on a single cluster',
    spec: { ipFamilyPolicy: 'PreferDualStack' },
    cluster: V4,
    gives: 'IPv4 PreferDualStack',
  },
  {
    name: 'prefer dual',
    spec: { ipFamilyPolicy: 'PreferDualStack' },
    cluster: DUAL,
    gives: 'IPv4,IPv6 PreferDualStack',
  },
  {
    name: 'require dual, IPv6 first',
    spec: { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] },
    cluster: DUAL,
    gives: 'IPv6,IPv4 RequireDualStack',
  },
  {
    name: 'require dual on a single cluster',
    spec: { ipFamilyPolicy: 'RequireDualStack' },
    cluster: V4,
    gives: /spec\.ipFamilyPolicy.*not configured for dual-stack/,
  },
  {
    name: 'a family that the cluster lacks',
    spec: { ipFamilies: ['IPv6'] },
    cluster: V4,
    gives: /spec\.ipFamilies\[0\].*not configured on this cluster/,
  },
  {
    name: 'family from the address',
    spec: { clusterIP: 'fd00::5', clusterIPs: ['fd00::5'] },
    cluster: DUAL,
    gives: 'IPv6 SingleStack',
  },
  {
    name: 'address of a family that the cluster lacks',
    spec: { clusterIP: 'fd00::5', clusterIPs: ['fd00::5'] },
    cluster: V4,
    gives: /spec\.clusterIPs\[0\].*IPv6 is not configured/,
  },
  {
    name: 'two addresses, single stack',
    spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::5'], ipFamilyPolicy: 'SingleStack' },
    cluster: DUAL,
    gives: /multiple cluster IPs/,
  },
  {
    name: 'two families without a policy',
    spec: { ipFamilies: ['IPv4', 'IPv6'] },
    cluster: DUAL,
    gives: /multiple IP families/,
  },
  { name: 'headless', spec: { clusterIP: 'None', clusterIPs: ['None'] }, cluster: V4, gives: 'IPv4 SingleStack' },
  {
    name: 'headless without selector',
    spec: { selector: {}, clusterIP: 'None', clusterIPs: ['None'] },
    cluster: V4,
    gives: 'IPv4,IPv6 RequireDualStack',
  },
  { name: 'ExternalName', spec: { type: 'ExternalName' }, cluster: V4, gives: ' ' },
  {
    name: 'an update without a policy keeps the old one',
    spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::5'], ipFamilies: ['IPv4', 'IPv6'] },
    old: {
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1', 'fd00::5'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    },
    cluster: DUAL,
    gives: 'IPv4,IPv6 RequireDualStack',
  },
  {
    name: 'an update to single stack gives up the second',
    spec: {
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1', 'fd00::5'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'SingleStack',
    },
    old: {
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1', 'fd00::5'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    },
    cluster: DUAL,
    gives: 'IPv4 SingleStack',
  },
  {
    name: 'giving up the second without saying so',
    spec: {
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    },
    old: {
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1', 'fd00::5'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    },
    cluster: DUAL,
    gives: /must be 'SingleStack' to release the secondary cluster IP/,
  },
  {
    name: 'PreferDualStack does not grow because the cluster did',
    spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ipFamilies: ['IPv4'], ipFamilyPolicy: 'PreferDualStack' },
    old: {
      type: 'ClusterIP',
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'PreferDualStack',
    },
    cluster: DUAL,
    gives: 'IPv4 PreferDualStack',
  },
  {
    name: 'an upgrade to dual stack',
    spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ipFamilies: ['IPv4'], ipFamilyPolicy: 'PreferDualStack' },
    old: {
      type: 'ClusterIP',
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
    },
    cluster: DUAL,
    gives: 'IPv4,IPv6 PreferDualStack',
  },
]

describe('settleFamilies', () => {
  for (const { name, spec, old, cluster, gives } of rows)
    test(name, () => {
      const settled = { ...base, ...spec }
      const errors = settleFamilies(settled, old, cluster)
      if (gives instanceof RegExp) {
        const [first] = errors
        assert.match(`${first?.field}: ${first?.detail}`, gives)
      } else {
        assert.deepEqual(errors, [])
        assert.equal(`${(settled.ipFamilies ?? []).join()} ${settled.ipFamilyPolicy ?? ''}`, gives)
      }
    })
})
