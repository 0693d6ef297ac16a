import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { openLocalKeyFile } from './local-key-file.ts'
import { type EncryptionOptions, openEncryption } from './open.ts'
import { type TestKeyService, testKeyService } from './testdata/key-service.ts'
import { type EncryptionAtRest, EncryptionConfigurationError, EncryptionError } from './types.ts'

const parent = mkdtempSync(join(tmpdir(), 'rampart-encryption-'))
after(() => rmSync(parent, { recursive: true }))

const SECRET = '/registry/core/secrets/shop/db'
const CONFIG_MAP = '/registry/core/configmaps/shop/db'
const DEPLOYMENT = '/registry/apps/deployments/shop/db'
const PLAIN = Buffer.from('{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}')

const refused =
  (...patterns: RegExp[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof EncryptionError, String(error))
    for (const pattern of patterns) assert.match(error.message, pattern)
    assert.doesNotMatch(error.message, /aHVudGVyMg/)
    return true
  }

const refusedConfiguration = refused(/config-\d+\.yaml:\d+: .*nobody/)

type Provider = Record<string, unknown>
type Entry = [resources: string[], ...providers: Provider[]]

const key = (name: string, byte: number): Provider => ({ name, secret: Buffer.alloc(32, byte).toString('base64') })
const aesgcm = (...names: string[]): Provider => ({
  aesgcm: { keys: names.map((name) => key(name, name.charCodeAt(0))) },
})
const plugin = (name: string, timeout = '1s'): Provider => ({
  kms: { apiVersion: 'v2', name, endpoint: `unix:///run/${name}.sock`, timeout },
})
const identity: Provider = { identity: {} }

describe('encryption at rest', () => {
  let folder: string
  let services: Map<string, TestKeyService>
  let logged: string[]
  let opened: EncryptionAtRest[]
  let now: number
  let files = 0
  beforeEach(() => {
    folder = mkdtempSync(join(parent, 'test-'))
    services = new Map()
    logged = []
    opened = []
    now = Date.UTC(2026, 10, 23)
  })
  afterEach(async () => {
    for (const encryption of opened) await encryption.close()
  })

  const configuration = (...entries: Entry[]): string =>
    JSON.stringify(
      {
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'EncryptionConfiguration',
        resources: entries.map(([resources, ...providers]) => ({ resources, providers })),
      },
      undefined,
      2,
    )
  const configFile = (...entries: Entry[]): string => {
    const file = join(folder, `config-${++files}.yaml`)
    writeFileSync(file, configuration(...entries), { mode: 0o600 })
    return file
  }
  /** As an editor or a config map does it: another file takes the name. */
  const replace = (file: string, text: string): void => {
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  const service = (name: string): TestKeyService => {
    let known = services.get(name)
    if (known === undefined) services.set(name, (known = testKeyService(name)))
    return known
  }
  const open = async (options: Partial<EncryptionOptions> = {}): Promise<EncryptionAtRest> => {
    const encryption = await openEncryption({
      keyFile: join(folder, 'keys.json'),
      clock: { now: () => now },
      log: (level, message, fields) => logged.push(`${level}: ${message} ${JSON.stringify(fields)}`),
      connectPlugin: ({ name }) => service(name),
      reloadIntervalMs: 3,
      ...options,
    })
    opened.push(encryption)
    return encryption
  }
  const configured = (...entries: Entry[]): Promise<EncryptionAtRest> => open({ configFile: configFile(...entries) })
  const write = (encryption: EncryptionAtRest, storageKey = SECRET): Buffer =>
    encryption.toStorage(PLAIN, storageKey) as Buffer
  const eventually = async (condition: () => boolean, what: string): Promise<void> => {
    for (let i = 0; i < 1000 && !condition(); i++) await sleep(2)
    assert.ok(condition(), `${what}\n${logged.join('\n')}`)
  }
  const headerOf = (value: Uint8Array): string => {
    const text = Buffer.from(value).toString('latin1')
    return text.startsWith('k8s:') ? text.split(':').slice(2, 5).join(':') : 'clear'
  }

  describe('without configuration', () => {
    it('encrypts Secrets with the local key file and leaves the rest', async () => {
      const encryption = await open()
      const value = write(encryption)
      assert.equal(headerOf(value), 'kms:v2:local')
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      assert.equal(encryption.isStale(value, SECRET), false)
      for (const other of [CONFIG_MAP, DEPLOYMENT, '/registry/example.com/secrets/shop/db', '/elsewhere']) {
        assert.equal(write(encryption, other), PLAIN)
        assert.equal(encryption.fromStorage(PLAIN, other), PLAIN)
        assert.equal(encryption.isStale(PLAIN, other), false)
      }
    })

    it('reads Secrets of before in the clear, as stale', async () => {
      const encryption = await open()
      assert.equal(encryption.fromStorage(PLAIN, SECRET), PLAIN)
      assert.equal(encryption.isStale(PLAIN, SECRET), true)
    })

    it('reads after a restart, and goes on with the same data key', async () => {
      const first = await open()
      const value = write(first)
      await first.close()
      const second = await open()
      assert.deepEqual(await second.fromStorage(value, SECRET), PLAIN)
      assert.equal(second.isStale(value, SECRET), false)
      assert.equal(second.protectionOf(write(second)).dataKey, first.protectionOf(value).dataKey)
    })

    it('keeps its files to itself and no data key in them', async () => {
      const encryption = await open()
      write(encryption)
      await encryption.rotateLocalKey()
      await encryption.close()
      assert.deepEqual(readdirSync(folder).sort(), ['keys.json', 'keys.json.data-keys'])
      for (const file of readdirSync(folder)) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600)
    })

    it('starts with a new data key when the record is broken', async () => {
      const first = await open()
      const value = write(first)
      await first.close()
      writeFileSync(join(folder, 'keys.json.data-keys'), '{')
      const second = await open()
      assert.equal(second.isStale(value, SECRET), true)
      assert.deepEqual(await second.fromStorage(value, SECRET), PLAIN)
      assert.match(logged.join('\n'), /warn: the record of data keys cannot be used.*not JSON/)
    })

    it('rotates data keys and local keys, and forgets what nothing needs', async () => {
      const encryption = await open()
      const [old] = encryption.keys()
      const value = write(encryption)
      await encryption.rotateDataKeys()
      assert.equal(encryption.isStale(value, SECRET), true)
      const newer = write(encryption)
      assert.equal(encryption.protectionOf(newer).keyId, old!.keyId)
      const { keyId } = await encryption.rotateLocalKey()
      assert.equal(encryption.isStale(newer, SECRET), true)
      const newest = write(encryption)
      assert.equal(encryption.protectionOf(newest).keyId, keyId)
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      await assert.rejects(encryption.forgetLocalKeys([keyId]), refused(/writes use/))
      await encryption.forgetLocalKeys([old!.keyId!])
      await assert.rejects(
        async () => encryption.fromStorage(value, SECRET),
        refused(/shop\/db cannot be read/, new RegExp(old!.keyId!), /is not in .*keys\.json/),
      )
      assert.deepEqual(encryption.fromStorage(newest, SECRET), PLAIN)
    })

    it('does not take data keys of another server for stale, unless they are older', async () => {
      const keyFile = join(folder, 'keys.json')
      const here = await open()
      now += 1000
      const there = await open({ keyFile: join(folder, 'copy.json') }).then(async (other) => {
        await other.close()
        writeFileSync(join(folder, 'copy.json'), readFileSync(keyFile), { mode: 0o600 })
        rmSync(join(folder, 'copy.json.data-keys'))
        return open({ keyFile: join(folder, 'copy.json') })
      })
      assert.equal(here.isStale(write(there), SECRET), false)
      assert.equal(there.isStale(write(here), SECRET), true)
      assert.deepEqual(await here.fromStorage(write(there), SECRET), PLAIN)
    })

    it('follows a key file that another process rotates, and survives its breaking', async () => {
      const encryption = await open()
      const value = write(encryption)
      const file = join(folder, 'keys.json')
      const { keyId } = openLocalKeyFile({ file, clock: Date }).rotate()
      await eventually(() => encryption.protectionOf(write(encryption)).keyId === keyId, 'the new key writes')
      const good = readFileSync(file)
      replace(file, '{"keys":"aHVudGVyMg=="}')
      await eventually(() => logged.some((line) => line.includes('is broken')), 'the broken file is logged')
      await sleep(20)
      assert.equal(logged.filter((line) => line.includes('goes on with') && line.includes('is broken')).length, 1)
      assert.match(encryption.troubles().join(), /is broken/)
      assert.match(encryption.keys()[0]!.health!, /not healthy: .*is broken/)
      await assert.rejects(encryption.refresh(), refused(/is broken/))
      await assert.rejects(encryption.rotateDataKeys(), refused(/is broken/))
      assert.equal(encryption.protectionOf(write(encryption)).keyId, keyId)
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      now += 170_000
      write(encryption)
      now += 11_000
      assert.throws(() => write(encryption), refused(/not write for more than 3 minutes.*is broken/))
      replace(file, String(good))
      await eventually(() => encryption.troubles().length === 0, 'the file is whole again')
      await encryption.refresh()
      assert.deepEqual(encryption.fromStorage(write(encryption), SECRET), PLAIN)
    })

    it('makes no new key file in the place of one that is lost', async () => {
      const first = await open()
      const value = write(first)
      await first.close()
      const file = join(folder, 'keys.json')
      renameSync(file, `${file}.away`)
      await assert.rejects(
        open(),
        refused(/keys\.json is missing, and data keys .* are recorded in .*put it back.*kms init/),
      )
      rmSync(`${file}.data-keys`)
      await assert.rejects(
        open({ holdsLocalValues: async () => true }),
        refused(/keys\.json is missing, and the store holds values that it protects/),
      )
      symlinkSync(join(folder, 'not-mounted', 'keys.json'), file)
      await assert.rejects(open(), refused(/is a link to .*not-mounted.*which is not there/))
      assert.deepEqual(readdirSync(folder).sort(), ['keys.json', 'keys.json.away'])
      rmSync(file)
      renameSync(`${file}.away`, file)
      assert.deepEqual(await (await open()).fromStorage(value, SECRET), PLAIN)
    })

    it('makes the key file where nothing needs one yet', async () => {
      let asked = 0
      const holdsLocalValues = async (): Promise<boolean> => ++asked === 0
      await open({ holdsLocalValues })
      assert.equal(asked, 1)
      await open({ holdsLocalValues })
      assert.equal(asked, 1)
    })

    it('does not start with a key file that is broken or open to others', async () => {
      await open().then((encryption) => encryption.close())
      chmodSync(join(folder, 'keys.json'), 0o644)
      await assert.rejects(open(), refused(/open to others \(mode 0644\)/))
      replace(join(folder, 'keys.json'), '')
      await assert.rejects(open(), refused(/is broken/))
    })

    it('says that the key is missing when the key file is another', async () => {
      const first = await open()
      const value = write(first)
      const second = await open({ keyFile: join(folder, 'other.json') })
      const { keyId } = first.protectionOf(value)
      await assert.rejects(
        async () => second.fromStorage(value, SECRET),
        refused(new RegExp(`shop/db cannot be read.*"${keyId}" is not in .*other\\.json`)),
      )
    })

    it('lists its keys', async () => {
      const encryption = await open()
      const value = write(encryption)
      const { keyId } = await encryption.rotateLocalKey()
      const [local, old, clear, ...rest] = encryption.keys()
      const { dataKey, ...head } = local!
      const shared = { provider: 'kms', name: 'local', resources: ['secrets'], created: now, health: 'ok' }
      assert.deepEqual(head, { ...shared, keyId, writes: true })
      assert.equal(dataKey!.uses, 0)
      assert.equal(dataKey!.id, encryption.protectionOf(write(encryption)).dataKey)
      assert.deepEqual(old, { ...shared, keyId: encryption.protectionOf(value).keyId, writes: false })
      assert.deepEqual(clear, { provider: 'identity', name: '', resources: ['secrets'], writes: false })
      assert.deepEqual(rest, [])
    })
  })

  describe('with a configuration', () => {
    it('writes with the first provider and key, reads with all', async () => {
      const old = await configured([['secrets'], aesgcm('b')])
      const encryption = await configured([['secrets'], plugin('vault'), aesgcm('a', 'b'), identity])
      const value = write(old)
      assert.equal(headerOf(value), 'aesgcm:v1:b')
      assert.equal(headerOf(write(encryption)), 'kms:v2:vault')
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      assert.equal(encryption.fromStorage(PLAIN, SECRET), PLAIN)
      assert.deepEqual(
        [value, PLAIN, write(encryption)].map((stored) => encryption.isStale(stored, SECRET)),
        [true, true, false],
      )
      const second = await configured([['secrets'], aesgcm('a', 'b')])
      assert.equal(second.isStale(value, SECRET), true)
      assert.equal(headerOf(write(second)), 'aesgcm:v1:a')
    })

    it('prefers the rule of the resource to that of the group to that of all', async () => {
      const encryption = await configured(
        [['secrets'], aesgcm('a')],
        [['*.'], aesgcm('b')],
        [['deployments.apps'], identity],
        [['*.apps'], aesgcm('c')],
        [['*.*'], aesgcm('d')],
      )
      const rows: [string, string][] = [
        [SECRET, 'aesgcm:v1:a'],
        [CONFIG_MAP, 'aesgcm:v1:b'],
        ['/registry/core/nodes/n1', 'aesgcm:v1:b'],
        [DEPLOYMENT, 'clear'],
        ['/registry/apps/daemonsets/shop/db', 'aesgcm:v1:c'],
        ['/registry/example.com/secrets/shop/db', 'aesgcm:v1:d'],
        ['/elsewhere', 'clear'],
      ]
      for (const [storageKey, header] of rows) assert.equal(headerOf(write(encryption, storageKey)), header, storageKey)
    })

    it('joins what several entries say of one resource', async () => {
      const encryption = await configured(
        [['secrets'], aesgcm('a')],
        [['secrets', 'configmaps'], aesgcm('b'), identity],
      )
      assert.equal(headerOf(write(encryption)), 'aesgcm:v1:a')
      assert.deepEqual(encryption.fromStorage(write(await configured([['secrets'], aesgcm('b')])), SECRET), PLAIN)
      assert.equal(encryption.fromStorage(PLAIN, SECRET), PLAIN)
    })

    it('writes in the clear when identity comes first, and reads what was encrypted', async () => {
      const encryption = await configured([['secrets'], identity, aesgcm('a')])
      assert.equal(write(encryption), PLAIN)
      const value = write(await configured([['secrets'], aesgcm('a')]))
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      assert.equal(encryption.isStale(value, SECRET), true)
    })

    it('names the storage key and what is needed when it cannot read', async () => {
      const encryption = await configured([['secrets'], aesgcm('a')])
      const rows: [string, Buffer, RegExp][] = [
        ['in the clear', PLAIN, /stored in the clear, which .* not allow/],
        [
          'unknown key',
          write(await configured([['secrets'], aesgcm('b')])),
          /needs aesgcm key b, .*\(it has aesgcm:v1:a\)/,
        ],
        ['unknown plugin', write(await configured([['secrets'], plugin('vault')])), /needs kms plugin vault, which/],
        ['unknown provider', Buffer.from('k8s:enc:rot13:v1:a:x'), /no provider writes "k8s:enc:rot13:v1:"/],
        ['unknown version', Buffer.from('k8s:enc:aesgcm:v9:a:x'), /no provider writes "k8s:enc:aesgcm:v9:"/],
        ['kms v1', Buffer.from('k8s:enc:kms:v1:a:x'), /KMS v1/],
        ['cut short', Buffer.from('k8s:enc:aesgcm:v1'), /header is cut short/],
        ['mark only', Buffer.from('k8s:enc:'), /header is cut short/],
        ['endless name', Buffer.from(`k8s:enc:aesgcm:v1:${'a'.repeat(5000)}:`), /header is cut short/],
        ['no name', Buffer.from('k8s:enc:aesgcm:v1::x'), /names no key/],
        ['no content', Buffer.from('k8s:enc:aesgcm:v1:a:'), /was altered/],
      ]
      for (const [what, value, pattern] of rows) {
        assert.throws(() => encryption.fromStorage(value, SECRET), refused(/shop\/db/, pattern), what)
      }
      const value = write(encryption)
      assert.throws(() => encryption.fromStorage(value, '/registry/core/secrets/shop/other'), refused(/moved here/))
    })

    it('refuses what is encrypted where nothing is configured', async () => {
      const encryption = await configured([['secrets'], aesgcm('a')])
      const value = write(encryption)
      assert.throws(
        () => encryption.fromStorage(value, CONFIG_MAP),
        refused(/configmaps\/shop\/db .*needs aesgcm key a/),
      )
    })

    it('goes on reading what the local key file protected before', async () => {
      const value = write(await open())
      const encryption = await configured([['secrets'], aesgcm('a')])
      assert.deepEqual(await encryption.fromStorage(value, SECRET), PLAIN)
      assert.equal(encryption.isStale(value, SECRET), true)
      const local = encryption.keys().find(({ name }) => name === 'local')!
      assert.deepEqual([local.writes, local.resources], [false, []])
      await assert.rejects(encryption.rotateLocalKey(), refused(/writes do not use the local key file/))
      const named = await configured([['secrets'], plugin('local')])
      assert.equal(named.keys().length, 1)
      await assert.rejects(async () => named.fromStorage(value, SECRET), refused(/kms plugin local: Decrypt failed/))
    })

    it('makes no key file when it needs none', async () => {
      const encryption = await configured([['secrets'], aesgcm('a')])
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith('keys')),
        [],
      )
      await assert.rejects(encryption.forgetLocalKeys(['a']), refused(/there is no local key file/))
      await assert.rejects(encryption.rotateDataKeys(), refused(/nothing is written with data keys/))
    })

    it('starts when a plugin is down, writes nothing until it is up', async () => {
      service('vault').down = 'connect ENOENT /run/vault.sock'
      const encryption = await configured([['secrets'], plugin('vault')])
      assert.throws(() => write(encryption), refused(/shop\/db is not written: .*vault.*ENOENT \/run\/vault\.sock/))
      assert.equal(write(encryption, CONFIG_MAP), PLAIN)
      const [known] = encryption.keys()
      assert.equal(known!.keyId, undefined)
      assert.match(known!.health!, /ENOENT/)
      service('vault').down = undefined
      await encryption.rotateDataKeys()
      assert.deepEqual(encryption.fromStorage(write(encryption), SECRET), PLAIN)
      assert.equal(encryption.keys()[0]!.keyId, 'kek-1')
    })

    it('does not start with a file that is wrong, naming the line', async () => {
      const rows: [string, RegExp][] = [
        ['kind: EncryptionConfiguration\n', /config-\d+\.yaml:1: apiVersion must be/],
        [configuration([['secrets'], {}]), /config-\d+\.yaml:\d+: .*names no provider/],
      ]
      for (const [text, pattern] of rows) {
        const file = configFile()
        replace(file, text)
        await assert.rejects(open({ configFile: file }), (error: Error) => {
          assert.ok(error instanceof EncryptionConfigurationError)
          return pattern.test(error.message)
        })
      }
      for (const [file, pattern] of [
        ['/nowhere/config.yaml', /ENOENT/],
        [folder, /regular file|EISDIR/],
      ] as const) {
        await assert.rejects(open({ configFile: file }), pattern)
      }
    })

    it('warns of a file with keys that others may read', async () => {
      const file = configFile([['secrets'], aesgcm('a')])
      chmodSync(file, 0o644)
      await open({ configFile: file })
      assert.match(logged.join('\n'), /warn: .*open to others: chmod 600/)
    })
  })

  describe('when the configuration changes', () => {
    it('takes the new one into force', async () => {
      const file = configFile([['secrets'], aesgcm('a')])
      const encryption = await open({ configFile: file })
      const value = write(encryption)
      replace(file, configuration([['secrets'], plugin('vault'), aesgcm('a')]))
      await eventually(() => headerOf(write(encryption)) === 'kms:v2:vault', 'the plugin writes')
      assert.deepEqual(encryption.fromStorage(value, SECRET), PLAIN)
      assert.equal(encryption.isStale(value, SECRET), true)
    })

    it('keeps the old one when the new is wrong, saying so once', async () => {
      const file = configFile([['secrets'], aesgcm('a')])
      const encryption = await open({ configFile: file })
      replace(file, configuration([['secrets'], { aesgcm: { keys: [{ name: 'c', secret: 'aHVudGVyMg==' }] } }]))
      await eventually(() => logged.length > 0, 'the mistake is logged')
      await sleep(20)
      assert.equal(logged.length, 1)
      assert.match(logged[0]!, /error: .*config-\d+\.yaml:\d+: .*secret has 7 bytes/)
      assert.doesNotMatch(logged[0]!, /aHVudGVyMg/)
      assert.equal(headerOf(write(encryption)), 'aesgcm:v1:a')
      rmSync(file)
      await eventually(() => logged.length > 1, 'that it is gone is logged')
      assert.deepEqual(encryption.fromStorage(write(encryption), SECRET), PLAIN)
      replace(file, configuration([['secrets'], aesgcm('b', 'a')]))
      await eventually(() => headerOf(write(encryption)) === 'aesgcm:v1:b', 'the mended file is in force')
    })

    it('is looked at now by refresh, which says what keeps it from being in force', async () => {
      const file = configFile([['secrets'], plugin('vault')])
      const encryption = await open({ configFile: file, reloadIntervalMs: 1_000_000 })
      const value = write(encryption)
      await encryption.refresh()
      assert.equal(encryption.isStale(value, SECRET), false)
      service('vault').keyId = 'kek-2'
      assert.equal(encryption.isStale(value, SECRET), false, 'nobody has asked yet')
      await encryption.refresh()
      assert.equal(encryption.isStale(value, SECRET), true)
      service('vault').down = 'unplugged'
      await assert.rejects(encryption.refresh(), refused(/vault.*unplugged/))
      service('vault').down = undefined

      const good = readFileSync(file, 'utf8')
      replace(file, configuration([['secrets'], { nobody: {} }]))
      for (let i = 0; i < 2; i++) await assert.rejects(encryption.refresh(), refusedConfiguration)
      assert.match(encryption.troubles().join(), /config-\d+\.yaml:\d+: .*nobody/)
      replace(file, good)
      await encryption.refresh()
      assert.deepEqual(encryption.troubles(), [])
      replace(file, configuration([['secrets'], aesgcm('a'), plugin('vault')]))
      await encryption.refresh()
      assert.equal(encryption.isStale(value, SECRET), true)
      assert.equal(headerOf(write(encryption)), 'aesgcm:v1:a')
    })

    it('keeps the old one until a new plugin is healthy', async () => {
      const file = configFile([['secrets'], aesgcm('a')])
      const encryption = await open({ configFile: file })
      service('vault').down = 'not yet'
      replace(file, configuration([['secrets'], plugin('vault'), aesgcm('a')]))
      await eventually(() => logged.some((line) => /not healthy: .*vault.*not yet/.test(line)), 'the plugin is missed')
      assert.equal(headerOf(write(encryption)), 'aesgcm:v1:a')
      assert.ok(service('vault').closed)
      service('vault').down = undefined
      now += 10_000
      await eventually(() => headerOf(write(encryption)) === 'kms:v2:vault', 'the plugin writes')
    })

    it('keeps plugins that stay as they were, with their data keys, and closes the others', async () => {
      const file = configFile([['secrets'], plugin('vault')], [['configmaps'], plugin('old', '1ms')])
      const encryption = await open({ configFile: file })
      const value = write(encryption)
      replace(file, configuration([['configmaps', 'secrets'], plugin('vault')]))
      await eventually(() => headerOf(write(encryption, CONFIG_MAP)) === 'kms:v2:vault', 'the new rule holds')
      assert.equal(encryption.isStale(value, SECRET), false)
      assert.equal(service('vault').calls.encrypt, 1)
      await eventually(() => service('old').closed, 'the old plugin is closed')
      assert.equal(service('vault').closed, false)
    })

    it('ends with close', async () => {
      const file = configFile([['secrets'], plugin('vault')])
      const encryption = await open({ configFile: file })
      await encryption.close()
      assert.ok(service('vault').closed)
      const before = logged.length
      replace(file, 'broken')
      await sleep(20)
      assert.equal(logged.length, before)
    })
  })

  it('tells how values are protected, from the value alone', async () => {
    const encryption = await open()
    const local = encryption.protectionOf(write(encryption))
    assert.deepEqual(local, {
      provider: 'kms',
      name: 'local',
      keyId: encryption.keys()[0]!.keyId,
      dataKey: encryption.keys()[0]!.dataKey!.id,
      dataKeyCreated: now,
    })
    assert.match(local.dataKey!, /^[0-9a-f]{16}$/)
    assert.deepEqual(encryption.protectionOf(PLAIN), { provider: 'identity', name: '' })
    const gcm = write(await configured([['secrets'], aesgcm('a')]))
    assert.deepEqual(encryption.protectionOf(new Uint8Array(gcm)), { provider: 'aesgcm', name: 'a' })
    assert.throws(() => encryption.protectionOf(Buffer.from('k8s:enc:rot13:v1:a:')), refused(/rot13/))
    assert.throws(() => encryption.protectionOf(Buffer.from('k8s:enc:kms:v2:a:\xff')), refused(/was altered/))
  })

  it('gives back what it was given, whatever that is', async () => {
    const encryptions = [await open(), await configured([['*.*'], aesgcm('a')])]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.string({ minLength: 1, unit: 'grapheme' }), (bytes, name) => {
        const storageKey = `/registry/core/secrets/shop/${name}`
        for (const encryption of encryptions) {
          const value = encryption.toStorage(Buffer.from(bytes), storageKey) as Buffer
          assert.deepEqual(Buffer.from(encryption.fromStorage(value, storageKey) as Uint8Array), Buffer.from(bytes))
        }
      }),
    )
    const large = Buffer.alloc(3 << 20, 1)
    for (const encryption of encryptions) {
      const value = encryption.toStorage(large, SECRET) as Buffer
      assert.ok(large.equals(encryption.fromStorage(value, SECRET) as Buffer))
    }
  })

  it('returns, for arbitrary bytes, what stands there in the clear or an error', async () => {
    const encryption = await open()
    const header = fc.constantFrom('', 'k8s:enc:', 'k8s:enc:kms:v2:local:', 'k8s:enc:kms:v2:local:\n')
    await fc.assert(
      fc.asyncProperty(header, fc.uint8Array({ maxLength: 200 }), async (prefix, bytes) => {
        const value = Buffer.concat([Buffer.from(prefix), bytes])
        if (prefix === '' && !value.toString('latin1').startsWith('k8s:enc:')) {
          assert.equal(encryption.fromStorage(value, SECRET), value)
        } else {
          await assert.rejects(async () => encryption.fromStorage(value, SECRET), EncryptionError)
        }
      }),
    )
  })
})
