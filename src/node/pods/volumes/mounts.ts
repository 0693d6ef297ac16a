import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)
const LIMITS = { timeout: 30_000, maxBuffer: 1024 * 1024 }

/** Mount points of this process's namespace at or below `folder`, the deepest first. */
export function mountsBelow(folder: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .map((path) => path.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))))
  return points.filter((path) => path === folder || path.startsWith(`${folder}/`)).reverse()
}

export const isMounted = (path: string): boolean => mountsBelow(path).includes(path)

/** A file system in memory; its pages are not swapped out where the kernel knows how (Linux 6.4). */
export async function mountTmpfs(path: string, sizeBytes: number | undefined, mode: string): Promise<void> {
  const options = [`mode=${mode}`, ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`])]
  try {
    await mount(['-t', 'tmpfs', '-o', [...options, 'noswap'].join(','), 'tmpfs', path])
  } catch {
    await mount(['-t', 'tmpfs', '-o', options.join(','), 'tmpfs', path])
  }
}

/** `source` is taken as it is written, so that it may be a descriptor below /proc. */
export const bindMount = (source: string, target: string): Promise<void> =>
  mount(['--no-canonicalize', '--bind', source, target])

export async function unmount(path: string): Promise<void> {
  await program('umount', [path]).catch(() => program('umount', ['--lazy', path]))
}

const mount = (args: string[]): Promise<void> => program('mount', args)

async function program(name: string, args: string[]): Promise<void> {
  try {
    await run(name, args, LIMITS)
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim()
    throw new Error(`${name} ${args.at(-1)}: ${said || (error as Error).message}`)
  }
}
