import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type KubectlVersion, type Run, type RunOptions, rampart, run, testProgram } from './cluster.ts'

/** Why there can be no lab here; undefined: there can. */
export const whyNoLab: string | undefined = process.getuid?.() === 0 ? undefined : 'machines need root'

export type TestLab = {
  name: string
  data: string
  kubeconfig: string
  rampart: (args: readonly string[], options?: RunOptions) => Promise<Run>
  kubectl: (version: KubectlVersion, args: readonly string[], options?: RunOptions) => Promise<Run>
  /** Fails the test with what kubectl 1.32 said when it ends with an error; resolves with what it printed. */
  ok: (...args: string[]) => Promise<string>
  /** Process id of the control plane. */
  pid: () => number
  up: () => Promise<Run>
  stop: () => Promise<void>
}

/** A whole cluster with two machines in a folder of its own: what `sudo ./rampart up` gives a person. */
export async function startLab(upArguments: readonly string[] = []): Promise<TestLab> {
  const directory = mkdtempSync(join(tmpdir(), 'rampart-lab-test-'))
  const data = join(directory, 'data')
  const name = `t${process.pid}-${Math.random().toString(36).slice(2, 6)}`
  const scope = ['--data-dir', data, '--name', name]
  const cli = (args: readonly string[], options?: RunOptions): Promise<Run> =>
    run(rampart, args, { timeoutMs: 120_000, ...options })
  const up = (): Promise<Run> => cli(['up', ...scope, '--port', '0', '--nodes', '2', ...upArguments])
  const stop = async (): Promise<void> => {
    const down = await cli(['down', ...scope])
    if (down.code !== 0) throw new Error(`rampart down failed:\n${down.stderr}`)
    rmSync(directory, { recursive: true })
  }
  const first = await up()
  if (first.code !== 0) {
    await stop()
    throw new Error(`rampart up failed with ${first.code}:\n${first.stderr}`)
  }
  const kubeconfig = join(data, 'kubeconfig')
  const kubectl: TestLab['kubectl'] = (version, args, options) => {
    const program = testProgram(`kubectl-${version}`)
    if (program === undefined) throw new Error(`kubectl ${version} is not there`)
    return run(program, args, { ...options, env: { KUBECONFIG: kubeconfig, HOME: directory, ...options?.env } })
  }
  return {
    name,
    data,
    kubeconfig,
    rampart: (args, options) => {
      const end = args.includes('--') ? args.indexOf('--') : args.length
      return cli([...args.slice(0, end), ...scope, ...args.slice(end)], options)
    },
    kubectl,
    ok: async (...args) => {
      const result = await kubectl('1.32', args)
      if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
      return result.stdout
    },
    pid: () => (JSON.parse(readFileSync(join(data, 'control-plane.json'), 'utf8')) as { pid: number }).pid,
    up,
    stop,
  }
}

/** Looks until there is something to see. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`)
    await sleep(200)
  }
}
