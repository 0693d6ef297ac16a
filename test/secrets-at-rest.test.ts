/** Encryption at rest seen from outside: what lies on disk, what happens to what was altered, and how keys rotate. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  discardUnreadable,
  holdsLocalValues,
  openEncryption,
  rewriteStale,
  survey,
} from '../src/features/secrets/index.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import type { Client, ResourceId } from '../src/kernel/client/client.ts'
import { createInformer } from '../src/kernel/controller/informer.ts'
import { openLmdbStore } from '../src/kernel/store/lmdb.ts'
import type { Store } from '../src/kernel/store/store.ts'

const secrets: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const configMaps: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
const KEY = '/registry/core/secrets/default/'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

const secret = (name: string, value: string, namespace = 'default'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  data: { value: base64(value) },
})
const textOf = (object: KubeObject): string =>
  Buffer.from((object['data'] as Record<string, string>)['value']!, 'base64').toString()

async function withStore<T>(directory: string, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openLmdbStore({ directory: join(directory, 'store'), owner: 'a test', log: () => undefined })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

describe('the default: Secrets, with a local key file', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
  })
  after(() => server.close())

  test('the key file is made at the first start, for its owner alone', () => {
    const file = join(server.directory, 'encryption', 'keys.json')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(statSync(join(server.directory, 'encryption')).mode & 0o777, 0o700)
  })

  test('a Secret lies on disk in the format of KMS v2, a ConfigMap in the clear', async () => {
    await client.create(secrets, secret('plain-sight', 'planted-value-1'))
    await client.create(configMaps, { ...secret('open', 'x'), kind: 'ConfigMap', data: { value: 'not-secret' } })
    const { store } = server.plane
    const [stored] = (await store.range({ key: `${KEY}plain-sight` })).kvs
    assert.ok(Buffer.from(stored!.value).subarray(0, 22).equals(Buffer.from('k8s:enc:kms:v2:local:\n')))
    assert.ok(!Buffer.from(stored!.value).includes(base64('planted-value-1')))
    assert.equal(await holdsLocalValues(store), true)
    const [clear] = (await store.range({ key: '/registry/core/configmaps/default/open' })).kvs
    assert.ok(Buffer.from(clear!.value).includes('not-secret'))
  })

  test('the same value is written differently each time', async () => {
    await client.create(secrets, secret('twice-a', 'same'))
    const read = async (): Promise<Buffer> =>
      Buffer.from((await server.plane.store.range({ key: `${KEY}twice-a` })).kvs[0]!.value)
    const before = await read()
    await client.patch(secrets, 'default', 'twice-a', 'merge', { metadata: { labels: { a: 'b' } } })
    const after = await read()
    assert.ok(!before.subarray(40, 100).equals(after.subarray(40, 100)))
  })
})

describe('what was altered on disk', () => {
  let directory: string
  let server: TestServer
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'rampart-altered-'))
    const first = await startTestServer({ directory })
    for (const name of ['flipped', 'cut', 'swapped-a', 'swapped-b', 'whole', 'intact'])
      await first.localClient.create(secrets, secret(name, `planted-${name}`))
    await first.localClient.create(
      { group: '', version: 'v1', resource: 'namespaces' },
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'elsewhere' },
      },
    )
    await first.localClient.create(secrets, secret('other', 'value elsewhere', 'elsewhere'))
    await first.close({ keep: true })
    await withStore(directory, async (store) => {
      const value = async (name: string): Promise<Buffer> =>
        Buffer.from((await store.range({ key: KEY + name })).kvs[0]!.value)
      const put = (name: string, bytes: Buffer): Promise<unknown> =>
        store.txn({ compare: [], success: [{ type: 'put', key: KEY + name, value: bytes }] })
      const flipped = await value('flipped')
      flipped[flipped.length - 20]! ^= 1
      await put('flipped', flipped)
      await put('cut', (await value('cut')).subarray(0, -5))
      const [a, b] = [await value('swapped-a'), await value('swapped-b')]
      await put('swapped-a', b)
      await put('swapped-b', a)
    })
    server = await startTestServer({ directory })
  })
  after(async () => {
    await server?.close({ keep: true })
    rmSync(directory, { recursive: true, force: true })
  })

  for (const name of ['flipped', 'cut', 'swapped-a', 'swapped-b'])
    test(`${name}: the error names the key, and shows nobody else's data`, async () => {
      await assert.rejects(server.remoteClient.get(secrets, 'default', name), (error: Error & { code?: number }) => {
        assert.equal(error.code, 500)
        assert.ok(error.message.includes(`${KEY}${name}`), error.message)
        assert.ok(!error.message.includes('planted-'))
        return true
      })
    })

  test('what was not altered is served, and lists say which object keeps them from being whole', async () => {
    assert.equal(textOf(await server.remoteClient.get(secrets, 'default', 'whole')), 'planted-whole')
    await assert.rejects(
      server.remoteClient.list(secrets, { namespace: 'default' }),
      /\/registry\/core\/secrets\/default\//,
    )
    const { items } = await server.remoteClient.list(secrets, { namespace: 'elsewhere' })
    assert.deepEqual(items.map(textOf), ['value elsewhere'])
    await server.remoteClient.list(configMaps)
    await assert.rejects(server.remoteClient.create(secrets, secret('flipped', 'anew')), /flipped/)
  })

  test('the survey names what cannot be read; discarding takes only that', async () => {
    const { store, encryption } = server.plane
    const { unreadable } = await survey(store, encryption)
    assert.deepEqual(
      unreadable.map((u) => u.key).sort(),
      ['cut', 'flipped', 'swapped-a', 'swapped-b'].map((name) => KEY + name),
    )
    await assert.rejects(discardUnreadable(store, encryption, [`${KEY}whole`]), /can be read/)
    await assert.rejects(discardUnreadable(store, encryption, [`${KEY}absent`]), /is not there/)
    await assert.rejects(discardUnreadable(store, encryption, ['/elsewhere']), /not the key of a stored object/)
    const { discarded } = await discardUnreadable(
      store,
      encryption,
      unreadable.map((u) => u.key),
    )
    assert.equal(discarded.length, 4)
    const { items } = await server.remoteClient.list(secrets, { namespace: 'default' })
    assert.deepEqual(items.map(textOf).sort(), ['planted-intact', 'planted-whole'])
    await server.remoteClient.create(secrets, secret('flipped', 'anew'))
    assert.equal(textOf(await server.remoteClient.get(secrets, 'default', 'flipped')), 'anew')
  })
})

describe('a configuration file', () => {
  const key = Buffer.alloc(32, 7).toString('base64')
  const other = Buffer.alloc(32, 9).toString('base64')
  const configuration = (providers: string): string =>
    `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, configmaps]\n  providers:\n${providers}`
  const aesgcm = (name: string, secretKey: string): string =>
    `  - aesgcm:\n      keys:\n      - {name: ${name}, secret: ${secretKey}}\n`
  const identity = '  - identity: {}\n'

  test('takes over what the default wrote, is reloaded, keeps the old one when the new is broken, and rotates', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rampart-configured-'))
    const file = join(directory, 'encryption.yaml')
    const data = join(directory, 'data')
    try {
      const first = await startTestServer({ directory: data })
      await first.localClient.create(secrets, secret('before', 'by the default'))
      await first.close({ keep: true })

      writeFileSync(file, configuration(aesgcm('one', key) + identity), { mode: 0o600 })
      const server = await startTestServer({ directory: data, settings: { encryptionProviderConfig: file } })
      const { store, encryption } = server.plane
      const header = async (storageKey: string): Promise<string> =>
        Buffer.from((await store.range({ key: storageKey })).kvs[0]!.value)
          .subarray(0, 26)
          .toString('latin1')
      try {
        assert.equal(textOf(await server.localClient.get(secrets, 'default', 'before')), 'by the default')
        await server.localClient.create(secrets, secret('by-file', 'by the file'))
        assert.match(await header(`${KEY}by-file`), /^k8s:enc:aesgcm:v1:one:/)

        writeFileSync(file, configuration(aesgcm('two', 'tooshort') + identity))
        await until(() =>
          server.log.some((l) => l.level === 'error' && JSON.stringify(l.fields).includes('encryption.yaml')),
        )
        await server.localClient.create(secrets, secret('still-old', 'x'))
        assert.match(await header(`${KEY}still-old`), /^k8s:enc:aesgcm:v1:one:/)
        assert.ok(!server.log.some((l) => JSON.stringify(l).includes('tooshort')), 'a key is not logged')

        writeFileSync(file, configuration(aesgcm('two', other) + aesgcm('one', key) + identity))
        await until(() => server.log.some((l) => /new encryption configuration/.test(l.message)))
        const result = await rewriteStale({ store, encryption })
        assert.equal(result.unreadable.length, 0)
        assert.ok(result.rewritten >= 3)
        for (const name of ['before', 'by-file', 'still-old'])
          assert.match(await header(KEY + name), /^k8s:enc:aesgcm:v1:two:/)
        assert.equal((await rewriteStale({ store, encryption })).total, 0)
        assert.equal(textOf(await server.localClient.get(secrets, 'default', 'before')), 'by the default')
      } finally {
        await server.close({ keep: true })
      }

      writeFileSync(file, configuration('  - aesgcm:\n      keys: []\n'))
      await assert.rejects(
        startTestServer({ directory: data, settings: { encryptionProviderConfig: file } }),
        /encryption\.yaml:\d+/,
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

describe('a value whose key comes later', () => {
  const key = (byte: number): string => Buffer.alloc(32, byte).toString('base64')
  const configuration = (...keys: [name: string, byte: number][]): string =>
    `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - aesgcm:\n      keys:\n${keys.map(([name, byte]) => `      - {name: ${name}, secret: ${key(byte)}}\n`).join('')}`

  test('is refused until then, and no watcher misses it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rampart-later-'))
    const [file, foreign] = [join(directory, 'own.yaml'), join(directory, 'foreign.yaml')]
    writeFileSync(file, configuration(['one', 1]), { mode: 0o600 })
    writeFileSync(foreign, configuration(['two', 2]), { mode: 0o600 })
    const other = await openEncryption({
      configFile: foreign,
      keyFile: join(directory, 'keys.json'),
      clock: { now: Date.now },
      log: () => undefined,
      connectPlugin: () => {
        throw new Error('there is no plugin')
      },
    })
    const server = await startTestServer({
      directory: join(directory, 'data'),
      settings: { encryptionProviderConfig: file },
    })
    const stop = new AbortController()
    try {
      await server.localClient.create(secrets, secret('shared', 'first'))
      const informer = createInformer({ client: server.remoteClient, resource: secrets, log: () => undefined })
      void informer.run(stop.signal)
      const seen = (): string | undefined => {
        const object = informer.store.get('default/shared')
        return object === undefined ? undefined : textOf(object)
      }
      await until(() => seen() === 'first')
      const { store } = server.plane
      const [kv] = (await store.range({ key: `${KEY}shared` })).kvs
      const plain = Buffer.from(await server.plane.encryption.fromStorage(kv!.value, kv!.key))
      const changed = Buffer.from(plain.toString().replace(base64('first'), base64('second')))
      await store.txn({
        compare: [],
        success: [{ type: 'put', key: kv!.key, value: await other.toStorage(changed, kv!.key) }],
      })
      await assert.rejects(
        server.remoteClient.get(secrets, 'default', 'shared'),
        /cannot be read.*two|two.*cannot be read/,
      )
      await assert.rejects(server.remoteClient.list(secrets), /cannot be read/)
      assert.equal(seen(), 'first')
      writeFileSync(file, configuration(['one', 1], ['two', 2]))
      await until(() => seen() === 'second')
      await until(() => server.log.some((line) => /can be read again/.test(line.message)))
      assert.equal(textOf(await server.remoteClient.get(secrets, 'default', 'shared')), 'second')
      await server.remoteClient.list(secrets)
    } finally {
      stop.abort()
      await other.close()
      await server.close()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

async function until(check: () => boolean): Promise<void> {
  const end = Date.now() + 15_000
  while (!check()) {
    if (Date.now() > end) throw new Error('it did not happen within 15 s')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
