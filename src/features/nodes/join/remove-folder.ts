import type { Machine } from './machine.ts'

/** Unmounts what is mounted below (volumes of pods), then removes the folder; never across a mount that stays. */
const SCRIPT = `
set -e
[ -d "$1" ] || exit 0
case "$(readlink -f "$1")" in "$1") ;; *) echo "$1 is not a plain folder" >&2; exit 1;; esac
below() { cut -d' ' -f5 /proc/self/mountinfo | grep -F "$1/" | grep "^$1/" | sort -r || true; }
below "$1" | while read -r mount; do umount "$(printf '%b' "$(echo "$mount" | sed 's/\\\\\\([0-7]\\{3\\}\\)/\\\\0\\1/g')")" || true; done
if [ -n "$(below "$1")" ]; then echo "something below $1 stays mounted" >&2; exit 1; fi
rm -rf "$1"
`

/** Only what carries our name: the path may come from a file on the machine. */
export function isOwnFolder(path: string): boolean {
  return /^(\/[A-Za-z0-9][A-Za-z0-9._-]*){2,}$/.test(path) && path.split('/').some((part) => part.includes('rampart'))
}

export async function removeFolder(machine: Machine, path: string): Promise<void> {
  if (!isOwnFolder(path)) throw new Error(`${path} is not removed: it does not look like a folder of Rampart's own`)
  await machine.run('remove its state', SCRIPT, { args: [path], timeoutMs: 120_000 })
}
