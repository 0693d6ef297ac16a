/** One word for a POSIX shell, whatever it holds. */
export function shellQuote(word: string): string {
  if (word.includes('\0')) throw new Error('a shell word cannot hold a NUL')
  return /^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** `sh -c SCRIPT sh ARG…`, as root by `sudo -n` where the SSH user is not root. */
export function shellCommand(script: string, args: readonly string[] = [], sudo: boolean = false): string {
  const words = [...(sudo ? ['sudo', '-n', '--'] : []), '/bin/sh', '-c', script, 'sh', ...args]
  return words.map(shellQuote).join(' ')
}
