import type { Command } from 'commander'
import { collect, withRbacSource } from './rbac-source.ts'

/** Adds `graph`, `generate` and `diff` to the group `rbac`. */
export function registerRbacMore(rbac: Command): void {
  withRbacSource(rbac.command('graph').description('who is bound to what: subjects, bindings, roles, rules, pods'))
    .option('-n, --namespace <namespace>', 'only what belongs to this namespace, reaches it or is reached from it')
    .option(
      '--subject <subject>',
      'only what it reaches: user:NAME, group:NAME, sa:NAMESPACE/NAME (repeatable)',
      collect,
    )
    .option('--role <role>', 'only what it grants, and to whom: NAME or NAMESPACE/NAME (repeatable)', collect)
    .option('-o, --output <format>', 'dot (Graphviz) or json', 'dot')
    .action(async (flags) => (await import('./rbac-graph.ts')).rbacGraph(flags))

  rbac
    .command('generate')
    .description('the roles that those who appear in an audit log need, and no more')
    .requiredOption(
      '--from-audit <log>',
      'audit log: file (with those rotated from it), folder or - (repeatable)',
      collect,
    )
    .option('--no-rotated', 'only the files given, not those rotated away from them')
    .option('--user <name>', 'for this user (repeatable)', collect)
    .option('--service-account <ns/name>', 'for this service account (repeatable)', collect)
    .option('--group <name>', 'for this group, from what its members did (repeatable)', collect)
    .option('--since <time>', 'only requests since then: 24h, 7d or 2026-11-01T00:00:00Z')
    .option('--include-denied', 'grant also what was asked for and refused')
    .option('--without-defaults', 'leave out what the default roles give to everybody who is authenticated')
    .option('--name <name>', 'of the roles and bindings (several subjects: how the names begin)')
    .option(
      '--names <mode>',
      'limit rules to object names: auto (few names, none made by machines), always, never',
      'auto',
    )
    .option('--max-names <count>', 'most names that auto lists', '10')
    .option('--min-count <count>', 'leave out what was used less often', '1')
    .option(
      '--min-namespaces <count>',
      'cluster-wide what was done in all namespaces of the log, if that many; 0: never',
      '5',
    )
    .option('-o, --output <format>', 'yaml or json', 'yaml')
    .action(async (flags) => (await import('./rbac-generate.ts')).rbacGenerate(flags))

  rbac
    .command('diff')
    .description('who gains and loses what between two sets of roles and bindings; exit 1 when anybody does')
    .argument('<old>', 'manifest file or folder, -, live, or context:NAME')
    .argument('<new>', 'the same')
    .option('--overlay', 'NEW is applied on top of OLD, as kubectl apply does, and does not replace it')
    .option('-R, --recursive', 'enter folders within folders')
    .option('--no-defaults', 'do not add the default roles and bindings of Kubernetes to manifests')
    .option('--kubeconfig <file>', 'kubeconfig of live and context:NAME')
    .option('--context <context>', 'context of live')
    .option('--name <name>', "name of this machine's cluster, for live")
    .option('--data-dir <folder>', 'where that cluster keeps its data')
    .option('-o, --output <format>', 'json or yaml')
    .action(async (old, now, flags) => (await import('./rbac-diff.ts')).rbacDiff(old, now, flags))
}
