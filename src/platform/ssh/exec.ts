import { Readable } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import { SshError } from './error.ts'

export type ExecOptions = {
  /** What is being done, for errors. */
  step: string
  stdin?: Readable | Uint8Array | string
  /** From sending the command to its end. */
  timeoutMs: number
  /** For stdout and stderr each; more ends the command with an error. Default 1 MiB. */
  maxOutputBytes?: number
}

export type ExecResult = {
  /** undefined: ended by `signal`. */
  code: number | undefined
  signal: string | undefined
  stdout: string
  stderr: string
}

const DEFAULT_MAX_OUTPUT = 1024 * 1024

/** Runs one command on its own channel. An exit code is a result; everything else that goes wrong is an SshError. */
export function execOn(client: Client, host: string, command: string, options: ExecOptions): Promise<ExecResult> {
  const { step, timeoutMs, maxOutputBytes = DEFAULT_MAX_OUTPUT } = options
  return new Promise((resolve, reject) => {
    let channel: ClientChannel | undefined
    let input: Readable | undefined
    const outputs = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
    let exit: { code: number | undefined; signal: string | undefined } | undefined
    let settled = false

    const settle = (end: () => void): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      client.off('close', onGone)
      input?.destroy()
      end()
    }
    const fail = (reason: string, more: { cause?: unknown; connectionLost?: boolean } = {}): void =>
      settle(() => {
        stop(channel)
        reject(new SshError(host, step, reason, more))
      })
    const onGone = (): void => fail('the connection was lost', { connectionLost: true })
    const timer = setTimeout(() => fail(`no end within ${timeoutMs / 1000} s`), timeoutMs)
    client.once('close', onGone)

    const collect = (name: 'stdout' | 'stderr', stream: Readable): void => {
      let size = 0
      stream.on('data', (chunk: Buffer) => {
        if (settled) return
        size += chunk.length
        if (size > maxOutputBytes) fail(`it wrote more than ${maxOutputBytes} bytes to ${name}`)
        else outputs[name].push(chunk)
      })
    }
    const begin = (opened: ClientChannel): void => {
      channel = opened
      if (settled) return void stop(channel)
      collect('stdout', opened)
      collect('stderr', opened.stderr)
      opened.on('error', (error: Error) => fail(error.message, { cause: error }))
      opened.on('exit', (code: number | null, signal?: string) => {
        exit = { code: code ?? undefined, signal: code === null ? signal : undefined }
      })
      opened.on('close', () => {
        if (exit === undefined) return fail('the command ended without saying how', { connectionLost: true })
        const result = { ...exit, stdout: text(outputs.stdout), stderr: text(outputs.stderr) }
        settle(() => resolve(result))
      })
      const { stdin } = options
      if (stdin === undefined) return void opened.end()
      if (!(stdin instanceof Readable)) return void opened.end(Buffer.from(stdin as Uint8Array))
      input = stdin
      input.on('error', (error) => fail(`what was to be sent cannot be read: ${error.message}`, { cause: error }))
      input.pipe(opened)
    }
    try {
      client.exec(command, (error, opened) => {
        if (error !== undefined && error !== null) fail(error.message, { cause: error })
        else begin(opened)
      })
    } catch (error) {
      fail((error as Error).message, { cause: error, connectionLost: true })
    }
  })
}

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString('utf8')

function stop(channel: ClientChannel | undefined): void {
  if (channel === undefined) return
  try {
    channel.signal('KILL')
    channel.close()
  } catch {
    // the connection is gone, and the channel with it
  }
  channel.resume()
  channel.stderr.resume()
}
