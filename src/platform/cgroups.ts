import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMounts } from './mounts.ts'

/** One mounted hierarchy: of version 1 with its controllers (or a name), or the one of version 2. */
export type CgroupHierarchy = {
  version: 1 | 2
  mountPoint: string
  /** Mount options that choose it: `memory`, `cpu,cpuacct`, `name=systemd`; empty for version 2. */
  options: string
}

/** What this host has mounted, in the order in which it was mounted. */
export function cgroupHierarchies(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')): CgroupHierarchy[] {
  const found = new Map<string, CgroupHierarchy>()
  for (const mount of parseMounts(mountinfo)) {
    if (mount.fileSystem === 'cgroup2') found.set('', { version: 2, mountPoint: mount.mountPoint, options: '' })
    if (mount.fileSystem !== 'cgroup') continue
    const options = mount.superOptions.filter(
      (o) => !/^(rw|ro|xattr|noprefix|clone_children|cpuset_v2_mode|release_agent=.*)$/.test(o),
    )
    const key = options.join(',')
    if (!found.has(key)) found.set(key, { version: 1, mountPoint: mount.mountPoint, options: key })
  }
  return [...found.values()]
}

/** True when controllers are those of version 2 alone: `/sys/fs/cgroup` is then that hierarchy itself. */
export function isUnified(hierarchies: readonly CgroupHierarchy[]): boolean {
  return hierarchies.every((h) => h.version === 2)
}

/**
 * Makes a cgroup of this name below the root of every hierarchy, ready to take processes and children with limits.
 * Version 2 hands down the controllers it may; those that the root has not may not be had.
 */
export function makeCgroup(hierarchies: readonly CgroupHierarchy[], name: string): void {
  for (const { version, mountPoint, options } of hierarchies) {
    const folder = join(mountPoint, name)
    mkdirSync(folder, { recursive: true })
    if (version === 2) handDown(mountPoint)
    else if (options.split(',').includes('cpuset')) {
      // A new cpuset is empty, and then takes no process.
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        writeFileSync(join(folder, file), readFileSync(join(mountPoint, file), 'utf8').trim())
      writeFileSync(join(folder, 'cgroup.clone_children'), '1')
    }
  }
}

function handDown(mountPoint: string): void {
  const words = (file: string): string[] =>
    readFileSync(join(mountPoint, file), 'utf8')
      .split(/\s+/)
      .filter((w) => w !== '')
  const enabled = new Set(words('cgroup.subtree_control'))
  for (const controller of words('cgroup.controllers')) {
    if (enabled.has(controller)) continue
    try {
      writeFileSync(join(mountPoint, 'cgroup.subtree_control'), `+${controller}`)
    } catch (error) {
      // Inside a container the root itself holds processes: then its controllers cannot be handed down.
      if (!['EBUSY', 'EOPNOTSUPP', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

/** Names of the cgroups directly below the roots that begin so. */
export function cgroupNames(hierarchies: readonly CgroupHierarchy[], prefix: string): string[] {
  const names = hierarchies.flatMap(({ mountPoint }) => readdirSync(mountPoint).filter((n) => n.startsWith(prefix)))
  return [...new Set(names)]
}

/** Every process in the cgroup or below it. */
export function cgroupProcesses(hierarchies: readonly CgroupHierarchy[], name: string): number[] {
  const pids = new Set<number>()
  for (const { mountPoint } of hierarchies)
    for (const folder of subtree(join(mountPoint, name)))
      for (const line of readOptional(join(folder, 'cgroup.procs')).split('\n')) if (line !== '') pids.add(Number(line))
  pids.delete(0) // a process that is not visible from our process namespace
  return [...pids]
}

/** Removes the cgroup and all below it. False when processes still hold it. */
export function removeCgroup(hierarchies: readonly CgroupHierarchy[], name: string): boolean {
  for (const { mountPoint } of hierarchies)
    for (const folder of subtree(join(mountPoint, name)).reverse()) {
      try {
        rmdirSync(folder)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EBUSY' || code === 'ENOTEMPTY') return false
        if (code !== 'ENOENT') throw error
      }
    }
  return true
}

/** The folder and all below it, parents first. */
function subtree(folder: string): string[] {
  if (!existsSync(folder)) return []
  const found = [folder]
  for (let i = 0; i < found.length; i++) {
    try {
      for (const entry of readdirSync(found[i]!, { withFileTypes: true }))
        if (entry.isDirectory()) found.push(join(found[i]!, entry.name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return found
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''
    throw error
  }
}
