import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mergeInittab } from './inittab.ts'
import { checkMachineName, endpoint, endpointLines, freeAddress, freeName, labId, labPrefix } from './plan.ts'

test('names of two labs never begin alike', () => {
  const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/)
  fc.assert(
    fc.property(name, name, fc.string(), fc.string(), (a, b, folderA, folderB) => {
      fc.pre(a !== b || folderA !== folderB)
      const [one, other] = [labPrefix(labId(a, folderA)), labPrefix(labId(b, folderB))]
      assert.ok(!one.startsWith(other) && !other.startsWith(one))
    }),
  )
})

test('every address has a link of its own whose name a kernel takes', () => {
  const taken = new Set<string>()
  const links = new Set<string>()
  for (let n = 0; n < 244; n++) {
    const address = freeAddress(taken)
    taken.add(address)
    const { link, netns } = endpoint('id', `m${n}`, address)
    assert.ok(link.length <= 15)
    links.add(link)
    assert.equal(netns, `rampart-id-m${n}`)
  }
  assert.equal(links.size, 244)
  assert.throws(() => freeAddress(taken), /full/)
  assert.equal(freeName(new Set(['node-1', 'node-3'])), 'node-2')
})

test('the alias, which says that a link is finished, comes last', () => {
  const { router, own } = endpointLines(endpoint('id', 'node-1', '172.31.0.11'))
  assert.equal(router.at(-1), 'link set eni-11 alias node-1')
  assert.ok(own.includes('address add 172.31.0.11/32 dev eth0'))
})

for (const name of ['router', 'control-plane', '', '-a', 'a_b', 'A', 'a/b', '..', 'a'.repeat(41)])
  test(`${JSON.stringify(name)} is no machine's name`, () =>
    assert.throws(() => checkMachineName(name), /machine's name/))
test('node-1 is one', () => checkMachineName('node-1'))

test('inittab: what others added stays, what is ours is made anew', () => {
  const first = mergeInittab('', ['::respawn:/old'])
  const extended = `${first}::respawn:/opt/agent\n`
  const second = mergeInittab(extended, ['::respawn:/new'])
  assert.equal(
    second
      .split('\n')
      .filter((line) => line.startsWith('::'))
      .join(),
    '::respawn:/new,::respawn:/opt/agent',
  )
  assert.equal(mergeInittab(second, ['::respawn:/new']), second)
  assert.ok(!mergeInittab('::respawn:/foreign\n', ['::respawn:/new']).includes('foreign'))
})
