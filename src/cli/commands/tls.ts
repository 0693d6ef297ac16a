import type { Command } from 'commander'

/** Adds the group `tls`. */
export function registerTls(root: Command): void {
  const tls = root
    .command('tls')
    .description('certificates of the cluster: links, expiry, renewal, revocation, rotation')
  const own = (command: Command): Command =>
    command
      .option('--name <name>', 'name of the cluster (default "default")')
      .option('--data-dir <folder>', 'where the cluster keeps its data')
  own(
    tls
      .command('links')
      .description('every link with both identities, proved by live probes; exit 1 if any answers wrongly'),
  )
    .option('-o, --output <format>', 'json, yaml or wide')
    .action(async (options) => (await import('./tls-links.ts')).links(options))
  own(tls.command('list').description('every certificate: whose, of which authority, until when'))
    .option('-a, --all', 'also those that have expired, were revoked or replaced')
    .option('-o, --output <format>', 'json, yaml, wide or name')
    .action(async (options) => (await import('./tls-list.ts')).list(options))
  own(tls.command('renew').description('issue certificates anew at once; nothing is interrupted'))
    .argument('[name...]', 'of the control plane, as "tls list" names them: control-plane/api-server or api-server')
    .option('--all', 'all of the control plane, and every machine renews its own')
    .option('-o, --output <format>', 'json, yaml or name')
    .action(async (names, options) => (await import('./tls-change.ts')).renew(names, options))
  own(tls.command('revoke').description('end a certificate; effective within a second, on open connections too'))
    .argument('[serial]', 'serial number, hexadecimal')
    .option('--node <node>', 'all certificates of a machine, and its bootstrap tokens')
    .option('--user <user>', 'all certificates for this common name')
    .option('-o, --output <format>', 'json, yaml or name')
    .action(async (serial, options) => (await import('./tls-change.ts')).revoke(serial, options))
  own(
    tls
      .command('rotate-ca')
      .description(
        'replace root and intermediates: trust both, sign with the new, retire the old; exit 1 if it must wait',
      ),
  )
    .option('--phase <phase>', 'only this step: trust, sign or retire (default: as far as it can go)')
    .option('--status', 'only say how far it is and what it waits for')
    .option('--wait <seconds>', 'how long to wait for machines before a step', '120')
    .option('-o, --output <format>', 'json or yaml')
    .action(async (options) => (await import('./tls-rotate.ts')).rotateCa(options))
}
