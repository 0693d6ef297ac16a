import { type CgroupHierarchy, isUnified } from '../platform/cgroups.ts'
import { bindMount, type Mount, tmpfs } from '../platform/mounts.ts'

/** What a machine's first program does, one after the other. Paths are the machine's own unless they say otherwise. */
export type BootStep =
  | { do: 'run'; argv: string[] }
  /** One `mount --all` for the table; `within` is put before the command. */
  | { do: 'mount'; mounts: Mount[]; within?: string[] }
  | { do: 'directory'; path: string; mode: number }
  | { do: 'link'; path: string; target: string }
  /** `from` is a file of the host, read before the machine loses sight of it. */
  | { do: 'write'; path: string; mode: number; content: string }
  | { do: 'copy'; path: string; mode: number; from: string }
  | { do: 'merge-inittab'; path: string; lines: string[] }
  | { do: 'put'; path: string; content: string }
  /** The machine's root becomes `/`; the host's is at OLD_ROOT until `forget`. */
  | { do: 'enter'; root: string }
  | { do: 'forget' }
  | { do: 'become'; argv: string[] }

/** Where the host's root is between entering and forgetting. */
export const OLD_ROOT = '/.host'
const CGROUP_NAMESPACE = '/run/cgroup-namespace'
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty']
/**
 * What no machine needs, and would reach the one kernel below all of them: modules, kexec, the clock, raw ports.
 */
const WITHHELD = ['sys_module', 'sys_boot', 'sys_time', 'sys_rawio', 'mac_admin', 'mac_override', 'wake_alarm']

export type BootPlan = {
  hostname: string
  /** Host path of the machine's disk. */
  disk: string
  hierarchies: readonly CgroupHierarchy[]
  /** Name of its cgroup below every root. */
  cgroup: string
  /** What of the kernel's files may only be read: its settings belong to the host, those of the network to the machine. */
  readOnly: readonly string[]
  /** Top-level names that are links on a host whose /usr is merged: bin → usr/bin. */
  rootLinks: readonly { name: string; target: string }[]
  /** What lies in /etc and elsewhere, made new at every start. */
  files: readonly BootStep[]
}

export function bootSteps(plan: BootPlan): BootStep[] {
  const { disk, hierarchies } = plan
  return [
    // The cgroup is joined while the host's folders are in sight; the namespace that hides all others is made in it.
    ...hierarchies.map(
      (h): BootStep => ({ do: 'put', path: `${h.mountPoint}/${plan.cgroup}/cgroup.procs`, content: '0' }),
    ),
    { do: 'run', argv: ['mount', '--no-mtab', '--bind', disk, disk] },
    { do: 'run', argv: ['mount', '--no-mtab', '--options', 'bind,ro', '/usr', `${disk}/usr`] },
    { do: 'enter', root: disk },
    ...plan.rootLinks.map(({ name, target }): BootStep => ({ do: 'link', path: `/${name}`, target })),
    ...['/proc', '/sys', '/dev', '/run', '/tmp', '/etc', '/var', '/opt', '/home', '/srv', '/mnt', '/media'].map(
      (path): BootStep => ({ do: 'directory', path, mode: 0o755 }),
    ),
    { do: 'directory', path: '/root', mode: 0o700 },
    { do: 'run', argv: ['mount', '--types', 'proc', '--options', 'nosuid,nodev,noexec', 'proc', '/proc'] },
    { do: 'put', path: '/proc/sys/kernel/hostname', content: plan.hostname },
    {
      do: 'mount',
      mounts: [
        { source: 'sysfs', target: '/sys', type: 'sysfs', options: 'nosuid,nodev,noexec,ro' },
        tmpfs('/dev', 'nosuid,mode=755,size=1m'),
        tmpfs('/run', 'nosuid,nodev,mode=755'),
        tmpfs('/tmp', 'nosuid,nodev,mode=1777'),
        ...plan.readOnly.map((path) => bindMount(path, path, true)),
      ],
    },
    ...deviceSteps(),
    ...cgroupSteps(hierarchies),
    ...[...['lib', 'log', 'cache', 'tmp', 'empty'].map((name) => `/var/${name}`), '/run/sshd', '/run/lock'].map(
      (path): BootStep => ({ do: 'directory', path, mode: path === '/var/tmp' ? 0o1777 : 0o755 }),
    ),
    { do: 'link', path: '/var/run', target: '/run' },
    { do: 'link', path: '/var/lock', target: '/run/lock' },
    ...plan.files,
    { do: 'forget' },
    // As systemd has it: a volume that is mounted later shows up in containers that asked for it.
    { do: 'run', argv: ['mount', '--make-rshared', '/'] },
    {
      do: 'become',
      argv: [
        '/usr/bin/nsenter',
        `--cgroup=${CGROUP_NAMESPACE}`,
        '/usr/bin/setpriv',
        `--bounding-set=${WITHHELD.map((name) => `-${name}`).join(',')}`,
        '/usr/bin/busybox',
        'init',
      ],
    },
  ]
}

function deviceSteps(): BootStep[] {
  return [
    ...DEVICES.map((name): BootStep => ({ do: 'write', path: `/dev/${name}`, mode: 0o666, content: '' })),
    ...['/dev/pts', '/dev/shm', '/dev/mqueue'].map((path): BootStep => ({ do: 'directory', path, mode: 0o755 })),
    {
      do: 'mount',
      mounts: [
        ...DEVICES.map((name) => bindMount(`${OLD_ROOT}/dev/${name}`, `/dev/${name}`, false)),
        { source: 'devpts', target: '/dev/pts', type: 'devpts', options: 'newinstance,ptmxmode=0666,mode=0620,gid=5' },
        { source: 'mqueue', target: '/dev/mqueue', type: 'mqueue', options: 'nosuid,nodev,noexec' },
        tmpfs('/dev/shm', 'nosuid,nodev,mode=1777'),
      ],
    },
    { do: 'link', path: '/dev/ptmx', target: 'pts/ptmx' },
    { do: 'link', path: '/dev/fd', target: '/proc/self/fd' },
    { do: 'link', path: '/dev/stdin', target: '/proc/self/fd/0' },
    { do: 'link', path: '/dev/stdout', target: '/proc/self/fd/1' },
    { do: 'link', path: '/dev/stderr', target: '/proc/self/fd/2' },
  ]
}

/**
 * The hierarchies as the host has them, each with the machine's own cgroup as its root: machines cannot name each
 * other's cgroups. The machine's own programs then move into `system`, as in version 2 only leaves hold processes.
 */
function cgroupSteps(hierarchies: readonly CgroupHierarchy[]): BootStep[] {
  const unified = isUnified(hierarchies)
  const folders = hierarchies.map((h) => ({
    ...h,
    folder: unified
      ? '/sys/fs/cgroup'
      : `/sys/fs/cgroup/${h.version === 2 ? 'unified' : h.options.replace(/^name=/, '')}`,
  }))
  const namespace = ['unshare', `--cgroup=${CGROUP_NAMESPACE}`]
  const inNamespace = ['nsenter', `--cgroup=${CGROUP_NAMESPACE}`]
  const mounts = folders.map(
    (h): Mount => ({
      source: 'cgroup',
      target: h.folder,
      type: h.version === 2 ? 'cgroup2' : 'cgroup',
      options: `nosuid,nodev,noexec${h.options === '' ? '' : `,${h.options}`}`,
    }),
  )
  return [
    { do: 'write', path: CGROUP_NAMESPACE, mode: 0o600, content: '' },
    { do: 'run', argv: [...namespace, 'true'] },
    ...(unified
      ? []
      : [
          { do: 'mount', mounts: [tmpfs('/sys/fs/cgroup', 'nosuid,nodev,noexec,mode=755')] } satisfies BootStep,
          ...folders.map((h): BootStep => ({ do: 'directory', path: h.folder, mode: 0o755 })),
          // cpu,cpuacct is also found under each of its names
          ...folders
            .filter((h) => h.options.includes(','))
            .flatMap((h) => h.options.split(',').map((name) => ({ name, target: h.folder })))
            .map(({ name, target }): BootStep => ({ do: 'link', path: `/sys/fs/cgroup/${name}`, target })),
        ]),
    { do: 'mount', mounts, within: inNamespace },
    ...folders.flatMap((h): BootStep[] => [
      { do: 'directory', path: `${h.folder}/system`, mode: 0o755 },
      { do: 'put', path: `${h.folder}/system/cgroup.procs`, content: '0' },
    ]),
  ]
}
