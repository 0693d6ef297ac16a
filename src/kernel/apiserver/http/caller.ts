import type { UserInfo } from '../../authn/types.ts'
import type { Caller } from '../core.ts'

/** RFC 7234 warning text: quotes and control characters may not break out of the header. */
export function warningHeader(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f]/g, ' ').replace(/["\\]/g, '\\$&')
  return `299 - "${toLatin1(clean)}"`
}

function toLatin1(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

/** What the warnings of one request may be long, and what each may be when they are longer, in characters. */
const MAX_WARNINGS = 4096
const MAX_SHORTENED = 256

const lengthOf = (text: string): number => {
  let length = 0
  for (const _character of text) length++
  return length
}
const shortened = (text: string): string =>
  text.length <= MAX_SHORTENED ? text : [...text].slice(0, MAX_SHORTENED).join('')

/** The caller of one HTTP request; the abort signal is made only for those who ask for it. */
export class RequestCaller implements Caller {
  readonly user: UserInfo
  readonly userAgent: string
  bodyBytes = 0
  warnings: string[] = []
  readonly auditAnnotations: Record<string, string> = {}
  readonly authorizeCreate: () => void | Promise<void>
  #controller: AbortController | undefined
  /** Every text so far, and how long what stands in `warnings` is. */
  #recorded: Set<string> | undefined
  #written = 0
  #shortening = false
  #aborted: Error | undefined

  constructor(user: UserInfo, userAgent: string, authorizeCreate: () => void | Promise<void>) {
    this.user = user
    this.userAgent = userAgent
    this.authorizeCreate = authorizeCreate
  }

  /** Beyond 4,096 characters all warnings are cut to 256 each (k8s.io/apiserver/pkg/endpoints/filters, warning.go). */
  warn = (message: string): void => {
    if (message === '' || (this.#shortening && this.#written >= MAX_WARNINGS)) return
    this.#recorded ??= new Set()
    if (this.#recorded.has(message)) return
    this.#recorded.add(message)
    const text = this.#shortening ? shortened(message) : message
    this.warnings.push(text)
    this.#written += lengthOf(text)
    if (this.#shortening || this.#written <= MAX_WARNINGS) return
    this.#shortening = true
    this.warnings = this.warnings.map(shortened)
    this.#written = this.warnings.reduce((sum, warning) => sum + lengthOf(warning), 0)
  }

  annotateAudit = (key: string, value: string): void => {
    this.auditAnnotations[key] = value
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }

  abort(reason: Error): void {
    this.#aborted = reason
    this.#controller?.abort(reason)
  }
}
