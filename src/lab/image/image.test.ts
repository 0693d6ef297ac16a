import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { archive, blobOf, fullImageName, ociArchive, ociImage } from './oci-image.ts'
import { smallImages } from './small-images.ts'
import { openImageSource } from './source.ts'
import { readTar, tarHeader, writeTar } from './tar.ts'

const folder = mkdtempSync(join(tmpdir(), `rampart-image-${process.pid}-`))
after(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, content: Uint8Array | string): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const bytesOf = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(source))

async function* cutInto(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('tar', () => {
  test('GNU tar reads what is written here', () => {
    const content = Buffer.from('hello\n'.repeat(200))
    const path = file(
      'written.tar',
      writeTar([
        { type: 'directory', path: 'a', mode: 0o1777 },
        { type: 'file', path: 'a/f', mode: 0o4755, content },
        { type: 'link', path: 'a/l', target: '../x' },
        { type: 'file', path: 'empty', mode: 0o644, content: Buffer.alloc(0) },
      ]),
    )
    const list = execFileSync('tar', ['--numeric-owner', '-tvf', path], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    })
    assert.deepEqual(
      list
        .trim()
        .split('\n')
        .map((line) => line.replace(/ +/g, ' ')),
      [
        'drwxrwxrwt 0/0 0 1970-01-01 00:00 a/',
        '-rwsr-xr-x 0/0 1200 1970-01-01 00:00 a/f',
        'lrwxrwxrwx 0/0 0 1970-01-01 00:00 a/l -> ../x',
        '-rw-r--r-- 0/0 0 1970-01-01 00:00 empty',
      ],
    )
    assert.deepEqual(execFileSync('tar', ['-xOf', path, 'a/f']), content)
  })

  test('reading gives back what was written, however the bytes arrive and whatever is skipped', async () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,20}$/), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(
        names,
        fc.array(fc.uint8Array({ maxLength: 1500 })),
        fc.integer({ min: 1, max: 2000 }),
        fc.nat(),
        async (paths, contents, size, skip) => {
          const entries = paths.map((path, i) => ({ path, content: Buffer.from(contents[i] ?? []) }))
          const tar = writeTar(entries.map((e) => ({ type: 'file', mode: 0o644, ...e })))
          const seen: string[] = []
          for await (const entry of readTar(cutInto(tar, size))) {
            const at = seen.push(entry.path) - 1
            if (at % 3 === skip % 3) continue
            assert.deepEqual(await bytesOf(entry.body), entries[at]!.content)
          }
          assert.deepEqual(seen, paths)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('names in pax and GNU archives, and sizes beyond octal', async () => {
    const long = `${'d'.repeat(90)}/${'f'.repeat(90)}`
    mkdirSync(join(folder, 'long', 'd'.repeat(90)), { recursive: true })
    writeFileSync(join(folder, 'long', long), 'x')
    for (const format of ['pax', 'gnu', 'ustar']) {
      const made = execFileSync('tar', [`--format=${format}`, '-cf', '-', '-C', join(folder, 'long'), '.'], {
        maxBuffer: 1 << 24,
      })
      const sizes: number[] = []
      for await (const entry of readTar(cutInto(made, 700))) if (entry.isFile) sizes.push(entry.size)
      assert.deepEqual(sizes, [1], format)
    }
    const huge = tarHeader('huge', 'file', 0o644, 2 ** 40)
    const first = await readTar(cutInto(huge, 512)).next()
    assert.equal(first.value!.size, 2 ** 40)
  })

  for (const [what, bytes, message] of [
    ['noise', Buffer.alloc(1024, 0x41), /not a tar archive/],
    [
      'a cut header',
      writeTar([{ type: 'file', path: 'a', mode: 0o644, content: Buffer.alloc(9) }]).subarray(0, 300),
      /cut off/,
    ],
    [
      'a cut body',
      writeTar([{ type: 'file', path: 'a', mode: 0o644, content: Buffer.alloc(900) }]).subarray(0, 1000),
      /cut off/,
    ],
  ] as const)
    test(`refuses ${what}`, async () => {
      await assert.rejects(Array.fromAsync(readTar(cutInto(bytes, 100))), message)
    })
})

describe('names of images', () => {
  for (const [given, full] of [
    ['web', 'docker.io/library/web:latest'],
    ['web:1', 'docker.io/library/web:1'],
    ['shop/web', 'docker.io/shop/web:latest'],
    ['rampart.internal/library/busybox:1', 'rampart.internal/library/busybox:1'],
    ['localhost/web', 'localhost/web:latest'],
    ['host:5000/web', 'host:5000/web:latest'],
    ['docker.io/library/web:1.2-x_Y', 'docker.io/library/web:1.2-x_Y'],
  ] as const)
    test(given, () => assert.equal(fullImageName(given), full))
  for (const wrong of [
    '',
    'Web',
    'a b',
    'a//b',
    'web:',
    'web:1:2',
    '../x',
    'web@sha256:00',
    '-web',
    'x'.repeat(300),
    'host/-a',
    'web\n',
  ])
    test(`not ${JSON.stringify(wrong).slice(0, 30)}`, () =>
      assert.throws(() => fullImageName(wrong), /not an image's name/))
})

describe('images', () => {
  const layer = blobOf(writeTar([{ type: 'directory', path: 'etc', mode: 0o755 }]))
  const image = ociImage('shop.test/web:1', { Cmd: ['sh'] }, [layer])

  test('the small images are the same bytes every time, and share the program', {
    skip: !existsSync('/usr/bin/busybox'),
  }, async () => {
    const [one, other] = [await smallImages(), await smallImages()]
    assert.deepEqual(
      one.map((i) => [i.name, i.manifest.digest]),
      other.map((i) => [i.name, i.manifest.digest]),
    )
    assert.deepEqual(await bytesOf(ociArchive(one)), await bytesOf(ociArchive(other)))
    assert.equal(one[0]!.layers[0]!.digest, one[1]!.layers[0]!.digest)
  })

  test('an archive of ours is read as a layout, under its name or another', async () => {
    const path = file('ours.tar', await bytesOf(ociArchive([image])))
    for (const [name, expected] of [
      [undefined, 'shop.test/web:1'],
      ['other:2', 'docker.io/library/other:2'],
    ] as const) {
      const source = await openImageSource(path, name)
      assert.deepEqual([source.kind, source.names], ['OCI layout', [expected]])
      const again = await openImageSource(file('again.tar', await bytesOf(source.archive())))
      assert.deepEqual(again.names, [expected])
      execFileSync('tar', ['-tf', join(folder, 'again.tar')])
    }
  })

  const json = (path: string, value: unknown) => [path, blobOf(Buffer.from(JSON.stringify(value)))] as const
  const layout = json('oci-layout', { imageLayoutVersion: '1.0.0' })
  for (const [why, files, name, message] of [
    ['an index without images', [layout, json('index.json', { manifests: [] })], undefined, /lists no image/],
    [
      'an image with a tag alone',
      [layout, json('index.json', { manifests: [{ annotations: { 'org.opencontainers.image.ref.name': 'v1' } }] })],
      undefined,
      /no full name/,
    ],
    ['one name for two', [layout, json('index.json', { manifests: [{}, {}] })], 'web', /2 images/],
    ['no JSON', [layout, ['index.json', blobOf(Buffer.from('{'))] as const], undefined, /index\.json/],
    ['docker’s without tags', [json('manifest.json', [{ RepoTags: null }])], undefined, /no name/],
    [
      'a list of no end',
      [layout, ['index.json', blobOf(Buffer.alloc(5 << 20, 0x20))] as const],
      undefined,
      /larger than/,
    ],
    ['something else', [json('readme', {})], 'web', /neither an OCI layout/],
    ['a root file system without name', [json('etc/x', {})], undefined, /give one with --name/],
  ] as const)
    test(`refuses ${why}`, async () => {
      const path = file('wrong.tar', await bytesOf(archive(files)))
      await assert.rejects(openImageSource(path, name), (error: Error) => {
        assert.match(error.message, message)
        assert.ok(error.message.startsWith(path))
        return true
      })
    })

  test('refuses zstd, broken gzip and what is not there', async () => {
    await assert.rejects(openImageSource(file('z', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0]))), /zstd/)
    await assert.rejects(
      openImageSource(file('g', Buffer.from([0x1f, 0x8b, 1, 2, 3, 4]))),
      /incorrect|invalid|unknown|unexpected/i,
    )
    await assert.rejects(openImageSource(join(folder, 'nothing')), /no such file/)
    await assert.rejects(openImageSource(file('empty', '')), /neither|cut off/)
  })
})
