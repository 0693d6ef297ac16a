import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { load } from 'js-yaml'
import { connectKeyService } from '../../features/secrets/kms/index.ts'

// The commands, each as a process of its own.
const ENTRY = `
import { Command, CommanderError } from '${import.meta.resolve('commander')}'
import { CliError } from '${new URL('../error.ts', import.meta.url).href}'
import { registerKms } from '${new URL('./kms.ts', import.meta.url).href}'
const root = new Command('rampart').exitOverride()
registerKms(root)
try {
  await root.parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error instanceof CliError) {
    console.error('rampart: ' + error.message)
    process.exitCode = error.exitCode
  } else throw error
}
`

let base = ''
let entry = ''
before(() => {
  base = mkdtempSync(join(tmpdir(), 'rampart-kms-cli-'))
  entry = join(base, 'entry.ts')
  writeFileSync(entry, ENTRY)
})
after(() => rmSync(base, { recursive: true, force: true }))

type Ended = { code: number; stdout: string; stderr: string }

function run(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [entry, 'kms', ...args], { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
    })
  })
}

type Serving = { child: ChildProcess; stderr: () => string; ended: Promise<number | NodeJS.Signals> }

/** Resolves when the plugin serves. */
async function serve(t: TestContext, ...args: string[]): Promise<Serving> {
  const child = spawn(process.execPath, [entry, 'kms', 'serve', ...args], { stdio: ['ignore', 'inherit', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let stderr = ''
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? signal!))
  })
  await new Promise<void>((resolve, reject) => {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      if (/KMS v2 plugin serves/.test(stderr)) resolve()
    })
    void ended.then((how) => reject(new Error(`kms serve ended with ${how}: ${stderr}`)))
  })
  return { child, stderr: () => stderr, ended }
}

describe('rampart kms', () => {
  it('serves, stops, starts again with the same keys, and bears kill -9', async (t) => {
    const socket = join(base, 'a.sock')
    const keyFile = join(base, 'a', 'keys.json')
    const flags = ['--socket', socket, '--key-file', keyFile]
    const first = await serve(t, ...flags)
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    assert.equal(statSync(keyFile).mode & 0o777, 0o600)
    assert.match(first.stderr(), /made the key file .*a\/keys\.json/)

    const yaml = first.stderr().slice(first.stderr().indexOf('apiVersion:'), first.stderr().indexOf('\n\n'))
    const { kind, resources } = load(yaml) as { kind: string; resources: { providers: { kms: object }[] }[] }
    assert.equal(kind, 'EncryptionConfiguration')
    assert.deepEqual(resources[0]!.providers[0]!.kms, {
      apiVersion: 'v2',
      name: 'rampart',
      endpoint: `unix://${socket}`,
      timeout: '3000ms',
    })

    const service = connectKeyService({ name: 'test', endpoint: `unix://${socket}`, timeoutMs: 10_000 })
    t.after(() => service.close())
    const seed = Buffer.from('a seed that must never be in logs')
    const encrypted = await service.encrypt(seed, 'uid-1')
    const twin = await run('serve', ...flags)
    assert.equal(twin.code, 3)
    assert.match(twin.stderr, /a\.sock: in use, another server answers there/)

    first.child.kill('SIGTERM')
    assert.equal(await first.ended, 0)
    assert.ok(!existsSync(socket))
    assert.match(first.stderr(), /stops signal="SIGTERM"/)

    const second = await serve(t, ...flags, '--verbose')
    assert.doesNotMatch(second.stderr(), /made the key file/)
    assert.deepEqual(Buffer.from(await service.decrypt({ ...encrypted, uid: 'uid-2' })), seed)
    second.child.kill('SIGKILL')
    assert.equal(await second.ended, 'SIGKILL')
    assert.ok(lstatSync(socket).isSocket())

    const third = await serve(t, ...flags, '--rotate')
    const { keyId } = await service.status()
    assert.notEqual(keyId, encrypted.keyId)
    assert.deepEqual(Buffer.from(await service.decrypt({ ...encrypted, uid: 'uid-3' })), seed)
    const rotated = await run('rotate', '--key-file', keyFile)
    assert.equal(rotated.code, 0, rotated.stderr)
    assert.equal((await service.encrypt(seed, 'uid-4')).keyId, rotated.stdout.trim())
    third.child.kill('SIGINT')
    assert.equal(await third.ended, 0)
    assert.ok(!existsSync(socket))
    assert.match(second.stderr(), /KMS Decrypt uid="uid-2" keyId=/)
    const keys = (JSON.parse(readFileSync(keyFile, 'utf8')) as { keys: { key: string }[] }).keys
    for (const secret of [seed.toString(), seed.toString('base64'), ...keys.map((key) => key.key)]) {
      for (const serving of [first, second, third]) assert.ok(!serving.stderr().includes(secret))
    }
  })

  it('asks a plugin how it is', async (t) => {
    const socket = join(base, 'b.sock')
    const serving = await serve(t, '--socket', socket, '--key-file', join(base, 'b.json'))
    const good = await run('status', '--socket', socket, '-o', 'json')
    assert.equal(good.code, 0, good.stderr)
    const { encryptMs, decryptMs, keyId, ...rest } = JSON.parse(good.stdout) as Record<string, unknown>
    assert.deepEqual(rest, { endpoint: `unix://${socket}`, version: 'v2', healthz: 'ok', problems: [] })
    assert.ok(Number(encryptMs) > 0 && Number(decryptMs) > 0)
    const table = await run('status', '--socket', `unix://${socket}`)
    assert.match(
      table.stdout,
      new RegExp(`health {6}ok\nkey {9}${String(keyId)}\nround trip {2}proved: encrypt [0-9.]+ ms`),
    )
    serving.child.kill('SIGTERM')
    await serving.ended
    const gone = await run('status', '--socket', socket)
    assert.equal(gone.code, 1)
    assert.match(gone.stdout, /problem {5}KMS plugin "kms" at unix:.*b\.sock: Status: there is no such socket/)
    const mute = createServer(() => {}).listen(join(base, 'mute'))
    t.after(() => mute.close())
    const slow = await run('status', '--socket', join(base, 'mute'), '--timeout', '200ms', '-o', 'yaml')
    assert.equal(slow.code, 1)
    assert.match((load(slow.stdout) as { problems: string[] }).problems[0]!, /no answer within 200 ms/)
  })

  it('lists, adds and forgets keys', async () => {
    const keyFile = join(base, 'c.json')
    const missing = await run('keys', '--key-file', keyFile)
    assert.equal(missing.code, 3)
    assert.match(missing.stderr, /there is no key file .*c\.json/)
    assert.ok(!existsSync(keyFile))
    const made = await run('init', '--key-file', keyFile)
    assert.equal(made.code, 0, made.stderr)
    assert.equal(statSync(keyFile).mode & 0o777, 0o600)
    const old = made.stdout.trim()
    const again = await run('init', '--key-file', keyFile)
    assert.equal(again.code, 3)
    assert.match(again.stderr, /is there already/)
    const added = (await run('rotate', '--key-file', keyFile)).stdout.trim()
    const listed = await run('keys', '--key-file', keyFile, '-o', 'json')
    const rows = (JSON.parse(listed.stdout) as { id: string; wraps: boolean }[]).map(({ id, wraps }) => ({ id, wraps }))
    assert.deepEqual(rows, [
      { id: added, wraps: true },
      { id: old, wraps: false },
    ])
    const careless = await run('forget', old, '--key-file', keyFile)
    assert.equal(careless.code, 2)
    const current = await run('forget', added, '--yes', '--key-file', keyFile)
    assert.equal(current.code, 3)
    const forgotten = await run('forget', old, '--yes', '--key-file', keyFile)
    assert.equal(forgotten.code, 0, forgotten.stderr)
    assert.equal((await run('keys', '--key-file', keyFile, '-o', 'name')).stdout, `key/${added}\n`)
  })

  it('refuses what it cannot do', async () => {
    const file = join(base, 'regular')
    writeFileSync(file, 'precious')
    const keyFile = join(base, 'd.json')
    const rows: [string[], number, RegExp][] = [
      [['serve'], 2, /--socket/],
      [['serve', '--socket', '@abstract', '--key-file', keyFile], 2, /abstract sockets have no permissions/],
      [['serve', '--socket', file, '--key-file', join(base, 'f.json')], 3, /exists and is not a socket/],
      [
        ['serve', '--socket', join(base, 'no', 's'), '--key-file', join(base, 'e.json')],
        3,
        /the folder .*no does not exist/,
      ],
      [['serve', '--socket', join(base, 's'), '--key-file', file], 3, /key file .*regular/],
      [['status', '--socket', join(base, 's'), '--timeout', 'soon'], 2, /--timeout "soon" is not a duration/],
      [['status', '--socket', 'unix://host/s'], 2, /three slashes/],
      [['status', '--socket', file], 1, /$/],
    ]
    const ended = await Promise.all(rows.map(([args]) => run(...args)))
    for (const [i, [args, code, message]] of rows.entries()) {
      assert.equal(ended[i]!.code, code, `${args.join(' ')}: ${ended[i]!.stderr}`)
      assert.match(ended[i]!.stderr, message)
    }
    assert.equal(readFileSync(file, 'utf8'), 'precious')
  })
})
