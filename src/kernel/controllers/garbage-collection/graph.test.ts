import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ObjectMeta, OwnerReference } from '../../api/object.ts'
import { AbsentOwners } from './absent-owners.ts'
import { blockingDependents, type Identity, OwnerGraph } from './graph.ts'

const id = (name: string, more: Partial<Identity> = {}): Identity => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  namespace: 'ns',
  name,
  uid: `uid-${name}`,
  ...more,
})
const ref = (name: string, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name,
  uid: `uid-${name}`,
  ...more,
})

function setup() {
  const work: string[] = []
  const absent = new AbsentOwners()
  const graph = new OwnerGraph(
    {
      attemptToDelete: (uid) => work.push(uid.replace('uid-', '')),
      attemptToOrphan: (uid) => work.push(`orphan ${uid.replace('uid-', '')}`),
      invalidNamespace: (dependent, owner) => work.push(`namespace ${dependent.name}→${owner.name}`),
    },
    absent,
  )
  const see = (name: string, meta: ObjectMeta = {}, more: Partial<Identity> = {}): void =>
    graph.observe(id(name, more), meta)
  const owned = (...owners: OwnerReference[]): ObjectMeta => ({ ownerReferences: owners })
  return { graph, absent, see, owned, take: (): string[] => work.splice(0) }
}

describe('owner graph', () => {
  test('objects without owners are no work', () => {
    const { see, take, graph } = setup()
    see('a')
    see('b')
    assert.deepEqual([take(), graph.size], [[], 2])
  })

  test('a dependent whose owner was not seen makes a virtual owner, which is looked up', () => {
    const { see, owned, take, graph } = setup()
    see('child', owned(ref('owner')))
    assert.deepEqual(take(), ['owner'])
    assert.equal(graph.get('uid-owner')?.virtual, true)
    see('owner')
    assert.equal(graph.get('uid-owner')?.virtual, false)
    assert.deepEqual(take(), [])
    assert.deepEqual(
      [...graph.get('uid-owner')!.dependents].map((n) => n.identity.name),
      ['child'],
    )
  })

  test('the end of an owner is work for its dependents', () => {
    const { see, owned, take, graph, absent } = setup()
    see('owner')
    see('x', owned(ref('owner')))
    see('y', owned(ref('owner')))
    graph.forget(id('owner'))
    assert.deepEqual(take(), ['x', 'y'])
    assert.equal(absent.has(id('owner')), true)
    graph.forget(id('x'))
    graph.forget(id('never seen'))
    assert.deepEqual(take(), [])
  })

  test('an owner that does not exist is forgotten, and its dependents are looked at', () => {
    const { see, owned, take, graph } = setup()
    see('child', owned(ref('ghost')))
    take()
    graph.forgetAbsent(id('ghost'))
    assert.deepEqual(take(), ['child'])
    assert.equal(graph.get('uid-ghost'), undefined)
  })

  test('foreground: dependents and the owner, once; then the owner whenever one is gone', () => {
    const { see, owned, take, graph } = setup()
    const deleting = { deletionTimestamp: 't', finalizers: ['foregroundDeletion'] }
    see('owner')
    see('x', owned(ref('owner', { blockOwnerDeletion: true })))
    see('y', owned(ref('owner')))
    see('owner', deleting)
    assert.deepEqual(take(), ['x', 'y', 'owner'])
    see('owner', deleting)
    assert.deepEqual(take(), [])
    assert.deepEqual(
      blockingDependents(graph.get('uid-owner')!).map((n) => n.identity.name),
      ['x'],
    )
    graph.forget(id('x'))
    assert.deepEqual(take(), ['owner'])
    assert.deepEqual(blockingDependents(graph.get('uid-owner')!), [])
  })

  test('a dependent that stops blocking, or leaves, lets the owner go on', () => {
    const { see, owned, take } = setup()
    see('owner', { deletionTimestamp: 't', finalizers: ['foregroundDeletion'] })
    see('x', owned(ref('owner', { blockOwnerDeletion: true })))
    see('y', owned(ref('owner', { blockOwnerDeletion: true })))
    take()
    see('x', owned(ref('owner', { blockOwnerDeletion: false })))
    assert.deepEqual(take(), ['owner'])
    see('y', owned())
    assert.deepEqual(take(), ['owner'])
  })

  test('orphan goes before foreground; deletion without either is nobody’s work', () => {
    const { see, take } = setup()
    see('a', { deletionTimestamp: 't', finalizers: ['orphan', 'foregroundDeletion'] })
    assert.deepEqual(take(), ['orphan a'])
    see('b', { deletionTimestamp: 't', finalizers: ['mine'] })
    assert.deepEqual(take(), [])
  })

  test('an owner in another namespace: reported, and the dependent is verified', () => {
    const bad = setup()
    bad.see('owner', {}, { namespace: 'other' })
    bad.see('child', bad.owned(ref('owner')))
    assert.deepEqual(bad.take(), ['namespace child→owner', 'child'])
    const late = setup()
    late.see('child', late.owned(ref('owner')))
    late.take()
    late.see('owner', {}, { namespace: 'other' })
    assert.deepEqual(late.take(), ['namespace child→owner', 'child'])
  })

  test('a cluster-scoped owner is one from any namespace', () => {
    const { see, owned, take } = setup()
    see('owner', {}, { namespace: '', kind: 'Node' })
    see('child', owned(ref('owner', { kind: 'Node' })))
    assert.deepEqual(take(), [])
  })

  test('a reference with the right uid and another name is verified', () => {
    const { see, owned, take } = setup()
    see('owner')
    see('child', owned(ref('owner', { name: 'alias' })))
    assert.deepEqual(take(), ['child'])
  })

  test('dependents that disagree about an absent owner: each story is looked up', () => {
    const { see, owned, take, graph, absent } = setup()
    see('x', owned(ref('owner')))
    see('y', owned(ref('owner', { kind: 'Secret' })))
    take()
    graph.forgetAbsent(id('owner'))
    assert.deepEqual(take(), ['x', 'owner'])
    assert.equal(absent.has(id('owner')), true)
    assert.equal(graph.get('uid-owner')?.identity.kind, 'Secret')
    graph.forgetAbsent(id('owner', { kind: 'Secret' }))
    assert.deepEqual(take(), ['y', 'owner'])
    assert.equal(graph.get('uid-owner')?.identity.kind, 'ConfigMap')
  })

  test('a real owner is not forgotten because someone gave it a wrong name', () => {
    const { see, owned, take, graph } = setup()
    see('owner')
    see('good', owned(ref('owner')))
    see('bad', owned(ref('owner', { kind: 'Secret' })))
    take()
    graph.forgetAbsent(id('owner', { kind: 'Secret' }))
    assert.deepEqual(take(), ['bad'])
    assert.equal(graph.get('uid-owner')?.virtual, false)
  })

  test('changed owners: the old forgets the dependent, the new knows it', () => {
    const { see, owned, take, graph } = setup()
    see('one')
    see('two')
    see('child', owned(ref('one')))
    see('child', owned(ref('two')))
    graph.forget(id('one'))
    assert.deepEqual(take(), [])
    graph.forget(id('two'))
    assert.deepEqual(take(), ['child'])
  })
})

test('absent owners: the oldest make room', () => {
  const absent = new AbsentOwners(2)
  for (const name of ['a', 'b', 'a', 'c']) absent.add(id(name))
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => absent.has(id(name))),
    [true, false, true],
  )
})
