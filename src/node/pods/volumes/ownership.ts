import { chmodSync, chownSync, lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Gives a volume to the pod's fsGroup (pkg/volume/volume_linux.go): the group owns everything and may write; what is
 * made in its folders later belongs to the group too. `onRootMismatch`: leaves a volume whose root is right already.
 */
export function giveToGroup(root: string, group: number, readOnly: boolean, onRootMismatch: boolean): void {
  const stats = lstatSync(root)
  const folderBits = readOnly ? 0o2550 : 0o2770
  if (onRootMismatch && stats.gid === group && (stats.mode & folderBits) === folderBits) return
  const walk = (path: string): void => {
    const { mode, uid } = lstatSync(path)
    const kind = mode & 0o170000
    // Links belong to nobody in particular; what they point to comes by itself if it is in the volume.
    if (kind === 0o120000) return
    chownSync(path, uid, group)
    const isFolder = kind === 0o040000
    chmodSync(path, (mode & 0o7777) | (isFolder ? folderBits : readOnly ? 0o440 : 0o660))
    if (isFolder) for (const entry of readdirSync(path)) walk(join(path, entry))
  }
  walk(root)
}
