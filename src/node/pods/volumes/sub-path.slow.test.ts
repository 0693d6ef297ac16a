import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { insideNamespaces, runInNamespaces, testFolder, whyNoContainerd } from '../../../platform/cri/testing.ts'
import { isMounted, mountsBelow, mountTmpfs, unmount } from './mounts.ts'
import { bindSubPath } from './sub-path.ts'

if (!insideNamespaces())
  it('subPath of volumes', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 60_000)
  })
else
  describe('subPath of volumes', () => {
    const volume = join(testFolder(), 'volume')
    const target = join(testFolder(), 'targets/0')
    mkdirSync(join(volume, 'folder'), { recursive: true, mode: 0o777 })
    writeFileSync(join(volume, 'folder/file'), 'inside')
    writeFileSync(join(testFolder(), 'outside'), 'outside')
    symlinkSync('folder/file', join(volume, 'good'))
    symlinkSync('../outside', join(volume, 'bad'))
    symlinkSync('/etc', join(volume, 'absolute'))
    symlinkSync('loop', join(volume, 'loop'))
    symlinkSync('folder', join(volume, 'inside'))

    it('binds files and folders, and makes what is missing', async () => {
      await bindSubPath(volume, 'folder/file', join(testFolder(), 'targets/file'))
      assert.equal(readFileSync(join(testFolder(), 'targets/file'), 'utf8'), 'inside')
      await bindSubPath(volume, 'folder', target)
      assert.equal(readFileSync(join(target, 'file'), 'utf8'), 'inside')
      await bindSubPath(volume, 'new/deep', join(testFolder(), 'targets/new'))
      assert.ok(statSync(join(volume, 'new/deep')).isDirectory())
      assert.equal(statSync(join(volume, 'new/deep')).mode & 0o777, statSync(volume).mode & 0o777)
      await bindSubPath(volume, 'good', join(testFolder(), 'targets/link'))
      assert.equal(readFileSync(join(testFolder(), 'targets/link'), 'utf8'), 'inside')
    })

    it('binds again in place, once', async () => {
      await bindSubPath(volume, 'folder', target)
      assert.equal(mountsBelow(target).length, 1)
    })

    for (const path of ['../outside', '/etc', 'bad', 'absolute', 'absolute/passwd', 'loop', 'bad/new'])
      it(`refuses ${path}`, async () => {
        const other = join(testFolder(), 'targets/none')
        await assert.rejects(bindSubPath(volume, path, other))
        assert.equal(isMounted(other), false)
        assert.equal(existsSync(join(testFolder(), 'new')), false)
      })

    it('through a link that stays inside', async () => {
      await bindSubPath(volume, 'inside/made', join(testFolder(), 'targets/made'))
      assert.ok(existsSync(join(volume, 'folder/made')))
    })

    it('mounts memory, says so, and unmounts', async () => {
      const folder = join(testFolder(), 'with space')
      mkdirSync(folder)
      await mountTmpfs(folder, 1024 * 1024, '0750')
      assert.equal(isMounted(folder), true)
      assert.equal(statSync(folder).mode & 0o777, 0o750)
      await unmount(folder)
      assert.equal(isMounted(folder), false)
      await assert.rejects(mountTmpfs(join(testFolder(), 'none'), undefined, '0755'), /^Error: mount .*none: /)
    })
  })
