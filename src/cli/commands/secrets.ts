import type { Command } from 'commander'
import type { KeyUsage, KnownKey } from '../../features/secrets/index.ts'
import { registerSecretsLint } from './secrets-lint.ts'

export type SecretsStatus = {
  keys: KnownKey[]
  /** Why files that were changed are not in force. */
  troubles: string[]
  usage: KeyUsage[]
  unreadable: { key: string; error: string }[]
  unreadableCount: number
}

/** Adds the group `secrets`. */
export function registerSecrets(root: Command): void {
  const secrets = root.command('secrets').description('encryption at rest, and plain-text secrets in manifests')
  const own = (command: Command): Command =>
    command
      .option('--name <name>', 'name of the cluster (default "default")')
      .option('--data-dir <folder>', 'where the cluster keeps its data')
  own(
    secrets
      .command('status')
      .description('which key protects how many objects of which kind; exit 1 if any cannot be read'),
  )
    .option('-o, --output <format>', 'json, yaml or wide')
    .action(async (options) => (await import('./secrets-at-rest.ts')).status(options))
  own(secrets.command('rotate').description('rewrite what older keys protect; resumes what was interrupted'))
    .option('--kek', 'first make a new key-encryption key (and a new data key) in the local key file')
    .option('--dek', 'first make new data keys')
    .action(async (options) => (await import('./secrets-at-rest.ts')).rotate(options))
  own(secrets.command('verify').description('decrypt everything; exit 1 and names if anything cannot be read'))
    .option('-o, --output <format>', 'json or yaml')
    .action(async (options) => (await import('./secrets-at-rest.ts')).verify(options))
  own(secrets.command('forget-keys').description('remove keys from the local key file that no object needs any more'))
    .argument('[key...]', 'ids of keys (default: all but the one that writes)')
    .action(async (keys, options) => (await import('./secrets-at-rest.ts')).forget(keys, options))
  own(secrets.command('discard').description('delete stored objects that cannot be read any more; never one that can'))
    .argument('<key...>', 'storage keys as "verify" names them, e.g. /registry/core/secrets/shop/db')
    .action(async (keys, options) => (await import('./secrets-at-rest.ts')).discard(keys, options))
  registerSecretsLint(secrets)
}
