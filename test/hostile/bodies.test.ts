import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, exchange, type RequestOptions, request } from './wire.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const SECRETS = '/api/v1/namespaces/default/secrets'
const PODS = '/api/v1/namespaces/default/pods'
const MEBIBYTE = 1024 * 1024

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
})
after(async () => {
  // Whatever came in: nothing of it was a fault of the server, and nothing reached every object's prototype.
  await server.close()
  assert.deepEqual(
    server.log.filter((line) => line.level === 'error'),
    [],
  )
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

const send = (options: RequestOptions): Promise<Answer> => request(server, admin, options)
const configMap = (fields: string): string => `{"kind":"ConfigMap","apiVersion":"v1",${fields}}`
const pod = (spec: string): string =>
  `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{${spec}"containers":[{"name":"c","image":"i"}]}}`

describe('a body above 3 MiB', () => {
  const tooLarge = (answer: Answer): void => {
    assert.equal(answer.code, 413)
    assert.equal(answer.json().reason, 'RequestEntityTooLarge')
    assert.match(answer.json().message!, /limit is 3145728/)
  }
  test('declared by Content-Length is refused without being read', async () => {
    const head = `POST ${CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: ${4 * MEBIBYTE}\r\n\r\n`
    tooLarge(await exchange(server, admin, head))
  })
  test('declared and sent', async () =>
    tooLarge(await send({ path: CONFIGMAPS, body: Buffer.alloc(4 * MEBIBYTE, 'a') })))
  test('in chunks is refused once it is too long', async () => {
    const head = `POST ${CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MEBIBYTE, 'a'), Buffer.from('\r\n')])
    tooLarge(await exchange(server, admin, [Buffer.from(head), chunk, chunk, chunk, chunk]))
  })
  test('of less is read, and too large to be stored', async () => {
    const answer = await send({
      path: CONFIGMAPS,
      body: configMap(`"metadata":{"name":"big"},"binaryData":{"k":"${'A'.repeat(2 * MEBIBYTE)}"}`),
    })
    assert.ok([413, 422].includes(answer.code), answer.body)
  })
})

describe('repeated and unknown fields', () => {
  const cases = [
    {
      what: 'repeated',
      body: configMap('"metadata":{"name":"first","name":"last"},"data":{"k":"1","k":"2"}'),
      complaints: ['duplicate field "metadata.name"', 'duplicate field "data.k"'],
    },
    {
      what: 'unknown',
      body: configMap('"metadata":{"name":"last","nope":1},"bogus":{"x":1},"constructor":{"prototype":{"polluted":1}}'),
      complaints: ['unknown field "metadata.nope"', 'unknown field "bogus"', 'unknown field "constructor"'],
    },
  ]
  for (const { what, body, complaints } of cases) {
    test(`${what}, fieldValidation=Ignore: the last value counts, silently`, async () => {
      const answer = await send({ path: `${CONFIGMAPS}?dryRun=All&fieldValidation=Ignore`, body })
      assert.equal(answer.code, 201)
      assert.equal(answer.json().metadata!['name'], 'last')
      assert.equal(answer.headers['warning'], undefined)
    })
    for (const query of ['', '&fieldValidation=Warn'])
      test(`${what}, fieldValidation=${query === '' ? 'default' : 'Warn'}: a warning each`, async () => {
        const answer = await send({ path: `${CONFIGMAPS}?dryRun=All${query}`, body })
        assert.equal(answer.code, 201)
        assert.deepEqual(
          answer.headers['warning'],
          complaints.map((text) => `299 - "${text.replaceAll('"', '\\"')}"`),
        )
      })
    test(`${what}, fieldValidation=Strict: all of them in one error`, async () => {
      const answer = await send({ path: `${CONFIGMAPS}?dryRun=All&fieldValidation=Strict`, body })
      assert.equal(answer.code, 400)
      assert.equal(
        answer.json().message,
        `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: ${complaints.join(', ')}`,
      )
    })
  }
  test('fieldValidation of another value', async () => {
    const answer = await send({
      path: `${CONFIGMAPS}?fieldValidation=Maybe`,
      body: configMap('"metadata":{"name":"a"}'),
    })
    assert.equal(answer.code, 422)
  })
})

/** Bodies that are refused: what is sent, code, and what the message must say. */
const refused: readonly [string, RequestOptions, number, RegExp][] = [
  ['no body', { path: CONFIGMAPS, body: '' }, 400, /unexpected end of JSON input/],
  ['a list', { path: CONFIGMAPS, body: '[]' }, 400, /must be an object/],
  ['null', { path: CONFIGMAPS, body: 'null' }, 400, /must be an object/],
  [
    '10,000 levels',
    { path: CONFIGMAPS, body: configMap(`"data":${'['.repeat(10_000)}${']'.repeat(10_000)}`) },
    400,
    /max depth/,
  ],
  ['a million open brackets', { path: CONFIGMAPS, body: '['.repeat(1_000_000) }, 400, /max depth/],
  [
    '10,000 levels of YAML',
    { path: CONFIGMAPS, headers: { 'Content-Type': 'application/yaml' }, body: '{a: '.repeat(10_000) },
    400,
    /maxDepth|too deep/,
  ],
  [
    'YAML that contains itself',
    { path: CONFIGMAPS, headers: { 'Content-Type': 'application/yaml' }, body: '&a {kind: ConfigMap, data: *a}' },
    400,
    /too deep|aliasing/,
  ],
  [
    '__proto__',
    { path: CONFIGMAPS, body: configMap('"metadata":{"name":"a"},"__proto__":{"polluted":1}') },
    400,
    /"__proto__" is not allowed/,
  ],
  [
    '__proto__ as a label',
    { path: CONFIGMAPS, body: configMap('"metadata":{"name":"a","labels":{"__proto__":"x"}}') },
    400,
    /"__proto__" is not allowed/,
  ],
  [
    'escaped __proto__',
    { path: CONFIGMAPS, body: configMap('"metadata":{"name":"a","labels":{"\\u005f_proto__":"x"}}') },
    400,
    /"__proto__" is not allowed/,
  ],
  [
    'invalid UTF-8',
    {
      path: CONFIGMAPS,
      body: Buffer.concat([Buffer.from('{"data":{"k":"'), Buffer.of(0xff, 0xfe), Buffer.from('"}}')]),
    },
    400,
    /not valid UTF-8/,
  ],
  [
    'overlong UTF-8',
    {
      path: CONFIGMAPS,
      body: Buffer.concat([Buffer.from('{"data":{"k":"'), Buffer.of(0xc0, 0xaf), Buffer.from('"}}')]),
    },
    400,
    /not valid UTF-8/,
  ],
  [
    'a NUL byte',
    { path: CONFIGMAPS, body: configMap('"metadata":{"name":"a\0b"}') },
    400,
    /invalid character '\\u0000'/,
  ],
  [
    'an escaped NUL in a name',
    { path: CONFIGMAPS, body: configMap('"metadata":{"name":"a\\u0000b"}') },
    422,
    /RFC 1123/,
  ],
  [
    'int64 + 1',
    { path: PODS, body: pod('"terminationGracePeriodSeconds":9223372036854775808,') },
    400,
    /cannot unmarshal number .* of type int64/,
  ],
  [
    'a hundred digits',
    { path: PODS, body: pod(`"terminationGracePeriodSeconds":${'9'.repeat(100)},`) },
    400,
    /cannot unmarshal number .* of type int64/,
  ],
  ['1e400', { path: PODS, body: pod('"terminationGracePeriodSeconds":1e400,') }, 400, /does not fit into float64/],
  [
    'a fraction',
    { path: PODS, body: pod('"terminationGracePeriodSeconds":1.5,') },
    400,
    /cannot unmarshal number .* of type int64/,
  ],
  [
    'int32 + 1',
    {
      path: '/api/v1/namespaces/default/services',
      body: '{"metadata":{"name":"s"},"spec":{"ports":[{"port":2147483648}]}}',
    },
    400,
    /of type int32/,
  ],
  [
    'text for a list',
    { path: PODS, body: '{"metadata":{"name":"p"},"spec":{"containers":"c"}}' },
    400,
    /cannot unmarshal string into Go struct field PodSpec.spec.containers/,
  ],
  [
    'text for metadata',
    { path: CONFIGMAPS, body: configMap('"metadata":"x"') },
    400,
    /ConfigMap.metadata of type v1.ObjectMeta/,
  ],
  [
    'a number for kind',
    { path: CONFIGMAPS, body: '{"kind":5,"apiVersion":{},"metadata":{"name":"a"}}' },
    400,
    /the body is \{\} 5, expected v1 ConfigMap/,
  ],
  [
    'another kind',
    { path: CONFIGMAPS, body: '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}' },
    400,
    /expected v1 ConfigMap/,
  ],
  [
    'another media type',
    { path: CONFIGMAPS, headers: { 'Content-Type': 'text/plain' }, body: 'x' },
    415,
    /accepted media types/,
  ],
  [
    'protobuf garbage',
    {
      path: CONFIGMAPS,
      headers: { 'Content-Type': 'application/vnd.kubernetes.protobuf' },
      body: Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(100, 0xff)]),
    },
    400,
    /protobuf/,
  ],
  [
    'a JSON patch of 10,001 operations',
    {
      method: 'PATCH',
      path: `${CONFIGMAPS}/kube-root-ca.crt`,
      headers: { 'Content-Type': 'application/json-patch+json' },
      body: JSON.stringify(Array(10_001).fill({ op: 'test', path: '/kind', value: 'ConfigMap' })),
    },
    413,
    /maximum operations/,
  ],
  [
    'a JSON patch that doubles 60 times',
    {
      method: 'PATCH',
      path: `${CONFIGMAPS}/kube-root-ca.crt`,
      headers: { 'Content-Type': 'application/json-patch+json' },
      body: JSON.stringify(Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '/data', path: `/data/x${i}` }))),
    },
    413,
    /accumulated size/,
  ],
  [
    'a JSON patch of the prototype',
    {
      method: 'PATCH',
      path: `${CONFIGMAPS}/kube-root-ca.crt`,
      headers: { 'Content-Type': 'application/json-patch+json' },
      body: '[{"op":"add","path":"/constructor/prototype/polluted","value":"1"}]',
    },
    422,
    /rejected our request/,
  ],
  [
    'a merge patch of metadata.uid',
    {
      method: 'PATCH',
      path: `${CONFIGMAPS}/kube-root-ca.crt`,
      headers: { 'Content-Type': 'application/merge-patch+json' },
      body: '{"metadata":{"uid":"other"}}',
    },
    409,
    /UID in precondition/,
  ],
  [
    'an apply of a billion laughs',
    {
      method: 'PATCH',
      path: `${CONFIGMAPS}/x?fieldManager=m`,
      headers: { 'Content-Type': 'application/apply-patch+yaml' },
      body: laughs(9),
    },
    400,
    /excessive aliasing/,
  ],
  // Bodies of subresources and options have schemas too.
  [
    'TokenRequest: text for a list',
    { path: '/api/v1/namespaces/default/serviceaccounts/default/token', body: '{"spec":{"audiences":"x"}}' },
    400,
    /TokenRequestSpec.spec.audiences of type \[\]string/,
  ],
  [
    'TokenRequest: unknown field, Strict',
    {
      path: '/api/v1/namespaces/default/serviceaccounts/default/token?fieldValidation=Strict',
      body: '{"spec":{"x":1}}',
    },
    400,
    /TokenRequest in version "v1" cannot be handled as a TokenRequest: strict decoding error: unknown field "spec.x"/,
  ],
  [
    'Binding: text for an object',
    { path: `${PODS}/p/binding`, body: '{"target":"node"}' },
    400,
    /Binding.target of type v1.ObjectReference/,
  ],
  [
    'Eviction: text for a number',
    { path: `${PODS}/p/eviction`, body: '{"deleteOptions":{"gracePeriodSeconds":"x"}}' },
    400,
    /gracePeriodSeconds of type int64/,
  ],
  [
    'Eviction: repeated field, Strict',
    { path: `${PODS}/p/eviction?fieldValidation=Strict`, body: '{"metadata":{"name":"p","name":"p"}}' },
    400,
    /strict decoding error: duplicate field "metadata.name"/,
  ],
  [
    'Eviction: another kind',
    { path: `${PODS}/p/eviction`, body: '{"kind":"Pod","apiVersion":"v1"}' },
    400,
    /expected policy\/v1 Eviction/,
  ],
  [
    'Scale: text for a number',
    {
      method: 'PUT',
      path: '/apis/apps/v1/namespaces/default/deployments/d/scale',
      body: '{"metadata":{"name":"d"},"spec":{"replicas":"3"}}',
    },
    400,
    /ScaleSpec.spec.replicas of type int32/,
  ],
  [
    'DeleteOptions: text for preconditions',
    { method: 'DELETE', path: `${CONFIGMAPS}/x`, body: '{"preconditions":"x"}' },
    400,
    /DeleteOptions.preconditions of type v1.Preconditions/,
  ],
  [
    'DeleteOptions: another kind',
    { method: 'DELETE', path: `${CONFIGMAPS}/x`, body: '{"kind":"ConfigMap"}' },
    400,
    /cannot be converted to DeleteOptions/,
  ],
  [
    'gracePeriodSeconds without a number',
    { method: 'DELETE', path: `${CONFIGMAPS}/x?gracePeriodSeconds=` },
    400,
    /gracePeriodSeconds must be an integer/,
  ],
]

/** YAML of a few hundred bytes that stands for 9^levels values. */
function laughs(levels: number): string {
  const lines = ['l0: &l0 [x]']
  for (let i = 1; i <= levels; i++)
    lines.push(
      `l${i}: &l${i} [${Array(9)
        .fill(`*l${i - 1}`)
        .join(', ')}]`,
    )
  return lines.join('\n')
}

describe('refused with the reason', () => {
  for (const [what, options, code, message] of refused)
    test(what, async () => {
      const answer = await send(options)
      assert.equal(answer.code, code, answer.body)
      const causes = (answer.json().details?.causes ?? []).map((c) => c.message).join(' ')
      assert.match(`${answer.json().message} ${causes}`, message)
      assert.equal(answer.json().kind, 'Status')
    })
})

test('the largest int64 is kept to the digit', async () => {
  const answer = await send({
    path: `${PODS}?dryRun=All`,
    body: pod('"terminationGracePeriodSeconds":9223372036854775807,'),
  })
  assert.equal(answer.code, 201, answer.body)
  assert.match(answer.body, /"terminationGracePeriodSeconds":9223372036854775807[,}]/)
})

test('the largest int64 where less is allowed', async () => {
  const answer = await send({ path: PODS, body: pod('"activeDeadlineSeconds":9223372036854775807,') })
  assert.equal(answer.code, 422, answer.body)
  assert.match(answer.json().message!, /must be between 1 and 2147483647/)
})

describe('errors about Secrets never show what is in them', () => {
  const secret = (fields: string): string => `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"},${fields}}`
  const yaml = { 'Content-Type': 'application/yaml' }
  const cases: readonly [string, RequestOptions][] = [
    ['a list for a text', { path: SECRETS, body: secret('"stringData":{"k":["hunter2"]}') }],
    ['no base64', { path: SECRETS, body: secret('"data":{"k":"hunter2 is no base64!"}') }],
    ['a syntax error', { path: SECRETS, body: secret('"stringData":{"k":"hunter2" "x"}') }],
    ['an unfinished text', { path: SECRETS, body: '{"stringData":{"k":"hunter2' }],
    ['a syntax error in YAML', { path: SECRETS, headers: yaml, body: 'stringData:\n  k: hunter2\n  bad: [hunter2\n' }],
    ['a tag in YAML', { path: SECRETS, headers: yaml, body: 'stringData: {k: !!binary hunter2 hunter2}\n' }],
    [
      'broken registry credentials',
      {
        path: SECRETS,
        body: secret('"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"hunter2"}'),
      },
    ],
    [
      'a patch with a failing test',
      {
        method: 'PATCH',
        path: `${SECRETS}/kept`,
        headers: { 'Content-Type': 'application/json-patch+json' },
        body: '[{"op":"test","path":"/data/k","value":"hunter2"}]',
      },
    ],
    [
      'a patch to a wrong type',
      {
        method: 'PATCH',
        path: `${SECRETS}/kept`,
        headers: { 'Content-Type': 'application/merge-patch+json' },
        body: '{"stringData":"hunter2"}',
      },
    ],
    [
      'a change of an immutable one',
      {
        method: 'PATCH',
        path: `${SECRETS}/kept`,
        headers: { 'Content-Type': 'application/merge-patch+json' },
        body: '{"stringData":{"k":"hunter2-new"}}',
      },
    ],
  ]
  before(async () => {
    const body = secret('"immutable":true,"data":{"k":"aHVudGVyMg=="}').replace('"s"', '"kept"')
    assert.equal((await send({ path: SECRETS, body })).code, 201)
  })
  for (const [what, options] of cases)
    test(what, async () => {
      const answer = await send(options)
      assert.ok(answer.code >= 400 && answer.code < 500, answer.body)
      const shown = JSON.stringify([answer.headers, answer.body, server.log])
      for (const value of ['hunter2', 'aHVudGVyMg', 'aHVudGVyMi'])
        assert.equal(shown.includes(value), false, `${value} in ${answer.body}`)
    })
})
