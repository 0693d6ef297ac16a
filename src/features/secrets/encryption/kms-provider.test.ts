import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { DataKeyRecord, DataKeyRecords } from './data-key-records.ts'
import { KmsProvider } from './kms-provider.ts'
import { type TestKeyService, testKeyService } from './testdata/key-service.ts'
import { EncryptionError } from './types.ts'

const KEY = '/registry/core/secrets/shop/db'
const PLAIN = Buffer.from('{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}')

const refused =
  (...patterns: RegExp[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof EncryptionError, String(error))
    for (const pattern of patterns) assert.match(error.message, pattern)
    assert.doesNotMatch(error.message, /aHVudGVyMg/)
    return true
  }

function memoryRecords(): DataKeyRecords & { records: Map<string, DataKeyRecord>; broken: boolean } {
  const records = new Map<string, DataKeyRecord>()
  const self = {
    records,
    broken: false,
    get: (plugin: string) => records.get(plugin),
    set: (plugin: string, record: DataKeyRecord) => {
      if (!self.broken) records.set(plugin, record)
      return !self.broken
    },
  }
  return self
}

describe('kms v2', () => {
  let service: TestKeyService
  let now: number
  let logged: string[]
  let records: ReturnType<typeof memoryRecords>
  beforeEach(() => {
    service = testKeyService()
    now = Date.UTC(2026, 10, 23)
    logged = []
    records = memoryRecords()
  })
  const provider = (options: { maxUses?: number; timeoutMs?: number } = {}): KmsProvider =>
    new KmsProvider({
      service,
      timeoutMs: 1000,
      records,
      clock: { now: () => now },
      log: (level, message, fields) => logged.push(`${level}: ${message} ${JSON.stringify(fields)}`),
      ...options,
    })
  const started = async (options?: { maxUses?: number }): Promise<KmsProvider> => {
    const kms = provider(options)
    await kms.writeKey.probe()
    return kms
  }
  const open = (kms: KmsProvider, value: Buffer, key = KEY): Buffer | Promise<Buffer> =>
    kms.open(value, kms.header.length, key)
  const stale = (kms: KmsProvider, value: Buffer): boolean => kms.isStale(value, kms.header.length, KEY)

  it('writes and reads without waiting, and asks the plugin once', async () => {
    const kms = await started()
    for (let i = 0; i < 100; i++) {
      const value = kms.seal(PLAIN, KEY)
      assert.ok(value.toString('latin1').startsWith('k8s:enc:kms:v2:vault:'))
      assert.ok(!value.includes('aHVudGVyMg'))
      assert.deepEqual(open(kms, value), PLAIN)
    }
    assert.deepEqual(service.calls, { status: 1, encrypt: 1, decrypt: 1 })
  })

  it('makes a key per write: equal values look different, and each opens only at its own storage key', async () => {
    const kms = await started()
    const [one, two] = [kms.seal(PLAIN, KEY), kms.seal(PLAIN, KEY)]
    const data = (value: Buffer): string => value.subarray(kms.header.length, -60).toString('latin1')
    assert.notEqual(data(one), data(two))
    assert.throws(
      () => open(kms, one, `${KEY}2`),
      refused(/secrets\/shop\/db2 was altered or moved/, /data key [0-9a-f]{16} .*"kek-1" of kms plugin vault/),
    )
  })

  it('reads what another process wrote, asking once for all that wait', async () => {
    const values = await started().then((kms) => [1, 2, 3].map(() => kms.seal(PLAIN, KEY)))
    const other = provider()
    service.calls.decrypt = 0
    const read = values.map((value) => open(other, value))
    assert.ok(read[0] instanceof Promise)
    assert.deepEqual(await Promise.all(read), [PLAIN, PLAIN, PLAIN])
    assert.equal(service.calls.decrypt, 1)
    assert.ok(Buffer.isBuffer(open(other, values[1]!)))
  })

  it('goes on for three minutes after the plugin went down, then writes nothing; reads go on', async () => {
    const kms = await started()
    const value = kms.seal(PLAIN, KEY)
    service.down = 'connection refused'
    now += 60_000
    await assert.rejects(kms.writeKey.probe(), refused(/kms plugin vault: Status failed: connection refused/))
    kms.seal(PLAIN, KEY)
    now += 120_000
    kms.seal(PLAIN, KEY)
    now += 1
    assert.throws(
      () => kms.seal(PLAIN, KEY),
      refused(/db is not written: kms plugin vault: .*3 minutes after 2026-11-23T00:00:00.000Z: .*connection refused/),
    )
    assert.deepEqual(open(kms, value), PLAIN)
    service.down = undefined
    await kms.writeKey.probe()
    kms.seal(PLAIN, KEY)
    assert.equal(service.calls.encrypt, 1)
    assert.deepEqual(
      logged.map((line) => line.split(' {')[0]),
      ['info: the kms plugin is healthy', 'error: the kms plugin is not healthy', 'info: the kms plugin is healthy'],
    )
  })

  it('writes nothing before the plugin has answered, and comes to life when it does', async () => {
    service.down = 'no such socket'
    const kms = provider()
    await assert.rejects(kms.writeKey.probe())
    assert.throws(() => kms.seal(PLAIN, KEY), refused(/there is no data key: kms plugin vault: Status failed: no such/))
    service.down = undefined
    await kms.writeKey.probe()
    assert.deepEqual(open(kms, kms.seal(PLAIN, KEY)), PLAIN)
  })

  it('makes a new data key when key_id changes; values of the old one are stale and readable', async () => {
    const kms = await started()
    const value = kms.seal(PLAIN, KEY)
    assert.equal(stale(kms, value), false)
    service.keyId = 'kek-2'
    await kms.writeKey.probe()
    assert.equal(kms.protectionOf(kms.seal(PLAIN, KEY), kms.header.length, KEY).keyId, 'kek-2')
    assert.equal(stale(kms, value), true)
    assert.deepEqual(open(kms, value), PLAIN)
    assert.deepEqual(kms.writeKey.keyIds, ['kek-2', 'kek-1'])
  })

  it('makes a new data key when asked to', async () => {
    const kms = await started()
    const value = kms.seal(PLAIN, KEY)
    await kms.writeKey.rotate()
    assert.equal(stale(kms, value), true)
    assert.equal(stale(kms, kms.seal(PLAIN, KEY)), false)
    service.down = 'gone'
    await assert.rejects(kms.writeKey.rotate(), refused(/gone/))
    assert.equal(stale(kms, kms.seal(PLAIN, KEY)), false)
  })

  it('goes on with its data key after a restart, and counts on', async () => {
    const first = await started()
    const value = first.seal(PLAIN, KEY)
    first.close()
    assert.equal(records.get('vault')!.uses, 1)
    const second = await started()
    assert.equal(stale(second, value), false)
    assert.equal(second.writeKey.state!.key.id, first.writeKey.state!.key.id)
    // Killed, not closed: the count is an upper bound.
    assert.equal(records.get('vault')!.uses, 1 + 2 ** 20)
    service.keyId = 'kek-2'
    assert.equal(stale(await started(), value), true)
  })

  it('makes a new data key when the record does not unwrap or cannot be written', async () => {
    const first = await started()
    const { source } = records.get('vault')!
    records.set('vault', { ...records.get('vault')!, source: { ...source, ciphertext: Buffer.alloc(60) } })
    const second = await started()
    assert.notEqual(second.writeKey.state!.key.id, first.writeKey.state!.key.id)
    records.broken = true
    const third = await started()
    assert.notEqual(third.writeKey.state!.key.id, second.writeKey.state!.key.id)
    assert.deepEqual(open(third, third.seal(PLAIN, KEY)), PLAIN)
  })

  it('does not write with a remembered data key that the plugin unwraps to another', async () => {
    const first = await started()
    first.close()
    service.spoil.decrypt = () => Buffer.alloc(32, 5)
    const second = provider()
    await assert.rejects(second.writeKey.probe(), refused(/does not decrypt to the same key/))
    assert.throws(() => second.seal(PLAIN, KEY), refused(/is not written/))
    assert.match(logged.join('\n'), /cannot be used again.*unwraps another key than it wrapped/)
  })

  it('asks again for a data key that did not decrypt anything yet', async () => {
    const value = (await started()).seal(PLAIN, KEY)
    const reader = provider()
    service.spoil.decrypt = () => Buffer.alloc(32, 5)
    await assert.rejects(async () => open(reader, value), refused(/was altered or moved/))
    delete service.spoil.decrypt
    assert.deepEqual(await open(reader, value), PLAIN)
    const altered = Buffer.from(value)
    altered[reader.header.length + 60]! ^= 1
    const { decrypt } = service.calls
    assert.throws(() => open(reader, altered), refused(/was altered or moved/))
    assert.deepEqual(open(reader, value), PLAIN)
    assert.equal(service.calls.decrypt, decrypt, 'a key that is known to be right stays')
  })

  it('renews the data key before it wears out, and never goes past its limit', async () => {
    const kms = await started({ maxUses: 100 })
    const before = kms.writeKey.state!.key.id
    for (let i = 0; i < 75; i++) kms.seal(PLAIN, KEY)
    await kms.writeKey.probe()
    assert.notEqual(kms.writeKey.state!.key.id, before)
    service.down = 'gone'
    for (let i = 0; i < 100; i++) kms.seal(PLAIN, KEY)
    assert.throws(() => kms.seal(PLAIN, KEY), refused(/was used 100 times/))
  })

  it('keeps the plugin waiting for nothing: a slow one is given up', async () => {
    service.hanging = true
    const kms = provider({ timeoutMs: 5 })
    await assert.rejects(kms.writeKey.probe(), refused(/kms plugin vault: Status took longer than 5 ms/))
  })

  const MB = Buffer.alloc(1 << 20, 65)
  const lies: [string, TestKeyService['spoil'], RegExp][] = [
    ['is ill', { status: (a) => ({ ...a, healthz: 'the vault\nis sealed' }) }, /not healthy: the vault is sealed$/],
    ['speaks v1', { status: (a) => ({ ...a, version: 'v1' }) }, /version v1, not v2/],
    ['has no key_id', { status: (a) => ({ ...a, keyId: '' }) }, /Status is wrong: the key_id is empty/],
    ['has a long key_id', { status: (a) => ({ ...a, keyId: 'k'.repeat(1025) }) }, /key_id has 1025 bytes/],
    [
      'wraps with another key',
      { encrypt: (a) => ({ ...a, keyId: 'other' }) },
      /"kek-1" is in use, Encrypt used "other"/,
    ],
    ['wraps with no key', { encrypt: (a) => ({ ...a, keyId: '' }) }, /Encrypt is wrong: the key_id is empty/],
    ['wraps to nothing', { encrypt: (a) => ({ ...a, ciphertext: Buffer.alloc(0) }) }, /wrapped data key is empty/],
    ['wraps to 1 MB', { encrypt: (a) => ({ ...a, ciphertext: MB }) }, /has 1048576 bytes, more than 1024/],
    ['wraps to garbage', { encrypt: (a) => ({ ...a, ciphertext: Buffer.alloc(60, 1) }) }, /Decrypt failed/],
    [
      'annotates with a bare word',
      { encrypt: (a) => ({ ...a, annotations: { zone: Buffer.alloc(1) } }) },
      /annotation "zone" is not a fully qualified domain name/,
    ],
    [
      'annotates with 33 KB',
      { encrypt: (a) => ({ ...a, annotations: { 'a.b': Buffer.alloc(33 * 1024) } }) },
      /annotations have more than 32768 bytes/,
    ],
    ['unwraps to another key', { decrypt: () => Buffer.alloc(32) }, /does not decrypt to the same key/],
    ['unwraps to nothing', { decrypt: () => Buffer.alloc(0) }, /0 bytes are no data key/],
    ['unwraps to 1 MB', { decrypt: () => MB }, /1048576 bytes are no data key/],
  ]
  for (const [what, spoil, pattern] of lies) {
    it(`believes no plugin that ${what}`, async () => {
      const kms = await started()
      const before = kms.writeKey.state!.key.id
      service.spoil = spoil
      await assert.rejects(kms.writeKey.rotate(), refused(/^kms plugin vault: /, pattern))
      assert.match(kms.writeKey.health, pattern)
      assert.equal(kms.writeKey.state!.key.id, before)
      assert.deepEqual(open(kms, kms.seal(PLAIN, KEY)), PLAIN)
    })
  }

  it('believes no plugin that changes its version', async () => {
    const kms = await started()
    service.spoil = { status: (a) => ({ ...a, version: 'v2beta1' }) }
    await assert.rejects(kms.writeKey.probe(), refused(/version changed from v2 to v2beta1/))
  })

  it('names what a value needs that cannot be read, and does not ask again at once', async () => {
    const value = (await started()).seal(PLAIN, KEY)
    service.down = 'connection refused'
    const other = provider()
    service.calls.decrypt = 0
    for (let i = 0; i < 3; i++) {
      await assert.rejects(
        async () => open(other, value),
        refused(/db cannot be read: it needs data key [0-9a-f]{16} .*"kek-1" of kms plugin vault.*connection refused/),
      )
    }
    assert.equal(service.calls.decrypt, 1)
    service.down = undefined
    now += 1000
    assert.deepEqual(await open(other, value), PLAIN)
  })

  it('remembers a limited number of data keys', async () => {
    const kms = await started()
    const first = kms.seal(PLAIN, KEY)
    const second = await kms.writeKey.rotate().then(() => kms.seal(PLAIN, KEY))
    for (let i = 0; i < 1000; i++) {
      await kms.writeKey.rotate()
      assert.ok(Buffer.isBuffer(open(kms, second)), 'what is in use stays')
    }
    assert.ok(open(kms, first) instanceof Promise)
  })

  it('forgets what forgotten keys wrapped, but not the key in use', async () => {
    const kms = await started()
    const old = kms.seal(PLAIN, KEY)
    service.keyId = 'kek-2'
    await kms.writeKey.probe()
    const fresh = kms.seal(PLAIN, KEY)
    kms.forget(['kek-1', 'kek-2'])
    assert.ok(open(kms, old) instanceof Promise)
    assert.ok(Buffer.isBuffer(open(kms, fresh)))
  })
})
