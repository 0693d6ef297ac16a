import type { Command } from 'commander'
import { registerRbacMore } from './rbac-more.ts'
import { collect, withRbacSource } from './rbac-source.ts'

const OUTPUT = 'json, yaml, wide or name'

/** The commands that analyse roles and bindings, of a cluster or of manifests (-f). */
export function registerRbac(root: Command): void {
  const group = root.command('rbac').description('who may do what, by which rule, and what is dangerous about it')

  withRbacSource(
    group
      .command('who-can')
      .description('who may do something, by which binding, role and rule; exit 1 when nobody may')
      .argument('<verb>', 'get, list, create … or *')
      .argument('<resource>', 'pods, deploy.apps, pods/exec, /healthz …')
      .argument('[object]', 'name of one object')
      .option('-n, --namespace <namespace>', "namespace (default: the context's)")
      .option('-A, --all-namespaces', 'whoever may in any namespace')
      .option('--subresource <name>', 'exec, log, status …')
      .option('--indirect', 'also who can reach it by way of others: tokens, impersonation, escalation')
      .option('-o, --output <format>', OUTPUT),
  ).action(async (verb, resource, object, options) =>
    (await import('./rbac-who-can.ts')).whoCan(verb, resource, object, options),
  )

  withRbacSource(
    group
      .command('can')
      .description('whether a user may do something, by which rule or what is missing; exit 1 when not')
      .argument('<user>', 'ann, system:serviceaccount:NS:NAME or serviceaccount/NS/NAME')
      .argument('[verb]', 'get, list, create … or *')
      .argument('[resource]', 'pods, deploy.apps, pods/exec, /healthz …')
      .argument('[object]', 'name of one object')
      .option('-n, --namespace <namespace>', "namespace (default: the context's)")
      .option('-A, --all-namespaces', 'in all namespaces at once')
      .option('--group <group>', 'a group that the user is in (repeatable)', collect)
      .option('--subresource <name>', 'exec, log, status …')
      .option('--list', 'everything that the user may do in the namespace, with where it comes from')
      .option('-o, --output <format>', OUTPUT),
  ).action(async (user, verb, resource, object, options) =>
    (await import('./rbac-can.ts')).can(user, verb, resource, object, options),
  )

  withRbacSource(
    group
      .command('lint')
      .description('grants that are dangerous, void or misspelt, and chains that end as administrator; exit 1 if any')
      .option('--severity <severity>', 'the least to report: low, medium, high or critical', 'low')
      .option('--rule <id>', 'only this rule (repeatable)', collect)
      .option('--include-system', "also Kubernetes' own roles, bindings and subjects")
      .option('-o, --output <format>', 'json, yaml, wide, name or sarif'),
  ).action(async (options) => (await import('./rbac-lint.ts')).lint(options))

  registerRbacMore(group)
}
