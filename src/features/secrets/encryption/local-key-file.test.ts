import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { CREATED_ANNOTATION, openLocalKeyFile } from './local-key-file.ts'
import { EncryptionError } from './types.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-keys-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
const newFile = (): string => join(folder, String(++files), 'keys.json')
const clock = { now: () => Date.UTC(2026, 10, 23, 12) }
const seed = Buffer.alloc(32, 7)
const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof EncryptionError, String(error))
  assert.match(error.message, pattern)
  return true
}

describe('local key file', () => {
  it('is made at first, for its owner only, and holds from then on', async () => {
    const file = newFile()
    const first = openLocalKeyFile({ file, clock })
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const again = openLocalKeyFile({ file, clock })
    assert.deepEqual(again.keys(), first.keys())
    assert.equal(again.keys().length, 1)
    assert.equal(again.keys()[0]!.created, clock.now())
    assert.deepEqual(await again.status(), { version: 'v2', healthz: 'ok', keyId: first.keys()[0]!.id })
    assert.ok(!existsSync(`${file}.lock`))
  })

  it('lies where a link to it points, also after changes; a link to nothing is no first start', () => {
    const stick = join(folder, 'stick')
    mkdirSync(stick)
    const link = join(folder, 'linked.json')
    const target = join(stick, 'keys.json')
    openLocalKeyFile({ file: target, clock })
    symlinkSync(target, link)
    const { keyId } = openLocalKeyFile({ file: link, clock }).rotate()
    assert.ok(lstatSync(link).isSymbolicLink())
    assert.equal(openLocalKeyFile({ file: target, clock }).keys()[0]!.id, keyId)
    const keys = openLocalKeyFile({ file: link, clock })
    renameSync(stick, `${stick}-unplugged`)
    assert.throws(
      () => openLocalKeyFile({ file: link, clock }),
      refused(/is a link to .*stick\/keys\.json, which is not there/),
    )
    assert.throws(() => keys.rotate(), refused(/which is not there/))
    assert.throws(() => keys.reload(), refused(/is gone/))
    assert.ok(lstatSync(link).isSymbolicLink() && !existsSync(stick))
  })

  it('wraps and unwraps, noting when the data key was made; later ones are later', async () => {
    const keys = openLocalKeyFile({ file: newFile(), clock })
    const one = await keys.encrypt(seed, 'uid')
    const two = await keys.encrypt(seed, 'uid')
    assert.equal(String(one.annotations[CREATED_ANNOTATION]), '2026-11-23T12:00:00.000Z')
    assert.equal(String(two.annotations[CREATED_ANNOTATION]), '2026-11-23T12:00:00.001Z')
    assert.deepEqual(await keys.decrypt({ ...one, uid: '' }), seed)
    assert.ok(!Buffer.from(one.ciphertext).includes(seed))
  })

  it('refuses altered ciphertext, annotations and key ids', async () => {
    const keys = openLocalKeyFile({ file: newFile(), clock })
    const other = keys.keys()[0]!.id
    const { keyId } = keys.rotate()
    const wrapped = await keys.encrypt(seed, '')
    for (let i = 0; i < wrapped.ciphertext.length; i++) {
      const ciphertext = Buffer.from(wrapped.ciphertext)
      ciphertext[i]! ^= 1
      await assert.rejects(keys.decrypt({ ...wrapped, ciphertext, uid: '' }), refused(new RegExp(`key ${keyId}`)))
    }
    const rows: [string, Partial<typeof wrapped>][] = [
      ['truncated', { ciphertext: wrapped.ciphertext.subarray(0, 20) }],
      ['empty', { ciphertext: Buffer.alloc(0) }],
      ['another key', { keyId: other }],
      ['no annotations', { annotations: {} }],
      ['another time', { annotations: { [CREATED_ANNOTATION]: Buffer.from('2020-01-01T00:00:00.000Z') } }],
    ]
    for (const [what, change] of rows) {
      await assert.rejects(keys.decrypt({ ...wrapped, ...change, uid: '' }), refused(/was altered/), what)
    }
    await assert.rejects(
      keys.decrypt({ ...wrapped, keyId: 'absent', uid: '' }),
      refused(/"absent" is not in .*keys\.json/),
    )
    await assert.rejects(keys.encrypt(Buffer.alloc(1000), ''), refused(/1000 bytes is too long/))
  })

  it('rotates: the new key wraps, the old unwraps until it is forgotten', async () => {
    const file = newFile()
    const keys = openLocalKeyFile({ file, clock })
    const old = keys.keys()[0]!.id
    const wrapped = await keys.encrypt(seed, '')
    const { keyId } = keys.rotate()
    assert.deepEqual(
      keys.keys().map((k) => k.id),
      [keyId, old],
    )
    assert.equal((await keys.encrypt(seed, '')).keyId, keyId)
    assert.deepEqual(await keys.decrypt({ ...wrapped, uid: '' }), seed)
    assert.throws(() => keys.forget([keyId]), refused(/writes use/))
    assert.throws(() => keys.forget(['nonsense']), refused(/nonsense is not in/))
    keys.forget([old])
    await assert.rejects(keys.decrypt({ ...wrapped, uid: '' }), refused(/is not in/))
    assert.equal(openLocalKeyFile({ file, clock }).keys().length, 1)
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  it('sees what another process changed, keeps what it has when the file breaks', async () => {
    const file = newFile()
    const here = openLocalKeyFile({ file, clock })
    assert.equal(here.reload(), false)
    const { keyId } = openLocalKeyFile({ file, clock }).rotate()
    assert.equal(here.reload(), true)
    assert.equal((await here.status()).keyId, keyId)
    const good = readFileSync(file)
    writeFileSync(file, '{')
    assert.throws(() => here.reload(), refused(/is broken/))
    assert.throws(() => here.rotate(), refused(/is broken/))
    assert.equal((await here.status()).keyId, keyId)
    rmSync(file)
    assert.throws(() => here.reload(), refused(/is gone/))
    assert.equal(here.keys().length, 2)
    writeFileSync(file, good, { mode: 0o600 })
    assert.equal(here.reload(), false)
  })

  it('changes nothing while another process does; takes over the lock of a dead one', () => {
    const file = newFile()
    const keys = openLocalKeyFile({ file, clock })
    writeFileSync(`${file}.lock`, '1')
    assert.throws(() => keys.rotate(), refused(/being changed by process 1: try again/))
    writeFileSync(`${file}.lock`, '999999999')
    keys.rotate()
    assert.equal(keys.keys().length, 2)
    assert.ok(!existsSync(`${file}.lock`))
  })

  const key = { id: 'a', created: '2026-01-01T00:00:00Z', key: seed.toString('base64') }
  const content = (keys: unknown): string =>
    JSON.stringify({ apiVersion: 'secrets.rampart.dev/v1', kind: 'LocalKeyFile', keys })
  const broken: [string, string, RegExp][] = [
    ['empty', '', /is broken: it is not JSON/],
    ['not JSON', `${seed.toString('base64')}`, /is broken: it is not JSON/],
    ['a list', '[]', /not an object/],
    ['another kind', '{"kind":"Secret"}', /apiVersion must be secrets\.rampart\.dev\/v1/],
    ['no keys', content([]), /holds no keys/],
    ['too many keys', content(Array(1001).fill(key)), /1001 keys/],
    ['key no object', content([1]), /keys\[0\] is not an object/],
    ['id with a newline', content([{ ...key, id: 'a\nb' }]), /keys\[0\]\.id/],
    ['no time', content([{ ...key, created: 'soon' }]), /keys\[0\]\.created/],
    ['not base64', content([{ ...key, key: 'p:ssword' }]), /keys\[0\]\.key is not base64/],
    ['short key', content([key, { ...key, id: 'b', key: 'BwcHBwcHBwcHBwcHBwcHBw==' }]), /keys\[1\]\.key has 16 bytes/],
    ['two of one id', content([key, key]), /two keys have the id a/],
    ['too large', ' '.repeat((1 << 20) + 1), /1048577 bytes/],
  ]
  for (const [what, text, pattern] of broken) {
    it(`refuses a file that is ${what}, without quoting it`, () => {
      const file = join(folder, `broken-${++files}.json`)
      writeFileSync(file, text, { mode: 0o600 })
      assert.throws(
        () => openLocalKeyFile({ file, clock }),
        (error: Error) => refused(pattern)(error) && !/BwcHB|p:ssword/.test(error.message),
      )
      assert.equal(readFileSync(file, 'utf8'), text)
    })
  }

  it('refuses a file that others may read, a folder, and a path that leads nowhere', () => {
    const file = newFile()
    openLocalKeyFile({ file, clock })
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(file, mode)
      assert.throws(() => openLocalKeyFile({ file, clock }), refused(/open to others \(mode 06\d\d\): chmod 600/))
    }
    assert.throws(() => openLocalKeyFile({ file: folder, clock }), refused(/not a regular file/))
    assert.throws(() => openLocalKeyFile({ file: `${file}/x`, clock }), refused(/cannot read the key file: ENOTDIR/))
  })
})
