import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createLab, type Lab } from '../../lab/index.ts'
import { removeFolder, type TestCluster, testCluster, whyNoLab } from '../../lab/testing.ts'

const COMMAND = new URL('./image.ts', import.meta.url).href
const ERROR = new URL('../error.ts', import.meta.url).href
/** The command by itself, with main.ts' exit codes. */
const PROGRAM = `
import { Command } from 'commander'
import { registerImage } from '${COMMAND}'
import { CliError } from '${ERROR}'
const root = new Command('rampart')
registerImage(root)
try {
  await root.parseAsync(process.argv)
} catch (error) {
  if (!(error instanceof CliError)) throw error
  process.stderr.write(error.message)
  process.exitCode = error.exitCode
}`

describe('rampart image import', { skip: whyNoLab() ?? false }, () => {
  let cluster: TestCluster
  let lab: Lab
  const folder = mkdtempSync(join(tmpdir(), `rampart-image-command-${process.pid}-`))
  before(async () => {
    cluster = testCluster()
    lab = createLab(cluster)
    await lab.up({ machines: 2, sshPublicKey: cluster.sshPublicKey })
    mkdirSync(join(folder, 'bin'))
    copyFileSync('/usr/bin/busybox', join(folder, 'bin', 'busybox'))
    symlinkSync('busybox', join(folder, 'bin', 'cat'))
    writeFileSync(join(folder, 'word'), 'shop\n')
  })
  after(async () => {
    await lab?.down()
    cluster?.remove()
    removeFolder(folder)
  })

  const run = (...args: string[]): SpawnSyncReturns<string> => {
    const scope = ['--cluster', cluster.name, '--data-dir', cluster.directory]
    const argv = ['--input-type=module', '-e', PROGRAM, 'rampart', 'image', 'import', ...args, ...scope]
    return spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 60_000 })
  }

  test('a root file system comes to every machine', () => {
    const done = run(folder, '--name', 'shop.test/web:1', '-o', 'json')
    assert.equal(done.status, 0, done.stderr)
    assert.deepEqual(
      JSON.parse(done.stdout),
      ['node-1', 'node-2'].map((machine) => ({ machine, image: 'shop.test/web:1' })),
    )
    for (const machine of ['node-1', 'node-2']) {
      const ctr = ['ctr', '-n', 'k8s.io', 'run', '--rm', 'shop.test/web:1', 'once', 'cat', '/word']
      const [program, ...args] = lab.insideMachine(machine, ctr)
      assert.equal(spawnSync(program!, args, { encoding: 'utf8', timeout: 30_000 }).stdout, 'shop\n')
    }
  })

  for (const [why, args, status, message] of [
    ['a name that is none', ['--name', 'No Name'], 2, /not an image's name/],
    ['no name', [], 3, /give one with --name/],
    ['a machine that is none', ['--name', 'web', '--node', 'node-9'], 2, /no machine that runs is named node-9/],
  ] as const)
    test(`refuses ${why}`, () => {
      const refused = run(folder, ...args)
      assert.equal(refused.status, status)
      assert.match(refused.stderr, message)
    })

  test('refuses a file that is not there', () => {
    const refused = run(join(folder, 'nothing'), '--name', 'web')
    assert.equal(refused.status, 3)
    assert.match(refused.stderr, /nothing: there is no such file/)
  })
})
