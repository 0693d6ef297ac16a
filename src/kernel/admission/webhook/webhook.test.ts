import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import type { Json, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, notFound } from '../../api/status.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import { createAdmissionChain } from '../chain.ts'
import {
  CONFIG_MAPS,
  definitionFor,
  makeLookup,
  makeRequest,
  object,
  PODS,
  type TestRequest,
} from '../request.fixture.ts'
import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { createWebhookCaller, type WebhookCaller } from './caller.ts'
import { mutatingWebhooks, type WebhookStepOptions } from './mutating.ts'
import { makeCertificate, serve, type TestCertificate, type TestServer } from './server.fixture.ts'
import { validatingWebhooks } from './validating.ts'

type Review = {
  apiVersion: string
  request: { uid: string; name: string; object: KubeObject } & { [field: string]: Json }
}
type Answer = (review: Review, response: ServerResponse) => object | undefined

let own: TestCertificate
let foreign: TestCertificate
const servers: TestServer[] = []
const callers: WebhookCaller[] = []
before(() => {
  own = makeCertificate('DNS:hook.tools.svc,IP:127.0.0.1')
  foreign = makeCertificate('DNS:hook.tools.svc,IP:127.0.0.1')
})
after(async () => {
  for (const caller of callers) caller.close()
  for (const server of servers) await server.close()
})

async function webhookServer(answer: Answer): Promise<TestServer> {
  const server = await serve(own, (review: Review, response) => {
    const said = answer(review, response)
    if (said !== undefined)
      response.end(
        JSON.stringify({
          apiVersion: review.apiVersion,
          kind: 'AdmissionReview',
          response: { uid: review.request.uid, ...said },
        }),
      )
  })
  servers.push(server)
  return server
}

const base64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64')
const patching = (...patch: object[]): object => ({ allowed: true, patchType: 'JSONPatch', patch: base64(patch) })
const rule = (fields: object = {}): object => ({
  operations: ['CREATE'],
  apiGroups: ['*'],
  apiVersions: ['*'],
  resources: ['*'],
  ...fields,
})
function hook(server: { port: number } | string, fields: object = {}): { [field: string]: unknown } {
  return {
    name: 'hook.example.com',
    clientConfig: {
      url: typeof server === 'string' ? server : `https://127.0.0.1:${server.port}/check`,
      caBundle: base64(own.cert),
    },
    rules: [rule()],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 5,
    ...fields,
  }
}
type Entry = [group: string, resource: string, object: KubeObject]
function configuration(kind: 'Mutating' | 'Validating', name: string, ...webhooks: object[]): Entry {
  const resource = `${kind.toLowerCase()}webhookconfigurations`
  return [
    'admissionregistration.k8s.io',
    resource,
    { apiVersion: 'v1', kind: `${kind}WebhookConfiguration`, metadata: { name }, webhooks },
  ]
}
const namespace = (name: string, labels: Record<string, string> = {}): Entry => [
  '',
  'namespaces',
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
]

function setUp(
  entries: Entry[],
  parts: Partial<WebhookStepOptions> = {},
): { steps: AdmissionStep[]; logged: string[] } {
  const logged: string[] = []
  const caller = createWebhookCaller({
    resolveService: (ns, name) => {
      const target = servers.at(-1)
      if (target === undefined || ns !== 'tools' || name !== 'hook') throw new Error(`service "${name}" not found`)
      return { host: '127.0.0.1', port: target.port }
    },
  })
  callers.push(caller)
  const options: WebhookStepOptions = {
    lookup: makeLookup(...entries),
    client: { get: async (_id, _ns, name) => Promise.reject(notFound('', 'namespaces', name)) },
    authorize: () => ({ verdict: 'next' }),
    equivalents: () => [],
    recode: (_definition, document) => document as unknown as KubeObject,
    caller,
    log: (_level, message) => void logged.push(message),
    ...parts,
  }
  return { steps: [mutatingWebhooks(options), validatingWebhooks(options)], logged }
}

async function run(steps: readonly AdmissionStep[], request: AdmissionRequest): Promise<AdmissionRequest> {
  const chain = createAdmissionChain(steps)
  await chain.mutate(request)
  await chain.validate(request)
  return request
}
const creating = (name = 'x', labels?: Record<string, string>): TestRequest =>
  makeRequest({
    definition: CONFIG_MAPS,
    object: object('ConfigMap', name, {
      metadata: { name, namespace: 'shop', ...(labels ? { labels } : {}) },
      data: {},
    }),
  })
async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.ok(error instanceof ApiError, `expected an ApiError, got ${error}`)
  return error
}

test('the review that a webhook gets', async () => {
  const server = await webhookServer(() => ({ allowed: true }))
  const { steps } = setUp([configuration('Validating', 'c', hook(server))])
  const request = { ...creating(), user: { name: 'jane', uid: '7', groups: ['dev'], extra: { team: ['a'] } } }
  await run(steps, request)
  const { request: sent, ...envelope } = server.requests[0] as Review & { request: { uid: string } }
  assert.deepEqual(envelope, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' })
  const { uid, ...rest } = sent
  assert.match(uid, /^[0-9a-f-]{36}$/)
  assert.deepEqual(rest, {
    kind: { group: '', version: 'v1', kind: 'ConfigMap' },
    resource: { group: '', version: 'v1', resource: 'configmaps' },
    requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
    requestResource: { group: '', version: 'v1', resource: 'configmaps' },
    name: 'x',
    namespace: 'shop',
    operation: 'CREATE',
    userInfo: { username: 'jane', uid: '7', groups: ['dev'], extra: { team: ['a'] } },
    object: request.object,
    oldObject: null,
    dryRun: false,
    options: null,
  })
})

test('patches are applied in order, warnings and annotations come through', async () => {
  const first = await webhookServer(() => ({
    ...patching({ op: 'add', path: '/data/a', value: '1' }),
    warnings: ['careful'],
    auditAnnotations: { why: 'because' },
  }))
  const second = await webhookServer(({ request }) =>
    patching({ op: 'add', path: '/data/b', value: `${request.object['data'].a}2` }),
  )
  const { steps } = setUp([
    configuration('Mutating', 'b', hook(second, { name: 'second.example.com' })),
    configuration('Mutating', 'a', hook(first, { name: 'first.example.com' })),
  ])
  const request = creating()
  await run(steps, request)
  assert.deepEqual(request.object!['data'], { a: '1', b: '12' })
  assert.deepEqual(request.warnings, ['careful'])
  assert.deepEqual(request.annotations, {
    'first.example.com/why': 'because',
    'mutation.webhook.admission.k8s.io/round_0_index_0':
      '{"configuration":"a","webhook":"first.example.com","mutated":true}',
    'mutation.webhook.admission.k8s.io/round_0_index_1':
      '{"configuration":"b","webhook":"second.example.com","mutated":true}',
  })
})

const DENIALS: [title: string, status: object | undefined, code: number, message: string][] = [
  ['without explanation', undefined, 400, 'denied the request without explanation'],
  ['with a message', { message: 'no way' }, 400, 'denied the request: no way'],
  ['with a code', { code: 403, message: 'no', reason: 'Forbidden' }, 403, 'denied the request: no'],
  ['with a code that is no error', { code: 200, reason: 'Whatever' }, 400, 'denied the request: Whatever'],
]
for (const [title, status, code, message] of DENIALS)
  test(`a denial ${title}`, async () => {
    const server = await webhookServer(() => ({ allowed: false, ...(status ? { status } : {}) }))
    for (const kind of ['Mutating', 'Validating'] as const) {
      // A denial is heard whatever the failurePolicy.
      const { steps } = setUp([configuration(kind, 'c', hook(server, { failurePolicy: 'Ignore' }))])
      const error = await failure(run(steps, creating()))
      assert.equal(error.code, code)
      assert.equal(error.message, `admission webhook "hook.example.com" ${message}`)
    }
  })

const LIES: [title: string, answer: Answer, message: RegExp][] = [
  ['no JSON', (_r, res) => void res.end('<html>'), /failed to call webhook: the response is not JSON/],
  [
    'no response',
    (_r, res) => void res.end('{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}'),
    /received invalid webhook response: webhook response was absent/,
  ],
  [
    'another kind',
    (_r, res) => void res.end('{"apiVersion":"v1","kind":"Pod","response":{}}'),
    /expected webhook response of admission.k8s.io\/v1, Kind=AdmissionReview, got v1, Kind=Pod/,
  ],
  ['another uid', () => ({ uid: 'other', allowed: true }), /expected response.uid="[0-9a-f-]+", got "other"/],
  ['allowed is a string', () => ({ allowed: 'yes' }), /response.allowed is not a boolean/],
  [
    'a patch without type',
    () => ({ allowed: true, patch: base64([]) }),
    /webhook returned response.patch but not response.patchType/,
  ],
  [
    'a patch of another type',
    () => ({ allowed: true, patch: base64([]), patchType: 'Merge' }),
    /invalid response.patchType of "Merge"/,
  ],
  ['a type without patch', () => ({ allowed: true, patchType: 'JSONPatch' }), /patchType but not response.patch/],
  [
    'a patch that is no JSON',
    () => ({ allowed: true, patch: base64('{'), patchType: 'JSONPatch' }),
    /response.patch is not base64 of JSON/,
  ],
  ['warnings that are none', () => ({ allowed: true, warnings: [1] }), /response.warnings is not a list of strings/],
  ['a list', (_r, res) => void res.end('[]'), /the answer is not a JSON object/],
  [
    'status 500',
    (_r, res) => void res.writeHead(500).end('broken'),
    /an error on the server \("broken"\) has prevented the request from succeeding/,
  ],
  ['status 404', (_r, res) => void res.writeHead(404).end(), /the server could not find the requested resource/],
  ['a redirect', (_r, res) => void res.writeHead(302, { location: 'https://127.0.0.1:1/' }).end(), /status code 302/],
  [
    'an endless answer',
    (_r, res) => {
      const more = (): void => {
        if (res.destroyed) return
        res.write('x'.repeat(1 << 20))
        setImmediate(more)
      }
      more()
      return undefined
    },
    /the response is larger than/,
  ],
  ['a connection cut off', (_r, res) => void res.destroy(), /Post "https:\/\/127.0.0.1:\d+\/check\?timeout=5s": EOF/],
]
for (const [title, answer, message] of LIES)
  test(`a webhook that answers with ${title}`, async () => {
    const server = await webhookServer(answer)
    const closed = setUp([configuration('Mutating', 'c', hook(server))])
    const error = await failure(run(closed.steps, creating()))
    assert.equal(error.code, 500)
    assert.match(error.message, /^Internal error occurred: failed calling webhook "hook.example.com": /)
    assert.match(error.message, message)
    const open = setUp([configuration('Mutating', 'c', hook(server, { failurePolicy: 'Ignore' }))])
    const request = creating()
    await run(open.steps, request)
    assert.equal(
      request.annotations['failed-open.mutation.webhook.admission.k8s.io/round_0_index_0'],
      'hook.example.com',
    )
    assert.match(open.logged.join(), /failed open/)
  })

test('a webhook that hangs is given up after its timeout', async () => {
  const server = await webhookServer(() => undefined)
  const { steps } = setUp([configuration('Validating', 'c', hook(server, { timeoutSeconds: 0.05 }))])
  assert.match((await failure(run(steps, creating()))).message, /context deadline exceeded$/)
})

test('a webhook that nobody serves', async () => {
  const { steps } = setUp([configuration('Validating', 'c', hook('https://127.0.0.1:1/x'))])
  assert.match(
    (await failure(run(steps, creating()))).message,
    /failed to call webhook: Post "https:\/\/127.0.0.1:1\/x\?timeout=5s": dial tcp 127.0.0.1:1: connect: connection refused$/,
  )
})

test('its certificate is verified: by the bundle, and by name', async () => {
  const server = await webhookServer(() => ({ allowed: true }))
  const url = `https://127.0.0.1:${server.port}/`
  const attempt = async (clientConfig: object): Promise<string> =>
    run(setUp([configuration('Validating', 'c', hook(server, { clientConfig }))]).steps, creating()).then(
      () => 'ok',
      (e: Error) => e.message,
    )
  assert.equal(await attempt({ url, caBundle: base64(own.cert) }), 'ok')
  assert.match(await attempt({ url, caBundle: base64(foreign.cert) }), /x509: certificate signed by unknown authority/)
  assert.match(await attempt({ url }), /x509: certificate signed by unknown authority/)
  assert.match(await attempt({ url, caBundle: base64('rubbish') }), /unable to load root certificates/)
  assert.match(
    await attempt({ url: `https://localhost:${server.port}/`, caBundle: base64(own.cert) }),
    /altnames|Hostname/,
  )
  const service = { namespace: 'tools', name: 'hook', path: '/v' }
  assert.equal(await attempt({ service, caBundle: base64(own.cert) }), 'ok')
  const other = { ...service, name: 'other' }
  assert.match(await attempt({ service: other, caBundle: base64(own.cert) }), /service "other" not found/)
})

const FORBIDDEN_PATCHES: [patch: object, message: string][] = [
  [{ op: 'replace', path: '/metadata/uid', value: 'mine' }, 'attempted to change metadata.uid, which is not allowed'],
  [{ op: 'replace', path: '/metadata/name', value: 'y' }, 'attempted to change metadata.name, which is not allowed'],
  [
    { op: 'replace', path: '/metadata/namespace', value: 'kube-system' },
    'attempted to change metadata.namespace, which is not allowed',
  ],
  [{ op: 'replace', path: '/kind', value: 'Secret' }, 'attempted to change kind, which is not allowed'],
  [{ op: 'remove', path: '/metadata' }, 'attempted to remove metadata, which is not allowed'],
  [{ op: 'replace', path: '', value: 'x' }, 'returned a patch that leaves no object'],
  [{ op: 'remove', path: '/data/none' }, 'returned a patch that cannot be applied'],
  [{ op: 'test', path: '/data', value: 1 }, 'returned a patch that cannot be applied'],
  [{ op: 'explode', path: '/' }, 'returned a patch that cannot be applied'],
  [
    { op: 'add', path: '/data', value: 'a string' },
    'returned a patch that leaves an object which does not fit its kind: json: no',
  ],
]
for (const [patch, message] of FORBIDDEN_PATCHES)
  test(`patch ${JSON.stringify(patch)} is refused`, async () => {
    const server = await webhookServer(() => patching(patch))
    const { steps } = setUp([configuration('Mutating', 'c', hook(server, { failurePolicy: 'Ignore' }))], {
      recode: (_definition, document) => {
        const found = document as unknown as KubeObject
        if (typeof found['data'] === 'string') throw badRequest('json: no')
        return found
      },
    })
    const request = creating()
    request.object!.metadata.uid = 'given'
    const error = await failure(run(steps, request))
    assert.equal(error.code, 500)
    assert.ok(
      error.message.startsWith(`Internal error occurred: admission webhook "hook.example.com" ${message}`),
      error.message,
    )
  })

test('a patch of managedFields is dropped, the rest is taken', async () => {
  const server = await webhookServer(() =>
    patching({ op: 'add', path: '/metadata/managedFields', value: [] }, { op: 'add', path: '/data/a', value: '1' }),
  )
  const request = creating()
  await run(setUp([configuration('Mutating', 'c', hook(server))]).steps, request)
  assert.equal(request.object!.metadata.managedFields, undefined)
  assert.deepEqual(request.object!['data'], { a: '1' })
})

test('reinvocation: once more for those who ask, when the object changed behind them', async () => {
  const names: string[] = []
  const count: Answer = ({ request }) => {
    const data = request.object['data'] as Record<string, string>
    names.push(`count ${Object.keys(data).join(',')}`)
    return { allowed: true }
  }
  const counting = await webhookServer(count)
  const adding = await webhookServer(() => patching({ op: 'add', path: '/data/added', value: 'x' }))
  const config = (policy: string): Entry[] => [
    configuration('Mutating', 'a', hook(counting, { name: 'a.example.com', reinvocationPolicy: policy })),
    configuration('Mutating', 'b', hook(adding, { name: 'b.example.com', reinvocationPolicy: policy })),
  ]
  await run(setUp(config('Never')).steps, creating())
  assert.deepEqual(names.splice(0), ['count '])
  const request = creating()
  await run(setUp(config('IfNeeded')).steps, request)
  assert.deepEqual(names.splice(0), ['count ', 'count added'])
  assert.ok(Object.keys(request.annotations).some((key) => key.includes('round_1_index_0')))
})

test('a built-in step runs again behind a webhook that changed the object', async () => {
  const server = await webhookServer(() => patching({ op: 'add', path: '/data/late', value: 'x' }))
  const seen: string[] = []
  const builtin: AdmissionStep = {
    name: 'builtin',
    reinvoke: true,
    handles: () => true,
    mutate: ({ object: o }) => void seen.push(Object.keys(o!['data']).join()),
  }
  await run([builtin, ...setUp([configuration('Mutating', 'c', hook(server))]).steps], creating())
  assert.deepEqual(seen, ['', 'late'])
})

test('a webhook that asks for it sees once more what built-in steps did after it', async () => {
  const seen: string[] = []
  const watching: Answer = ({ request }) => {
    seen.push(Object.keys(request.object['data']).join())
    return { allowed: true }
  }
  const first = await webhookServer(watching)
  const second = await webhookServer(() => patching({ op: 'add', path: '/data/late', value: 'x' }))
  const builtin: AdmissionStep = {
    name: 'builtin',
    reinvoke: true,
    handles: () => true,
    mutate: ({ object: o }) => {
      if (o!['data'].late !== undefined) o!['data'].mark = 'built in'
    },
  }
  const entry = configuration(
    'Mutating',
    'c',
    hook(first, { name: 'first.example.com', reinvocationPolicy: 'IfNeeded' }),
    hook(second, { name: 'second.example.com' }),
  )
  await run([builtin, ...setUp([entry]).steps], creating())
  assert.deepEqual(seen, ['', 'late,mark'])
})

test('a deletion cannot be patched', async () => {
  const server = await webhookServer(() => patching({ op: 'add', path: '/data/a', value: '1' }))
  const entry = configuration('Mutating', 'c', hook(server, { rules: [rule({ operations: ['DELETE'] })] }))
  const request = makeRequest({ operation: 'DELETE', definition: CONFIG_MAPS, oldObject: object('ConfigMap', 'x') })
  assert.match(
    (await failure(run(setUp([entry]).steps, request))).message,
    /"hook.example.com" attempted to modify the object, which is not supported for this operation$/,
  )
})

test('dry run: only webhooks without side effects', async () => {
  const server = await webhookServer(() => ({ allowed: true }))
  const error = await failure(
    run(
      setUp([configuration('Validating', 'c', hook(server, { sideEffects: 'Some', failurePolicy: 'Ignore' }))]).steps,
      {
        ...creating(),
        dryRun: true,
      },
    ),
  )
  assert.equal(error.code, 400)
  assert.equal(error.message, 'admission webhook "hook.example.com" does not support dry run')
  await run(setUp([configuration('Validating', 'c', hook(server, { sideEffects: 'NoneOnDryRun' }))]).steps, {
    ...creating(),
    dryRun: true,
  })
  assert.equal((server.requests[0] as { request: { dryRun: boolean } }).request.dryRun, true)
})

const CLUSTER = definitionFor('widgets', 'Widget', 'example.com', false)
const NAMESPACE = definitionFor('namespaces', 'Namespace', '', false)
const CONFIGURATION = definitionFor(
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
  'admissionregistration.k8s.io',
  false,
)
const MATCHES: [title: string, fields: object, request: Partial<AdmissionRequest>, called: boolean][] = [
  ['everything', {}, {}, true],
  ['another operation', { rules: [rule({ operations: ['UPDATE'] })] }, {}, false],
  [
    'any operation',
    { rules: [rule({ operations: ['*'] })] },
    { operation: 'DELETE', object: undefined, oldObject: object('ConfigMap', 'x') },
    true,
  ],
  ['another group', { rules: [rule({ apiGroups: ['apps'] })] }, {}, false],
  ['another version', { rules: [rule({ apiVersions: ['v2'] })] }, {}, false],
  ['by resource', { rules: [rule({ resources: ['configmaps'] })] }, {}, true],
  ['another resource', { rules: [rule({ resources: ['secrets'] })] }, {}, false],
  ['* is no subresource', {}, { definition: PODS, subresource: 'status' }, false],
  ['*/* is everything', { rules: [rule({ resources: ['*/*'] })] }, { definition: PODS, subresource: 'status' }, true],
  ['pods/*', { rules: [rule({ resources: ['pods/*'] })] }, { definition: PODS, subresource: 'status' }, true],
  ['*/status', { rules: [rule({ resources: ['*/status'] })] }, { definition: PODS, subresource: 'status' }, true],
  ['scope Cluster, namespaced kind', { rules: [rule({ scope: 'Cluster' })] }, {}, false],
  ['scope Cluster, cluster kind', { rules: [rule({ scope: 'Cluster' })] }, { definition: CLUSTER }, true],
  [
    'scope Cluster, a namespace',
    { rules: [rule({ scope: 'Cluster' })] },
    { definition: NAMESPACE, namespace: 'shop', name: 'shop' },
    true,
  ],
  [
    'scope Namespaced, a namespace',
    { rules: [rule({ scope: 'Namespaced' })] },
    { definition: NAMESPACE, namespace: 'shop' },
    false,
  ],
  [
    'objectSelector',
    { objectSelector: { matchLabels: { a: 'b' } } },
    { object: object('ConfigMap', 'x', { metadata: { labels: { a: 'b' } } }) },
    true,
  ],
  ['objectSelector, other labels', { objectSelector: { matchLabels: { a: 'b' } } }, {}, false],
  [
    'objectSelector, labels taken off',
    { rules: [rule({ operations: ['UPDATE'] })], objectSelector: { matchLabels: { a: 'b' } } },
    { operation: 'UPDATE', oldObject: object('ConfigMap', 'x', { metadata: { labels: { a: 'b' } } }) },
    true,
  ],
  ['namespaceSelector', { namespaceSelector: { matchLabels: { env: 'prod' } } }, {}, true],
  ['namespaceSelector, other labels', { namespaceSelector: { matchLabels: { env: 'test' } } }, {}, false],
  [
    'namespaceSelector, cluster kind',
    { namespaceSelector: { matchLabels: { env: 'test' } } },
    { definition: CLUSTER, namespace: '' },
    true,
  ],
  [
    'namespaceSelector, the namespace itself by its new labels',
    { namespaceSelector: { matchLabels: { env: 'new' } } },
    {
      definition: NAMESPACE,
      namespace: 'fresh',
      name: 'fresh',
      object: object('Namespace', 'fresh', { metadata: { labels: { env: 'new' } } }),
    },
    true,
  ],
  [
    'namespaceSelector, deletion of the namespace by its stored labels',
    { rules: [rule({ operations: ['DELETE'] })], namespaceSelector: { matchLabels: { env: 'prod' } } },
    { operation: 'DELETE', definition: NAMESPACE, namespace: 'shop', name: 'shop', object: undefined },
    true,
  ],
  [
    'webhook configurations never',
    { rules: [rule({ resources: ['*/*'] })] },
    { definition: CONFIGURATION, namespace: '' },
    false,
  ],
]
for (const [title, fields, parts, called] of MATCHES)
  test(`match: ${title} → ${called}`, async () => {
    const server = await webhookServer(() => ({ allowed: true }))
    const { steps } = setUp([
      configuration('Validating', 'c', hook(server, fields)),
      namespace('shop', { env: 'prod' }),
    ])
    await run(steps, makeRequest({ definition: CONFIG_MAPS, object: object('ConfigMap', 'x'), ...parts }))
    assert.equal(server.requests.length, called ? 1 : 0)
  })

test('a missing namespace is an answer of its own', async () => {
  const { steps } = setUp([
    configuration('Validating', 'c', hook('https://127.0.0.1:1/', { namespaceSelector: { matchLabels: { a: 'b' } } })),
  ])
  assert.equal((await failure(run(steps, creating()))).message, 'namespaces "shop" not found')
})

test('matchPolicy: Equivalent asks in the version that the rule names, Exact does not ask', async () => {
  const v2: ResourceDefinition = { ...definitionFor('widgets', 'Widget', 'example.com'), version: 'v2' }
  const v1: ResourceDefinition = { ...v2, version: 'v1' }
  for (const [matchPolicy, called] of [
    ['Equivalent', true],
    ['Exact', false],
  ] as const) {
    const server = await webhookServer(({ request }) =>
      patching({ op: 'add', path: '/spec', value: { seen: request.object.apiVersion } }),
    )
    const webhook = hook(server, { matchPolicy, rules: [rule({ apiGroups: ['example.com'], apiVersions: ['v1'] })] })
    const { steps } = setUp([configuration('Mutating', 'c', webhook)], { equivalents: () => [v1] })
    const request = makeRequest({ definition: v2, object: { ...object('Widget', 'x'), apiVersion: 'example.com/v2' } })
    await run(steps, request)
    assert.equal(server.requests.length, called ? 1 : 0)
    assert.equal(request.object!.apiVersion, 'example.com/v2')
    if (!called) continue
    assert.deepEqual(request.object!['spec'], { seen: 'example.com/v1' })
    const sent = (server.requests[0] as Review).request
    assert.deepEqual(
      [sent['resource'], sent['requestResource']],
      [
        { group: 'example.com', version: 'v1', resource: 'widgets' },
        { group: 'example.com', version: 'v2', resource: 'widgets' },
      ],
    )
  }
})

test('steps cost nothing while no webhook matches', () => {
  const { steps } = setUp([])
  for (const step of steps)
    assert.equal(step.handles({ operation: 'CREATE', definition: CONFIG_MAPS, subresource: '' }), false)
})
