import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { conformanceCases, conformanceWorld, runActions } from '../model/conformance.fixture.ts'
import { verdict } from '../model/evaluate.ts'
import { NetworkPolicyModel } from '../model/model.ts'
import type { Pod } from '../model/pod.ts'
import type { Protocol } from '../model/types.ts'
import { addObject, NODE_NAMES, objectsOf, PROBED_PORTS, removeObject, world } from '../model/worlds.fixture.ts'
import { applyTransaction } from './apply.ts'
import { Compiler } from './compiler.ts'
import { interpret } from './interpret.fixture.ts'
import type { Program } from './program.ts'

const { cases } = conformanceCases(
  gunzipSync(readFileSync(new URL('../model/data/conformance.json.gz', import.meta.url))),
)

/** Addresses that are no pod's, and no machine's. */
const OUTSIDE = ['8.8.8.8', '169.254.169.254', '10.244.2.9', '2001:db8::1', 'fd00:244::40']

type Known = { pod?: Pod; address: string; family: 4 | 6 }

function everyone(model: NetworkPolicyModel): Known[] {
  const pods = [...model.pods()].flatMap((pod) =>
    pod.addresses.map(({ text, family }) => ({ pod, address: text, family })),
  )
  return [
    ...pods,
    ...OUTSIDE.map((address) => ({ address, family: address.includes(':') ? (6 as const) : (4 as const) })),
  ]
}

function compare(model: NetworkPolicyModel, programs: ReadonlyMap<string, Program>): number {
  let decisions = 0
  const all = everyone(model)
  for (const from of all)
    for (const to of all) {
      if (from.family !== to.family) continue
      for (const port of PROBED_PORTS)
        for (const protocol of ['TCP', 'UDP', 'SCTP'] as Protocol[]) {
          const asked = { from: { address: from.address }, to: { address: to.address }, protocol, port }
          const want = verdict(model, asked)
          const packet = {
            family: from.family,
            saddr: from.address,
            daddr: to.address,
            l4proto: protocol.toLowerCase(),
            sport: 40000,
            dport: port,
          }
          const machines = [...new Set([from.pod?.node, to.pod?.node].filter((name) => name !== undefined))]
          const got = machines.every((name) => interpret(programs.get(name)!, 'forward', packet).verdict === 'accept')
          if (got !== want.allowed)
            assert.fail(
              `${JSON.stringify(asked)}: program ${got}, model ${JSON.stringify(want)}\n${machines.map((name) => JSON.stringify(interpret(programs.get(name)!, 'forward', packet)))}`,
            )
          decisions++
        }
    }
  return decisions
}

test('the program lets through what the model allows', () => {
  let decisions = 0
  fc.assert(
    fc.property(world, (current) => {
      const programs = new Map<string, Program>()
      let model = new NetworkPolicyModel()
      for (const name of NODE_NAMES) {
        model = new NetworkPolicyModel()
        for (const object of objectsOf(current)) addObject(model, object)
        const compiler = new Compiler(model, { node: name })
        compiler.update()
        programs.set(name, compiler.program())
      }
      decisions += compare(model, programs)
    }),
    { numRuns: 100 },
  )
  assert.ok(decisions > 30_000, `only ${decisions} decisions`)
})

const idOf = ({ kind, metadata }: KubeObject): string => `${kind}/${metadata.namespace}/${metadata.name}`

test('updates lead where a fresh start leads, each step applies to what the kernel holds', () => {
  fc.assert(
    fc.property(world, world, fc.func(fc.nat()), fc.nat({ max: 3 }), (before, after, order, together) => {
      const model = new NetworkPolicyModel()
      for (const object of objectsOf(before)) addObject(model, object)
      const compiler = new Compiler(model, { node: 'n1' })
      let kernel = applyTransaction(new Map(), compiler.update())
      assert.deepEqual(kernel, compiler.program())
      const steps: (() => void)[] = objectsOf(after).map((object) => () => addObject(model, object))
      const keep = new Set(objectsOf(after).map(idOf))
      for (const object of objectsOf(before)) if (!keep.has(idOf(object))) steps.push(() => removeObject(model, object))
      const shuffled = steps.map((step, i) => [order(i), step] as const).sort(([a], [b]) => a - b)
      shuffled.forEach(([, step], i) => {
        step()
        if (i % (together + 1) !== 0) return
        kernel = applyTransaction(kernel, compiler.update())
        assert.deepEqual(kernel, compiler.program())
        const started = new Compiler(model, { node: 'n1' })
        started.update()
        assert.deepEqual(kernel, started.program())
        model.listen(compiler)
      })
      kernel = applyTransaction(kernel, compiler.update())
      const fresh = new NetworkPolicyModel()
      for (const object of objectsOf(after)) addObject(fresh, object)
      const other = new Compiler(fresh, { node: 'n1' })
      other.update()
      assert.deepEqual(compiler.program(), other.program())
      assert.deepEqual(kernel, other.program())
      assert.deepEqual(compiler.attributions(), other.attributions())
    }),
    { numRuns: 150 },
  )
})

test('every cell of the conformance cases, through the program', () => {
  let count = 0
  for (const { group, description, steps } of cases) {
    const current = conformanceWorld()
    const compiler = new Compiler(current.model, { node: 'n1' })
    let kernel: Program = new Map()
    steps.forEach(({ actions, pods, services, cells }, step) => {
      runActions(current, actions)
      kernel = applyTransaction(kernel, compiler.update())
      let cell = 0
      for (const from of pods)
        for (const to of pods)
          for (const service of services) {
            const expected = cells[cell++]
            const want = from === to || expected === '3'
            const [dport, protocol] = service.split('/') as [string, string]
            const [saddr, daddr] = [from, to].map((key) => current.model.podByKey(key)!.addresses[0]!.text)
            const packet = { family: 4 as const, saddr: saddr!, daddr: daddr!, l4proto: protocol.toLowerCase() }
            const got = interpret(kernel, 'forward', { ...packet, sport: 40000, dport: Number(dport) })
            if ((got.verdict === 'accept') !== want)
              assert.fail(`${group}: ${description}, step ${step}: ${from} to ${to} ${service}: ${got.verdict}`)
            count++
          }
    })
  }
  assert.equal(count, 123_669)
})

test('nothing to do is nothing', () => {
  fc.assert(
    fc.property(world, (current) => {
      const model = new NetworkPolicyModel()
      for (const object of objectsOf(current)) addObject(model, object)
      const compiler = new Compiler(model, { node: 'n1' })
      compiler.update()
      for (const object of objectsOf(current)) addObject(model, object)
      assert.deepEqual(compiler.update(), [])
    }),
    { numRuns: 30 },
  )
})
