import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { SshError } from './error.ts'
import type { ExecOptions, ExecResult } from './exec.ts'
import { shellCommand } from './shell.ts'

export type UploadOptions = {
  step: string
  /** Absolute; its folder exists. */
  path: string
  mode: number
  /** Of the whole content in hexadecimal; needed for a stream, computed otherwise. */
  sha256?: string
  /** Through sudo, where the user is not root. */
  sudo?: boolean
  timeoutMs: number
}

/** sysexits.h: EX_DATAERR */
const WRONG_HASH = 65

/**
 * A new file beside the target with mode 0600 from its first byte, hashed on the machine, synced, renamed. A cut leaves
 * `cat` with less than the whole, which the hash refuses; what is left behind is removed by the trap.
 */
const SCRIPT = `
set -eu
umask 077
new=$(mktemp "$1.XXXXXX")
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat >"$new"
sum=$(sha256sum <"$new")
if [ "\${sum%% *}" != "$2" ]; then echo "what arrived has the hash \${sum%% *}" >&2; exit ${WRONG_HASH}; fi
chmod "$3" "$new"
sync "$new" 2>/dev/null || sync
mv -f "$new" "$1"
trap - EXIT
`

export async function uploadOver(
  exec: (command: string, options: ExecOptions) => Promise<ExecResult>,
  host: string,
  content: Readable | Uint8Array | string,
  options: UploadOptions,
): Promise<void> {
  const { step, path, mode, sudo = false, timeoutMs } = options
  if (content instanceof Readable && options.sha256 === undefined)
    throw new SshError(host, step, 'the hash of a stream must be known before it is sent')
  const wanted =
    options.sha256 ??
    createHash('sha256')
      .update(content as Uint8Array | string)
      .digest('hex')
  const command = shellCommand(SCRIPT, [path, wanted, mode.toString(8).padStart(4, '0')], sudo)
  const { code, signal, stderr } = await exec(command, { step, stdin: content, timeoutMs })
  if (code === 0) return
  const why = stderr.trim().split('\n').slice(-3).join('; ').slice(0, 500)
  if (code === WRONG_HASH) throw new SshError(host, step, `${path}: ${why}, expected ${wanted}`)
  throw new SshError(host, step, `${path} was not written: ${why || signal || `exit code ${code}`}`)
}
