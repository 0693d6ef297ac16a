import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { type MachineRecord, readRecord } from '../features/nodes/join.ts'
import type { Client } from '../kernel/client/client.ts'
import { connectSsh, readHostKey, type SshConnection } from '../platform/ssh/connection.ts'
import { type Dial, dialInNamespace } from '../platform/ssh/dial.ts'
import { fingerprint, type HostKeyCheck, pinnedFingerprint, pinnedKey } from '../platform/ssh/host-key.ts'
import { readIdentity, type SshIdentity } from '../platform/ssh/identity.ts'
import { knownHosts } from '../platform/ssh/known-hosts.ts'
import { formatSshTarget, type SshTarget } from '../platform/ssh/target.ts'
import { CliError } from './error.ts'
import { say } from './output.ts'

/** The key of a file, or the SSH agent. Throws CliError when there is neither. */
export async function sshIdentity(file: string | undefined): Promise<SshIdentity> {
  if (file !== undefined)
    return await readIdentity(file, process.stdin.isTTY ? askHidden : undefined).catch((error: Error) => {
      throw new CliError(error.message, 2)
    })
  const agentSocket = process.env['SSH_AUTH_SOCK']
  if (!agentSocket) throw new CliError('no --identity, and no SSH agent runs (SSH_AUTH_SOCK)', 2)
  return { agentSocket }
}

/** By fingerprint, known_hosts file, or a person who compares what is shown; never blindly. */
export async function hostKeyCheck(
  target: SshTarget,
  { hostKey, knownHosts: file }: { hostKey?: string; knownHosts?: string },
): Promise<HostKeyCheck> {
  try {
    if (hostKey !== undefined) return pinnedFingerprint(hostKey)
    if (file !== undefined) return knownHosts(readFileSync(file, 'utf8'), file, target)
  } catch (error) {
    throw new CliError((error as Error).message, 2)
  }
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new CliError('name the host key: --host-key SHA256:… or --known-hosts FILE', 2)
  const key = await readHostKey(target)
  say(`${formatSshTarget(target)} shows the ${key.type} key ${fingerprint(key.blob)}`)
  say('Compare it with what the machine itself or its provider says.')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question('Is it the same? Type yes to go on: ')
  terminal.close()
  if (answer.trim() !== 'yes') throw new CliError('the host key was not accepted; nothing was done', 1)
  return pinnedKey(key)
}

async function askHidden(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: true })
  const written = terminal as unknown as { _writeToOutput: (text: string) => void }
  process.stderr.write(question)
  written._writeToOutput = () => {} // what is typed is not shown
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}

export async function machineRecord(client: Client, nodeName: string): Promise<MachineRecord> {
  const record = await readRecord(client, nodeName)
  if (record === undefined)
    throw new CliError(`it is not known how ${nodeName} is reached: it did not join by "rampart node add"`, 1)
  return record
}

export function dialFor(record: MachineRecord): Dial | undefined {
  const { networkNamespace } = record
  if (networkNamespace === undefined) return undefined
  if (!existsSync(networkNamespace))
    throw new CliError(`the network of ${record.nodeName} is not there: "rampart up" first`)
  return dialInNamespace(networkNamespace)
}

/** Connects to a machine that has joined, with the host key that it had then. */
export function connectMachine(record: MachineRecord, identity: SshIdentity): Promise<SshConnection> {
  const dial = dialFor(record)
  return connectSsh({
    target: record.ssh,
    identity,
    hostKey: pinnedKey(record.hostKey),
    ...(dial === undefined ? {} : { dial }),
  })
}
