import assert from 'node:assert/strict'
import { chmodSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openLocalKeyFile } from '../encryption/local-key-file.ts'
import { EncryptionError } from '../encryption/types.ts'
import { followKeyFile } from './key-file-service.ts'
import { probeKeyService } from './probe.ts'
import { folder, recordingLog, toyKeyService } from './testing.ts'

const clock = { now: () => Date.UTC(2027, 0, 1) }
const seed = Buffer.from('0123456789abcdef0123456789abcdef')

describe('a key file that is served', () => {
  it('is followed: keys that another process adds or removes count at the next call', async (t) => {
    const file = join(folder(t), 'keys.json')
    const { log, lines } = recordingLog()
    const service = followKeyFile(openLocalKeyFile({ file, clock }), log)
    const first = await service.status()
    const old = await service.encrypt(seed, 'u')
    const other = openLocalKeyFile({ file, clock })
    const { keyId } = other.rotate()
    assert.equal((await service.encrypt(seed, 'u')).keyId, keyId)
    assert.deepEqual(await service.status(), { ...first, keyId })
    assert.deepEqual(Buffer.from(await service.decrypt({ ...old, uid: 'u' })), seed)
    other.forget([old.keyId])
    await assert.rejects(service.decrypt({ ...old, uid: 'u' }), EncryptionError)
    assert.deepEqual(
      lines.map((line) => line.level),
      ['info', 'info'],
    )
  })

  it('that is gone or broken is unhealthy: nothing is wrapped, what was wrapped is still read', async (t) => {
    const file = join(folder(t), 'keys.json')
    const { log, lines } = recordingLog()
    const service = followKeyFile(openLocalKeyFile({ file, clock }), log)
    const old = await service.encrypt(seed, 'u')
    const spoilings: [() => void, () => void, RegExp][] = [
      [() => renameSync(file, `${file}.away`), () => renameSync(`${file}.away`, file), /gone/],
      [() => chmodSync(file, 0o644), () => chmodSync(file, 0o600), /open to others/],
    ]
    for (const [spoil, mend, message] of spoilings) {
      spoil()
      const { healthz, keyId } = await service.status()
      assert.match(healthz, message)
      assert.equal(keyId, old.keyId)
      await assert.rejects(service.encrypt(seed, 'u'), message)
      assert.deepEqual(Buffer.from(await service.decrypt({ ...old, uid: 'u' })), seed)
      mend()
      assert.equal((await service.status()).healthz, 'ok')
      await service.encrypt(seed, 'u')
    }
    assert.deepEqual(
      lines.map((line) => line.level),
      ['error', 'info', 'error', 'info'],
    )
  })
})

describe('the probe of a plugin', () => {
  it('proves a round trip', async () => {
    const { encryptMs, decryptMs, ...found } = await probeKeyService(toyKeyService(), 3)
    assert.deepEqual(found, { version: 'v2', healthz: 'ok', keyId: 'key-1', problems: [] })
    assert.ok(encryptMs! >= 0 && decryptMs! >= 0)
  })

  type Toy = ReturnType<typeof toyKeyService>
  const rows: [string, (toy: Toy) => void, RegExp][] = [
    ['is unhealthy', (toy) => (toy.healthz = 'HSM gone'), /its health is: HSM gone/],
    ['decrypts wrongly', (toy) => (toy.decrypt = async () => Buffer.alloc(32)), /not what it encrypted/],
    [
      'does not encrypt',
      (toy) => {
        toy.encrypt = async (plaintext) => ({ ciphertext: plaintext, keyId: 'key-1', annotations: {} })
        toy.decrypt = async ({ ciphertext }) => ciphertext
      },
      /its ciphertext holds the plaintext/,
    ],
    [
      'uses another key than it says',
      (toy) => (toy.status = async () => ({ version: 'v2', healthz: 'ok', keyId: 'key-0' })),
      /Encrypt used key "key-1", but Status names "key-0"/,
    ],
    [
      'fails',
      (toy) => {
        toy.encrypt = async () => {
          throw new EncryptionError('no more today')
        }
      },
      /no more today/,
    ],
  ]
  for (const [name, change, problem] of rows) {
    it(`says what is wrong when it ${name}`, async () => {
      const toy = toyKeyService()
      change(toy)
      const { problems } = await probeKeyService(toy, 2)
      assert.equal(problems.length, 1)
      assert.match(problems[0]!, problem)
    })
  }
})
