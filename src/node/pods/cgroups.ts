import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'

/** Removes an empty cgroup, with those below it, from every hierarchy. One that still has processes stays. */
export function removeCgroup(path: string, root: string = ROOT): void {
  const remove = (folder: string): void => {
    if (!existsSync(folder)) return
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(folder, entry.name))
    try {
      rmdirSync(folder)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EBUSY' && code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
    }
  }
  // One unified hierarchy, or one folder for each controller.
  remove(join(root, path))
  if (!existsSync(join(root, 'cgroup.controllers')) && existsSync(root))
    for (const entry of readdirSync(root, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(root, entry.name, path))
}
