import type { KubeObject } from '../../../kernel/api/object.ts'
import { describe, examineObject } from './findings.ts'
import type { InspectOptions } from './inspect.ts'
import { Source } from './source.ts'
import type { FieldPath, Finding, Leak } from './types.ts'

/** One YAML or JSON document of a manifest, decoded. */
export type LintDocument = {
  file: string
  /** 1-based line of the file at which the text begins. */
  line: number
  text: string
  objects: readonly LintObject[]
}

/** An object and its path in its document: [] or `['items', 3]`. */
export type LintObject = { object: KubeObject; path: FieldPath }

export type LocatedLeak = { leak: Leak; target: LintObject; finding: Finding }

export type DocumentReport = {
  /** The document as it was given. */
  text: string
  found: LocatedLeak[]
  suppressed: LocatedLeak[]
  /** Something in it was too large to be looked at whole. */
  incomplete: boolean
  /** There when something was found. */
  source: Source | undefined
}

export type LintOptions = InspectOptions & {
  /** For objects that name none. */
  namespace?: string
  /** Leave the replacements out of the findings. */
  replacements?: boolean
}

/** `# rampart:ignore` or `# rampart:ignore rule,rule` at the end of the value's line, or of its key's. */
const IGNORE_COMMENT = /(?:#|\/\/|;)[ \t]*rampart:ignore(?:[ \t]+([A-Za-z0-9*,-]+))?[ \t\r]*$/

/** The leaks of a document with their lines. The text is parsed for positions only when there is something to place. */
export function lintDocument(document: LintDocument, options: LintOptions = {}): DocumentReport {
  const report: DocumentReport = {
    text: document.text,
    found: [],
    suppressed: [],
    incomplete: false,
    source: undefined,
  }
  for (const target of document.objects) {
    const { leaks, suppressed, incomplete } = examineObject(target.object, options)
    report.incomplete ||= incomplete
    if (leaks.length === 0 && suppressed.length === 0) continue
    const source = (report.source ??= new Source(document.text))
    const locate = (leak: Leak): LocatedLeak & { ignored: boolean } => {
      // The text of this rule's leak is not what stands in the file.
      const offset = leak.rule === 'last-applied-configuration' ? 0 : leak.start
      const { line, head } = source.linesOf([...target.path, ...leak.path], offset)
      const { namespace, replacements } = options
      const finding = describe(leak, target.object, {
        file: document.file,
        line: document.line + line,
        ...(namespace === undefined ? {} : { namespace }),
        ...(replacements === undefined ? {} : { replacements }),
      })
      const ignored = isIgnored(source.lineText(line), leak.rule) || isIgnored(source.lineText(head), leak.rule)
      return { leak, target, finding, ignored }
    }
    for (const leak of leaks) {
      const { ignored, ...located } = locate(leak)
      if (ignored) report.suppressed.push(located)
      else report.found.push(located)
    }
    for (const leak of suppressed) report.suppressed.push(locate(leak))
  }
  return report
}

function isIgnored(line: string, rule: string): boolean {
  const match = IGNORE_COMMENT.exec(line.slice(-300))
  if (match === null) return false
  return match[1] === undefined || match[1].split(',').some((r) => r === rule || r === '*')
}
