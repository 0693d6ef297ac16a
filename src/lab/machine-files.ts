import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { BootStep } from './boot-steps.ts'
import { CONTROL_PLANE_ADDRESS } from './plan.ts'

/** Image of the process that holds a pod's namespaces. */
export const PAUSE_IMAGE = 'rampart.internal/pause:1'
export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock'

export type MachineIdentity = {
  name: string
  address: string
  /** 32 hexadecimal digits, for /etc/machine-id. */
  machineId: string
  /** Host path of the machine's private SSH host key. */
  hostKey: string
  /** One line of an authorized_keys file. */
  sshPublicKey: string
}

const INITTAB = [
  '::respawn:/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config',
  '::respawn:/usr/bin/containerd --config /etc/containerd/config.toml',
]

/** All that a small Debian has in /etc and is not the machine's to keep; written at every start. */
export function machineFiles(machine: MachineIdentity): BootStep[] {
  const { name, address } = machine
  const text = (path: string, lines: readonly string[], mode = 0o644): BootStep => ({
    do: 'write',
    path,
    mode,
    content: lines.map((line) => `${line}\n`).join(''),
  })
  return [
    text('/etc/hostname', [name]),
    text('/etc/machine-id', [machine.machineId], 0o444),
    text('/etc/hosts', ['127.0.0.1 localhost', `${address} ${name}`, `${CONTROL_PLANE_ADDRESS} control-plane`]),
    text('/etc/resolv.conf', ['# nothing in the lab answers DNS', 'options timeout:1 attempts:1']),
    text('/etc/nsswitch.conf', ['passwd: files', 'group: files', 'shadow: files', 'hosts: files dns']),
    text('/etc/passwd', [
      'root:x:0:0:root:/root:/bin/bash',
      'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin',
      'sshd:x:104:65534::/run/sshd:/usr/sbin/nologin',
      'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    ]),
    text('/etc/group', ['root:x:0:', 'daemon:x:1:', 'tty:x:5:', 'disk:x:6:', 'shadow:x:42:', 'nogroup:x:65534:']),
    text(
      '/etc/shadow',
      ['root', 'daemon', 'sshd', 'nobody'].map((user) => `${user}:*:19000:0:99999:7:::`),
      0o600,
    ),
    text('/etc/shells', ['/bin/sh', '/bin/bash']),
    text('/etc/profile', ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'export PATH']),
    { do: 'link', path: '/etc/os-release', target: '../usr/lib/os-release' },
    { do: 'link', path: '/etc/mtab', target: '../proc/self/mounts' },
    text('/etc/ssh/sshd_config', sshdConfig(address)),
    { do: 'copy', path: '/etc/ssh/ssh_host_ed25519_key', mode: 0o600, from: machine.hostKey },
    { do: 'directory', path: '/root/.ssh', mode: 0o700 },
    text('/root/.ssh/authorized_keys', [machine.sshPublicKey], 0o600),
    text('/etc/containerd/config.toml', containerdConfig()),
    { do: 'directory', path: '/etc/cni/net.d', mode: 0o755 },
    { do: 'merge-inittab', path: '/etc/inittab', lines: INITTAB },
  ]
}

/** Keys only, root only, nothing forwarded; current algorithms of both OpenSSH and ssh2. */
export function sshdConfig(address: string): string[] {
  return [
    'Port 22',
    'AddressFamily inet',
    `ListenAddress ${address}`,
    'HostKey /etc/ssh/ssh_host_ed25519_key',
    'HostKeyAlgorithms ssh-ed25519',
    'PubkeyAcceptedAlgorithms ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256',
    'KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org',
    'Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com',
    'MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com',
    'PermitRootLogin prohibit-password',
    'AllowUsers root',
    'AuthenticationMethods publickey',
    'AuthorizedKeysFile .ssh/authorized_keys',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitEmptyPasswords no',
    'UsePAM no',
    'StrictModes yes',
    'PermitUserEnvironment no',
    'DisableForwarding yes',
    'PermitTunnel no',
    'GatewayPorts no',
    'MaxAuthTries 3',
    'MaxStartups 10:30:60',
    'LoginGraceTime 20',
    'ClientAliveInterval 15',
    'ClientAliveCountMax 4',
    'UseDNS no',
    'PrintMotd no',
    'PrintLastLog no',
    'PidFile none',
    'LogLevel VERBOSE',
    'Subsystem sftp internal-sftp',
  ]
}

export function containerdConfig(): string[] {
  const disabled = ['aufs', 'btrfs', 'devmapper', 'zfs'].map((name) => `"io.containerd.snapshotter.v1.${name}"`)
  return [
    'version = 2',
    'root = "/var/lib/containerd"',
    'state = "/run/containerd"',
    `disabled_plugins = [${[...disabled, '"io.containerd.internal.v1.opt"'].join(', ')}]`,
    '[debug]',
    '  level = "warn"',
    '[grpc]',
    `  address = "${CONTAINERD_SOCKET}"`,
    '[plugins."io.containerd.grpc.v1.cri"]',
    `  sandbox_image = "${PAUSE_IMAGE}"`,
    '  stream_server_address = "127.0.0.1"',
    '  stream_server_port = "0"',
    '  enable_tls_streaming = false',
    '  disable_apparmor = true',
    // a host may itself be confined: without CAP_SYS_RESOURCE runc could not lower it
    '  restrict_oom_score_adj = true',
    '  [plugins."io.containerd.grpc.v1.cri".cni]',
    '    bin_dir = "/usr/lib/cni"',
    '    conf_dir = "/etc/cni/net.d"',
    '  [plugins."io.containerd.grpc.v1.cri".containerd]',
    '    snapshotter = "overlayfs"',
    '    default_runtime_name = "runc"',
    '    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]',
    '      runtime_type = "io.containerd.runc.v2"',
    '      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]',
    '        SystemdCgroup = false',
    '        BinaryName = "/usr/sbin/runc"',
    '  [plugins."io.containerd.grpc.v1.cri".registry]',
    '    config_path = "/etc/containerd/certs.d"',
  ]
}

/** What machines take over from the host's /etc because the programs in /usr were installed with it. */
export function hostFiles(): BootStep[] {
  const copies = ['ld.so.cache', 'protocols', 'services', 'ethertypes', 'debian_version', 'ssl/openssl.cnf']
  const found = [...copies, 'ssl/certs/ca-certificates.crt'].filter((name) =>
    lstatSync(join('/etc', name), { throwIfNoEntry: false })?.isFile(),
  )
  return [
    ...found.map((name): BootStep => ({ do: 'copy', path: `/etc/${name}`, mode: 0o644, from: `/etc/${name}` })),
    ...alternatives().map(({ name, target }): BootStep => ({ do: 'link', path: `/etc/alternatives/${name}`, target })),
  ]
}

/** Debian chooses between programs of one purpose (iptables, nc) by links through /etc/alternatives. */
function alternatives(): { name: string; target: string }[] {
  const folder = '/etc/alternatives'
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => ({ name, target: readlinkSync(join(folder, name)) }))
    .filter(({ target }) => target.startsWith('/usr/') || target.startsWith('/bin/') || target.startsWith('/sbin/'))
}

/** /bin, /sbin and /lib… where they are links into /usr, as on every Debian since 12. Throws an Error elsewhere. */
export function rootLinks(): { name: string; target: string }[] {
  const found: { name: string; target: string }[] = []
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const present = lstatSync(`/${name}`, { throwIfNoEntry: false })
    if (present === undefined) continue
    if (!present.isSymbolicLink())
      throw new Error(`/${name} is no link into /usr: the lab needs a host with merged /usr`)
    found.push({ name, target: readlinkSync(`/${name}`) })
  }
  return found
}
