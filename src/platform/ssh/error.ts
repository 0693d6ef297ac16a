/** What went wrong with a machine over SSH: which machine, at which step, and why. Never holds what was sent. */
export class SshError extends Error {
  readonly host: string
  readonly step: string
  /** The connection is gone (or was never made): the same work may go on over a new one. */
  readonly connectionLost: boolean

  constructor(host: string, step: string, reason: string, options: { cause?: unknown; connectionLost?: boolean } = {}) {
    super(`${host}: ${step}: ${reason}`, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'SshError'
    this.host = host
    this.step = step
    this.connectionLost = options.connectionLost ?? false
  }
}
