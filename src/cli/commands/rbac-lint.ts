import { refText } from '../../features/rbac/analysis/describe.ts'
import { builtinResources, discoveredResources } from '../../features/rbac/analysis/known-resources.ts'
import { type Finding, SEVERITIES, type Severity } from '../../features/rbac/analysis/lint/finding.ts'
import { lintWorld } from '../../features/rbac/analysis/lint/lint.ts'
import { nearest } from '../../features/rbac/analysis/lint/nearest.ts'
import { LINT_RULES } from '../../features/rbac/analysis/lint/rule-ids.ts'
import { sarif } from '../../features/rbac/analysis/lint/sarif.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printValue, say } from '../output.ts'
import { type RbacSourceOptions, rbacSource } from './rbac-source.ts'

export type LintCommandOptions = RbacSourceOptions & {
  severity?: string
  rule?: string[]
  includeSystem?: boolean
  output?: string
}

/** Exit 0 without findings, 1 with. */
export async function lint(options: LintCommandOptions): Promise<void> {
  const format = options.output === 'sarif' ? 'sarif' : outputFormat(options.output)
  const severity = (options.severity ?? 'low') as Severity
  if (!SEVERITIES.includes(severity))
    throw new CliError(`--severity ${JSON.stringify(severity)} is none of ${SEVERITIES.join(', ')}`, 2)
  for (const rule of options.rule ?? []) checkRule(rule)
  const { world, client } = await rbacSource(options)
  const known = client === undefined ? builtinResources() : await discoveredResources(client)
  const { findings, suppressed } = lintWorld(world, {
    known,
    severity,
    ...(options.rule === undefined ? {} : { rules: options.rule }),
    includeSystem: options.includeSystem === true,
  })
  process.exitCode = findings.length > 0 ? 1 : 0
  if (format === 'sarif') print(JSON.stringify(sarif(findings), null, 2))
  else if (format === 'json' || format === 'yaml') printValue(format, { findings, suppressed })
  else if (findings.length > 0) {
    if (format === 'name') print([...new Set(findings.map((finding) => refText(finding.object)))].join('\n'))
    else print(findings.map((finding) => text(finding, format === 'wide')).join('\n'))
  }
  const counts = SEVERITIES.toReversed().map((s) => `${findings.filter((f) => f.severity === s).length} ${s}`)
  const silent = suppressed === 0 ? '' : `, ${suppressed} suppressed`
  say(
    findings.length === 0
      ? `no findings${silent}`
      : `${findings.length} finding${findings.length === 1 ? '' : 's'}: ${counts.join(', ')}${silent}`,
  )
}

/** A rule that nobody knows finds nothing: in a pipeline a slip of the pen would pass for a clean bill. */
function checkRule(rule: string): void {
  if (LINT_RULES.includes(rule)) return
  const meant = nearest(rule, LINT_RULES)
  const hint = meant === undefined ? `known are ${LINT_RULES.join(', ')}` : `did you mean ${meant}?`
  throw new CliError(`--rule ${JSON.stringify(rule)} is no rule: ${hint}`, 2)
}

function text(finding: Finding, wide: boolean): string {
  const at = finding.at === undefined ? '' : ` (${finding.at})`
  const lines = [
    `${finding.severity.padEnd(8)} ${finding.rule}: ${refText(finding.object)}${at}`,
    `    ${finding.what}`,
  ]
  if (finding.chain === undefined) lines.push(`    attack: ${finding.attack}`)
  for (const [i, { subject, may, so, by }] of (finding.chain ?? []).entries()) {
    lines.push(`    ${i + 1}. ${subject} may ${may}: ${so}`)
    for (const { binding, role, rule } of by)
      lines.push(`       ${binding === undefined ? '' : `${refText(binding)}, `}${refText(role)}: ${rule}`)
  }
  lines.push(`    fix: ${finding.fix}`)
  if (wide && finding.rules !== undefined) lines.push(`    rules: ${finding.rules.join(', ')}`)
  return lines.join('\n')
}
