import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostKeyLine } from '../../platform/ssh/host-key.ts'
import { knownHostsName } from '../../platform/ssh/target.ts'
import { adminClient } from '../admin.ts'
import { clusterPaths } from '../cluster.ts'
import { CliError } from '../error.ts'
import { dialFor, machineRecord } from '../machine-ssh.ts'
import { findProgram } from '../packages.ts'

/** Runs the system's ssh, which knows terminals best, with the host key of the machine's join and no other. */
export async function ssh(
  nodeName: string,
  command: string[],
  options: { name?: string; dataDir?: string },
): Promise<void> {
  const { client } = await adminClient(clusterPaths(options))
  const record = await machineRecord(client, nodeName)
  dialFor(record) // says what is wrong when a lab's network is down
  const program = findProgram('ssh')
  if (program === undefined) throw new CliError('the program ssh is not there (Debian: openssh-client)')
  const folder = mkdtempSync(join(tmpdir(), 'rampart-ssh-'))
  try {
    const file = join(folder, 'known_hosts')
    writeFileSync(file, `${knownHostsName(record.ssh)} ${hostKeyLine(record.hostKey)}\n`, { mode: 0o600 })
    const { user, host, port } = record.ssh
    const args = [
      ...[
        '-o',
        `UserKnownHostsFile=${file}`,
        '-o',
        'GlobalKnownHostsFile=/dev/null',
        '-o',
        'StrictHostKeyChecking=yes',
      ],
      ...['-o', `HostKeyAlgorithms=${record.hostKey.type}`, '-p', String(port)],
      ...(record.identityFile === undefined ? [] : ['-i', record.identityFile, '-o', 'IdentitiesOnly=yes']),
      ...[`${user}@${host}`, ...(command.length > 0 ? ['--', ...command] : [])],
    ]
    const { networkNamespace } = record
    const [run, ...rest] =
      networkNamespace === undefined
        ? [program, ...args]
        : ['nsenter', `--net=${networkNamespace}`, '--', program, ...args]
    const code = await new Promise<number>((resolve, reject) => {
      const child = spawn(run!, rest, { stdio: 'inherit' })
      child.once('error', reject)
      child.once('close', (status) => resolve(status ?? 255))
    })
    process.exitCode = code
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
