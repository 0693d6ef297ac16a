import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { connectSsh, readHostKey, type SshConnection } from './connection.ts'
import { SshError } from './error.ts'
import { fingerprint, type HostKeyCheck, pinnedFingerprint, pinnedKey } from './host-key.ts'
import { readIdentity, type SshIdentity } from './identity.ts'
import { knownHosts } from './known-hosts.ts'
import { shellCommand } from './shell.ts'
import { cuttingProxy, fingerprintOf, makeKey, startSshd, type TestSshd } from './testing.ts'

const fails = async (work: Promise<unknown>, pattern: RegExp): Promise<SshError> => {
  let caught: unknown
  await assert.rejects(work, (error) => {
    caught = error
    assert.ok(error instanceof SshError, String(error))
    assert.match(error.message, pattern)
    return true
  })
  return caught as SshError
}

describe('SSH against OpenSSH', () => {
  let sshd: TestSshd
  let identity: SshIdentity
  let pin: HostKeyCheck
  let connection: SshConnection
  before(async () => {
    sshd = await startSshd({ hostKeys: ['ed25519', 'ecdsa', 'rsa'] })
    identity = await readIdentity(sshd.identity)
    pin = pinnedFingerprint(fingerprintOf(`${sshd.hostKeyFile('ed25519')}.pub`))
    connection = await connectSsh({ target: sshd.target, hostKey: pin, identity })
  })
  after(async () => {
    connection.close()
    await sshd.stop()
  })
  const connectWith = (hostKey: HostKeyCheck, other: SshIdentity = identity): Promise<SshConnection> =>
    connectSsh({ target: sshd.target, hostKey, identity: other, timeoutMs: 10_000 })

  for (const type of ['ed25519', 'ecdsa', 'rsa'] as const)
    test(`a pin on the server's ${type} key finds it among several`, async () => {
      const own = await connectWith(pinnedFingerprint(fingerprintOf(`${sshd.hostKeyFile(type)}.pub`)))
      assert.match(own.hostKey.type, new RegExp(type === 'rsa' ? '^ssh-rsa$' : type))
      assert.equal((await own.exec('echo in', { step: 'try', timeoutMs: 5000 })).stdout, 'in\n')
      own.close()
    })

  test('a wrong host key is refused before any identity is offered', async () => {
    makeKey(join(sshd.folder, 'foreign'))
    const foreign = fingerprintOf(join(sshd.folder, 'foreign.pub'))
    const error = await fails(
      connectWith(pinnedFingerprint(foreign)),
      /host key: the server's ssh-ed25519 key is SHA256:/,
    )
    assert.ok(error.message.includes(foreign))
  })

  test('known_hosts: plain, hashed, missing, another key, revoked', async () => {
    const { host, port } = sshd.target
    const key = readFileSync(`${sshd.hostKeyFile('ecdsa')}.pub`, 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ')
    const other = readFileSync(`${sshd.identity}.pub`, 'utf8').split(' ').slice(0, 2).join(' ')
    const check = (text: string): HostKeyCheck => knownHosts(text, 'hosts', { host, port })
    const plain = await connectWith(check(`# mine\n[${host}]:${port} ${key}\n`))
    assert.equal(plain.verifiedBy, 'hosts line 2')
    assert.equal(plain.hostKey.type, 'ecdsa-sha2-nistp256', 'the type that is known is asked for')
    plain.close()

    const file = join(sshd.folder, 'known_hosts')
    writeFileSync(file, `[${host}]:${port} ${key}\n`)
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' })
    const hashed = readFileSync(file, 'utf8')
    assert.ok(hashed.startsWith('|1|'))
    ;(await connectWith(check(hashed))).close()

    await fails(connectWith(check(`elsewhere ${key}\n`)), /hosts has no key for \[127\.0\.0\.1\]:/)
    await fails(connectWith(check(`[${host}]:${port} ${other}\n`)), /is not the one that hosts has/)
    await fails(connectWith(check(`[${host}]:${port} ${key}\n@revoked * ${key}\n`)), /is revoked: hosts line 2/)
  })

  test('the key can be looked at first, and then pinned', async () => {
    const key = await readHostKey(sshd.target)
    assert.equal(fingerprint(key.blob), fingerprintOf(`${sshd.hostKeyFile('ed25519')}.pub`))
    ;(await connectWith(pinnedKey(key))).close()
  })

  test('a wrong identity is refused, and named', async () => {
    const file = join(sshd.folder, 'stranger')
    makeKey(file)
    const error = await fails(connectWith(pin, await readIdentity(file)), /authentication: the machine does not let/)
    assert.ok(error.message.includes(file))
    assert.equal(error.connectionLost, false)
  })

  test('identities: RSA, ECDSA, PEM, PKCS#8, with a passphrase', async () => {
    const forms: [name: string, args: string[]][] = [
      ['rsa', ['-t', 'rsa', '-b', '2048']],
      ['rsa-pem', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
      ['ecdsa', ['-t', 'ecdsa']],
      ['ecdsa-pkcs8', ['-t', 'ecdsa', '-m', 'PKCS8']],
    ]
    for (const [name, args] of forms) {
      const file = join(sshd.folder, `id-${name}`)
      makeKey(file, ...args)
      writeFileSync(join(sshd.folder, 'authorized_keys'), readFileSync(`${file}.pub`), { flag: 'a' })
      ;(await connectWith(pin, await readIdentity(file))).close()
    }
    const locked = join(sshd.folder, 'id-locked')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'open sesame', '-f', locked])
    writeFileSync(join(sshd.folder, 'authorized_keys'), readFileSync(`${locked}.pub`), { flag: 'a' })
    await assert.rejects(readIdentity(locked), /encrypted, and nobody is there to ask/)
    await assert.rejects(
      readIdentity(locked, async () => 'wrong'),
      /the passphrase is wrong/,
    )
    ;(await connectWith(pin, await readIdentity(locked, async () => 'open sesame'))).close()
  })

  test('identities that cannot be used say why', async () => {
    const file = join(sshd.folder, 'bad')
    await assert.rejects(readIdentity(file), /there is no such file/)
    writeFileSync(file, 'secret stuff', { mode: 0o600 })
    await assert.rejects(readIdentity(file), (e: Error) => !e.message.includes('secret stuff'))
    chmodSync(file, 0o644)
    await assert.rejects(readIdentity(file), /others may read it/)
    await assert.rejects(readIdentity(sshd.folder), /not a file/)
    const weak = join(sshd.folder, 'weak')
    makeKey(weak, '-t', 'rsa', '-b', '1024')
    await assert.rejects(readIdentity(weak), /1024 bits is too short/)
  })

  test('an agent signs', async () => {
    const socket = join(sshd.folder, 'agent.sock')
    const agent: ChildProcess = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await new Promise((resolve) => agent.stdout!.once('data', resolve))
      execFileSync('ssh-add', ['-q', sshd.identity], { env: { ...process.env, SSH_AUTH_SOCK: socket } })
      ;(await connectWith(pin, { agentSocket: socket })).close()
    } finally {
      agent.kill()
    }
    await fails(connectWith(pin, { agentSocket: join(sshd.folder, 'none.sock') }), /authentication/)
  })

  test('exec: exit code, signal, both outputs, stdin, quoting', async () => {
    const run = (command: string, stdin?: string) =>
      connection.exec(command, { step: 'run', timeoutMs: 10_000, ...(stdin === undefined ? {} : { stdin }) })
    assert.deepEqual(await run('echo out; echo err >&2; exit 7'), {
      code: 7,
      signal: undefined,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    const killed = await run('kill -TERM $$')
    assert.deepEqual([killed.code, killed.signal], [undefined, 'SIGTERM'])
    assert.equal((await run('cat', 'hello')).stdout, 'hello')
    const odd = `a'b "c" $d \`e\` \\ \n f`
    assert.equal((await run(shellCommand('printf %s "$1"', [odd]))).stdout, odd)
  })

  test('exec: output and time are bounded, and the connection lives on', async () => {
    await fails(
      connection.exec('yes', { step: 'shout', timeoutMs: 20_000, maxOutputBytes: 100_000 }),
      /shout: it wrote more than 100000 bytes to stdout/,
    )
    await fails(connection.exec('sleep 600', { step: 'wait', timeoutMs: 300 }), /wait: no end within 0\.3 s/)
    assert.equal((await connection.exec('echo still', { step: 'x', timeoutMs: 5000 })).stdout, 'still\n')
  })

  test('upload: whole, with its mode, in place of what was there', async () => {
    const path = join(sshd.folder, 'up', 'a file')
    mkdirSync(join(sshd.folder, 'up'))
    writeFileSync(path, 'old', { mode: 0o644 })
    const content = randomBytes(3_000_000)
    const sha256 = createHash('sha256').update(content).digest('hex')
    await connection.upload(Readable.from([content.subarray(0, 1_000_000), content.subarray(1_000_000)]), {
      step: 'send',
      path,
      mode: 0o600,
      sha256,
      timeoutMs: 20_000,
    })
    assert.ok(readFileSync(path).equals(content))
    assert.equal(statSync(path).mode & 0o777, 0o600)

    const wrong = { step: 'send', path, mode: 0o600, sha256: '0'.repeat(64), timeoutMs: 20_000 }
    await fails(connection.upload(Readable.from([content]), wrong), /what arrived has the hash/)
    await fails(
      connection.upload('x', { ...wrong, path: '/nowhere/at/all', sha256: '0'.repeat(64) }),
      /was not written/,
    )
    assert.ok(readFileSync(path).equals(content), 'what was there stays')
    assert.deepEqual(readdirSync(join(sshd.folder, 'up')), ['a file'])
  })

  test('a cut connection ends what runs on it, and leaves no half file', async () => {
    const proxy = await cuttingProxy(sshd.target.port)
    const target = { ...sshd.target, port: proxy.port }
    const path = join(sshd.folder, 'half')
    try {
      const own = await connectSsh({ target, hostKey: pin, identity })
      const endless = new Readable({
        read() {
          this.push(Buffer.alloc(65_536))
        },
      })
      const upload = own.upload(endless, { step: 'send', path, mode: 0o600, sha256: '0'.repeat(64), timeoutMs: 30_000 })
      const waiting = own.exec('sleep 600', { step: 'wait', timeoutMs: 30_000 })
      const outcome = Promise.all([fails(upload, /send: .*lost/), fails(waiting, /wait: .*lost/)])
      await connection.exec(`for i in $(seq 200); do ls ${path}.* 2>/dev/null && exit; sleep 0.02; done`, {
        step: 'see',
        timeoutMs: 10_000,
      })
      proxy.cut(true)
      for (const error of await outcome) assert.equal(error.connectionLost, true)
      assert.equal(own.closed, true)
      await fails(own.exec('true', { step: 'again', timeoutMs: 1000 }), /again: the connection is closed/)
      assert.equal(
        (await fails(connectSsh({ target, hostKey: pin, identity }), /handshake|connect/)).connectionLost,
        true,
      )
      const left = await connection.exec(
        `for i in $(seq 250); do ls ${path}* 2>/dev/null || exit 0; sleep 0.02; done; exit 1`,
        { step: 'see', timeoutMs: 10_000 },
      )
      assert.equal(left.code, 0, `left: ${left.stdout}`)
    } finally {
      await proxy.close()
    }
  })
})

describe('SSH against servers that are none', () => {
  const servers: [name: string, serve: (socket: Socket) => void, reason: RegExp][] = [
    ['says nothing', () => undefined, /handshake/],
    ['closes at once', (s) => s.end(), /handshake/],
    ['speaks HTTP', (s) => s.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /handshake/],
    [
      'never ends its greeting',
      (s) => void setInterval(() => s.writable && s.write('x'.repeat(4096)), 1).unref(),
      /handshake/,
    ],
    ['sends noise', (s) => s.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), randomBytes(65_536)])), /handshake/],
  ]
  for (const [name, serve, reason] of servers)
    test(`a server that ${name}`, async () => {
      const sockets = new Set<Socket>()
      const server: Server = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => socket.destroy())
        serve(socket)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      try {
        await fails(
          connectSsh({
            target: { user: 'root', host: '127.0.0.1', port },
            hostKey: pinnedFingerprint(`SHA256:${'A'.repeat(43)}`),
            identity: { agentSocket: '/nowhere' },
            timeoutMs: 700,
          }),
          reason,
        )
      } finally {
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      }
    })
})
