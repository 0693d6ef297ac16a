import { type ChildProcess, spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { SshConnection } from '../../platform/ssh/connection.ts'
import { shellQuote } from '../../platform/ssh/shell.ts'
import { type OciImage, ociArchive } from './oci-image.ts'
import type { ImageSource } from './source.ts'

/** A machine that takes images: how a program is run on it with an input. Rejects when the program fails. */
export type ImportTarget = {
  name: string
  run: (argv: readonly string[], input?: AsyncIterable<Uint8Array>) => Promise<string>
}

const CTR = ['ctr', '--namespace', 'k8s.io', 'images'] as const
const PIPE_BROKEN: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'])
const LIMIT_MS = 600_000

/** Gives the images to a machine's containerd, where pods find them by their names. */
export async function importImages(target: ImportTarget, source: ImageSource): Promise<void> {
  await target.run([...CTR, 'import', '-'], source.archive())
}

/** Gives those images that the machine does not have exactly so; resolves with their names. */
export async function ensureImages(target: ImportTarget, images: readonly OciImage[]): Promise<string[]> {
  const present = new Map(
    (await target.run([...CTR, 'list']))
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([name, , digest]) => [name, digest]),
  )
  const missing = images.filter((image) => present.get(image.name) !== image.manifest.digest)
  if (missing.length > 0) await target.run([...CTR, 'import', '-'], ociArchive(missing))
  return missing.map((image) => image.name)
}

/** A machine of this host, entered by `argvOf`. */
export function localTarget(name: string, argvOf: (argv: readonly string[]) => string[]): ImportTarget {
  return {
    name,
    run: (argv, input) => {
      const [program, ...args] = argvOf(argv)
      const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/', timeout: LIMIT_MS })
      return finished(child, argv, input)
    },
  }
}

/** A machine over SSH; `sudo` where its user is not root. */
export function sshTarget(name: string, connection: Pick<SshConnection, 'exec'>, sudo: boolean = false): ImportTarget {
  return {
    name,
    run: async (argv, input) => {
      const command = [...(sudo ? ['sudo', '-n', '--'] : []), ...argv].map(shellQuote).join(' ')
      const { code, signal, stdout, stderr } = await connection.exec(command, {
        step: 'images',
        timeoutMs: LIMIT_MS,
        ...(input === undefined ? {} : { stdin: Readable.from(input, { objectMode: false }) }),
      })
      if (code !== 0)
        throw new Error(`${argv.join(' ')}: ${stderr.trim().slice(-4096) || `ended with ${code ?? signal}`}`)
      return stdout
    },
  }
}

async function finished(
  child: ChildProcess,
  argv: readonly string[],
  input: AsyncIterable<Uint8Array> | undefined,
): Promise<string> {
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-(1 << 20))
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096)
  })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? '' : stderr.trim() || `ended with ${code ?? signal}`))
  })
  const written = pipeline(Readable.from(input ?? [], { objectMode: false }), child.stdin!).then(
    () => undefined,
    (error: Error) => error,
  )
  const [failure, unwritten] = await Promise.all([ended, written])
  // A program that ends early breaks the pipe: its own words say why.
  if (unwritten !== undefined && !PIPE_BROKEN.has((unwritten as NodeJS.ErrnoException).code ?? '')) throw unwritten
  if (failure !== '') throw new Error(`${argv.join(' ')}: ${failure}`)
  if (unwritten !== undefined) throw unwritten
  return stdout
}
