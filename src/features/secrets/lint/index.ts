export { LINT_LABEL, lintAdmission } from './admission.ts'
export { type DocumentReport, type LintDocument, type LintOptions, lintDocument } from './document.ts'
export { describe, examineObject, IGNORE_ANNOTATION } from './findings.ts'
export type { Finding, Severity } from './types.ts'
