import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fingerprint, parseHostKeyLine } from './host-key.ts'
import type { SshTarget } from './target.ts'

/** A port of the loopback address that nobody had a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

export function makeKey(file: string, ...args: string[]): void {
  execFileSync('ssh-keygen', [
    '-q',
    '-N',
    '',
    '-C',
    'test',
    ...(args.length > 0 ? args : ['-t', 'ed25519']),
    '-f',
    file,
  ])
}

/** `SHA256:…` of a public key file. */
export const fingerprintOf = (publicKeyFile: string): string =>
  fingerprint(parseHostKeyLine(readFileSync(publicKeyFile, 'utf8')).blob)

export type TestSshd = {
  target: SshTarget
  folder: string
  /** A private key that is let in. */
  identity: string
  hostKeyFile: (type: 'ed25519' | 'ecdsa' | 'rsa') => string
  stop: () => Promise<void>
}

/**
 * An OpenSSH server of its own on 127.0.0.1: own configuration, host keys, authorized keys. `rootCommand` runs it inside
 * a prepared machine instead.
 */
export async function startSshd(
  options: { hostKeys?: readonly ('ed25519' | 'ecdsa' | 'rsa')[]; config?: readonly string[] } = {},
): Promise<TestSshd> {
  const { hostKeys = ['ed25519'], config = [] } = options
  const folder = mkdtempSync(join(tmpdir(), `rampart-sshd-${process.pid}-`))
  const port = await freePort()
  writeSshdFolder(folder, port, hostKeys, config)
  // Root's sshd wants /run/sshd: it gets one in a mount namespace of its own.
  const privileged = process.getuid?.() === 0
  const run = `exec /usr/sbin/sshd -D -e -f ${join(folder, 'sshd_config')}`
  const child = privileged
    ? spawn('unshare', ['-m', '--', 'sh', '-c', `mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && ${run}`])
    : spawn('sh', ['-c', run])
  const log = collect(child)
  await answers(port, () => `sshd does not answer: ${log()}`)
  return {
    target: { user: userInfo().username, host: '127.0.0.1', port },
    folder,
    identity: join(folder, 'identity'),
    hostKeyFile: (type) => join(folder, `host_${type}`),
    stop: async () => {
      await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export function writeSshdFolder(
  folder: string,
  port: number,
  hostKeys: readonly ('ed25519' | 'ecdsa' | 'rsa')[],
  config: readonly string[],
): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const type of hostKeys)
    makeKey(join(folder, `host_${type}`), '-t', type, ...(type === 'rsa' ? ['-b', '2048'] : []))
  makeKey(join(folder, 'identity'))
  copyFileSync(join(folder, 'identity.pub'), join(folder, 'authorized_keys'))
  chmodSync(join(folder, 'authorized_keys'), 0o600)
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    ...hostKeys.map((type) => `HostKey ${join(folder, `host_${type}`)}`),
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'PidFile none',
    'UsePAM no',
    'StrictModes no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'MaxStartups 100',
    ...config,
  ]
  writeFileSync(join(folder, 'sshd_config'), `${lines.join('\n')}\n`)
}

export function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-20_000)
    })
  return () => text
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** Waits until something listens. */
export async function answers(port: number, complaint: () => string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('data', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('close', () => resolve(false))
      setTimeout(() => resolve(false), 1000).unref()
      socket.once('data', () => socket.destroy())
    })
    if (open) return
    await sleep(25)
  }
  throw new Error(complaint())
}

export type CuttingProxy = {
  port: number
  /** Cuts every connection; while `refuse`, new ones too. */
  cut: (refuse: boolean) => void
  /** Passes nothing on any more, without closing. */
  freeze: () => void
  close: () => Promise<void>
}

/** TCP to `port` that can be cut. */
export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let refusing = false
  const server: Server = createServer((near) => {
    if (refusing) return void near.resetAndDestroy()
    const far = connect(port, '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    for (const socket of pair) {
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    cut: (refuse) => {
      refusing = refuse
      for (const pair of [...pairs]) for (const socket of pair) socket.resetAndDestroy()
    },
    freeze: () => {
      for (const [near, far] of pairs) {
        near.unpipe().pause()
        far.unpipe().pause()
      }
    },
    close: () =>
      new Promise((resolve) => {
        for (const pair of [...pairs]) for (const socket of pair) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
