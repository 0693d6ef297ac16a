import { existsSync } from 'node:fs'

/** What the lab runs, and the Debian package that brings it. */
export const LAB_PACKAGES: readonly { program: string; package: string }[] = [
  { program: 'ip', package: 'iproute2' },
  { program: 'nft', package: 'nftables' },
  { program: 'conntrack', package: 'conntrack' },
  { program: 'sysctl', package: 'procps' },
  { program: 'nsenter', package: 'util-linux' },
  { program: 'mount', package: 'mount' },
  { program: 'tar', package: 'tar' },
  { program: 'sshd', package: 'openssh-server' },
  { program: 'ssh-keygen', package: 'openssh-client' },
  { program: 'busybox', package: 'busybox-static' },
  { program: 'containerd', package: 'containerd' },
  { program: 'runc', package: 'runc' },
  { program: '/usr/lib/cni/ptp', package: 'containernetworking-plugins' },
]

/** Packages whose program is not there. */
export function findMissing(): string[] {
  const folders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']
  const found = (program: string): boolean =>
    program.startsWith('/') ? existsSync(program) : folders.some((folder) => existsSync(`${folder}/${program}`))
  return [...new Set(LAB_PACKAGES.filter(({ program }) => !found(program)).map((p) => p.package))]
}
