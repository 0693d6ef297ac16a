/** An error that the user can act on: printed without a stack. Exit codes: 1 no, denied, differences; 2 usage; 3 failure. */
export class CliError extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number = 3) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}
