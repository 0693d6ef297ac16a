import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deleteData, requireDataFolder } from './data-folder.ts'
import { CliError } from './error.ts'

const root = mkdtempSync(join(tmpdir(), 'rampart-folder-'))
after(() => rmSync(root, { recursive: true, force: true }))

let count = 0
function folder(files: readonly string[], mode = 0o700): string {
  const path = join(root, `f${count++}`)
  mkdirSync(path, { mode })
  chmodSync(path, mode)
  for (const file of files) {
    if (file.includes('/')) mkdirSync(join(path, file.split('/')[0]!), { recursive: true })
    writeFileSync(join(path, file), 'x')
  }
  return path
}

const DATA = ['settings.json', 'pki/ca.key', 'store/data.mdb', 'log/control-plane.log', 'audit/audit.log', 'lock']

test('a new, an empty and a cluster’s own folder are taken', () => {
  requireDataFolder(join(root, 'new'))
  requireDataFolder(folder([]))
  requireDataFolder(folder(DATA))
  requireDataFolder(folder(['log/control-plane.log', 'settings.123.json', 'kubeconfig.9.new']))
})

test('a folder with anything else in it, a file, and one that others may write in are refused', () => {
  for (const path of [folder(['important']), folder([...DATA, 'etc/passwd']), folder([], 0o777), folder([], 0o720)])
    assert.throws(() => requireDataFolder(path), CliError)
  assert.throws(() => requireDataFolder(join(folder(['lock']), 'lock')), CliError)
})

test('only a cluster’s own data is deleted', () => {
  const own = folder(DATA)
  assert.deepEqual(deleteData(own), [])
  assert.ok(!existsSync(own))

  const shared = folder([...DATA, 'important', 'etc/passwd'])
  assert.deepEqual(deleteData(shared).sort(), ['etc', 'important'])
  assert.deepEqual(readdirSync(shared).sort(), ['etc', 'important'])

  const foreign = folder(['log/syslog', 'store/goods', 'important'])
  assert.throws(() => deleteData(foreign), CliError)
  assert.deepEqual(readdirSync(foreign).sort(), ['important', 'log', 'store'])
  assert.deepEqual(deleteData(join(root, 'never')), [])
})

test('links are not followed out of the folder', () => {
  const outside = folder(['keep'])
  const path = folder(DATA)
  rmSync(join(path, 'log'), { recursive: true })
  symlinkSync(outside, join(path, 'log'))
  deleteData(path)
  assert.deepEqual(readdirSync(outside), ['keep'])
})
