import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { NetworkPolicyModel } from '../model/model.ts'
import { addObject, objectsOf, removeObject, world } from '../model/worlds.fixture.ts'
import { Compiler } from './compiler.ts'
import { renderReplacement, renderTransaction } from './render.ts'

/** The kernel's tables live in network namespaces of their own, which end with the command. */
const canLoad = process.getuid?.() === 0

const WORLDS = 12

function transactions(from: KubeObject[], to: KubeObject[]): { steps: string[]; last: string } {
  const model = new NetworkPolicyModel()
  const compiler = new Compiler(model, { node: 'n1', podCidrs: { ip: ['10.244.1.0/24'], ip6: [] } })
  for (const object of from) addObject(model, object)
  const steps = [renderTransaction(compiler.update())]
  const keep = new Set(to.map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`))
  for (const object of to) {
    addObject(model, object)
    steps.push(renderTransaction(compiler.update()))
  }
  for (const object of from) {
    if (keep.has(`${object.kind}/${object.metadata.namespace}/${object.metadata.name}`)) continue
    removeObject(model, object)
    steps.push(renderTransaction(compiler.update()))
  }
  return { steps: steps.filter((step) => step !== ''), last: renderReplacement(compiler.program()) }
}

/** Lines in the order of their text: the kernel lists objects in the order in which they came. */
const sorted = (ruleset: string): string[] =>
  ruleset
    .replace(/,\s*\n\s*/g, ', ')
    .split('\n')
    .map((line) => line.trim().replace(/\{ (.*) \}/, (_, list: string) => list.split(', ').sort().join(', ')))
    .sort()

test('the kernel takes every transaction, and holds in the end what it holds when started afresh', {
  skip: canLoad ? false : 'loading rules needs root',
  timeout: 120_000,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-policy-'))
  try {
    const worlds = fc.sample(world, { numRuns: WORLDS * 2 })
    for (let i = 0; i < WORLDS; i++) {
      const { steps, last } = transactions(objectsOf(worlds[2 * i]!), objectsOf(worlds[2 * i + 1]!))
      steps.forEach((step, n) => {
        writeFileSync(join(folder, `${String(n).padStart(3, '0')}.nft`), step)
      })
      writeFileSync(join(folder, 'last'), last)
      const script = [
        'set -e',
        'for f in *.nft; do nft -f $f || { echo "in $f:"; cat $f; exit 1; } >&2; done',
        'nft list ruleset > updated',
        'nft -f last',
        'nft list ruleset > fresh',
      ].join('\n')
      execFileSync('unshare', ['-n', 'sh', '-c', script], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
      const read = (name: string): string[] => sorted(readFileSync(join(folder, name), 'utf8'))
      assert.deepEqual(read('updated'), read('fresh'))
      execFileSync('find', [folder, '-maxdepth', '1', '-type', 'f', '-delete'])
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
