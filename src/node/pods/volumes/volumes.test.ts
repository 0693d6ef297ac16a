import assert from 'node:assert/strict'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Volume } from '../../../kernel/resources/kinds/pod/types.ts'
import { makePod } from '../engine/fixture.ts'
import { writeAtomically } from './atomic-writer.ts'
import { prepareHostPath } from './host-path.ts'
import { giveToGroup } from './ownership.ts'
import { type Payload, type PayloadSources, volumePayload } from './payload.ts'
import { refreshTime, ServiceAccountTokens } from './tokens.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), `rampart-volumes-${process.pid}-`))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const files = (given: Record<string, string>, mode = 0o644): Payload =>
  new Map(Object.entries(given).map(([path, text]) => [path, { data: Buffer.from(text), mode }]))
const at = (seconds: number): Date => new Date(Date.UTC(2026, 10, 1, 12, 0, seconds))
const visible = (): string[] =>
  readdirSync(folder)
    .filter((name) => !name.startsWith('..'))
    .sort()

describe('atomic volumes', () => {
  it('shows files through ..data', () => {
    assert.equal(writeAtomically(folder, files({ a: '1', 'deep/er/b': '2' }, 0o400), at(0)), true)
    assert.deepEqual(visible(), ['a', 'deep'])
    assert.equal(readlinkSync(join(folder, 'a')), '..data/a')
    assert.match(readlinkSync(join(folder, '..data')), /^\.\.2026_11_01_12_00_00\.\d+$/)
    assert.equal(readFileSync(join(folder, 'deep/er/b'), 'utf8'), '2')
    assert.equal(statSync(join(folder, 'a')).mode & 0o777, 0o400)
  })

  it('changes nothing when nothing has changed', () => {
    writeAtomically(folder, files({ a: '1' }), at(0))
    const before = readlinkSync(join(folder, '..data'))
    assert.equal(writeAtomically(folder, files({ a: '1' }), at(1)), false)
    assert.equal(readlinkSync(join(folder, '..data')), before)
  })

  for (const [what, next] of [
    ['another value', files({ a: '2', b: 'x' })],
    ['another mode', files({ a: '1', b: 'x' }, 0o600)],
    ['a new file', files({ a: '1', b: 'x', c: 'y' })],
    ['a file less', files({ a: '1' })],
    ['nothing left', files({})],
    ['a folder for a file', files({ 'a/x': '1', b: 'x' })],
  ] as const)
    it(`changes all at once: ${what}`, () => {
      writeAtomically(folder, files({ a: '1', b: 'x' }), at(0))
      assert.equal(writeAtomically(folder, next, at(1)), true)
      assert.deepEqual(visible(), [...new Set([...next.keys()].map((path) => path.split('/')[0]!))].sort())
      for (const [path, { data, mode }] of next) {
        assert.deepEqual(readFileSync(join(folder, path)), data)
        assert.equal(statSync(join(folder, path)).mode & 0o777, mode)
      }
      assert.equal(readdirSync(folder).filter((name) => name.startsWith('..2')).length, 1)
    })

  it('is readable for others whatever the umask is', () => {
    const before = process.umask(0o077)
    try {
      writeAtomically(folder, files({ 'a/b': '1' }), at(0))
    } finally {
      process.umask(before)
    }
    assert.equal(statSync(join(folder, '..data')).mode & 0o777, 0o755)
    assert.equal(statSync(join(folder, '..data/a')).mode & 0o777, 0o755)
    assert.equal(statSync(join(folder, 'a/b')).mode & 0o777, 0o644)
  })
})

describe('payload', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const object = (kind: string, fields: object): KubeObject =>
    ({ apiVersion: 'v1', kind, metadata: {}, ...fields }) as KubeObject
  const sources: PayloadSources = {
    configMap: async (name) =>
      name === 'settings'
        ? object('ConfigMap', { data: { a: '1', b: '2' }, binaryData: { raw: base64('r') } })
        : undefined,
    secret: async (name) => (name === 'door' ? object('Secret', { data: { key: base64('k') } }) : undefined),
    token: async ({ audience, expirationSeconds }) => `token:${audience}:${expirationSeconds}`,
    addresses: { podIPs: ['10.0.0.5'], hostIP: '192.0.2.1' },
    allocatable: { milliCpu: 1000, memoryBytes: 1000 },
  }
  const made = async (volume: object, spec: object = {}): Promise<Record<string, string>> => {
    const payload = await volumePayload(makePod(spec), { name: 'v', ...volume } as Volume, sources)
    return Object.fromEntries(
      [...payload].map(([path, { data, mode, uid }]) => [
        path,
        `${Buffer.from(data)} ${mode.toString(8)}${uid === undefined ? '' : ` ${uid}`}`,
      ]),
    )
  }

  const rows: [string, object, Record<string, string>, object?][] = [
    ['secret', { secret: { secretName: 'door', defaultMode: 0o400 } }, { key: 'k 400' }],
    ['configMap', { configMap: { name: 'settings' } }, { a: '1 644', b: '2 644', raw: 'r 644' }],
    [
      'items',
      { configMap: { name: 'settings', items: [{ key: 'b', path: 'x//y', mode: 0o600 }] } },
      { 'x/y': '2 600' },
    ],
    ['optional', { secret: { secretName: 'no', optional: true } }, {}],
    ['optional key', { secret: { secretName: 'door', optional: true, items: [{ key: 'no', path: 'x' }] } }, {}],
    [
      'downwardAPI',
      {
        downwardAPI: {
          items: [
            { path: 'n', fieldRef: { fieldPath: 'metadata.name' } },
            { path: 'c', resourceFieldRef: { containerName: 'main', resource: 'limits.cpu' } },
          ],
        },
      },
      { n: 'web 644', c: '1 644' },
    ],
    [
      'projected',
      {
        projected: {
          defaultMode: 0o640,
          sources: [
            { secret: { name: 'door' } },
            { configMap: { name: 'settings', items: [{ key: 'a', path: 'a' }] } },
            { serviceAccountToken: { path: 't' } },
          ],
        },
      },
      { key: 'k 640', a: '1 640', t: 'token::3600 640' },
    ],
    [
      'token of one user',
      { projected: { sources: [{ serviceAccountToken: { path: 't', audience: 'x', expirationSeconds: 600 } }] } },
      { t: 'token:x:600 600 7' },
      { securityContext: { runAsUser: 7 } },
    ],
    [
      'token of a group',
      { projected: { sources: [{ serviceAccountToken: { path: 't' } }] } },
      { t: 'token::3600 600' },
      { securityContext: { fsGroup: 7 } },
    ],
  ]
  for (const [what, volume, expected, spec] of rows)
    it(what, async () => assert.deepEqual(await made(volume, spec), expected))

  const wrong: [string, object, RegExp][] = [
    ['no secret', { secret: { secretName: 'no' } }, /^Error: secret "no" not found$/],
    ['no configMap', { configMap: { name: 'no' } }, /^Error: configmap "no" not found$/],
    [
      'no key',
      { secret: { secretName: 'door', items: [{ key: 'no', path: 'x' }] } },
      /secret shop\/door has no key "no"/,
    ],
    [
      'a path upwards',
      { secret: { secretName: 'door', items: [{ key: 'key', path: 'a/../../x' }] } },
      /leaves its volume/,
    ],
    [
      'a path of the writer’s own',
      { secret: { secretName: 'door', items: [{ key: 'key', path: '..data' }] } },
      /leaves its volume/,
    ],
    [
      'an absolute path',
      { secret: { secretName: 'door', items: [{ key: 'key', path: '/etc/x' }] } },
      /leaves its volume/,
    ],
    ['an unknown source', { projected: { sources: [{ podCertificate: {} }] } }, /not supported/],
  ]
  for (const [what, volume, why] of wrong) it(`refuses ${what}`, async () => await assert.rejects(made(volume), why))
})

describe('hostPath', () => {
  it('checks and makes', () => {
    writeFileSync(join(folder, 'file'), '')
    symlinkSync('file', join(folder, 'link'))
    const rows: [string, string, boolean][] = [
      ['none', '', true],
      ['none', 'Directory', false],
      ['none', 'File', false],
      ['none', 'Socket', false],
      ['file', 'File', true],
      ['link', 'File', true],
      ['file', 'Directory', false],
      ['file', 'DirectoryOrCreate', false],
      ['new/folder', 'DirectoryOrCreate', true],
      ['new/folder', 'Directory', true],
      ['made', 'FileOrCreate', true],
      ['made', 'CharDevice', false],
      ['file', 'Unheard', false],
    ]
    for (const [path, type, good] of rows) {
      const check = (): void => prepareHostPath(join(folder, path), type)
      if (good) check()
      else assert.throws(check, new RegExp(`hostPath type check failed: .*${path}`), `${path} ${type}`)
    }
    assert.equal(statSync(join(folder, 'new/folder')).mode & 0o777, 0o755)
  })
})

describe('fsGroup', { skip: process.getuid?.() === 0 ? false : 'needs root: files are given to another group' }, () => {
  it('gives the volume to the group, and leaves links alone', () => {
    mkdirSync(join(folder, 'v/sub'), { recursive: true })
    writeFileSync(join(folder, 'v/sub/file'), '', { mode: 0o600 })
    writeFileSync(join(folder, 'outside'), '', { mode: 0o600 })
    symlinkSync('../outside', join(folder, 'v/link'))
    giveToGroup(join(folder, 'v'), 2000, false, false)
    const shown = (path: string): string =>
      `${(lstatSync(join(folder, path)).mode & 0o7777).toString(8)} ${lstatSync(join(folder, path)).gid}`
    assert.match(shown('v'), / 2000$/)
    assert.equal(statSync(join(folder, 'v')).mode & 0o2070, 0o2070)
    assert.equal(shown('v/sub/file'), '660 2000')
    assert.equal(shown('outside'), '600 0')
  })

  it('OnRootMismatch looks at the root alone', () => {
    mkdirSync(join(folder, 'v'))
    giveToGroup(join(folder, 'v'), 2000, false, true)
    writeFileSync(join(folder, 'v/late'), '', { mode: 0o600 })
    giveToGroup(join(folder, 'v'), 2000, false, true)
    assert.equal(statSync(join(folder, 'v/late')).mode & 0o777, 0o600)
    giveToGroup(join(folder, 'v'), 2000, false, false)
    assert.equal(statSync(join(folder, 'v/late')).mode & 0o777, 0o660)
  })
})

describe('tokens', () => {
  const HOUR = 3_600_000
  it('are renewed at 80 % of their life, after a day at the latest', () => {
    assert.equal(refreshTime(0, HOUR, 0), 0.8 * HOUR)
    assert.equal(refreshTime(0, 1000 * HOUR, 0), 24 * HOUR)
    assert.equal(refreshTime(0, HOUR, 1), 0.8 * HOUR - 10_000)
  })

  it('are asked for once, anew in time, and outlive an API server that is away', async () => {
    let now = 0
    let asked = 0
    let away = false
    const client = {
      create: async (): Promise<KubeObject> => {
        if (away) throw new Error('away')
        asked++
        return {
          apiVersion: 'v1',
          kind: 'TokenRequest',
          metadata: {},
          status: { token: `t${asked}`, expirationTimestamp: new Date(now + HOUR).toISOString() },
        }
      },
    }
    const tokens = new ServiceAccountTokens(client, { now: () => now }, () => undefined)
    const pod = makePod({ serviceAccountName: 'robot' })
    const get = (): Promise<string> => tokens.get(pod, { audience: '', expirationSeconds: 3600 })
    assert.deepEqual([await get(), await get()], ['t1', 't1'])
    now = 0.85 * HOUR
    away = true
    assert.equal(await get(), 't1')
    away = false
    assert.equal(await get(), 't2')
    away = true
    now = 3 * HOUR
    await assert.rejects(get(), /token of service account robot: away/)
    tokens.forget('u1')
    assert.equal(asked, 2)
  })
})
