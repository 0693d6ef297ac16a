import { type ExecFileException, execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))
export const rampart: string = join(root, 'rampart')

export type Run = { code: number; stdout: string; stderr: string }

export type RunOptions = { env?: NodeJS.ProcessEnv; input?: string; timeoutMs?: number; cwd?: string }

/** Runs a program to its end; never rejects on an exit code. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      {
        env: { ...process.env, ...options.env },
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 256 * 1024 * 1024,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error: ExecFileException | null, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
        resolve({ code, stdout, stderr })
      },
    )
    child.stdin?.on('error', () => undefined) // a program may end without reading it: its exit code tells
    child.stdin?.end(options.input ?? '')
  })
}

export type TestCluster = {
  directory: string
  kubeconfig: string
  url: string
  pid: () => Promise<number>
  rampart: (args: readonly string[], options?: RunOptions) => Promise<Run>
  kubectl: (version: KubectlVersion, args: readonly string[], options?: RunOptions) => Promise<Run>
  stop: () => Promise<void>
}

export type KubectlVersion = '1.20' | '1.32' | '1.36'
export const KUBECTL_VERSIONS: readonly KubectlVersion[] = ['1.20', '1.32', '1.36']

const cacheHome = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')

export function testProgram(name: string): string | undefined {
  const path = join(process.env['RAMPART_TEST_BIN'] ?? join(cacheHome, 'rampart-test', 'bin'), name)
  return existsSync(path) ? path : undefined
}

/** `rampart up` in a folder of its own on a free port, without machines unless the arguments ask for some. */
export async function startCluster(upArguments: readonly string[] = []): Promise<TestCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'rampart-test-'))
  const data = join(directory, 'data')
  const home = join(directory, 'home')
  const scope = ['--data-dir', data]
  const cli = (args: readonly string[], options?: RunOptions): Promise<Run> =>
    run(rampart, args, { timeoutMs: 120_000, ...options })
  const up = await cli(['up', ...scope, '--port', '0', '--nodes', '0', ...upArguments])
  if (up.code !== 0) throw new Error(`rampart up failed with ${up.code}:\n${up.stderr}`)
  const status = async (): Promise<{ server: string; pid: number; kubeconfig: string }> =>
    JSON.parse((await cli(['status', ...scope, '-o', 'json'])).stdout)
  const { server, kubeconfig } = await status()
  return {
    directory: data,
    kubeconfig,
    url: server,
    pid: async () => (await status()).pid,
    rampart: (args, options) => cli([...args, ...scope], options),
    kubectl: (version, args, options) => {
      const program = testProgram(`kubectl-${version}`)
      if (program === undefined) throw new Error(`kubectl ${version} is not there`)
      return run(program, args, {
        ...options,
        env: { KUBECONFIG: kubeconfig, HOME: home, KUBE_EDITOR: 'true', ...options?.env },
      })
    },
    stop: async () => {
      await cli(['down', ...scope])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
