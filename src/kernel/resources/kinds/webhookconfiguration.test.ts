import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind } from './webhookconfiguration.ts'

const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
const hook = {
  name: 'a.example.com',
  clientConfig: { url: 'https://example.com/x' },
  rules: [rule],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
}
const configuration = (...webhooks: object[]): KubeObject => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
  metadata: { name: 'a' },
  webhooks: structuredClone(webhooks),
})

function errors(...webhooks: object[]): string[] {
  const object = configuration(...webhooks)
  mutatingWebhookConfigurationKind.strategy!.defaults!(object)
  return mutatingWebhookConfigurationKind.strategy!.validate!(object).map(fieldErrorMessage)
}

const service = { namespace: 'n', name: 's' }
const resources = (...r: string[]): object => ({ rules: [{ ...rule, resources: r }] })
const rows: [string, object, (string | RegExp)[]][] = [
  ['good', {}, []],
  [
    'name',
    { name: 'a.b' },
    ['webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots'],
  ],
  [
    'no client',
    { clientConfig: {} },
    ['webhooks[0].clientConfig: Required value: exactly one of url or service is required'],
  ],
  ['two clients', { clientConfig: { url: 'https://x', service } }, [/exactly one of url or service is required/]],
  [
    'plain http',
    { clientConfig: { url: 'http://x' } },
    [/'https' is the only allowed URL scheme; desired format: https:\/\/host\[\/path\]/],
  ],
  [
    'user, query, fragment',
    { clientConfig: { url: 'https://u:p@x/?q#f' } },
    [/user information is not permitted/, /fragments are not/, /query parameters are not/],
  ],
  ['no host', { clientConfig: { url: 'https:///x' } }, [/host must be provided/]],
  ['service', { clientConfig: { service } }, []],
  [
    'service path',
    { clientConfig: { service: { ...service, path: '/a//B' } } },
    [/segment\[1\] may not be empty/, /segment\[2\]: a lowercase RFC 1123/],
  ],
  [
    'service port',
    { clientConfig: { service: { ...service, port: 70000 } } },
    [/port is not valid: must be between 1 and 65535/],
  ],
  [
    'side effects',
    { sideEffects: 'Some' },
    [/sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"/],
  ],
  [
    'no side effects named',
    { sideEffects: undefined },
    ['webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun'],
  ],
  ['timeout', { timeoutSeconds: 31 }, [/the timeout value must be between 1 and 30 seconds/]],
  [
    'policies',
    { failurePolicy: 'X', matchPolicy: 'Y', reinvocationPolicy: 'Z' },
    [/failurePolicy/, /matchPolicy/, /reinvocationPolicy/],
  ],
  [
    'versions',
    { admissionReviewVersions: ['v9', 'v9', 'V'] },
    [/duplicate version/, /DNS-1035/, /must include at least one of v1, v1beta1/],
  ],
  [
    'no versions',
    { admissionReviewVersions: [] },
    ['webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1'],
  ],
  [
    'match conditions',
    { matchConditions: [{ name: 'a.b/c', expression: "request.name == 'x' && has(object.spec)" }] },
    [],
  ],
  [
    'match conditions without a part',
    { matchConditions: [{ expression: 'true' }, { name: 'a', expression: ' ' }] },
    [
      'webhooks[0].matchConditions[0].name: Required value',
      'webhooks[0].matchConditions[1].expression: Required value',
    ],
  ],
  [
    'match condition names',
    { matchConditions: ['a b', 'a', 'a'].map((name) => ({ name, expression: 'true' })) },
    [
      /^webhooks\[0\]\.matchConditions\[0\]\.name: Invalid value: "a b": name part must consist of/,
      'webhooks[0].matchConditions[2].name: Duplicate value: "a"',
    ],
  ],
  [
    'match conditions that do not compile',
    {
      matchConditions: ['object.x == ', 'nobody.x', 'request.uid == ""', 'object.flag', '"x"', 'request.name == 1'].map(
        (expression, i) => ({ name: `c${i}`, expression }),
      ),
    },
    [
      /matchConditions\[0\]\.expression: Invalid value: "object.x ==": compilation failed: /,
      /matchConditions\[1\].*compilation failed: undeclared reference to 'nobody' \(in container ''\)/,
      /matchConditions\[2\].*compilation failed: undefined field 'uid'/,
      /matchConditions\[3\].*must evaluate to bool but got dyn/,
      /matchConditions\[4\].*must evaluate to bool but got string/,
      /matchConditions\[5\].*compilation failed: no such overload/,
    ],
  ],
  [
    'authorizer',
    {
      matchConditions: [
        "authorizer.group('').resource('pods').subresource('log').namespace('x').name('y').check('get').allowed()",
        "authorizer.requestResource.check('x').reason() != ''",
        "!authorizer.serviceAccount('a', 'b').path('/healthz').check('get').errored()",
        "authorizer.group('').resource('pods').labelSelector('a=b').fieldSelector('c=d').check('list').error() == ''",
        "authorizer.group('').check('get').allowed()",
      ].map((expression, i) => ({ name: `c${i}`, expression })),
    },
    [/matchConditions\[4\].*compilation failed: found no matching overload for 'GroupCheck.check\(string\)'/],
  ],
  [
    'too many match conditions',
    { matchConditions: Array.from({ length: 65 }, (_, i) => ({ name: `c${i}`, expression: 'true' })) },
    ['webhooks[0].matchConditions: Too many: 65: must have at most 64 items'],
  ],
  [
    'rule',
    { rules: [{}] },
    [/operations: Required/, /apiGroups: Required/, /apiVersions: Required/, /resources: Required/],
  ],
  [
    'wildcards',
    { rules: [{ ...rule, operations: ['*', 'CREATE'], apiGroups: ['*', ''], scope: 'X' }] },
    [/must not specify other operations/, /must not specify other API groups/, /scope: Unsupported value/],
  ],
  [
    'operation',
    { rules: [{ ...rule, operations: ['EAT'] }] },
    [/operations\[0\]: Unsupported value: "EAT": supported values: "\*", "CONNECT", "CREATE", "DELETE", "UPDATE"/],
  ],
  ['subresources', resources('pods', 'pods/*', 'deployments/scale'), []],
  ['covered subresource', resources('pods/*', 'pods/log'), [/if 'pods\/\*' is present, must not specify pods\/log/]],
  [
    'covered resource',
    resources('*/status', 'pods/status'),
    [/if '\*\/status' is present, must not specify pods\/status/],
  ],
  ['everything and more', resources('*/*', 'pods'), [/if '\*\/\*' is present, must not specify other resources/]],
  ['all resources and one', resources('*', 'pods'), [/must not specify other resources without subresources/]],
]

for (const [name, change, want] of rows)
  test(name, () => {
    const got = errors({ ...hook, ...change })
    assert.equal(got.length, want.length, got.join('\n'))
    want.forEach((w, i) => {
      if (typeof w === 'string') assert.equal(got[i], w)
      else assert.match(got[i]!, w)
    })
  })

test('names are unique', () => {
  assert.deepEqual(errors(hook, hook), ['webhooks[1].name: Duplicate value: "a.example.com"'])
})

test('defaults', () => {
  const mutating = configuration({ ...hook, clientConfig: { service } })
  mutatingWebhookConfigurationKind.strategy!.defaults!(mutating)
  const { failurePolicy, matchPolicy, namespaceSelector, timeoutSeconds, reinvocationPolicy, rules, clientConfig } =
    mutating.webhooks[0]
  assert.deepEqual(
    [
      failurePolicy,
      matchPolicy,
      namespaceSelector,
      timeoutSeconds,
      reinvocationPolicy,
      rules[0].scope,
      clientConfig.service.port,
    ],
    ['Fail', 'Equivalent', {}, 10, 'Never', '*', 443],
  )
  const validating = configuration(hook)
  validatingWebhookConfigurationKind.strategy!.defaults!(validating)
  assert.equal('reinvocationPolicy' in validating.webhooks[0], false)
})
