import { randomBytes } from 'node:crypto'
import type { AgentBundle, Compression } from './bundle.ts'
import type { Machine } from './machine.ts'
import { PLACES } from './places.ts'

const STEP = 'upload the agent'
const PROBE_BYTES = 2 * 1024 * 1024
/** Below this, packing (0.8 s by zstd, 1.8 s by gzip, once) costs less than sending 87 MB more. */
const WORTH_PACKING_BYTES_PER_SECOND = 40e6
const UPLOAD_TIMEOUT_MS = 30 * 60_000

/**
 * Unpacked beside its place, hashed file by file, synced, renamed. A cut leaves tar with half an archive: the hashes refuse
 * it, and the trap removes it.
 */
const SCRIPT = `
set -eu
umask 022
mkdir -p ${PLACES.bundles}
for old in ${PLACES.bundles}/.new.*; do
  [ -d "$old" ] && [ ! -d "/proc/\${old##*.}" ] && rm -rf "$old"
done
new=${PLACES.bundles}/.new.$$
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
mkdir "$new"
$2 | tar -C "$new" -xf -
cd "$new"
sum=$(sha256sum <SHA256SUMS)
if [ "\${sum%% *}" != "$1" ] || ! sha256sum -c SHA256SUMS >/dev/null 2>&1; then echo "what arrived has other hashes than what was sent" >&2; exit 65; fi
sync
cd /
rm -rf "${PLACES.bundles}/$1"
mv "$new" "${PLACES.bundles}/$1"
trap - EXIT
`

const UNPACK: Readonly<Record<Compression, string>> = { none: 'cat', zstd: 'zstd -dc', gzip: 'gzip -dc' }

export async function uploadBundle(machine: Machine, bundle: AgentBundle): Promise<void> {
  const compression = await bestCompression(machine)
  const script = SCRIPT.replace('$2 |', `${UNPACK[compression]} |`)
  await machine.run(STEP, script, {
    args: [bundle.sha256],
    stdin: await bundle.open(compression),
    timeoutMs: UPLOAD_TIMEOUT_MS,
  })
}

/** Packed only where the way to the machine is slower than packing and unpacking. */
async function bestCompression(machine: Machine): Promise<Compression> {
  const probe = randomBytes(PROBE_BYTES)
  const started = performance.now()
  const programs = await machine.run(
    STEP,
    'cat >/dev/null; for p in zstd gzip; do command -v $p >/dev/null && echo $p; done; true',
    {
      stdin: probe,
      timeoutMs: 5 * 60_000,
    },
  )
  const bytesPerSecond = PROBE_BYTES / ((performance.now() - started) / 1000)
  if (bytesPerSecond > WORTH_PACKING_BYTES_PER_SECOND) return 'none'
  const [best] = programs.trim().split('\n')
  return best === 'zstd' || best === 'gzip' ? best : 'none'
}

/** Removes one bundle, and the folder of bundles when that was the last. */
export async function withdrawBundle(machine: Machine, sha256: string): Promise<void> {
  await machine.run(
    'remove the agent',
    `rm -rf "${PLACES.bundles}/$1" ${PLACES.bundles}/.new.*; rmdir ${PLACES.bundles} 2>/dev/null || true`,
    { args: [sha256], timeoutMs: 60_000 },
  )
}
