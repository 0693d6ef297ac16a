/** Several control planes on one etcd: a rotation of the authorities goes from the one to the others by export and import. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { exportTrust, importTrust } from '../src/control-plane/shared-trust.ts'
import { ControlPlanePki } from '../src/features/tls/index.ts'

const base = mkdtempSync(join(tmpdir(), `rampart-shared-${process.pid}-`))
after(() => rmSync(base, { recursive: true }))
const open = (name: string): ControlPlanePki =>
  new ControlPlanePki({
    directory: join(base, name, 'pki'),
    clock: { now: Date.now },
    clusterName: 'test',
    apiServerNames: [],
    serviceAddress: '10.96.0.1',
  })
/** From one data folder into another, as the commands do. */
function pass(from: string, to: string): string[] {
  const file = join(base, 'bundle.json')
  writeFileSync(file, exportTrust(join(base, from)).bundle, { mode: 0o600 })
  return importTrust(join(base, to), file)
}

test('each step is taken over, in its order, and what is behind or apart is refused', () => {
  const first = open('first')
  pass('first', 'second')
  const second = open('second')
  assert.equal(second.rootPem, first.rootPem)

  first.rotate('trust')
  const changed = pass('first', 'second')
  assert.equal(changed.filter((name) => name.startsWith('pki/generation-2/')).length, 14)
  second.reload()
  assert.deepEqual([second.rotation.phase, second.rootPem], ['trust', first.rootPem])

  first.rotate('sign')
  assert.throws(() => pass('second', 'first'), /further in a rotation of the authorities than the bundle/)
  pass('first', 'second')
  assert.ok(second.reload().includes('api-server'), 'its leaves are of the new authorities')

  second.rotate('retire')
  pass('second', 'first')
  first.reload()
  assert.equal(first.rotation.phase, 'stable')
  assert.equal(first.rootPem, second.rootPem)
  assert.equal(existsSync(join(base, 'first', 'pki', 'ca.key')), false)
  assert.deepEqual(pass('first', 'second'), [])

  // Both start a rotation by themselves: nobody can say whose authorities are right.
  first.rotate('trust')
  second.rotate('trust')
  assert.throws(() => pass('first', 'second'), /both control planes (rotated by themselves|made one of their own)/)

  open('third')
  assert.throws(() => pass('first', 'third'), /another cluster's/)
})
