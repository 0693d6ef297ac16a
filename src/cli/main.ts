import { Command, CommanderError } from 'commander'
import { registerImage } from './commands/image.ts'
import { registerKms } from './commands/kms.ts'
import { registerNode } from './commands/node.ts'
import { registerRbac } from './commands/rbac.ts'
import { registerSecrets } from './commands/secrets.ts'
import { registerTls } from './commands/tls.ts'
import { CliError } from './error.ts'
import { say } from './output.ts'

/** Commands load their code only when they run: start-up stays short. */
function program(): Command {
  const root = new Command('rampart')
    .description('Secure Kubernetes clusters on machines you own.')
    .exitOverride()
    .showHelpAfterError('(add --help for what can be given)')
    .configureHelp({ sortSubcommands: false })

  root
    .command('up')
    .description('start the control plane of a cluster; does nothing when it runs already')
    .option('--config <file>', 'YAML file with the same settings, names in camel case')
    .option('--name <name>', 'name of the cluster (default "default")')
    .option('--data-dir <folder>', 'where the cluster keeps its data (default /var/lib/rampart/NAME for root)')
    .option('--port <port>', 'port of the API server, 0 for any free one (default 6443)')
    .option('--bind-address <address>', 'address to listen on (default 127.0.0.1)')
    .option('--store <store>', 'lmdb (embedded) or etcd (default lmdb)')
    .option('--etcd-endpoints <urls>', 'comma-separated https:// endpoints of an etcd of yours')
    .option('--etcd-ca <file>', 'CA of that etcd')
    .option('--etcd-cert <file>', 'client certificate for that etcd')
    .option('--etcd-key <file>', 'its key')
    .option(
      '--nodes <count>',
      'machines to create on this host; 0: the control plane alone (default 2 for root, else 0)',
    )
    .option('--audit-policy <file>', 'audit.k8s.io/v1 Policy')
    .option('--admission-control-config-file <file>', 'AdmissionConfiguration, or PodSecurityConfiguration alone')
    .option('--encryption-provider-config <file>', 'EncryptionConfiguration (default: Secrets, with a local key file)')
    .option('--encryption-key-file <file>', 'local key file (default: encryption/keys.json in the data folder)')
    .option('--oidc-issuer-url <url>', 'OpenID Connect issuer whose ID tokens sign users in')
    .option('--oidc-client-id <id>', 'audience that the tokens must be for')
    .option('--oidc-ca-file <file>', "CA of the issuer (default: the system's)")
    .option('--oidc-username-claim <claim>', 'claim that is the user name (default sub)')
    .option('--oidc-username-prefix <prefix>', 'before user names; "-" for none')
    .option('--oidc-groups-claim <claim>', 'claim that holds the groups')
    .option('--oidc-groups-prefix <prefix>', 'before groups')
    .option('--oidc-required-claim <claims>', 'comma-separated CLAIM=VALUE that tokens must have')
    .option('--oidc-signing-algs <algorithms>', 'comma-separated, asymmetric ones only (default RS256)')
    .option('--api-server-names <names>', "comma-separated further names and addresses in the server's certificate")
    .action(async (options) => (await import('./commands/up.ts')).up(options))

  withCluster(root.command('down').description('stop the control plane; its data stays'))
    .option('--delete-data', 'also delete all data of the cluster')
    .action(async (options) => (await import('./commands/down.ts')).down(options))
  withCluster(root.command('status').description('what runs, where, since when, until when certificates are valid'))
    .option('-o, --output <format>', 'json, yaml, wide or name')
    .action(async (options) => (await import('./commands/status.ts')).status(options))
  withCluster(root.command('logs').description("the control plane's log"))
    .option('-f, --follow', 'go on as lines come')
    .option('--tail <lines>', 'only the last lines (default 100, -1 for all)')
    .action(async (options) => (await import('./commands/logs.ts')).logs(options))
  withCluster(root.command('doctor').description('what is missing, wrong or about to expire; exit 1 if anything is'))
    .option('-o, --output <format>', 'json or yaml')
    .action(async (options) => (await import('./commands/doctor.ts')).doctor(options))
  withCluster(root.command('kubeconfig').description("path of the administrator's kubeconfig")).action(
    async (options) => (await import('./commands/kubeconfig.ts')).kubeconfig(options),
  )
  withCluster(root.command('backup').description('write a consistent copy of the store while it is in use'))
    .argument('<file>', 'file to write; must not exist')
    .action(async (file, options) => (await import('./commands/backup.ts')).backup(file, options))
  withCluster(
    root.command('restore').description('put a backup in place of an empty store; the control plane must be down'),
  )
    .argument('<file>', 'file that backup wrote')
    .action(async (file, options) => (await import('./commands/backup.ts')).restore(file, options))
  const plane = root.command('control-plane').description('what several control planes on one etcd share')
  withCluster(
    plane.command('export').description('write authorities and keys for a further control plane (private keys!)'),
  )
    .argument('<file>', 'file to write; must not exist')
    .action(async (file, options) => (await import('./commands/control-plane.ts')).exportSharedTrust(file, options))
  withCluster(
    plane.command('import').description('take over what export wrote: before the first up, or after a rotation'),
  )
    .argument('<file>', 'file that export wrote')
    .action(async (file, options) => (await import('./commands/control-plane.ts')).importSharedTrust(file, options))
  withCluster(
    plane
      .command('rotate-service-account-key')
      .description('sign service-account tokens with a new key; old ones verify on'),
  )
    .option('--prepare', 'only make the next key: it verifies at once and signs after a rotation without this flag')
    .action(async (options) => (await import('./commands/control-plane.ts')).rotateServiceAccountKey(options))
  withCluster(plane.command('retire-service-account-keys').description('refuse tokens that older keys have signed'))
    .option('--keep <count>', 'how many of the newest keys go on verifying (default 1)')
    .action(async (options) => (await import('./commands/control-plane.ts')).retireServiceAccountKeys(options))
  withCluster(root.command('version').description('versions of the program and of the running server'))
    .option('-o, --output <format>', 'json or yaml')
    .action(async (options) => (await import('./commands/version.ts')).version(options))
  registerSecrets(root)
  registerRbac(root)
  registerNode(root)
  registerTls(root)
  registerImage(root)
  registerKms(root)
  root
    .command('completion')
    .description('shell completion: eval "$(rampart completion bash)"')
    .argument('<shell>', 'bash or zsh')
    .action(async (shell) => (await import('./commands/completion.ts')).completion(shell, root))
  return root
}

function withCluster(command: Command): Command {
  return command
    .option('--name <name>', 'name of the cluster (default "default")')
    .option('--data-dir <folder>', 'where the cluster keeps its data')
}

/** Errors by which a cluster, or the way to it, says what is wrong: their messages are for people. */
const SPOKEN: ReadonlySet<string> = new Set(['ApiError', 'KubeconfigError', 'UnreachableError'])

async function main(): Promise<void> {
  // Who reads our output may have read enough (`| head`): that is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
  try {
    await program().parseAsync(process.argv)
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2
      return
    }
    if (error instanceof Error && SPOKEN.has(error.name)) {
      say(`rampart: ${error.message}`)
      process.exitCode = 3
      return
    }
    if (error instanceof CliError) {
      say(`rampart: ${error.message}`)
      process.exitCode = error.exitCode
      return
    }
    throw error
  }
}

await main()
