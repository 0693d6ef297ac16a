import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import * as reviews from './reviews.ts'

const ask = (kind: ResourceDefinition, spec: object, metadata: object = {}): string[] => {
  const object = { apiVersion: `${kind.group}/v1`, kind: kind.kind, metadata, spec } as KubeObject
  return kind.strategy!.validate!(object).map(fieldErrorMessage)
}
const resourceAttributes = { verb: 'get', resource: 'pods', namespace: 'n' }

test('reviews are answered, never stored', () => {
  assert.equal(reviews.reviewKinds.length, 6)
  for (const kind of reviews.reviewKinds) assert.deepEqual([kind.stored, kind.verbs], [false, ['create']])
  assert.equal(reviews.localSubjectAccessReviewKind.namespaced, true)
})

test('SubjectAccessReview', () => {
  const kind = reviews.subjectAccessReviewKind
  assert.deepEqual(ask(kind, { user: 'a', resourceAttributes }), [])
  assert.deepEqual(ask(kind, { groups: ['g'], nonResourceAttributes: { path: '/', verb: 'get' } }), [])
  assert.deepEqual(ask(kind, { resourceAttributes }), [
    'spec.user: Invalid value: "": at least one of user or group must be specified',
  ])
  assert.deepEqual(ask(kind, { user: 'a' }), [
    'spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
  ])
  assert.match(
    ask(kind, { user: 'a', resourceAttributes, nonResourceAttributes: {} })[0]!,
    /cannot be specified in combination with resourceAttributes/,
  )
  assert.match(
    ask(kind, { user: 'a', resourceAttributes }, { name: 'x', uid: 'u' })[0]!,
    /^metadata: Invalid value: .*: must be empty$/,
  )
})

test('SelfSubjectAccessReview needs no user', () => {
  assert.deepEqual(
    ask(reviews.selfSubjectAccessReviewKind, { resourceAttributes }, { creationTimestamp: null, uid: 'u' }),
    [],
  )
})

test('LocalSubjectAccessReview stays in its namespace', () => {
  const kind = reviews.localSubjectAccessReviewKind
  assert.deepEqual(ask(kind, { user: 'a', resourceAttributes }, { namespace: 'n' }), [])
  assert.deepEqual(ask(kind, { user: 'a', resourceAttributes }, { namespace: 'm' }), [
    'spec.resourceAttributes.namespace: Invalid value: "n": must match metadata.namespace',
  ])
  assert.match(
    ask(kind, { user: 'a', nonResourceAttributes: {} }, { namespace: 'n' })[0]!,
    /disallowed on this kind of request/,
  )
})

test('selectors in attributes', () => {
  const kind = reviews.selfSubjectAccessReviewKind
  const withSelector = (selector: object): object => ({ resourceAttributes: { ...resourceAttributes, ...selector } })
  const path = 'spec.resourceAttributes'
  assert.deepEqual(ask(kind, withSelector({ fieldSelector: { rawSelector: 'a=b' } })), [])
  assert.deepEqual(ask(kind, withSelector({ fieldSelector: {} })), [
    `${path}.fieldSelector.requirements: Required value: when ${path}.fieldSelector is specified, requirements or rawSelector is required`,
  ])
  assert.deepEqual(ask(kind, withSelector({ labelSelector: { requirements: [{ key: 'a', operator: 'In' }] } })), [
    `${path}.labelSelector.requirements[0].values: Required value: must be specified when \`operator\` is 'In' or 'NotIn'`,
  ])
})

test('what is no field error is a bad request', () => {
  assert.throws(() => ask(reviews.tokenReviewKind, {}), {
    code: 400,
    message: 'token is required for TokenReview in authentication',
  })
  assert.throws(() => ask(reviews.selfSubjectRulesReviewKind, {}), { code: 400, message: 'no namespace on request' })
})
