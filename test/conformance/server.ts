/** One server for every conformance suite of a process, and the plain HTTP calls that the suites are written in. */
import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { after, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'

let running: TestServer | undefined
let agent: Agent | undefined

before(async () => {
  running = await startTestServer()
  agent = new Agent({ ca: running.ca, cert: running.adminCert, key: running.adminKey, keepAlive: true, maxSockets: 64 })
})
after(async () => {
  for (const stream of streams) stream.destroy()
  agent?.destroy()
  await running?.close()
})

export function server(): TestServer {
  if (running === undefined) throw new Error('the server runs only while tests do')
  return running
}

export type Answer = { code: number; headers: IncomingHttpHeaders; text: string; body: KubeObject }

export type CallOptions = {
  body?: object | string
  /** Content-Type; JSON without it. */
  type?: string
  accept?: string
  headers?: Record<string, string>
  query?: Record<string, string | number | boolean>
  /** A bearer token instead of the administrator's certificate. */
  token?: string
}

export function queryString(query: Record<string, string | number | boolean>): string {
  return new URLSearchParams(Object.entries(query).map(([k, v]): [string, string] => [k, String(v)])).toString()
}

function open(method: string, path: string, o: CallOptions): Promise<IncomingMessage> {
  const query = queryString(o.query ?? {})
  const url = new URL(server().url + path + (query === '' ? '' : `${path.includes('?') ? '&' : '?'}${query}`))
  const body = o.body === undefined ? undefined : typeof o.body === 'string' ? o.body : JSON.stringify(o.body)
  const headers = {
    Accept: o.accept ?? 'application/json',
    'User-Agent': 'conformance/1',
    ...(body === undefined
      ? {}
      : { 'Content-Type': o.type ?? 'application/json', 'Content-Length': String(Buffer.byteLength(body)) }),
    ...(o.token === undefined ? {} : { Authorization: `Bearer ${o.token}` }),
    ...o.headers,
  }
  const connection = o.token === undefined ? { agent: agent! } : { ca: server().ca, agent: false as const }
  return new Promise((resolve, reject) => {
    const req = httpsRequest(url, { method, headers, ...connection }, resolve)
    req.on('error', reject)
    req.end(body)
  })
}

/** One request, whatever it is answered with. `body` is `{}` when the answer is not a JSON object. */
export async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const res = await open(method, path, options)
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  const isJson = /json/.test(res.headers['content-type'] ?? '') && text !== ''
  return { code: res.statusCode ?? 0, headers: res.headers, text, body: isJson ? JSON.parse(text) : ({} as KubeObject) }
}

/** One request that has to succeed. */
export async function ok(method: string, path: string, options: CallOptions = {}): Promise<KubeObject> {
  const answer = await call(method, path, options)
  assert.ok(answer.code >= 200 && answer.code < 300, `${method} ${path}: ${answer.code} ${answer.text}`)
  return answer.body
}

export const get = (path: string, query: CallOptions['query'] = {}): Promise<KubeObject> => ok('GET', path, { query })
export const post = (path: string, body: object, query: CallOptions['query'] = {}): Promise<KubeObject> =>
  ok('POST', path, { body, query })
export const put = (path: string, body: object, query: CallOptions['query'] = {}): Promise<KubeObject> =>
  ok('PUT', path, { body, query })
export const remove = (path: string, options: CallOptions = {}): Promise<KubeObject> => ok('DELETE', path, options)

export const PATCH = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

export function patch(
  path: string,
  type: keyof typeof PATCH,
  body: object,
  query: CallOptions['query'] = {},
): Promise<KubeObject> {
  return ok('PATCH', path, { body, type: PATCH[type], query })
}

export const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
export const PARTIAL = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
export const PARTIAL_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'

export type Event = { type: string; object: KubeObject }
export type Watch = {
  code: number
  headers: IncomingHttpHeaders
  /** The next event; undefined at the end of the stream. */
  next: () => Promise<Event | undefined>
  /** As many events as asked for. */
  take: (count: number) => Promise<Event[]>
  /** Events until one fits; the last is that one. */
  until: (fits: (event: Event) => boolean) => Promise<Event[]>
  stop: () => void
}

const streams = new Set<IncomingMessage>()

export async function watch(path: string, options: CallOptions = {}): Promise<Watch> {
  const res = await open('GET', path, { ...options, query: { watch: 'true', ...options.query } })
  const events = frames(res)
  const next = async (): Promise<Event | undefined> => {
    const result = await events.next()
    return result.done ? undefined : result.value
  }
  const until = async (fits: (event: Event) => boolean): Promise<Event[]> => {
    const seen: Event[] = []
    for (;;) {
      const event = await next()
      assert.ok(event, `the watch ended after ${JSON.stringify(seen.map((e) => e.type))}`)
      seen.push(event)
      if (fits(event)) return seen
    }
  }
  streams.add(res)
  res.once('close', () => streams.delete(res))
  return {
    code: res.statusCode ?? 0,
    headers: res.headers,
    next,
    until,
    take: async (count) => {
      let left = count
      return count === 0 ? [] : until(() => --left === 0)
    },
    stop: () => res.destroy(),
  }
}

async function* frames(res: IncomingMessage): AsyncGenerator<Event> {
  let rest = ''
  res.setEncoding('utf8')
  for await (const chunk of res) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield JSON.parse(line) as Event
  }
}

let counter = 0
/** A name that nothing else in this run has. */
export const unique = (prefix: string): string => `${prefix}-${++counter}`

/** Creates a namespace and names it, once its own content (default account, root certificate) is there. */
export async function namespace(prefix: string): Promise<string> {
  const name = unique(prefix)
  await post('/api/v1/namespaces', { metadata: { name, labels: { 'e2e-framework': prefix } } })
  for (const own of ['serviceaccounts/default', 'configmaps/kube-root-ca.crt'])
    await eventually(
      () => call('GET', `/api/v1/namespaces/${name}/${own}`),
      (answer) => answer.code === 200,
    )
  return name
}

/** Asks again until the answer fits; fails after ten seconds with the last answer. */
export async function eventually<T>(ask: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const value = await ask()
    if (fits(value)) return value
    if (Date.now() > deadline) assert.fail(`never so: ${JSON.stringify(value)}`)
    await sleep(20)
  }
}

/** Expects a refusal with this code and reason, and a message that fits. */
export function refused(answer: Answer, code: number, reason: string, message: RegExp = /./): void {
  assert.deepEqual(
    { code: answer.code, kind: answer.body.kind, status: answer.body['status'], reason: answer.body['reason'] },
    { code, kind: 'Status', status: 'Failure', reason },
    answer.text,
  )
  assert.equal(answer.body['code'], code)
  assert.match(answer.body['message'], message)
}

type Schema = { [key: string]: unknown }
export type Crd = { name: string; group: string; kind: string; plural: string; path: string; object: KubeObject }

/** Creates a definition as the e2e fixtures do and waits until it is served. Everything is allowed without a schema. */
export async function customKind(
  o: {
    schema?: Schema
    namespaced?: boolean
    versions?: KubeObject['spec'][]
    kind?: string
    group?: string
    labels?: Record<string, string>
    subresources?: object
    extra?: object
  } = {},
): Promise<Crd> {
  const kind = o.kind ?? `Noxu${++counter}`
  const group = o.group ?? `${kind.toLowerCase()}.example.com`
  const plural = `${kind.toLowerCase()}s`
  const name = `${plural}.${group}`
  const schema = { openAPIV3Schema: o.schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  const versions = (o.versions ?? [{ name: 'v1' }]).map((v, i) => ({
    served: true,
    storage: i === 0,
    schema,
    ...(o.subresources ? { subresources: o.subresources } : {}),
    ...o.extra,
    ...v,
  }))
  const scope = o.namespaced ? 'Namespaced' : 'Cluster'
  await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name, ...(o.labels ? { labels: o.labels } : {}) },
    spec: { group, names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` }, scope, versions },
  })
  const object = await eventually(
    () => get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`),
    (crd) =>
      (crd['status']?.conditions ?? []).some(
        (c: { type: string; status: string }) => c.type === 'Established' && c.status === 'True',
      ),
  )
  const path = `/apis/${group}/${versions[0].name}/${plural}`
  await eventually(
    () => call('GET', path),
    (answer) => answer.code === 200,
  )
  return { name, group, kind, plural, path, object }
}
