import { permissionsOf } from '../../features/rbac/diff/permission.ts'
import { PermissionSet } from '../../features/rbac/diff/permission-set.ts'
import { generatedList, generatedYaml } from '../../features/rbac/generate/document.ts'
import type { NamesMode } from '../../features/rbac/generate/names.ts'
import { wrongRoleName } from '../../features/rbac/generate/role-name.ts'
import { roleWriterRemarks } from '../../features/rbac/generate/role-writers.ts'
import { generateRoles } from '../../features/rbac/generate/roles.ts'
import { Usage, UsageLimitError, type UsageSummary } from '../../features/rbac/generate/usage.ts'
import { bootstrapPolicy } from '../../features/rbac/index.ts'
import { splitServiceAccountName } from '../../kernel/authn/service-account-name.ts'
import { CliError } from '../error.ts'
import { print, printValue, say } from '../output.ts'
import { auditLogFiles, readAuditLog } from './rbac-audit-log.ts'

export type GenerateFlags = {
  fromAudit: string[]
  rotated: boolean
  user?: string[]
  serviceAccount?: string[]
  group?: string[]
  since?: string
  includeDenied?: boolean
  withoutDefaults?: boolean
  name?: string
  names: string
  maxNames: string
  minCount: string
  minNamespaces: string
  output: string
}

/** Broken lines told one by one; the others are counted. */
const SHOWN_BROKEN = 10

/** Exit 0 with roles on stdout, 1 when the log shows nothing of those asked for. */
export async function rbacGenerate(flags: GenerateFlags): Promise<void> {
  const names = namesMode(flags.names)
  const format = flags.output
  if (format !== 'yaml' && format !== 'json') throw new CliError(`-o ${JSON.stringify(format)}: yaml or json`, 2)
  const wrong = flags.name === undefined ? undefined : wrongRoleName(flags.name)
  if (wrong !== undefined) throw new CliError(`--name: ${wrong}`, 2)
  const numbers = {
    maxNames: wholeNumber('--max-names', flags.maxNames),
    minCount: wholeNumber('--min-count', flags.minCount),
    minNamespaces: wholeNumber('--min-namespaces', flags.minNamespaces),
  }
  const usage = new Usage({
    includeDenied: flags.includeDenied === true,
    since: flags.since === undefined ? undefined : sinceTime(flags.since, Date.now()),
    wanted: {
      users: flags.user ?? [],
      serviceAccounts: (flags.serviceAccount ?? []).map(serviceAccount),
      groups: flags.group ?? [],
    },
  })
  await readAll(usage, auditLogFiles(flags.fromAudit, flags.rotated))
  const generated = generateRoles(usage, {
    name: flags.name,
    names,
    ...numbers,
    ...(flags.withoutDefaults ? { heldAnyway: heldByEverybody() } : {}),
  })
  const summary = usage.summary()
  for (const remark of [...remarks(summary), ...roleWriterRemarks(generated)]) say(remark)
  if (generated.roles.length === 0) {
    process.exitCode = 1
    say('the log shows nothing that those asked for would need a role for')
    return
  }
  if (format === 'json') printValue('json', generatedList(generated))
  else print(generatedYaml(generated, summary))
}

async function readAll(usage: Usage, files: readonly string[]): Promise<void> {
  let broken = 0
  for (const file of files) {
    const where = file === '-' ? 'standard input' : file
    const tell = (line: number, what: string): void => {
      if (++broken <= SHOWN_BROKEN) say(`${where}:${line}: left out: ${what}`)
    }
    try {
      await readAuditLog(file, {
        event: (value, line) => {
          const what = usage.add(value)
          if (what !== undefined) tell(line, what)
        },
        broken: tell,
      })
    } catch (error) {
      throw error instanceof UsageLimitError ? new CliError(error.message) : error
    }
  }
  if (broken > SHOWN_BROKEN) say(`left out: ${broken - SHOWN_BROKEN} further broken lines`)
}

function remarks(summary: UsageSummary): string[] {
  const out: string[] = []
  const { ignored } = summary
  if (ignored['not authorized'])
    out.push(`${ignored['not authorized']} refused requests are left out (--include-denied takes them)`)
  if (ignored['undecided'])
    out.push(`${ignored['undecided']} events do not say whether they were authorized, and are left out`)
  if (ignored['wildcard in the request'])
    out.push(
      `${ignored['wildcard in the request']} requests with a "*" in them are left out: as rules they would allow more`,
    )
  if (ignored['refused impersonation'])
    out.push(`${ignored['refused impersonation']} refused impersonations are left out`)
  if (summary.systemUsers.length > 0)
    out.push(`system users are left out unless asked for by --user: ${summary.systemUsers.slice(0, 20).join(', ')}`)
  return out
}

/** What the default roles give to everybody who is authenticated. */
function heldByEverybody(): PermissionSet {
  const { clusterRoles, clusterRoleBindings } = bootstrapPolicy()
  const names = clusterRoleBindings
    .filter((b) => b['subjects'].some((s: { name: string }) => s.name === 'system:authenticated'))
    .map((b) => b['roleRef'].name as string)
  return new PermissionSet(
    clusterRoles.filter((r) => names.includes(r.metadata.name!)).flatMap((r) => permissionsOf(r['rules'], 'cluster')),
  )
}

function namesMode(value: string): NamesMode {
  if (value === 'auto' || value === 'always' || value === 'never') return value
  throw new CliError(`--names ${JSON.stringify(value)}: auto, always or never`, 2)
}

function wholeNumber(flag: string, value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new CliError(`${flag} ${JSON.stringify(value)} is not a whole number`, 2)
  return Number(value)
}

function serviceAccount(value: string): string {
  const [namespace = '', name = '', ...more] = value.split('/')
  if (more.length > 0 || splitServiceAccountName(`system:serviceaccount:${namespace}:${name}`) === undefined)
    throw new CliError(`--service-account ${JSON.stringify(value)} is not NAMESPACE/NAME`, 2)
  return value
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** `90m`, `24h`, `7d`, `2w` before now, or a point in time as RFC 3339 writes it. */
function sinceTime(value: string, now: number): number {
  const span = /^(\d{1,6})([smhdw])$/.exec(value)
  if (span !== null) return now - Number(span[1]) * UNIT_MS[span[2]!]!
  const at = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(at))
    throw new CliError(`--since ${JSON.stringify(value)}: a span (24h, 7d) or a time (2026-11-01T00:00:00Z)`, 2)
  return at
}
