import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Endpoint, verdict } from './evaluate.ts'
import { NetworkPolicyModel } from './model.ts'
import { type End, naiveVerdict, type World } from './naive.fixture.ts'
import type { Protocol } from './types.ts'
import { addObject, objectsOf, PROBED_PORTS, removeObject, world } from './worlds.fixture.ts'

const OUTSIDE = ['8.8.8.8', '169.254.169.254', '10.244.2.9', '2001:db8::1', '192.168.7.2']

/** Everyone who could talk in one family, as the engine and as the naive evaluator names them. */
function ends({ pods }: World, family: 4 | 6): { asked: Endpoint; naive: End }[] {
  const isV6 = (text: string): boolean => text.includes(':')
  const alive = pods.filter((pod) => pod['status'].phase === 'Running' && !pod['spec'].hostNetwork)
  return [
    ...alive.flatMap((pod) =>
      (pod['status'].podIPs as { ip: string }[])
        .filter(({ ip }) => isV6(ip) === (family === 6))
        .map(({ ip }) => ({
          asked: { pod: { namespace: pod.metadata.namespace!, name: pod.metadata.name! } },
          naive: { pod, address: ip },
        })),
    ),
    ...OUTSIDE.filter((text) => isV6(text) === (family === 6)).map((address) => ({
      asked: { address },
      naive: { address },
    })),
  ]
}

function compare(model: NetworkPolicyModel, current: World): number {
  let decisions = 0
  for (const family of [4, 6] as const) {
    const all = ends(current, family)
    for (const from of all)
      for (const to of all)
        for (const port of PROBED_PORTS)
          for (const protocol of ['TCP', 'UDP', 'SCTP'] as Protocol[]) {
            const got = verdict(model, { from: from.asked, to: to.asked, protocol, port, family })
            const want = naiveVerdict(current, from.naive, to.naive, { protocol, port })
            if (got.egress.allowed !== want.egress || got.ingress.allowed !== want.ingress)
              assert.fail(
                `${JSON.stringify({ from: from.asked, to: to.asked, protocol, port, family, want })}\n${JSON.stringify(got)}`,
              )
            assert.equal(got.allowed, want.egress && want.ingress)
            decisions += 2
          }
  }
  return decisions
}

test('the engine decides as the naive evaluator does', () => {
  let decisions = 0
  fc.assert(
    fc.property(world, (current) => {
      const model = new NetworkPolicyModel()
      for (const object of objectsOf(current)) addObject(model, object)
      decisions += compare(model, current)
    }),
    { numRuns: 150 },
  )
  assert.ok(decisions >= 100_000, `only ${decisions} decisions`)
})

test('the order of events does not matter, and what was there before leaves no trace', () => {
  fc.assert(
    fc.property(world, world, fc.func(fc.nat()), (before, after, order) => {
      const model = new NetworkPolicyModel()
      for (const object of objectsOf(before)) addObject(model, object)
      const steps: (() => void)[] = objectsOf(after).map((object) => () => addObject(model, object))
      const keep = new Set(
        objectsOf(after).map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`),
      )
      for (const object of objectsOf(before))
        if (!keep.has(`${object.kind}/${object.metadata.namespace}/${object.metadata.name}`))
          steps.push(() => removeObject(model, object))
      for (const [, step] of steps.map((step, i) => [order(i), step] as const).sort(([a], [b]) => a - b)) step()
      compare(model, after)
    }),
    { numRuns: 40 },
  )
})
