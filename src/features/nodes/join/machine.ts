import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { SshConnection } from '../../../platform/ssh/connection.ts'
import { SshError } from '../../../platform/ssh/error.ts'
import type { ExecResult } from '../../../platform/ssh/exec.ts'
import { shellCommand } from '../../../platform/ssh/shell.ts'
import { formatSshTarget } from '../../../platform/ssh/target.ts'

export type RunOptions = {
  args?: readonly string[]
  stdin?: Readable | Uint8Array | string
  /** Default 30 s. */
  timeoutMs?: number
  /** Default: as root, by sudo where the SSH user is not root. */
  asUser?: boolean
}

const TIMEOUT_MS = 30_000

/**
 * A machine that is reached over SSH. A connection that was lost is made anew when the next thing is asked for: what ran
 * on it has failed by then, and undoing needs a way in.
 */
export class Machine {
  readonly #connect: () => Promise<SshConnection>
  #connection: SshConnection | undefined
  /** Known after the first look at the machine. */
  sudo: boolean = false

  constructor(connect: () => Promise<SshConnection>) {
    this.#connect = connect
  }

  async connection(): Promise<SshConnection> {
    if (this.#connection === undefined || this.#connection.closed) this.#connection = await this.#connect()
    return this.#connection
  }

  /** Runs a POSIX shell script; an exit code other than 0 is an SshError with the last lines of its stderr. */
  async run(step: string, script: string, options: RunOptions = {}): Promise<string> {
    const result = await this.try(step, script, options)
    if (result.code === 0) return result.stdout
    const why = result.stderr.trim().split('\n').slice(-3).join('; ').slice(0, 500)
    throw new SshError(await this.name(), step, why || result.signal || `exit code ${result.code}`)
  }

  async try(step: string, script: string, options: RunOptions = {}): Promise<ExecResult> {
    const { args = [], stdin, timeoutMs = TIMEOUT_MS, asUser = false } = options
    const command = shellCommand(`${PATH}\n${script}`, args, this.sudo && !asUser)
    const connection = await this.connection()
    return await connection.exec(command, { step, timeoutMs, ...(stdin === undefined ? {} : { stdin }) })
  }

  /** Writes a file of root's, whole or not at all. */
  async put(step: string, path: string, content: string | Uint8Array, mode: number): Promise<void> {
    const sha256 = createHash('sha256').update(content).digest('hex')
    const connection = await this.connection()
    await connection.upload(content, { step, path, mode, sha256, sudo: this.sudo, timeoutMs: TIMEOUT_MS })
  }

  async name(): Promise<string> {
    return formatSshTarget((await this.connection()).target)
  }

  close(): void {
    this.#connection?.close()
  }
}

/** Non-interactive sessions often lack the folders that hold nft and ip; what the session has comes first. */
const PATH = `PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"; export PATH; LC_ALL=C; export LC_ALL`
