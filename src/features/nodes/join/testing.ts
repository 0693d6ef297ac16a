/** A Linux machine for tests: own process ids, mounts, /etc, /opt, /var and init; real sshd and containerd; the network is shared. */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SshConnection } from '../../../platform/ssh/connection.ts'
import { connectSsh } from '../../../platform/ssh/connection.ts'
import { pinnedFingerprint } from '../../../platform/ssh/host-key.ts'
import { readIdentity } from '../../../platform/ssh/identity.ts'
import type { SshTarget } from '../../../platform/ssh/target.ts'
import { answers, collect, ended, fingerprintOf, freePort, writeSshdFolder } from '../../../platform/ssh/testing.ts'

export type TestMachineOptions = {
  /** Programs that this machine does not have. */
  without?: readonly string[]
  /** Scripts that come first in PATH. */
  programs?: Readonly<Record<string, string>>
  containerd?: boolean
  /** What process 1 is; `none` reads no inittab. */
  init?: 'busybox' | 'none'
}

export type TestMachine = {
  target: SshTarget
  folder: string
  identity: string
  fingerprint: string
  connect: (target?: SshTarget) => Promise<SshConnection>
  /** Runs inside the machine, past SSH. */
  inside: (script: string) => string
  stop: () => Promise<void>
}

const CONTAINERD_READY_MS = 20_000

function setupScript(
  folder: string,
  { without = [], containerd = true, init = 'busybox' }: TestMachineOptions,
): string {
  const hidden = without.map((program) => realpathSync(execFileSync('which', [program], { encoding: 'utf8' }).trim()))
  const sshd = `/usr/sbin/sshd -D -e -f ${folder}/sshd_config`
  return `set -e
mount -t tmpfs -o mode=755 tmpfs ${folder}/upper
mkdir ${folder}/upper/etc ${folder}/upper/work
mount -t overlay -o lowerdir=/etc,upperdir=${folder}/upper/etc,workdir=${folder}/upper/work overlay /etc
for d in /opt /var /run; do mount -t tmpfs -o mode=755 tmpfs $d; done
mkdir -p /run/sshd /run/containerd /var/log /var/lib /etc/cni/net.d
rm -rf /etc/rampart
touch ${folder}/nothing
${hidden.map((path) => `mount --bind ${folder}/nothing ${path}`).join('\n')}
cat >/etc/inittab <<'END'
::respawn:/bin/sh -c "exec ${sshd} >>${folder}/sshd.log 2>&1"
${containerd ? `::respawn:/bin/sh -c "exec containerd -c ${folder}/containerd.toml >>${folder}/containerd.log 2>&1"` : ''}
END
${init === 'busybox' ? 'exec busybox init' : `rm /etc/inittab; ${sshd}`}
`
}

const CONTAINERD = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
`

/** Needs root. */
export async function startTestMachine(options: TestMachineOptions = {}): Promise<TestMachine> {
  const folder = mkdtempSync(join(tmpdir(), `rampart-machine-${process.pid}-`))
  const port = await freePort()
  mkdirSync(join(folder, 'upper'))
  mkdirSync(join(folder, 'bin'))
  for (const [name, script] of Object.entries(options.programs ?? {})) {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  writeSshdFolder(folder, port, ['ed25519'], [`SetEnv PATH=${folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`])
  writeFileSync(join(folder, 'containerd.toml'), CONTAINERD)
  writeFileSync(join(folder, 'setup.sh'), setupScript(folder, options))
  const child = spawn(
    'unshare',
    ['-m', '-p', '--fork', '--kill-child', '--mount-proc', '--', 'sh', join(folder, 'setup.sh')],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const output = collect(child)
  const target: SshTarget = { user: 'root', host: '127.0.0.1', port }
  const fingerprint = fingerprintOf(join(folder, 'host_ed25519.pub'))
  const inside = (script: string): string => {
    const [pid] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    return execFileSync('nsenter', ['-t', pid!, '-m', '-p', '--', 'sh', '-c', script], { encoding: 'utf8' })
  }
  const stop = async (): Promise<void> => {
    await ended(child)
    // Process 1 takes the namespaces and their mounts along; its last file is closed a moment later.
    for (let i = 0; i < 50; i++) {
      try {
        return rmSync(folder, { recursive: true, force: true })
      } catch {
        await sleep(50)
      }
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await answers(port, () => `the machine does not answer: ${output()}`)
    if (options.containerd !== false) await containerdAnswers(inside)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    target,
    folder,
    identity: join(folder, 'identity'),
    fingerprint,
    inside,
    stop,
    connect: async (other = target) =>
      await connectSsh({
        target: other,
        hostKey: pinnedFingerprint(fingerprint),
        identity: await readIdentity(join(folder, 'identity')),
        timeoutMs: 10_000,
      }),
  }
}

async function containerdAnswers(inside: (script: string) => string): Promise<void> {
  for (let waited = 0; ; waited += 100) {
    try {
      inside('ctr -a /run/containerd/containerd.sock plugins ls | grep -q "cri .*ok"')
      return
    } catch (error) {
      if (waited > CONTAINERD_READY_MS) throw error
      await sleep(100)
    }
  }
}
