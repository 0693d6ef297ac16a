import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { EtcdTls } from './etcd-client.ts'

const run = promisify(execFile)

/** True when etcd and openssl are installed. */
export async function etcdInstalled(): Promise<boolean> {
  try {
    await run('etcd', ['--version'])
    await run('openssl', ['version'])
    return true
  } catch {
    return false
  }
}

/** An etcd of one member for tests, on a loopback port, with mutual TLS by a CA of its own or without. */
export class EtcdServer {
  readonly directory: string
  readonly endpoint: string
  readonly tls: EtcdTls | undefined
  readonly #arguments: string[]
  #process: ChildProcess | undefined

  private constructor(directory: string, endpoint: string, tls: EtcdTls | undefined, args: string[]) {
    this.directory = directory
    this.endpoint = endpoint
    this.tls = tls
    this.#arguments = args
  }

  static async start(options: { tls: boolean; arguments?: string[] }): Promise<EtcdServer> {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-etcd-'))
    const scheme = options.tls ? 'https' : 'http'
    const client = `${scheme}://127.0.0.1:${await freePort()}`
    const peer = `http://127.0.0.1:${await freePort()}`
    const args = ['--name=test', `--data-dir=${join(directory, 'data')}`, '--log-level=error']
    args.push(`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`, `--listen-peer-urls=${peer}`)
    args.push(`--initial-advertise-peer-urls=${peer}`, `--initial-cluster=test=${peer}`)
    let tls: EtcdTls | undefined
    if (options.tls) {
      tls = await makeCertificates(directory)
      const file = (name: string): string => join(directory, name)
      args.push(`--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`)
      args.push(`--trusted-ca-file=${file('ca.crt')}`, '--client-cert-auth')
    }
    const server = new EtcdServer(directory, client, tls, [...args, ...(options.arguments ?? [])])
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const child = spawn('etcd', this.#arguments, { stdio: 'ignore' })
    this.#process = child
    const port = Number(new URL(this.endpoint).port)
    for (let attempt = 0; attempt < 400; attempt++) {
      if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`)
      if (await listens(port)) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    throw new Error('etcd did not come up')
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async dispose(): Promise<void> {
    await this.stop('SIGKILL')
    await rm(this.directory, { recursive: true, force: true })
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

async function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** A CA, a serving certificate for 127.0.0.1 and a client certificate, by the openssl command. */
export async function makeCertificates(directory: string): Promise<EtcdTls> {
  const file = (name: string): string => join(directory, name)
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/CN=test ca',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
  )
  for (const [name, usage] of [
    ['server', 'serverAuth,clientAuth'],
    ['client', 'clientAuth'],
  ]) {
    await openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`))
    await writeFile(file(`${name}.ext`), `extendedKeyUsage=${usage}\nsubjectAltName=IP:127.0.0.1\n`)
    const signing = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
    await openssl(
      'x509',
      '-req',
      '-in',
      file(`${name}.csr`),
      ...signing,
      '-extfile',
      file(`${name}.ext`),
      '-out',
      file(`${name}.crt`),
    )
  }
  const [ca, cert, privateKey] = await Promise.all(
    ['ca.crt', 'client.crt', 'client.key'].map((name) => readFile(file(name), 'utf8')),
  )
  return { ca: ca!, cert: cert!, key: privateKey! }
}
