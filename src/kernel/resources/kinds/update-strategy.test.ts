import assert from 'node:assert/strict'
import { test } from 'node:test'
import { builtinKinds } from './index.ts'

/** AllowCreateOnUpdate of each strategy of Kubernetes 1.32 (pkg/registry, apiextensions-apiserver). */
const CREATED_BY_PUT = ['endpoints', 'events', 'leases', 'limitranges', 'services']
/** Strategies without AllowUnconditionalUpdate. Custom resources are the only other kind here. */
const NEED_A_VERSION = [
  'customresourcedefinitions',
  'leases',
  'mutatingwebhookconfigurations',
  'poddisruptionbudgets',
  'validatingwebhookconfigurations',
]

const plurals = (fits: (kind: (typeof builtinKinds)[number]) => boolean): string[] =>
  [...new Set(builtinKinds.filter(fits).map((kind) => kind.plural))].sort()

test('PUT creates objects of the kinds of which it does so in Kubernetes', () => {
  assert.deepEqual(
    plurals((kind) => kind.strategy?.allowCreateOnUpdate === true),
    CREATED_BY_PUT,
  )
})

test('PUT without a resourceVersion is refused for the kinds for which Kubernetes refuses it', () => {
  assert.deepEqual(
    plurals((kind) => kind.strategy?.allowUnconditionalUpdate === false),
    NEED_A_VERSION,
  )
})
