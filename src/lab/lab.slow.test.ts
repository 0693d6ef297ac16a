import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connectSsh, type SshConnection } from '../platform/ssh/connection.ts'
import { dialInNamespace } from '../platform/ssh/dial.ts'
import { pinnedFingerprint } from '../platform/ssh/host-key.ts'
import { readIdentity } from '../platform/ssh/identity.ts'
import { createLab, type Lab, type LabMachine, spawnInside } from './index.ts'
import {
  hostState,
  hostStateLike,
  insideOwnHost,
  runInOwnHost,
  type TestCluster,
  testCluster,
  whyNoLab,
} from './testing.ts'

const skip = whyNoLab()
const UP = fileURLToPath(new URL('./testing-up.ts', import.meta.url))

function runIn(netns: string, argv: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('nsenter', [`--net=${netns}`, '--', ...argv], { encoding: 'utf8', timeout: 15_000 })
}

async function login(lab: Lab, machine: LabMachine, cluster: TestCluster, pin?: string): Promise<SshConnection> {
  return connectSsh({
    target: { user: 'root', host: machine.address, port: 22 },
    hostKey: pinnedFingerprint(pin ?? machine.sshHostKeyFingerprint),
    identity: await readIdentity(cluster.key),
    dial: dialInNamespace(lab.controlPlane.netns),
    timeoutMs: 10_000,
  })
}

async function command(connection: SshConnection, line: string): Promise<string> {
  const { code, stdout, stderr } = await connection.exec(line, { step: 'test', timeoutMs: 15_000 })
  assert.equal(code, 0, `${line}: ${stdout}${stderr}`)
  return stdout.trim()
}

if (!insideOwnHost()) {
  test('a lab, in a host of its own', { skip: skip ?? false }, () => {
    runInOwnHost(fileURLToPath(import.meta.url), 180_000)
  })
} else
  describe('lab', () => {
    const clusters = [testCluster(), testCluster()]
    const [a, b] = clusters as [TestCluster, TestCluster]
    const labs = clusters.map(({ name, directory }) => createLab({ name, directory }))
    const [labA, labB] = labs as [Lab, Lab]
    const ids = labs.map((lab) => lab.id)
    const before = hostState(ids)
    after(async () => {
      for (const lab of labs) await lab.down()
    })

    test('two labs come up side by side; machines keep to the addresses of their own', async () => {
      const [machinesA, machinesB] = await Promise.all([
        labA.up({ machines: 2, sshPublicKey: a.sshPublicKey }),
        labB.up({ machines: 1, sshPublicKey: b.sshPublicKey }),
      ])
      assert.deepEqual(
        machinesA.map((m) => [m.name, m.address, m.link, m.running]),
        [
          ['node-1', '172.31.0.11', 'eni-11', true],
          ['node-2', '172.31.0.12', 'eni-12', true],
        ],
      )
      assert.equal(machinesB.length, 1)
      assert.notEqual(machinesA[0]!.netns, machinesB[0]!.netns)
      assert.notEqual(machinesA[0]!.sshHostKeyFingerprint, machinesB[0]!.sshHostKeyFingerprint)
      const link = runIn(labA.router.netns, ['ip', '-o', 'link', 'show', 'eni-12'])
      assert.match(link.stdout, /alias node-2/)
      assert.match(link.stdout, /mtu 1500/)
    })

    test('the host has no address, route, rule, link or process table entry in the way of the lab', () => {
      const now = hostState(ids)
      for (const part of ['ip -o link', 'ip -o address', 'ip route show table all', 'ip rule', 'nft list ruleset'])
        assert.equal(now[part], before[part], part)
      assert.equal(
        now['sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv6.conf.all.disable_ipv6'],
        before['sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv6.conf.all.disable_ipv6'],
      )
      const reached = spawnSync('ping', ['-c', '1', '-W', '1', '172.31.0.11'])
      assert.notEqual(reached.status, 0)
    })

    test('every endpoint reaches every other through the router, and only in its own lab', () => {
      const addresses = ['172.31.0.1', '172.31.0.10', '172.31.0.11', '172.31.0.12']
      for (const netns of [labA.controlPlane.netns, ...labA.machines().map((m) => m.netns)])
        for (const address of addresses)
          assert.equal(runIn(netns, ['ping', '-c', '1', '-W', '2', address]).status, 0, `${netns} → ${address}`)
      assert.notEqual(runIn(labB.controlPlane.netns, ['ping', '-c', '1', '-W', '1', '172.31.0.12']).status, 0)
    })

    test('a machine cannot send with an address that is not its own', () => {
      const [one] = labA.machines()
      const add = runIn(one!.netns, ['ip', 'address', 'add', '172.31.0.99/32', 'dev', 'lo'])
      assert.equal(add.status, 0)
      const spoofed = runIn(one!.netns, ['ping', '-c', '1', '-W', '1', '-I', '172.31.0.99', '172.31.0.12'])
      assert.notEqual(spoofed.status, 0)
      runIn(one!.netns, ['ip', 'address', 'delete', '172.31.0.99/32', 'dev', 'lo'])
    })

    test('the control plane logs in at port 22 with the host key of the record, and nothing else listens', async () => {
      for (const machine of labA.machines()) {
        const connection = await login(labA, machine, a)
        assert.equal(await command(connection, 'hostname; id -u'), `${machine.name}\n0`)
        // containerd's streaming server is on the loopback address
        const listening = await command(connection, "ss -Hltn | awk '{print $4}' | grep -v '^127[.]'")
        assert.equal(listening, `${machine.address}:22`)
        connection.close()
      }
    })

    test('another host key, another cluster’s key, passwords and unknown users are refused', async () => {
      const [machine] = labA.machines()
      const [other] = labB.machines()
      await assert.rejects(login(labA, machine!, a, other!.sshHostKeyFingerprint), /host key/i)
      await assert.rejects(login(labA, machine!, b), /auth/i)
      const options = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'BatchMode=yes']
      const methods = (user: string): string =>
        runIn(labA.controlPlane.netns, [
          'ssh',
          ...options,
          '-o',
          'PreferredAuthentications=none',
          `${user}@172.31.0.11`,
        ]).stderr
      assert.match(methods('root'), /Permission denied \(publickey\)/)
      assert.match(methods('nobody'), /Permission denied \(publickey\)/)
    })

    test('a machine sees its own disk and nothing of the host’s', async () => {
      const [machine] = labA.machines()
      const secret = join(a.directory, 'pki-secret')
      writeFileSync(secret, 'secret')
      const connection = await login(labA, machine!, a)
      assert.equal(await command(connection, 'ls -A /home /tmp /mnt /srv'), '/home:\n\n/mnt:\n\n/srv:\n\n/tmp:')
      assert.equal(await command(connection, 'ls -A /root; ls -A /root/.ssh'), '.ssh\nauthorized_keys')
      assert.equal(await command(connection, 'ls -A /var/lib'), 'containerd')
      assert.equal(await command(connection, `test -e ${secret} || echo hidden`), 'hidden')
      assert.equal(await command(connection, 'find / -xdev -name pki-secret | wc -l'), '0')
      assert.equal(await command(connection, 'ls -A /.host 2>/dev/null | wc -l'), '0')
      assert.equal(
        await command(connection, "ls /dev | tr '\\n' ' '"),
        'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero',
      )
      for (const denied of [
        'touch /usr/x',
        'echo 1 > /proc/sys/kernel/panic',
        'echo h > /proc/sysrq-trigger',
        'date -s 2001-01-01',
      ])
        assert.equal(await command(connection, `sh -c '${denied}' >/dev/null 2>&1 || echo denied`), 'denied', denied)
      assert.match(await command(connection, 'cat /proc/1/comm'), /^(busybox|init)$/)
      const cgroups = await command(connection, 'cut -d: -f3 /proc/self/cgroup | sort -u')
      assert.equal(cgroups, '/system')
      assert.equal(await command(connection, 'ps -e -o comm= | grep -c containerd'), '1')
      connection.close()
    })

    test('modes of what is secret', () => {
      const folder = join(a.directory, 'lab', 'node-1')
      for (const [file, mode] of [
        ['.', 0o700],
        ['ssh_host_ed25519_key', 0o600],
        ['boot.json', 0o600],
        ['console.log', 0o600],
        ['disk/etc/ssh/ssh_host_ed25519_key', 0o600],
        ['disk/etc/shadow', 0o600],
        ['disk/root/.ssh/authorized_keys', 0o600],
      ] as const)
        assert.equal(statSync(join(folder, file)).mode & 0o777, mode, file)
    })

    test('init takes further lines, and they are there after the next start', async () => {
      const [machine] = labA.machines()
      const connection = await login(labA, machine!, a)
      await command(connection, "echo '::respawn:/usr/bin/sleep 86413' >> /etc/inittab; kill -HUP 1")
      let running = ''
      for (let i = 0; i < 100 && running !== '1'; i++) {
        await sleep(50)
        running = await command(connection, "pgrep -fxc '/usr/bin/sleep 86413' || true")
      }
      assert.equal(running, '1')
      await command(connection, 'echo kept > /var/lib/kept; echo lost > /run/lost')
      connection.close()
    })

    test('a second up leaves machines that run as they are', async () => {
      const pids = labA.machines().map((m) => m.pid)
      await labA.up({ machines: 2, sshPublicKey: a.sshPublicKey })
      assert.deepEqual(
        labA.machines().map((m) => m.pid),
        pids,
      )
    })

    test('a process of the control plane lives at its address', async () => {
      const child = spawnInside(labA.controlPlane.netns, ['ip', '-o', '-4', 'address', 'show', 'eth0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [text] = (await once(child.stdout!.setEncoding('utf8'), 'data')) as [string]
      assert.match(text, /172\.31\.0\.10\/32/)
    })

    test('kill -9 of everything: up brings the same machines back with their data', async () => {
      const machines = labA.machines()
      for (const { pid } of machines) process.kill(pid!, 'SIGKILL')
      for (let i = 0; i < 200 && labA.machines().some((m) => m.running); i++) await sleep(10)
      assert.deepEqual(
        labA.machines().map((m) => m.running),
        [false, false],
      )
      const again = await labA.up({ machines: 2, sshPublicKey: a.sshPublicKey })
      assert.deepEqual(
        again.map((m) => [m.name, m.address, m.sshHostKeyFingerprint, m.running]),
        machines.map((m) => [m.name, m.address, m.sshHostKeyFingerprint, true]),
      )
      const connection = await login(labA, again[0]!, a)
      assert.equal(
        await command(connection, 'cat /var/lib/kept; cat /run/lost 2>/dev/null || echo fresh'),
        'kept\nfresh',
      )
      assert.equal(await command(connection, "pgrep -fxc '/usr/bin/sleep 86413'"), '1')
      connection.close()
    })

    test('a machine more, a machine less', async () => {
      const added = await labB.addMachine({ name: 'worker', sshPublicKey: b.sshPublicKey })
      assert.equal(added.address, '172.31.0.12')
      assert.equal(runIn(labB.controlPlane.netns, ['ping', '-c', '1', '-W', '2', added.address]).status, 0)
      await assert.rejects(labB.addMachine({ name: 'router', sshPublicKey: b.sshPublicKey }), /not a machine's name/)
      await labB.removeMachine('worker')
      assert.equal(labB.machines().find((m) => m.name === 'worker')?.running, false)
      const back = await labB.addMachine({ name: 'worker', sshPublicKey: b.sshPublicKey })
      assert.equal(back.sshHostKeyFingerprint, added.sshHostKeyFingerprint)
      await labB.removeMachine('worker', { deleteData: true })
      assert.deepEqual(
        labB.machines().map((m) => m.name),
        ['node-1'],
      )
      assert.ok(!existsSync(join(b.directory, 'lab', 'worker')))
      await assert.rejects(labB.removeMachine('worker'), /has no machine/)
    })

    test('what a machine has done to its own disk is no way onto the host’s', async () => {
      const folder = join(b.directory, 'lab', 'node-1')
      const target = join(b.directory, 'outside')
      mkdirSync(target)
      const [machine] = labB.machines()
      const connection = await login(labB, machine!, b)
      await command(
        connection,
        `mv /etc /etc.old; ln -s ${target} /etc; rm -rf /opt; ln -s ${target} /opt; rm -rf /.host; ln -s ${target} /.host`,
      )
      connection.close()
      await labB.removeMachine('node-1')
      // The link at the place of the old root stops the boot; the others are replaced.
      await assert.rejects(labB.up({ machines: 1, sshPublicKey: b.sshPublicKey }), /node-1 has ended/)
      assert.deepEqual(spawnSync('ls', ['-A', target], { encoding: 'utf8' }).stdout, '')
      spawnSync('rm', [join(folder, 'disk', '.host')])
      await labB.up({ machines: 1, sshPublicKey: b.sshPublicKey })
      assert.deepEqual(spawnSync('ls', ['-A', target], { encoding: 'utf8' }).stdout, '')
      const again = await login(labB, labB.machines()[0]!, b)
      assert.equal(await command(again, 'test -d /etc -a ! -L /etc && hostname'), 'node-1')
      again.close()
    })

    test('down of one lab leaves the other alone', async () => {
      const pid = labA.machines()[0]!.pid
      await labB.down()
      assert.equal(labA.machines()[0]!.pid, pid)
      assert.equal(runIn(labA.controlPlane.netns, ['ping', '-c', '1', '-W', '2', '172.31.0.12']).status, 0)
    })

    test('down leaves the host as it was, with a control plane and a pod’s process inside', async () => {
      spawnInside(labA.controlPlane.netns, ['sleep', '86414'], { stdio: 'ignore', detached: true })
      const [machine] = labA.machines()
      const connection = await login(labA, machine!, a)
      await command(connection, 'ctr -n k8s.io run -d rampart.internal/library/busybox:1 web sleep 86415')
      connection.close()
      await labA.down()
      assert.deepEqual(await hostStateLike(ids, before), before)
    })

    test('after kill -9 of the first processes, too', async () => {
      await labA.up({ machines: 2, sshPublicKey: a.sshPublicKey })
      for (const { pid } of labA.machines()) process.kill(pid!, 'SIGKILL')
      await labA.down()
      assert.deepEqual(await hostStateLike(ids, before), before)
    })

    test('and after an up that was killed at any moment; the next one works', async () => {
      for (const afterMs of [60, 120, 150, 180, 220, 260, 320, 400, 500, 650]) {
        const child = spawn(process.execPath, [UP, a.name, a.directory, a.sshPublicKey], { stdio: 'ignore' })
        const ended = once(child, 'exit')
        await sleep(afterMs + Math.random() * 30)
        child.kill('SIGKILL')
        await ended
        if (afterMs % 100 >= 20) {
          const machines = await labA.up({ machines: 2, sshPublicKey: a.sshPublicKey })
          assert.ok(
            machines.every((m) => m.running),
            `${afterMs} ms`,
          )
          for (const target of labA.importTargets())
            assert.match(
              await target.run(['ctr', '-n', 'k8s.io', 'images', 'list', '-q']),
              /^rampart\.internal\/pause:1$/m,
            )
        }
        await labA.down()
        assert.deepEqual(await hostStateLike(ids, before), before, `killed after ${afterMs} ms`)
      }
    })

    test('an up with a broken key says so and changes nothing', async () => {
      await assert.rejects(labA.up({ machines: 1, sshPublicKey: 'ssh-ed25519 AAAA\nssh-ed25519 BBBB' }), /one line/)
      assert.deepEqual(hostState(ids), before)
      const console = readFileSync(join(a.directory, 'lab', 'node-1', 'console.log'), 'utf8')
      assert.doesNotMatch(console, /PRIVATE KEY/)
    })
  })
