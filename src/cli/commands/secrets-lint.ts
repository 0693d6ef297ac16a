import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { DocumentReport, LocatedLeak } from '../../features/secrets/lint/document.ts'
import type { FixedDocument } from '../../features/secrets/lint/fix.ts'
import type { Finding } from '../../features/secrets/lint/types.ts'
import type { ConnectionOptions } from '../connection.ts'
import { CliError } from '../error.ts'
import type { ManifestDocument } from '../manifests.ts'
import { type OutputFormat, outputFormat, print, printTable, printValue, say } from '../output.ts'

type LintFlags = ConnectionOptions & {
  cluster?: boolean
  recursive?: boolean
  fix?: boolean
  secretManifests: boolean
  namespace?: string
  output?: string
}

type Fixed = Finding & { secret: { name: string; namespace?: string; key: string; file: string } }

/** What the whole run has found. */
type Result = { findings: Finding[]; suppressed: number; fixed: Fixed[]; unreadable: number }

/** Adds `lint` to the command group `secrets`. */
export function registerSecretsLint(secrets: Command): void {
  secrets
    .command('lint')
    .description('find secrets in plain text in manifests; exit 0 none, 1 found, 2 something could not be read')
    .argument('[paths...]', 'files, folders, or - for standard input')
    .option('--cluster', 'look at the objects of a cluster instead')
    .option('-R, --recursive', 'enter folders within folders')
    .option('--fix', 'move values of variables and arguments into Secrets, in FILE.secrets.yaml beside each file')
    .option('--no-secret-manifests', 'accept Secrets with their values in the manifests')
    .option('-n, --namespace <namespace>', 'only this namespace; with files: of objects that name none')
    .option('-o, --output <format>', 'json, yaml or wide (with replacements)')
    .option('--kubeconfig <file>', 'cluster to connect to')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--name <name>', 'name of a cluster on this machine')
    .option('--data-dir <folder>', 'where that cluster keeps its data')
    .action(async (paths: string[], flags: LintFlags) => secretsLint(paths, flags))
}

/** Sets the exit code: 0 nothing found, 1 found, 2 something could not be read. Throws CliError for wrong usage. */
export async function secretsLint(paths: readonly string[], flags: LintFlags): Promise<void> {
  const format = outputFormat(flags.output)
  checkUsage(paths, flags, format)
  const result: Result = { findings: [], suppressed: 0, fixed: [], unreadable: 0 }
  if (flags.cluster === true) await lintCluster(flags, format, result)
  else await lintFiles(paths, flags, format, result)
  report(result, format, flags.fix === true && paths.includes('-'))
  if (result.unreadable > 0) process.exitCode = 2
  else if (result.findings.length > 0) process.exitCode = 1
}

function checkUsage(paths: readonly string[], flags: LintFlags, format: OutputFormat): void {
  const wrong = (message: string): CliError => new CliError(message, 2)
  if (format === 'name') throw wrong('-o name: findings have no names; json, yaml or wide')
  if (flags.cluster === true && paths.length > 0) throw wrong('files or --cluster, not both')
  if (flags.cluster === true && flags.fix === true)
    throw wrong('--fix edits files: it does not change what is in a cluster')
  if (flags.cluster !== true && paths.length === 0) throw wrong('name files, folders, - or --cluster')
  if (flags.fix === true && paths.includes('-') && (paths.length > 1 || format !== 'table'))
    throw wrong('--fix - prints the fixed manifest: it goes with no other file and no -o')
}

const needsReplacements = (format: OutputFormat): boolean => format !== 'table'

async function lintFiles(
  paths: readonly string[],
  flags: LintFlags,
  format: OutputFormat,
  result: Result,
): Promise<void> {
  const { manifestFiles, readManifestText, splitDocuments, parseDocument } = await import('../manifests.ts')
  const { lintDocument } = await import('../../features/secrets/lint/document.ts')
  const readable = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      say(`rampart: ${error.message}`)
      result.unreadable++
      return undefined
    }
  }
  const lint = (document: ManifestDocument): DocumentReport | undefined => {
    const objects = readable(() => [...parseDocument(document)])
    if (objects === undefined) return undefined
    const report = lintDocument(
      { ...document, objects },
      {
        secretManifests: flags.secretManifests,
        replacements: needsReplacements(format),
        ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
      },
    )
    result.suppressed += report.suppressed.length
    if (report.incomplete) {
      say(`rampart: ${document.file}:${document.line}: too much to look at whole: there may be more`)
      result.unreadable++
    }
    return report
  }
  /** What cannot be read within a folder, such as a link to nothing, hides nothing else. */
  const filesOf = (path: string): string[] => {
    if (path === '-' || statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
      return readable(() => [...manifestFiles([path])]) ?? []
    const entries = readable(() => entriesOf(path)) ?? []
    return entries.flatMap((entry): string[] => {
      const inner = join(path, entry.name)
      // Links to folders are not followed: they may lead back here.
      if (entry.isDirectory()) return flags.recursive === true ? filesOf(inner) : []
      if (!/\.(?:ya?ml|json)$/.test(entry.name)) return []
      const target = statSync(inner, { throwIfNoEntry: false })
      return target === undefined || target.isFile() ? [inner] : []
    })
  }
  for (const path of paths)
    for (const file of filesOf(path)) {
      const text = readable(() => readManifestText(file))
      if (text === undefined) continue
      const reports: [ManifestDocument, DocumentReport][] = []
      for (const document of splitDocuments(file, text)) {
        const found = lint(document)
        if (found === undefined) continue
        if (flags.fix === true && found.found.length > 0) reports.push([document, found])
        else result.findings.push(...found.found.map((located) => located.finding))
      }
      if (flags.fix === true) await fixFile(file, text, reports, result)
    }
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    throw new CliError(`${folder} cannot be read: ${(error as Error).message}`, 2)
  }
}

/** Fixes the documents of one file, and writes it and its Secrets; standard input's go to standard output. */
async function fixFile(
  file: string,
  text: string,
  reports: readonly [ManifestDocument, DocumentReport][],
  result: Result,
): Promise<void> {
  const { fixDocument } = await import('../../features/secrets/lint/fix.ts')
  const files = await import('../../features/secrets/lint/fix-files.ts')
  const { SecretsFile, SecretsFileError } = await import('../../features/secrets/lint/secrets-file.ts')
  const secretsName = file === '-' ? 'standard output' : files.secretsFileOf(file)
  try {
    const secrets = file === '-' ? new SecretsFile('') : files.openSecretsFile(secretsName)
    const fixes = reports.map(([document, found]) => ({ document, fix: fixDocument(found, secrets) }))
    const pieces: string[] = []
    let done = 0
    for (const { document, fix } of fixes) {
      pieces.push(text.slice(done, document.start), fix.text)
      done = document.start + document.text.length
    }
    const fixed = pieces.join('') + text.slice(done)
    if (file === '-') print(secrets.changed ? `${ended(fixed)}---\n${secrets.toString()}` : fixed)
    else if (fixed !== text) files.writeFixed(file, text, fixed, secrets)
    for (const { fix } of fixes) tell(fix, secretsName, result)
    if (secrets.changed && file !== '-')
      say(
        `${secretsName} holds the values in plain text: apply it (kubectl apply --server-side -f), and do not commit it`,
      )
  } catch (error) {
    if (!(error instanceof SecretsFileError)) throw error
    say(`rampart: ${file} is not fixed: ${error.message}`)
    result.findings.push(...reports.flatMap(([, found]) => found.found.map((located) => located.finding)))
  }
}

const ended = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`)

function tell(fix: FixedDocument, secretsName: string, result: Result): void {
  const place = ({ finding }: LocatedLeak): string => `${finding.file}:${finding.line}: ${finding.field}`
  for (const { located, secret, key } of fix.fixed) {
    say(`fixed ${place(located)}: now key ${key} of Secret ${secret.name} (${secretsName})`)
    result.fixed.push({ ...located.finding, secret: { ...secret, key, file: secretsName } })
  }
  for (const { located, why } of fix.refused) {
    say(`left ${place(located)}: ${why}`)
    result.findings.push(located.finding)
  }
}

async function lintCluster(flags: LintFlags, format: OutputFormat, result: Result): Promise<void> {
  const { connect } = await import('../connection.ts')
  const { clusterObjects } = await import('../../features/secrets/lint/cluster-objects.ts')
  const { describe, examineObject } = await import('../../features/secrets/lint/findings.ts')
  const { client } = await connect(flags)
  const unreadable = (what: string, why: string): void => {
    say(`rampart: ${what} cannot be listed: ${why}`)
    result.unreadable++
  }
  for await (const object of clusterObjects(client, flags.namespace, unreadable)) {
    // A cluster is where Secrets belong: only their annotations are looked at.
    const { leaks, suppressed, incomplete } = examineObject(object, { secretManifests: false })
    for (const leak of leaks) result.findings.push(describe(leak, object, { replacements: needsReplacements(format) }))
    result.suppressed += suppressed.length
    if (incomplete) unreadable(`${object.kind} ${object.metadata.name}`, 'it is too large to be looked at whole')
  }
}

function report(result: Result, format: OutputFormat, stdoutIsManifest: boolean): void {
  const { findings, suppressed, fixed } = result
  if (format === 'json' || format === 'yaml') {
    printValue(format, { findings, suppressed, ...(fixed.length > 0 ? { fixed } : {}) })
    return
  }
  const out = stdoutIsManifest ? say : print
  if (findings.length > 0 && stdoutIsManifest) for (const f of findings) out(`${where(f)}: ${f.severity} ${f.message}`)
  else if (findings.length > 0) table(findings, format)
  const notes = [
    findings.length === 1 ? '1 finding' : `${findings.length} findings`,
    ...(fixed.length > 0 ? [`${fixed.length} fixed`] : []),
    ...(suppressed > 0 ? [`${suppressed} suppressed`] : []),
  ]
  const hint =
    findings.length > 0 && format === 'table' && !stdoutIsManifest ? '; -o wide shows what to write instead' : ''
  say(`${notes.join(', ')}${hint}`)
}

function where({ file, line, object }: Finding): string {
  if (file !== undefined) return `${file === '-' ? 'stdin' : file}:${line}`
  return object.namespace === undefined ? '-' : object.namespace
}

function table(findings: readonly Finding[], format: OutputFormat): void {
  const wide = format === 'wide'
  printTable(
    ['WHERE', 'SEVERITY', 'RULE', 'OBJECT', 'FIELD', ...(wide ? ['VALUE', 'WHAT TO DO'] : ['VALUE'])],
    findings.map((f) => [
      where(f),
      f.severity,
      f.rule,
      `${f.object.kind}/${f.object.name}`,
      f.field,
      f.masked,
      ...(wide ? [f.hint] : []),
    ]),
  )
  if (!wide) return
  for (const f of findings)
    if (f.replacement !== undefined)
      print(`\n# ${where(f)} ${f.object.kind}/${f.object.name} ${f.field}\n${f.replacement.yaml}`)
}
