import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { ApiError, type Reason } from '../api/status.ts'
import type { Client, ClientWatchEvent, ListOptions, ResourceId, WatchOptions } from './client.ts'

/** The behaviour that every Client has, run on each implementation against a real API server. */
export function clientSuite(name: string, open: () => Promise<{ client: Client; close: () => Promise<void> }>): void {
  describe(name, () => {
    let client: Client
    let close: () => Promise<void>
    before(async () => {
      ;({ client, close } = await open())
    })
    after(async () => await close())
    for (const [title, run] of [...CRUD, ...PATCHES, ...LISTS, ...WATCHES, ...DELETES])
      test(title, async () => {
        const namespace = await client.create(NAMESPACES, {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { generateName: 'client-suite-' },
        })
        await run({ client, ns: namespace.metadata.name! })
        await client.delete(NAMESPACES, '', namespace.metadata.name!)
      })
  })
}

type Context = { client: Client; ns: string }
type Case = readonly [title: string, run: (context: Context) => Promise<void>]

const SECRETS: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const NAMESPACES: ResourceId = { group: '', version: 'v1', resource: 'namespaces' }
const PODS: ResourceId = { group: '', version: 'v1', resource: 'pods' }
const HOLD = 'test.rampart.dev/hold'

function secret(
  ns: string,
  name: string,
  fields: Partial<KubeObject['metadata']> & { data?: object } = {},
): KubeObject {
  const { data, ...metadata } = fields
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: ns, ...metadata },
    ...(data === undefined ? {} : { data }),
  }
}

async function rejects(promise: Promise<unknown>, reason: Reason, code: number, message?: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ApiError, `an ApiError, not ${String(error)}`)
    assert.deepEqual([error.reason, error.code], [reason, code])
    if (message !== undefined) assert.match(error.message, message)
    return true
  })
}

/** Pods need it; a server without controllers has none. */
async function haveDefaultServiceAccount(client: Client, ns: string): Promise<void> {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: ns } }
  await client.create({ group: '', version: 'v1', resource: 'serviceaccounts' }, account).catch((error: ApiError) => {
    if (error.reason !== 'AlreadyExists') throw error
  })
}

/** The next events of a watch until `enough` says so; then the watch is ended. Fails after ten seconds. */
async function collect(
  client: Client,
  options: Omit<WatchOptions, 'signal'>,
  enough: (events: ClientWatchEvent[]) => boolean,
  id: ResourceId = SECRETS,
): Promise<ClientWatchEvent[]> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), 10_000)
  const events: ClientWatchEvent[] = []
  try {
    for await (const event of client.watch(id, { ...options, signal: controller.signal })) {
      events.push(event)
      if (enough(events)) return events
    }
    throw new Error(`the watch ended early, after ${JSON.stringify(events.map(label))}`)
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
}

const label = (event: ClientWatchEvent): string =>
  event.type === 'ERROR' ? 'ERROR' : `${event.type} ${event.object.metadata.name ?? ''}`
const names = (items: readonly KubeObject[]): string[] => items.map((item) => item.metadata.name!).sort()

const CRUD: Case[] = [
  [
    'create, get, update, delete',
    async ({ client, ns }) => {
      const created = await client.create(SECRETS, secret(ns, 'a', { data: { k: 'djE=' } }))
      assert.equal(created.kind, 'Secret')
      assert.equal(created.apiVersion, 'v1')
      assert.equal(created['type'], 'Opaque')
      assert.match(created.metadata.uid!, /^[0-9a-f-]{36}$/)
      assert.match(created.metadata.resourceVersion!, /^\d+$/)
      assert.match(created.metadata.creationTimestamp!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.deepEqual(await client.get(SECRETS, ns, 'a'), created)
      const updated = await client.update(SECRETS, { ...created, data: { k: 'djI=' } })
      assert.equal(updated['data'].k, 'djI=')
      assert.equal(updated.metadata.uid, created.metadata.uid)
      assert.notEqual(updated.metadata.resourceVersion, created.metadata.resourceVersion)
      assert.equal(await client.delete(SECRETS, ns, 'a'), undefined)
      await rejects(client.get(SECRETS, ns, 'a'), 'NotFound', 404, /^secrets "a" not found$/)
    },
  ],
  [
    'not found: get, update, patch, delete, and a resource that is not served',
    async ({ client, ns }) => {
      await rejects(client.get(SECRETS, ns, 'none'), 'NotFound', 404, /^secrets "none" not found$/)
      const stale = secret(ns, 'none', { resourceVersion: '1', uid: '00000000-0000-4000-8000-000000000000' })
      await rejects(client.update(SECRETS, stale), 'NotFound', 404)
      await rejects(client.patch(SECRETS, ns, 'none', 'merge', { data: {} }), 'NotFound', 404)
      await rejects(client.delete(SECRETS, ns, 'none'), 'NotFound', 404)
      await rejects(client.list({ ...SECRETS, resource: 'sorcerers' }, { namespace: ns }), 'NotFound', 404)
    },
  ],
  [
    'creating what exists is AlreadyExists',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a'))
      await rejects(client.create(SECRETS, secret(ns, 'a')), 'AlreadyExists', 409, /^secrets "a" already exists$/)
    },
  ],
  [
    'a stale resourceVersion conflicts',
    async ({ client, ns }) => {
      const first = await client.create(SECRETS, secret(ns, 'a'))
      await client.update(SECRETS, { ...first, data: { k: 'djE=' } })
      await rejects(
        client.update(SECRETS, { ...first, data: { k: 'djI=' } }),
        'Conflict',
        409,
        /^Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again$/,
      )
    },
  ],
  [
    'generateName makes distinct names with its prefix',
    async ({ client, ns }) => {
      const make = async (): Promise<string> => {
        const { name: _, ...metadata } = secret(ns, 'x').metadata
        const made = await client.create(SECRETS, { ...secret(ns, 'x'), metadata: { ...metadata, generateName: 'g-' } })
        return made.metadata.name!
      }
      const made = await Promise.all([make(), make(), make()])
      assert.equal(new Set(made).size, 3)
      for (const name of made) assert.match(name, /^g-[a-z0-9]{5}$/)
    },
  ],
  [
    'an invalid object is refused with its causes',
    async ({ client, ns }) => {
      const promise = client.create(SECRETS, secret(ns, 'Not_A_Name'))
      await rejects(promise, 'Invalid', 422, /^Secret "Not_A_Name" is invalid: metadata\.name: Invalid value/)
      const error = await promise.catch((e: ApiError) => e)
      assert.equal((error as ApiError).details?.causes?.[0]?.field, 'metadata.name')
    },
  ],
  [
    'dry run answers as if and changes nothing',
    async ({ client, ns }) => {
      const made = await client.create(SECRETS, secret(ns, 'dry'), { dryRun: true })
      assert.ok(made.metadata.uid)
      await rejects(client.get(SECRETS, ns, 'dry'), 'NotFound', 404)
      const real = await client.create(SECRETS, secret(ns, 'real'))
      await client.update(SECRETS, { ...real, data: { k: 'djE=' } }, { dryRun: true })
      await client.patch(SECRETS, ns, 'real', 'merge', { data: { k: 'djE=' } }, { dryRun: true })
      await client.delete(SECRETS, ns, 'real', { dryRun: true })
      assert.deepEqual(await client.get(SECRETS, ns, 'real'), real)
    },
  ],
  [
    'a status subresource changes status only, the main resource all but status',
    async ({ client, ns }) => {
      const id: ResourceId = { group: '', version: 'v1', resource: 'services' }
      const made = await client.create(id, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 's', namespace: ns },
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
      })
      const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } }
      const changed = await client.update(
        id,
        { ...made, spec: { ...made['spec'], ports: [{ port: 81 }] }, status },
        { subresource: 'status' },
      )
      assert.equal(changed['status'].loadBalancer.ingress[0].ip, '192.0.2.1')
      assert.equal(changed['spec'].ports[0].port, 80)
      const main = await client.update(id, {
        ...changed,
        metadata: { ...changed.metadata, labels: { a: 'b' } },
        status: {},
      })
      assert.equal(main['status'].loadBalancer.ingress[0].ip, '192.0.2.1')
      assert.deepEqual((await client.get(id, ns, 's', 'status')).metadata.labels, { a: 'b' })
      const patched = await client.patch(
        id,
        ns,
        's',
        'merge',
        { status: { loadBalancer: null } },
        { subresource: 'status' },
      )
      assert.equal(patched['status'].loadBalancer?.ingress, undefined)
    },
  ],
  [
    'create on a subresource: a token for a ServiceAccount',
    async ({ client, ns }) => {
      const id: ResourceId = { group: '', version: 'v1', resource: 'serviceaccounts' }
      await client.create(id, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot', namespace: ns } })
      const request = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: { namespace: ns },
        spec: {},
      }
      const made = await client.create(id, request, { subresource: 'token', name: 'robot' })
      assert.equal(made.kind, 'TokenRequest')
      assert.match(made['status'].token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
    },
  ],
  [
    'raw reads discovery and errors; a review is answered',
    async ({ client }) => {
      const groups = (await client.raw('GET', '/apis')) as { kind: string }
      assert.equal(groups.kind, 'APIGroupList')
      const resources = (await client.raw('GET', '/api/v1')) as { resources: { name: string }[] }
      assert.ok(resources.resources.some((r) => r.name === 'secrets'))
      await rejects(client.raw('GET', '/apis/no.such.group/v1'), 'NotFound', 404)
      const reviews: ResourceId = {
        group: 'authorization.k8s.io',
        version: 'v1',
        resource: 'selfsubjectaccessreviews',
      }
      const review = await client.create(reviews, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        metadata: {},
        spec: { resourceAttributes: { verb: 'get', resource: 'secrets' } },
      })
      assert.equal(review['status'].allowed, true)
    },
  ],
]

const PATCHES: Case[] = [
  [
    'json patch: replaces, and refuses when a test fails',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { data: { k: 'djE=' } }))
      const replace = [{ op: 'replace', path: '/data/k', value: 'djI=' }]
      assert.equal((await client.patch(SECRETS, ns, 'a', 'json', replace))['data'].k, 'djI=')
      const tested = [{ op: 'test', path: '/data/k', value: 'djE=' }, ...replace]
      await rejects(client.patch(SECRETS, ns, 'a', 'json', tested), 'Invalid', 422)
    },
  ],
  [
    'merge patch: null removes',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { data: { k: 'djE=', l: 'djE=' }, labels: { x: 'y' } }))
      const patched = await client.patch(SECRETS, ns, 'a', 'merge', {
        data: { k: null },
        metadata: { labels: { z: 'w' } },
      })
      assert.deepEqual(patched['data'], { l: 'djE=' })
      assert.deepEqual(patched.metadata.labels, { x: 'y', z: 'w' })
    },
  ],
  [
    'a patch with a stale resourceVersion conflicts',
    async ({ client, ns }) => {
      const made = await client.create(SECRETS, secret(ns, 'a'))
      await client.patch(SECRETS, ns, 'a', 'merge', { data: { k: 'djE=' } })
      const { resourceVersion } = made.metadata
      await rejects(client.patch(SECRETS, ns, 'a', 'merge', { metadata: { resourceVersion } }), 'Conflict', 409)
    },
  ],
  [
    'strategic merge patch merges lists by their key',
    async ({ client, ns }) => {
      const container = (name: string): object => ({ name, image: `${name}:1` })
      await haveDefaultServiceAccount(client, ns)
      await client.create(PODS, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p', namespace: ns },
        spec: { automountServiceAccountToken: false, containers: [container('a'), container('b')] },
      })
      const patch = { spec: { containers: [{ name: 'b', image: 'b:2' }] } }
      const patched = await client.patch(PODS, ns, 'p', 'strategic', patch)
      assert.deepEqual(
        (patched['spec'].containers as { image: string }[]).map((c) => c.image),
        ['a:1', 'b:2'],
      )
      await client.delete(PODS, ns, 'p', { gracePeriodSeconds: 0 })
    },
  ],
  [
    'apply creates, owns, conflicts, forces',
    async ({ client, ns }) => {
      const applied = (value: string): KubeObject => secret(ns, 'a', { data: { k: value } })
      const made = await client.patch(SECRETS, ns, 'a', 'apply', applied('djE='), { fieldManager: 'one' })
      assert.equal(made.metadata.managedFields?.[0]?.manager, 'one')
      assert.equal(made.metadata.managedFields?.[0]?.operation, 'Apply')
      const other = client.patch(SECRETS, ns, 'a', 'apply', applied('djI='), { fieldManager: 'two' })
      await rejects(other, 'Conflict', 409, /conflict with "one"/)
      const forced = await client.patch(SECRETS, ns, 'a', 'apply', applied('djI='), {
        fieldManager: 'two',
        force: true,
      })
      assert.equal(forced['data'].k, 'djI=')
    },
  ],
]

const LISTS: Case[] = [
  [
    'list by namespace, by label, by field, over all namespaces',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { labels: { app: 'x', suite: ns } }))
      await client.create(SECRETS, secret(ns, 'b', { labels: { app: 'y', suite: ns } }))
      await client.create(SECRETS, secret(ns, 'c', { labels: { suite: ns } }))
      const listed = async (options: ListOptions): Promise<string[]> =>
        names((await client.list(SECRETS, options)).items)
      const mine = { namespace: ns }
      assert.deepEqual(await listed({ ...mine, labelSelector: `suite=${ns}` }), ['a', 'b', 'c'])
      assert.deepEqual(await listed({ ...mine, labelSelector: 'app in (x,y)' }), ['a', 'b'])
      assert.deepEqual(await listed({ ...mine, labelSelector: `suite=${ns},app!=x` }), ['b', 'c'])
      assert.deepEqual(await listed({ ...mine, labelSelector: `suite=${ns},!app` }), ['c'])
      assert.deepEqual(await listed({ ...mine, fieldSelector: 'metadata.name=b' }), ['b'])
      assert.deepEqual(await listed({ labelSelector: `suite=${ns}` }), ['a', 'b', 'c'])
      await rejects(client.list(SECRETS, { ...mine, labelSelector: 'a==,=' }), 'BadRequest', 400)
      await rejects(client.list(SECRETS, { ...mine, fieldSelector: 'spec.x=1' }), 'BadRequest', 400)
    },
  ],
  [
    'items carry apiVersion and kind',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { labels: { suite: ns } }))
      const { items, metadata } = await client.list(SECRETS, { labelSelector: `suite=${ns}` })
      assert.deepEqual([items[0]?.apiVersion, items[0]?.kind], ['v1', 'Secret'])
      assert.match(metadata.resourceVersion, /^\d+$/)
    },
  ],
  [
    'pages are of one moment: what changes between them is not seen',
    async ({ client, ns }) => {
      const labels = { suite: ns }
      for (const name of ['a', 'b', 'c', 'd', 'e']) await client.create(SECRETS, secret(ns, name, { labels }))
      const options = { namespace: ns, limit: 2 }
      const first = await client.list(SECRETS, options)
      assert.deepEqual(names(first.items), ['a', 'b'])
      assert.equal(first.metadata.remainingItemCount, 3)
      await client.create(SECRETS, secret(ns, 'cc', { labels }))
      await client.delete(SECRETS, ns, 'd')
      const second = await client.list(SECRETS, { ...options, continue: first.metadata.continue! })
      assert.deepEqual(names(second.items), ['c', 'd'])
      const third = await client.list(SECRETS, { ...options, continue: second.metadata.continue! })
      assert.deepEqual(names(third.items), ['e'])
      assert.equal(third.metadata.continue ?? '', '')
      assert.equal(third.metadata.resourceVersion, first.metadata.resourceVersion)
    },
  ],
  [
    'resourceVersion: 0, not older than, exact',
    async ({ client, ns }) => {
      const a = await client.create(SECRETS, secret(ns, 'a'))
      const at = a.metadata.resourceVersion!
      await client.create(SECRETS, secret(ns, 'b'))
      const listed = async (options: ListOptions): Promise<string[]> =>
        names((await client.list(SECRETS, { namespace: ns, ...options })).items)
      assert.deepEqual(await listed({ resourceVersion: at, resourceVersionMatch: 'NotOlderThan' }), ['a', 'b'])
      assert.deepEqual(await listed({ resourceVersion: at, resourceVersionMatch: 'Exact' }), ['a'])
      assert.ok(Array.isArray(await listed({ resourceVersion: '0' })))
      await rejects(listed({ resourceVersion: 'x' }), 'Invalid', 422).catch(async () => {
        // Kubernetes answers 400 or 422, depending on which layer reads it first.
        await rejects(listed({ resourceVersion: 'x' }), 'BadRequest', 400)
      })
    },
  ],
]

const WATCHES: Case[] = [
  [
    'watch from a resourceVersion: every change once, in order',
    async ({ client, ns }) => {
      const { metadata } = await client.list(SECRETS, { namespace: ns })
      const created = await client.create(SECRETS, secret(ns, 'a'))
      await client.update(SECRETS, { ...created, data: { k: 'djE=' } })
      await client.delete(SECRETS, ns, 'a')
      await client.create(SECRETS, secret(ns, 'b'))
      const options = { namespace: ns, resourceVersion: metadata.resourceVersion }
      const events = await collect(client, options, (seen) => seen.length === 4)
      assert.deepEqual(events.map(label), ['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED b'])
      const versions = events.map((event) => Number((event.object as KubeObject).metadata.resourceVersion))
      assert.deepEqual(
        versions,
        versions.toSorted((x, y) => x - y),
      )
      assert.equal((events[0]!.object as KubeObject).kind, 'Secret')
      assert.equal((events[2]!.object as KubeObject)['data'].k, 'djE=')
    },
  ],
  [
    'a selector turns changes into ADDED and DELETED',
    async ({ client, ns }) => {
      const { metadata } = await client.list(SECRETS, { namespace: ns })
      await client.create(SECRETS, secret(ns, 'a', { labels: { on: 'no' } }))
      await client.patch(SECRETS, ns, 'a', 'merge', { metadata: { labels: { on: 'yes' } } })
      await client.patch(SECRETS, ns, 'a', 'merge', { metadata: { labels: { on: 'no' } } })
      const options = { namespace: ns, resourceVersion: metadata.resourceVersion, labelSelector: 'on=yes' }
      const events = await collect(client, options, (seen) => seen.length === 2)
      assert.deepEqual(events.map(label), ['ADDED a', 'DELETED a'])
      const none = { namespace: ns, resourceVersion: metadata.resourceVersion, fieldSelector: 'metadata.name=b' }
      const pending = collect(client, none, (seen) => seen.length === 1)
      await client.create(SECRETS, secret(ns, 'b'))
      assert.deepEqual((await pending).map(label), ['ADDED b'])
    },
  ],
  [
    'sendInitialEvents: state first, then the bookmark that ends it, then changes',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a'))
      const options = { namespace: ns, sendInitialEvents: true, allowWatchBookmarks: true }
      let wrote: Promise<unknown> | undefined
      const events = await collect(client, options, (seen) => {
        if (seen.at(-1)!.type === 'BOOKMARK') wrote ??= client.create(SECRETS, secret(ns, 'b'))
        return seen.at(-1)!.type === 'ADDED' && label(seen.at(-1)!) === 'ADDED b'
      })
      await wrote
      assert.deepEqual(
        events.map((event) => event.type),
        ['ADDED', 'BOOKMARK', 'ADDED'],
      )
      const bookmark = events[1]!.object as KubeObject
      assert.equal(bookmark.metadata.annotations?.['k8s.io/initial-events-end'], 'true')
      assert.match(bookmark.metadata.resourceVersion!, /^\d+$/)
    },
  ],
  [
    'a watch ends at its timeout, and when its signal aborts',
    async ({ client, ns }) => {
      const controller = new AbortController()
      const options = { namespace: ns, resourceVersion: '0', timeoutSeconds: 1, signal: controller.signal }
      for await (const event of client.watch(SECRETS, options)) assert.notEqual(event.type, 'ERROR')
      const { metadata } = await client.list(SECRETS, { namespace: ns })
      const stream = client.watch(SECRETS, {
        namespace: ns,
        resourceVersion: metadata.resourceVersion,
        signal: controller.signal,
      })
      const done = (async () => {
        for await (const event of stream) assert.fail(label(event))
      })()
      setImmediate(() => controller.abort())
      await done
    },
  ],
  [
    'a reader that stops early leaves nothing open',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a'))
      const options = { namespace: ns, resourceVersion: '0', signal: new AbortController().signal }
      for await (const event of client.watch(SECRETS, options)) {
        assert.equal(event.type, 'ADDED')
        break
      }
    },
  ],
  [
    'a slow reader gets every event',
    async ({ client, ns }) => {
      const { metadata } = await client.list(SECRETS, { namespace: ns })
      const signal = AbortSignal.timeout(10_000)
      const stream = client.watch(SECRETS, { namespace: ns, resourceVersion: metadata.resourceVersion, signal })
      const iterator = stream[Symbol.asyncIterator]()
      const first = iterator.next()
      for (let i = 0; i < 50; i++)
        await client.create(SECRETS, secret(ns, `s-${i}`, { data: { k: 'eHh4'.repeat(1000) } }))
      const seen = [await first]
      while (seen.length < 50) seen.push(await iterator.next())
      assert.deepEqual(
        seen.map((result) => label(result.value as ClientWatchEvent)),
        Array.from({ length: 50 }, (_, i) => `ADDED s-${i}`),
      )
      await iterator.return?.()
    },
  ],
  [
    'a resourceVersion that is too old or no number is told',
    async ({ client, ns }) => {
      const signal = AbortSignal.timeout(10_000)
      const stream = client.watch(SECRETS, { namespace: ns, resourceVersion: 'x', signal })
      const outcome = (async () => {
        for await (const event of stream) return event.type
        return 'end'
      })()
      await assert.rejects(outcome, (error) => error instanceof ApiError && (error.code === 400 || error.code === 422))
    },
  ],
]

const DELETES: Case[] = [
  [
    'preconditions on uid and resourceVersion',
    async ({ client, ns }) => {
      const made = await client.create(SECRETS, secret(ns, 'a'))
      const foreign = { preconditions: { uid: '00000000-0000-4000-8000-000000000000' } }
      await rejects(
        client.delete(SECRETS, ns, 'a', foreign),
        'Conflict',
        409,
        /Precondition failed: UID in precondition/,
      )
      const now = await client.patch(SECRETS, ns, 'a', 'merge', { data: { k: 'djE=' } })
      const stale = { preconditions: { resourceVersion: made.metadata.resourceVersion! } }
      await rejects(client.delete(SECRETS, ns, 'a', stale), 'Conflict', 409)
      const right = { preconditions: { uid: made.metadata.uid!, resourceVersion: now.metadata.resourceVersion! } }
      await client.delete(SECRETS, ns, 'a', right)
    },
  ],
  [
    'finalizers hold an object until they are gone',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { finalizers: [HOLD] }))
      await client.delete(SECRETS, ns, 'a')
      const held = await client.get(SECRETS, ns, 'a')
      assert.ok(held.metadata.deletionTimestamp)
      await client.patch(SECRETS, ns, 'a', 'merge', { metadata: { finalizers: null } })
      await rejects(client.get(SECRETS, ns, 'a'), 'NotFound', 404)
    },
  ],
  [
    'propagation: foreground and orphan leave their finalizer, background none',
    async ({ client, ns }) => {
      for (const [policy, finalizer] of [
        ['Foreground', 'foregroundDeletion'],
        ['Orphan', 'orphan'],
        ['Background', undefined],
      ] as const) {
        const name = policy.toLowerCase()
        const made = await client.create(SECRETS, secret(ns, name, { finalizers: [HOLD] }))
        await client.delete(SECRETS, ns, name, { propagationPolicy: policy })
        // The garbage collector may take its finalizer away at once: the event of the deletion shows it.
        const options = {
          namespace: ns,
          resourceVersion: made.metadata.resourceVersion!,
          fieldSelector: `metadata.name=${name}`,
        }
        const [event] = await collect(client, options, (seen) => seen.length === 1)
        const finalizers = (event!.object as KubeObject).metadata.finalizers ?? []
        assert.deepEqual([...finalizers].sort(), [HOLD, ...(finalizer === undefined ? [] : [finalizer])].sort())
        await client.patch(SECRETS, ns, name, 'merge', { metadata: { finalizers: null } })
      }
    },
  ],
  [
    'deleteCollection takes what the selector selects',
    async ({ client, ns }) => {
      await client.create(SECRETS, secret(ns, 'a', { labels: { app: 'x' } }))
      await client.create(SECRETS, secret(ns, 'b', { labels: { app: 'y' } }))
      await client.deleteCollection(SECRETS, { namespace: ns, labelSelector: 'app=x', dryRun: true })
      assert.deepEqual(names((await client.list(SECRETS, { namespace: ns })).items), ['a', 'b'])
      await client.deleteCollection(SECRETS, { namespace: ns, labelSelector: 'app=x' })
      assert.deepEqual(names((await client.list(SECRETS, { namespace: ns })).items), ['b'])
    },
  ],
]
