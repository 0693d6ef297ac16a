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

const MAX_WARNING_BYTES = 4096

/** The caller of one HTTP request; the abort signal is made only for those who ask for it. */
export class RequestCaller implements Caller {
  readonly user: UserInfo
  readonly userAgent: string
  readonly warnings: string[] = []
  readonly auditAnnotations: Record<string, string> = {}
  readonly authorizeCreate: () => void | Promise<void>
  #controller: AbortController | undefined
  #warned = 0
  #aborted: Error | undefined

  constructor(user: UserInfo, userAgent: string, authorizeCreate: () => void | Promise<void>) {
    this.user = user
    this.userAgent = userAgent
    this.authorizeCreate = authorizeCreate
  }

  warn = (message: string): void => {
    if (this.warnings.includes(message) || this.#warned + message.length > MAX_WARNING_BYTES) return
    this.#warned += message.length
    this.warnings.push(message)
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
