import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printValue, say } from '../output.ts'
import type { ClusterOptions } from './tls-links.ts'

export async function renew(names: string[], options: ClusterOptions & { all?: true }): Promise<void> {
  const format = outputFormat(options.output)
  if (names.length === 0 && options.all !== true)
    throw new CliError('name certificates as "rampart tls list" does, or give --all', 2)
  const node = names.find((name) => /^(node|user|ca)\//.test(name))
  if (node !== undefined) throw new CliError(`${node}: ${elsewhere(node)}`, 2)
  const paths = clusterPaths(options)
  const given = names.map((name) => name.replace(/^control-plane\//, ''))
  const wanted = options.all === true ? await ownNames(paths) : given
  const answer = await askControlPlane(paths, {
    command: 'tls-renew',
    names: wanted,
    machines: options.all === true,
  })
  const issued = answer['issued'] as string[]
  if (format === 'json' || format === 'yaml') return printValue(format, { issued, machines: options.all === true })
  print(
    issued.map((name) => (format === 'name' ? `control-plane/${name}` : `renewed control-plane/${name}`)).join('\n'),
  )
  if (options.all === true) say('machines renew theirs within a minute: rampart tls list')
}

function elsewhere(name: string): string {
  if (name.startsWith('node/')) return "a machine's key never leaves it: --all makes every machine renew its own"
  if (name.startsWith('user/')) return 'users ask by a CertificateSigningRequest'
  return 'authorities are replaced by "rampart tls rotate-ca"'
}

async function ownNames(paths: ReturnType<typeof clusterPaths>): Promise<string[]> {
  const answer = await askControlPlane(paths, { command: 'tls-list' })
  const all = answer['certificates'] as { name: string; state: string }[]
  const own = all.filter(({ name, state }) => name.startsWith('control-plane/') && state !== 'replaced')
  return [...new Set(own.map(({ name }) => name.slice('control-plane/'.length)))]
}

type Revoked = { serial: string; commonName: string; signerName: string }

/** Exit 1 when nothing was found to revoke. */
export async function revoke(
  serial: string | undefined,
  options: ClusterOptions & { node?: string; user?: string },
): Promise<void> {
  const format = outputFormat(options.output)
  const { node, user } = options
  if ([serial, node, user].filter((given) => given !== undefined).length !== 1)
    throw new CliError('give one of SERIAL, --node and --user', 2)
  if (serial !== undefined && !/^([0-9a-f]{2}:?)*[0-9a-f]{1,2}$/i.test(serial))
    throw new CliError(`${JSON.stringify(serial)} is not a serial number: hexadecimal digits`, 2)
  const answer = await askControlPlane(clusterPaths(options), {
    command: 'tls-revoke',
    ...(serial === undefined ? {} : { serial }),
    ...(node === undefined ? {} : { node }),
    ...(user === undefined ? {} : { user }),
  })
  const revoked = answer['revoked'] as Revoked[]
  if (revoked.length === 0) process.exitCode = 1
  if (format === 'json' || format === 'yaml') return printValue(format, answer)
  if (format === 'name') return print(revoked.map((r) => r.serial).join('\n'))
  if (revoked.length === 0) return say('there is no such certificate that still counts')
  for (const { serial: number, commonName } of revoked)
    print(`revoked ${number}${commonName === '' ? ' (issued by nobody that is known here)' : ` of ${commonName}`}`)
  for (const name of answer['issued'] as string[]) print(`renewed control-plane/${name}`)
}
