import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
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
  await installPackages(['etcd-server'])
}

/** Services that these packages bring and that this host did not ask for: they are neither started nor enabled. */
const SERVICES: Readonly<Record<string, readonly string[]>> = {
  'openssh-server': ['ssh.service', 'ssh.socket'],
  containerd: ['containerd.service'],
  'etcd-server': ['etcd.service'],
}
const POLICY = '/usr/sbin/policy-rc.d'

/** Installs Debian packages without starting what they bring. Throws CliError where that is not possible. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined)
    throw new CliError(
      `missing here: ${packages.join(', ')} (Debian and Ubuntu: apt-get install ${packages.join(' ')})`,
    )
  await step(`installing ${packages.join(', ')}`, async () => {
    // Debian's own way to say that nothing is to be started (invoke-rc.d(8)); a policy that is there stays.
    const ownPolicy = !existsSync(POLICY)
    if (ownPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    try {
      apt('update', '-qq')
      apt('install', '-y', '-qq', '--no-install-recommends', ...packages)
    } finally {
      if (ownPolicy) rmSync(POLICY, { force: true })
    }
    const services = packages.flatMap((name) => SERVICES[name] ?? [])
    if (services.length > 0 && existsSync('/run/systemd/system'))
      spawnSync('systemctl', ['disable', '--quiet', ...services], { encoding: 'utf8' })
  })
}

function apt(...args: string[]): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stderr } = spawnSync('apt-get', args, { encoding: 'utf8', env: environment })
  if (status !== 0) throw new CliError(`apt-get ${args.join(' ')} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}
