import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import type { CredentialProvider, Credentials } from './connection.ts'

/** users[].user.exec of a kubeconfig. */
export type ExecConfig = {
  apiVersion: string
  command: string
  args?: string[]
  env?: { name: string; value: string }[]
  installHint?: string
  provideClusterInfo?: boolean
  interactiveMode?: 'Never' | 'IfAvailable' | 'Always'
}

export type ExecContext = {
  /** Of the kubeconfig: a command with a slash in it is relative to it. */
  directory: string
  /** ExecCredential spec.cluster, handed over when provideClusterInfo is true. */
  cluster: Record<string, unknown>
  env: NodeJS.ProcessEnv
  /** Milliseconds since the epoch. */
  now?: () => number
}

const VERSIONS: readonly string[] = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']
const MAX_OUTPUT = 1024 * 1024
const TIMEOUT_MS = 60_000

type Obtained = { credentials: Credentials; expires: number }

/**
 * Credentials from an exec plugin (client.authentication.k8s.io/v1 ExecCredential), kept until they expire or the
 * server refuses them. Requests which come while the plugin runs wait for that one run.
 */
export function execCredentials(config: ExecConfig, context: ExecContext): CredentialProvider {
  if (!VERSIONS.includes(config.apiVersion)) throw new Error(`exec plugin: unknown apiVersion "${config.apiVersion}"`)
  const now = context.now ?? Date.now
  let current: Obtained | undefined
  let running: Promise<Obtained> | undefined
  return async (refresh) => {
    if (current !== undefined && !refresh && current.expires > now()) return current.credentials
    running ??= obtain(config, context).finally(() => {
      running = undefined
    })
    current = await running
    return current.credentials
  }
}

async function obtain(config: ExecConfig, context: ExecContext): Promise<Obtained> {
  const tty = process.stdin.isTTY === true
  if (config.interactiveMode === 'Always' && !tty)
    throw new Error(`exec plugin ${config.command}: it needs a terminal (interactiveMode: Always), and there is none`)
  const interactive = config.interactiveMode !== 'Never' && tty
  const output = await run(config, context, interactive)
  return parseExecCredential(config, output)
}

function parseExecCredential(config: ExecConfig, output: string): Obtained {
  // Errors never quote the output: it holds the credentials.
  const bad = (why: string): Error => new Error(`exec plugin ${config.command}: ${why}`)
  let answer: Record<string, unknown>
  try {
    answer = JSON.parse(output) as Record<string, unknown>
  } catch {
    throw bad('its output is not JSON')
  }
  if (answer?.['kind'] !== 'ExecCredential' || answer['apiVersion'] !== config.apiVersion)
    throw bad(`its output is not an ExecCredential of ${config.apiVersion}`)
  const status = (answer['status'] ?? {}) as Record<string, unknown>
  const field = (name: string): string | undefined => {
    const value = status[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [token, cert, key] = [field('token'), field('clientCertificateData'), field('clientKeyData')]
  if ((cert === undefined) !== (key === undefined)) throw bad('a client certificate and its key belong together')
  if (token === undefined && cert === undefined) throw bad('it gave neither a token nor a client certificate')
  const until = field('expirationTimestamp')
  const expires = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until)
  if (Number.isNaN(expires)) throw bad('expirationTimestamp is not a time')
  return { credentials: { ...(token && { token }), ...(cert && { cert }), ...(key && { key }) }, expires }
}

function run(config: ExecConfig, context: ExecContext, interactive: boolean): Promise<string> {
  const command = config.command.includes('/') ? resolve(context.directory, config.command) : config.command
  const spec = { interactive, ...(config.provideClusterInfo === true ? { cluster: context.cluster } : {}) }
  const info = JSON.stringify({ apiVersion: config.apiVersion, kind: 'ExecCredential', spec })
  const env = { ...context.env, KUBERNETES_EXEC_INFO: info }
  for (const { name, value } of config.env ?? []) Object.assign(env, { [name]: value })
  return new Promise((done, reject) => {
    const fail = (why: string): void => {
      const hint = config.installHint === undefined ? '' : `\n${config.installHint}`
      reject(new Error(`exec plugin ${config.command}: ${why}${hint}`))
    }
    const child = spawn(command, config.args ?? [], {
      env,
      stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
    })
    const chunks: Buffer[] = []
    let size = 0
    let late = false
    // What the plugin itself has started is ended by the closed pipe.
    const end = (): void => {
      child.kill('SIGKILL')
      child.stdout?.destroy()
    }
    const timer = setTimeout(() => {
      late = true
      end()
    }, TIMEOUT_MS)
    child.stdout!.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_OUTPUT) end()
      else chunks.push(chunk)
    })
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      fail(error.code === 'ENOENT' ? 'not found' : error.message)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (size > MAX_OUTPUT) fail(`its output is over ${MAX_OUTPUT} bytes`)
      else if (late) fail(`it took longer than ${TIMEOUT_MS / 1000} s`)
      else if (signal !== null) fail(`it was ended by ${signal}`)
      else if (code !== 0) fail(`it exited with ${code}`)
      else done(Buffer.concat(chunks).toString('utf8'))
    })
  })
}
