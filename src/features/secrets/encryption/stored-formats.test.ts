import assert from 'node:assert/strict'
import { createDecipheriv, createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { KmsProvider } from './kms-provider.ts'
import { openLocalKeyFile } from './local-key-file.ts'
import { openSecretbox, type StaticProvider, staticKey } from './static-keys.ts'
import { testKeyService } from './testdata/key-service.ts'
import { EncryptionError } from './types.ts'

type Vector = {
  name: string
  provider: StaticProvider | 'kms'
  keyName: string
  key: string
  value: string
  keyId?: string
  wrapped?: string
}
const file = JSON.parse(readFileSync(new URL('./testdata/vectors.json', import.meta.url), 'utf8')) as {
  storageKey: string
  plain: string
  vectors: Vector[]
}
const { storageKey, vectors } = file
const plain = Buffer.from(file.plain)
const folder = mkdtempSync(join(tmpdir(), 'rampart-formats-'))
after(() => rmSync(folder, { recursive: true }))

const log = (): void => {}
const records = { get: () => undefined, set: () => true }
const shared = { timeoutMs: 1000, records, clock: Date, log }

/** A plugin that unwraps exactly what the vector holds. */
function pluginOf({ keyName, key, keyId, wrapped }: Vector): KmsProvider {
  const service = testKeyService(keyName)
  service.decrypt = async (request) => {
    assert.equal(request.keyId, keyId)
    assert.equal(Buffer.from(request.ciphertext).toString('base64'), wrapped)
    return Buffer.from(key, 'base64')
  }
  return new KmsProvider({ ...shared, service })
}

/** The key file that the vector's key-encryption key stands in. */
function localOf({ key, keyId }: Vector): KmsProvider {
  const keyFile = join(folder, 'keys.json')
  const keys = [{ id: keyId, created: '2026-01-01T00:00:00Z', key }]
  const content = { apiVersion: 'secrets.rampart.dev/v1', kind: 'LocalKeyFile', keys }
  writeFileSync(keyFile, JSON.stringify(content), { mode: 0o600 })
  return new KmsProvider({ ...shared, service: openLocalKeyFile({ file: keyFile, clock: Date }) })
}

type Reader = { header: string; open: (value: Buffer, from: number, storageKey: string) => Buffer | Promise<Buffer> }

function readerOf(vector: Vector): Reader {
  if (vector.provider !== 'kms') return staticKey(vector.provider, vector.keyName, Buffer.from(vector.key, 'base64'))
  return vector.keyName === 'local' ? localOf(vector) : pluginOf(vector)
}

describe('stored formats', () => {
  for (const vector of vectors) {
    it(`reads what another program wrote: ${vector.name}`, async () => {
      const reader = readerOf(vector)
      const value = Buffer.from(vector.value, 'base64')
      assert.equal(value.toString('latin1', 0, reader.header.length), reader.header)
      assert.deepEqual(await reader.open(value, reader.header.length, storageKey), plain)
      // The second time a data key is known.
      assert.deepEqual(await reader.open(value, reader.header.length, storageKey), plain)
      for (const other of [`${storageKey}2`, '/registry/core/secrets/other/db', '/registry/core/configmaps/shop/db']) {
        await assert.rejects(async () => reader.open(value, reader.header.length, other), EncryptionError, other)
      }
    })
  }

  it("agrees with NaCl's own secretbox vector", () => {
    const hex = (text: string): Buffer => Buffer.from(text, 'hex')
    const key = hex('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389')
    const nonce = hex('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37')
    const sealed = hex(
      'f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b' +
        '4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da' +
        '99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5',
    )
    const opened = openSecretbox(key, Buffer.concat([nonce, sealed]))
    assert.match(opened!.toString('hex'), /^be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd4.*645e0705$/)
  })

  it('writes aesgcm as Kubernetes reads it', () => {
    const key = Buffer.alloc(32, 1)
    const value = staticKey('aesgcm', 'key1', key).seal!(plain, storageKey)
    const body = value.subarray('k8s:enc:aesgcm:v1:key1:'.length)
    const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, 12))
    decipher.setAAD(Buffer.from(storageKey)).setAuthTag(body.subarray(-16))
    assert.deepEqual(Buffer.concat([decipher.update(body.subarray(12, -16)), decipher.final()]), plain)
  })

  it('writes kms v2 as Kubernetes reads it', async () => {
    const service = testKeyService()
    let seed = Buffer.alloc(0)
    const encrypt = service.encrypt
    service.encrypt = (key, uid) => {
      seed = Buffer.from(key)
      return encrypt(key, uid)
    }
    const kms = new KmsProvider({ ...shared, service })
    await kms.writeKey.probe()
    const long = Buffer.alloc(300, 120)
    const value = kms.seal(long, storageKey)
    let at = 'k8s:enc:kms:v2:vault:'.length
    const field = (tag: number): Buffer => {
      assert.equal(value[at], tag)
      const length = value[at + 1]! < 128 ? value[at + 1]! : (value[at + 1]! & 127) | (value[at + 2]! << 7)
      const start = at + (value[at + 1]! < 128 ? 2 : 3)
      at = start + length
      return value.subarray(start, at)
    }
    const data = field(0x0a)
    assert.equal(String(field(0x12)), 'kek-1')
    assert.equal(field(0x1a).length, 12 + 32 + 16)
    assert.equal(String(field(0x22)), '\n\u0010zone.example.com\u0012\u0001a')
    assert.deepEqual([...value.subarray(at)], [0x28, 1])
    const info = data.subarray(0, 32)
    const key = createHmac('sha256', seed).update(info).update('\u0001').digest()
    const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(32, 44))
    decipher.setAAD(Buffer.from(storageKey)).setAuthTag(data.subarray(-16))
    assert.deepEqual(Buffer.concat([decipher.update(data.subarray(44, -16)), decipher.final()]), long)
    kms.close()
  })

  it('reads annotations in any order without asking the plugin again, and fields in any order', async () => {
    const vector = vectors.find((v) => v.name === 'kms v2 with a seed')!
    const value = Buffer.from(vector.value, 'base64')
    const reader = pluginOf(vector)
    await reader.open(value, reader.header.length, storageKey)
    const body = value.subarray(reader.header.length)
    // The two annotations: a tag, a length, the entry.
    const first = body.indexOf('zone.example.com') - 4
    const second = first + 2 + body[first + 1]!
    const end = second + 2 + body[second + 1]!
    const parts = [
      body.subarray(0, first),
      body.subarray(second, end),
      body.subarray(first, second),
      body.subarray(end),
    ]
    const swapped = Buffer.concat([value.subarray(0, reader.header.length), ...parts])
    assert.notDeepEqual(swapped, value)
    assert.deepEqual(reader.open(swapped, reader.header.length, storageKey), plain)
    const rotated = Buffer.concat([
      value.subarray(0, reader.header.length),
      body.subarray(first),
      body.subarray(0, first),
    ])
    assert.deepEqual(reader.open(rotated, reader.header.length, storageKey), plain)
  })
})

describe('altered values', () => {
  const authentic = vectors.filter(({ provider }) => provider !== 'aescbc')
  for (const vector of authentic) {
    const reader = readerOf(vector)
    const value = Buffer.from(vector.value, 'base64')
    const from = reader.header.length
    const read = async (altered: Buffer): Promise<Buffer> => reader.open(altered, from, storageKey)
    // What the plugin made of the wrapped key is the plugin's to authenticate; the rest is ours.
    const end = vector.provider === 'kms' ? value.indexOf('kek-1') - 2 : value.length

    it(`are refused: ${vector.name}, any bit`, async () => {
      await read(value)
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: from, max: end - 1 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
          const altered = Buffer.from(value)
          altered[at]! ^= 1 << bit
          await assert.rejects(read(altered))
        }),
      )
    })

    it(`are refused: ${vector.name}, cut short anywhere`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: from, max: value.length - 1 }), async (length) => {
          await assert.rejects(read(value.subarray(0, length)))
        }),
      )
    })
  }

  it('are refused with an error that names the storage key, and no plaintext', async () => {
    for (const vector of vectors) {
      const reader = readerOf(vector)
      const altered = Buffer.from(vector.value, 'base64').subarray(0, -30)
      await assert.rejects(
        async () => reader.open(altered, reader.header.length, storageKey),
        (error: unknown) =>
          error instanceof EncryptionError && error.message.includes(storageKey) && !error.message.includes('Yg=='),
        vector.name,
      )
    }
  })

  it('of aescbc never give another object', async () => {
    const vector = vectors.find(({ provider }) => provider === 'aescbc')!
    const reader = readerOf(vector)
    const value = Buffer.from(vector.value, 'base64')
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: reader.header.length, max: value.length - 1 }), async (at) => {
        const altered = Buffer.from(value)
        altered[at]! ^= 1
        let read: Buffer
        try {
          read = await reader.open(altered, reader.header.length, storageKey)
        } catch (error) {
          assert.ok(error instanceof EncryptionError)
          return
        }
        const { metadata } = JSON.parse(String(read)) as { metadata: { name: string; namespace: string } }
        assert.deepEqual([metadata.namespace, metadata.name], ['shop', 'db'])
      }),
    )
  })
})
