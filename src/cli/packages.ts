import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CliError } from './error.ts'
import { step } from './output.ts'

/** Path of a program on PATH or in the system's folders, if it is there. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders) {
    if (folder === '') continue
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {
      // not in this folder
    }
  }
  return undefined
}

/** etcd is there, or is installed when that is possible (Debian, root). */
export async function requireEtcd(): Promise<void> {
  if (findProgram('etcd') !== undefined) return
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined)
    throw new CliError('--store etcd needs the program etcd (Debian: apt-get install etcd-server)')
  await step('installing etcd-server', async () => {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    for (const args of [
      ['update', '-qq'],
      ['install', '-y', '-qq', '--no-install-recommends', 'etcd-server'],
    ]) {
      const { status, stderr } = spawnSync('apt-get', args, { encoding: 'utf8', env: environment })
      if (status !== 0)
        throw new CliError(`apt-get ${args.join(' ')} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`)
    }
  })
}
