import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DeletionPass, nextConditions } from './conditions.ts'

const clean: DeletionPass = { discoveryFailures: [], contentFailures: [], remaining: new Map(), finalizers: new Map() }
const print = (conditions: ReturnType<typeof nextConditions>): string[] =>
  (conditions ?? []).map((c) => `${c.type} ${c.status} ${c.reason}: ${c.message}`)

test('a clean pass says so in five conditions, and nothing when said before', () => {
  const first = nextConditions([], clean, 't1')
  assert.deepEqual(print(first), [
    'NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered',
    'NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed',
    'NamespaceDeletionContentFailure False ContentDeleted: All content successfully deleted, may be waiting on finalization',
    'NamespaceContentRemaining False ContentRemoved: All content successfully removed',
    'NamespaceFinalizersRemaining False ContentHasNoFinalizers: All content-preserving finalizers finished',
  ])
  assert.equal(nextConditions(first!, clean, 't2'), undefined)
})

test('what is left, sorted; transition times only when a status turns', () => {
  const first = nextConditions([], clean, 't1')!
  const pass: DeletionPass = {
    discoveryFailures: ['x.example.com/v1: away'],
    contentFailures: [],
    remaining: new Map([
      ['widgets.example.com', 2],
      ['pods.', 1],
    ]),
    finalizers: new Map([
      ['b', 1],
      ['a', 2],
    ]),
  }
  const second = nextConditions(
    [{ type: 'Other', status: 'True', lastTransitionTime: 't0', reason: '', message: '' }, ...first],
    pass,
    't2',
  )!
  assert.deepEqual(
    second.map((c) => `${c.type} ${c.status} ${c.lastTransitionTime}`),
    [
      'Other True t0',
      'NamespaceDeletionDiscoveryFailure True t2',
      'NamespaceDeletionGroupVersionParsingFailure False t1',
      'NamespaceDeletionContentFailure False t1',
      'NamespaceContentRemaining True t2',
      'NamespaceFinalizersRemaining True t2',
    ],
  )
  assert.equal(
    second[4]!.message,
    'Some resources are remaining: pods. has 1 resource instances, widgets.example.com has 2 resource instances',
  )
  assert.equal(
    second[5]!.message,
    'Some content in the namespace has finalizers remaining: a in 2 resource instances, b in 1 resource instances',
  )
  const third = nextConditions(second, { ...pass, remaining: new Map([['pods.', 1]]) }, 't3')!
  assert.equal(third.find((c) => c.type === 'NamespaceContentRemaining')?.lastTransitionTime, 't2')
})
