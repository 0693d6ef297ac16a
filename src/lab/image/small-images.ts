import { readFileSync } from 'node:fs'
import { run } from '../../platform/namespaces.ts'
import { PAUSE_IMAGE } from '../machine-files.ts'
import { blobOf, type OciImage, ociImage } from './oci-image.ts'
import { type TarEntry, writeTar } from './tar.ts'

export const BUSYBOX_IMAGE = 'rampart.internal/library/busybox:1'
const BUSYBOX = '/usr/bin/busybox'

/**
 * Waits, reaps what a pod with one process namespace leaves behind, and ends at once when it is told to: as the first
 * process it has no default for SIGTERM, so the shell must have one.
 */
const PAUSE = `#!/bin/busybox sh
trap 'exit 0' TERM INT
while :; do
  /bin/busybox sleep 2147483647 &
  wait
done
`

/** Both images, made of the host's static busybox alone: the same bytes on every run. */
export async function smallImages(): Promise<OciImage[]> {
  const program = readFileSync(BUSYBOX)
  if (!isStatic(program)) throw new Error(`${BUSYBOX} is not static: install the package busybox-static`)
  const applets = (await run([BUSYBOX, '--list'])).split('\n').filter((name) => /^[a-z0-9[._-]+$/.test(name))
  const base = layer([
    { type: 'directory', path: 'bin', mode: 0o755 },
    { type: 'file', path: 'bin/busybox', mode: 0o755, content: program },
  ])
  const pause = layer([{ type: 'file', path: 'pause', mode: 0o755, content: Buffer.from(PAUSE) }])
  return [
    ociImage(PAUSE_IMAGE, { Entrypoint: ['/pause'], Env: ['PATH=/bin'], User: '65535:65535' }, [base, pause]),
    ociImage(
      BUSYBOX_IMAGE,
      { Cmd: ['sh'], Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
      [base, layer(busyboxFiles(applets))],
    ),
  ]
}

const layer = (entries: readonly TarEntry[]): ReturnType<typeof blobOf> => blobOf(writeTar(entries))

function busyboxFiles(applets: readonly string[]): TarEntry[] {
  const folder = (path: string, mode = 0o755): TarEntry => ({ type: 'directory', path, mode })
  const file = (path: string, lines: readonly string[]): TarEntry => ({
    type: 'file',
    path,
    mode: 0o644,
    content: Buffer.from(lines.map((line) => `${line}\n`).join('')),
  })
  return [
    ...applets
      .filter((name) => name !== 'busybox')
      .sort()
      .map((name): TarEntry => ({ type: 'link', path: `bin/${name}`, target: 'busybox' })),
    folder('etc'),
    file('etc/passwd', ['root:x:0:0:root:/root:/bin/sh', 'nobody:x:65534:65534:nobody:/nonexistent:/bin/false']),
    file('etc/group', ['root:x:0:', 'nobody:x:65534:']),
    file('etc/nsswitch.conf', ['hosts: files dns']),
    folder('root', 0o700),
    folder('tmp', 0o1777),
    folder('usr'),
    { type: 'link', path: 'usr/bin', target: '../bin' },
    { type: 'link', path: 'usr/sbin', target: '../bin' },
    { type: 'link', path: 'sbin', target: 'bin' },
    folder('var'),
    folder('var/www'),
  ]
}

/** An ELF file without an interpreter (PT_INTERP, 3): 64 bits, little-endian, as amd64 and arm64 have it. */
function isStatic(program: Buffer): boolean {
  if (program.toString('latin1', 0, 4) !== '\u007fELF' || program[4] !== 2) return false
  const table = Number(program.readBigUInt64LE(32))
  const size = program.readUInt16LE(54)
  const count = program.readUInt16LE(56)
  for (let i = 0; i < count; i++) if (program.readUInt32LE(table + i * size) === 3) return false
  return true
}
