import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryClient } from '../../kernel/admission/memory-client.fixture.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { aggregatedRules, sameRules } from './aggregation.ts'
import { clusterRoleAggregation } from './aggregation-controller.ts'
import type { PolicyRule } from './engine/types.ts'
import { CLUSTER_ROLES } from './resource-ids.ts'

const may = (verb: string): PolicyRule => ({ verbs: [verb], apiGroups: [''], resources: ['pods'] })
const role = (name: string, labels: Record<string, string>, rules: PolicyRule[], gathers?: string[]): KubeObject => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name, labels },
  rules,
  ...(gathers === undefined
    ? {}
    : { aggregationRule: { clusterRoleSelectors: gathers.map((g) => ({ matchLabels: { [g]: 'true' } })) } }),
})

test('rules are gathered by selector and name, each once, never from itself', () => {
  const all = [
    role('z', { a: 'true' }, [may('get'), may('list')]),
    role('y', { a: 'true' }, [may('list'), may('watch')]),
    role('x', { b: 'true' }, [may('bind')]),
    role('other', {}, [may('delete')]),
    role('sum', { a: 'true' }, [may('escalate')], ['b', 'a']),
  ]
  assert.deepEqual(aggregatedRules(all[4]!, all), [may('bind'), may('list'), may('watch'), may('get')])
})

test('the empty selector gathers everything; what is equal but for an absent list is one rule', () => {
  const all = [
    role('a', {}, [may('get')]),
    role('b', { x: 'y' }, [
      { ...may('get'), resourceNames: [] },
      { ...may('get'), resourceNames: ['n'] },
    ]),
    role('c', {}, []),
    { ...role('sum', {}, [may('forged')]), aggregationRule: { clusterRoleSelectors: [{}] } },
  ]
  const gathered = aggregatedRules(all[3]!, all)
  assert.deepEqual(gathered, [may('get'), { ...may('get'), resourceNames: ['n'] }])
  // Whatever the order in which the roles are listed, and again when nothing has changed.
  assert.deepEqual(aggregatedRules(all[3]!, all.toReversed()), gathered)
  assert.ok(sameRules(gathered, aggregatedRules({ ...all[3]!, rules: gathered }, all)))
  const by = (selector: object): PolicyRule[] =>
    aggregatedRules({ ...all[3]!, aggregationRule: { clusterRoleSelectors: [selector] } }, all)
  assert.equal(by({ matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }] }).length, 1)
  assert.equal(by({ matchExpressions: [{ key: 'x', operator: 'In', values: ['y', 'z'] }] }).length, 2)
})

test('the controller keeps aggregated roles right, also through one another', async () => {
  const client = new MemoryClient()
  const stop = new AbortController()
  const log = (): void => undefined
  const running = clusterRoleAggregation({ client, clock: { now: Date.now }, log }).run(stop.signal)
  await client.create(CLUSTER_ROLES, role('top', {}, [], ['to-top']))
  await client.create(CLUSTER_ROLES, role('middle', { 'to-top': 'true' }, [may('forged')], ['to-middle']))
  await client.create(CLUSTER_ROLES, role('leaf', { 'to-middle': 'true' }, [may('get')]))
  const topRules = async (): Promise<PolicyRule[]> => (await client.get(CLUSTER_ROLES, '', 'top'))['rules']
  const until = async (expected: PolicyRule[]): Promise<void> => {
    for (let i = 0; i < 200 && JSON.stringify(await topRules()) !== JSON.stringify(expected); i++)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await topRules(), expected)
  }
  await until([may('get')])
  await client.delete(CLUSTER_ROLES, '', 'leaf')
  await until([])
  const settled = client.writes.length
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(client.writes.length, settled)
  stop.abort()
  await running
})
