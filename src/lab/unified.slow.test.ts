import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cgroupHierarchies, cgroupProcesses, isUnified } from '../platform/cgroups.ts'
import { createLab } from './index.ts'
import { hostState, hostStateLike, insideOwnHost, runInOwnHost, testCluster, whyNoLab } from './testing.ts'

/** As Debian boots today: one hierarchy, of version 2. Controllers stay where this kernel has them. */
const UNIFIED = 'umount --no-mtab --recursive /sys/fs/cgroup && mount --no-mtab -t cgroup2 cgroup2 /sys/fs/cgroup'

if (!insideOwnHost())
  test('a lab on a host with cgroups of version 2 alone', { skip: whyNoLab() ?? false }, () => {
    runInOwnHost(fileURLToPath(import.meta.url), 60_000, UNIFIED)
  })
else
  describe('cgroups of version 2', () => {
    const cluster = testCluster()
    const lab = createLab(cluster)
    const before = hostState([lab.id])
    after(() => lab.down())

    test('a container runs in the cgroup of its machine', async () => {
      assert.ok(isUnified(cgroupHierarchies()))
      await lab.up({ machines: 1, sshPublicKey: cluster.sshPublicKey })
      const run = (...argv: string[]): string => {
        const [program, ...args] = lab.insideMachine('node-1', argv)
        const { status, stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8', timeout: 20_000 })
        assert.equal(status, 0, stderr)
        return stdout.trim()
      }
      assert.equal(run('stat', '-f', '-c', '%T', '/sys/fs/cgroup'), 'cgroup2fs')
      assert.equal(run('cat', '/proc/1/cgroup').split('\n').at(-1), '0::/system')
      // This kernel's controllers are in version 1, so the container asks for no limits but devices.
      run(
        'sh',
        '-c',
        'mkdir -p /var/once/rootfs/bin; cp /usr/bin/busybox /var/once/rootfs/bin; cd /var/once; runc spec',
      )
      const spec = JSON.parse(run('cat', '/var/once/config.json')) as {
        process: { terminal: boolean; args: string[] }
        linux: { cgroupsPath: string }
      }
      spec.process.terminal = false
      spec.process.args = ['/bin/busybox', 'sleep', '100']
      spec.linux.cgroupsPath = '/rampart/once'
      const disk = join(cluster.directory, 'lab', 'node-1', 'disk')
      writeFileSync(join(disk, 'var', 'once', 'config.json'), JSON.stringify(spec))
      run('sh', '-c', 'runc run --bundle /var/once --detach once >/dev/null 2>&1 </dev/null')
      const pids = cgroupProcesses(cgroupHierarchies(), `rampart-${lab.id}-node-1/rampart/once`)
      assert.equal(pids.length, 1)
      const seen = readFileSync(`/proc/${pids[0]}/cgroup`, 'utf8')
      assert.match(seen, new RegExp(`^0::/rampart-${lab.id}-node-1/rampart/once$`, 'm'))
    })

    test('down leaves nothing', async () => {
      await lab.down()
      assert.deepEqual(await hostStateLike([lab.id], before), before)
    })
  })
