/** A line of /proc/PID/mountinfo (proc_pid_mountinfo(5)): what we look at. */
export type MountInfo = {
  id: number
  /** Of the mount that it was put on. */
  parent: number
  /** What of its file system is mounted here: `/` is all of it. */
  root: string
  mountPoint: string
  options: string[]
  fileSystem: string
  source: string
  superOptions: string[]
}

export function parseMounts(mountinfo: string): MountInfo[] {
  const found: MountInfo[] = []
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ')
    if (before === undefined || after === undefined) continue
    const [id, parent, , root, mountPoint, options] = before.split(' ')
    const [fileSystem, source, superOptions] = after.split(' ')
    found.push({
      id: Number(id),
      parent: Number(parent),
      root: unescaped(root ?? ''),
      mountPoint: unescaped(mountPoint ?? ''),
      options: (options ?? '').split(','),
      fileSystem: fileSystem ?? '',
      source: unescaped(source ?? ''),
      superOptions: (superOptions ?? '').split(','),
    })
  }
  return found
}

/** The mount that a path leads to when it is itself a mount point; not one that a later mount hides. */
export function mountAt(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  const ids = new Set(mounts.map((m) => m.id))
  let current = mounts.find((m) => m.mountPoint === '/' && !ids.has(m.parent))
  let place = ''
  for (const name of ['', ...path.split('/').filter((n) => n !== '')]) {
    place = place === '/' || place === '' ? `/${name}` : `${place}/${name}`
    for (let above = current; above !== undefined; ) {
      current = above
      above = mounts.find((m) => m.parent === current?.id && m.mountPoint === place && m.id !== current.id)
    }
  }
  return current?.mountPoint === path ? current : undefined
}

/** Blanks, tabs, line ends and backslashes stand there as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

export type Mount = { source: string; target: string; type: string; options: string }

/** A table in fstab's format, for `mount --all --fstab FILE`: one program makes them all, in this order. */
export function mountTable(mounts: readonly Mount[]): string {
  return mounts.map((m) => `${[m.source, m.target, m.type, m.options].map(escaped).join(' ')} 0 0\n`).join('')
}

function escaped(text: string): string {
  return text.replace(/[\\ \t\n#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
}

export const bindMount = (source: string, target: string, readOnly: boolean): Mount => ({
  source,
  target,
  type: 'none',
  options: readOnly ? 'bind,ro' : 'bind',
})

export const tmpfs = (target: string, options: string): Mount => ({ source: 'tmpfs', target, type: 'tmpfs', options })
