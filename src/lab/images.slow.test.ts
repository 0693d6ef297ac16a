import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { cgroupHierarchies, cgroupProcesses } from '../platform/cgroups.ts'
import { CONTAINER_STATE, type CriClient, createCriClient } from '../platform/cri/index.ts'
import { connectSsh } from '../platform/ssh/connection.ts'
import { dialInNamespace } from '../platform/ssh/dial.ts'
import { pinnedFingerprint } from '../platform/ssh/host-key.ts'
import { readIdentity } from '../platform/ssh/identity.ts'
import {
  BUSYBOX_IMAGE,
  CONTAINERD_SOCKET,
  createLab,
  importImages,
  type Lab,
  openImageSource,
  sshTarget,
} from './index.ts'
import { makeFolder, removeFolder, type TestCluster, testCluster, whyNoLab } from './testing.ts'

const skip = whyNoLab()

describe('images and pods on a lab machine', { skip: skip ?? false }, () => {
  let cluster: TestCluster
  let lab: Lab
  let cri: CriClient
  const folder = mkdtempSync(join(tmpdir(), `rampart-lab-images-${process.pid}-`))

  before(async () => {
    cluster = testCluster()
    lab = createLab(cluster)
    const [machine] = await lab.up({ machines: 1, sshPublicKey: cluster.sshPublicKey })
    cri = createCriClient(`/proc/${machine!.pid}/root${CONTAINERD_SOCKET}`)
  })
  after(async () => {
    cri?.close()
    await lab?.down()
    cluster?.remove()
    removeFolder(folder)
  })

  /** Runs a program in a container of the machine and gives back what it prints. */
  const runImage = (image: string, argv: readonly string[]): string => {
    const [program, ...args] = lab.insideMachine('node-1', [
      ...['ctr', '-n', 'k8s.io', 'run', '--rm', image, `t${Math.random().toString(36).slice(2)}`],
      ...argv,
    ])
    const { status, stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8', timeout: 30_000 })
    assert.equal(status, 0, stderr)
    return stdout.trim()
  }

  /** A folder with a small root file system in it. */
  const rootFolder = (name: string): string => {
    const root = makeFolder(folder, name)
    makeFolder(root, 'bin')
    execFileSync('cp', ['/usr/bin/busybox', join(root, 'bin', 'busybox')])
    execFileSync('ln', ['-s', 'busybox', join(root, 'bin', 'cat')])
    writeFileSync(join(root, 'word'), `${name}\n`)
    return root
  }

  test('a pod sandbox and a container run, below the cgroup of the machine, and end', async () => {
    const target = lab.importTargets()[0]!
    const conf = JSON.stringify(NETWORK)
    await target.run(['tee', '/etc/cni/net.d/10-pods.conflist'], chunks(conf))
    for (let i = 0; i < 100 && (await cri.status()).some((c) => !c.status); i++) await sleep(50)
    const metadata = { name: 'web', uid: 'u1', namespace: 'shop', attempt: 0 }
    const pod = {
      metadata,
      hostname: 'web',
      logDirectory: '/var/log/pods/web',
      linux: { cgroupParent: '/rampart/pod-1' },
    }
    const sandbox = await cri.runPodSandbox(pod)
    assert.match((await cri.podSandboxStatus(sandbox)).network!.ip, /^10\.88\.11\./)
    const container = await cri.createContainer(
      sandbox,
      {
        metadata: { name: 'main', attempt: 0 },
        image: { image: BUSYBOX_IMAGE },
        command: [
          'sh',
          '-c',
          'trap "exit 0" TERM; echo hello > /tmp/index.html; httpd -p 8080 -h /tmp; while :; do sleep 1; done',
        ],
        logPath: 'main.log',
        linux: { resources: { memoryLimitInBytes: 64 << 20, cpuShares: 102 }, securityContext: {} },
      },
      pod,
    )
    await cri.startContainer(container)
    assert.equal((await cri.containerStatus(container)).state, CONTAINER_STATE.running)
    const output = await cri.execSync(container, ['wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'], 10)
    assert.equal(Buffer.from(output.stdout).toString(), 'hello\n')
    // Seen from the host: the pod's processes are in the machine's own cgroup.
    const cgroup = `rampart-${lab.id}-node-1/rampart/pod-1`
    assert.ok(cgroupProcesses(cgroupHierarchies(), cgroup).length >= 3)
    await cri.stopContainer(container, 5)
    assert.equal((await cri.containerStatus(container)).exitCode, 0)
    await cri.removeContainer(container)
    await cri.stopPodSandbox(sandbox)
    await cri.removePodSandbox(sandbox)
    assert.deepEqual(cgroupProcesses(cgroupHierarchies(), cgroup), [])
  })

  test('the pause program reaps orphans and ends at SIGTERM', async () => {
    const target = lab.importTargets()[0]!
    const ctr = (...args: string[]): Promise<string> => target.run(['ctr', '-n', 'k8s.io', ...args])
    await ctr('run', '-d', 'rampart.internal/pause:1', 'reaper')
    await ctr('task', 'exec', '--exec-id', 'orphan', 'reaper', '/bin/busybox', 'sh', '-c', '(/bin/busybox sleep 0.2 &)')
    await sleep(600)
    const pid = (await ctr('task', 'ls')).match(/reaper\s+(\d+)/)?.[1]
    const children = await target.run(['ps', '-o', 'stat=', '--ppid', pid!])
    assert.doesNotMatch(children, /Z/)
    await ctr('task', 'kill', '--signal', 'SIGTERM', 'reaper')
    for (let i = 0; i < 100 && !/STOPPED/.test(await ctr('task', 'ls')); i++) await sleep(20)
    assert.match(await ctr('task', 'ls'), /reaper\s+\d+\s+STOPPED/)
    await ctr('task', 'delete', 'reaper')
    await ctr('container', 'delete', 'reaper')
  })

  test('busybox has its applets, a user nobody and a temporary folder for all', () => {
    const script = 'id nobody; stat -c %a /tmp; which httpd nc wget nslookup; ls -l /usr/bin/env | cut -c1'
    assert.deepEqual(runImage(BUSYBOX_IMAGE, ['sh', '-c', script]).split('\n'), [
      'uid=65534(nobody) gid=65534(nobody) groups=65534(nobody)',
      '1777',
      ...['/usr/sbin/httpd', '/usr/sbin/nc', '/usr/sbin/wget', '/usr/sbin/nslookup'],
      'l',
    ])
  })

  test('a root file system, from a folder, a tar and a compressed one', async () => {
    for (const [name, path] of [
      ['shop.test/folder:1', rootFolder('folder')],
      ['shop.test/tar:1', tarOf(rootFolder('tar'), join(folder, 'root.tar'))],
      ['shop.test/gzip:1', gzipOf(tarOf(rootFolder('gzip'), join(folder, 'root2.tar')))],
    ] as const) {
      const source = await openImageSource(path, name)
      assert.equal(source.kind, 'root file system')
      for (const target of lab.importTargets()) await importImages(target, source)
      source.close()
      assert.equal(runImage(name, ['cat', '/word']), /(\w+):/.exec(name)![1])
    }
  })

  test('an OCI layout and a docker-archive, with their own names and with another', async () => {
    const target = lab.importTargets()[0]!
    const exported = join(folder, 'exported.tar')
    const [program, ...args] = lab.insideMachine('node-1', [
      'ctr',
      '-n',
      'k8s.io',
      'images',
      'export',
      '-',
      'shop.test/tar:1',
    ])
    writeFileSync(exported, execFileSync(program!, args, { maxBuffer: 1 << 28 }))
    const layout = makeFolder(folder, 'layout')
    execFileSync('tar', ['-xf', exported, '-C', layout])
    const dockerOnly = join(folder, 'docker.tar')
    execFileSync('tar', ['-cf', dockerOnly, '-C', layout, 'manifest.json', 'blobs'])
    for (const [path, kind, name] of [
      [layout, 'OCI layout', 'shop.test/from-layout:2'],
      [exported, 'OCI layout', 'shop.test/from-archive:2'],
      [gzipOf(dockerOnly), 'docker-archive', 'shop.test/from-docker:2'],
      [dockerOnly, 'docker-archive', undefined],
    ] as const) {
      const source = await openImageSource(path, name)
      assert.equal(source.kind, kind)
      assert.deepEqual(source.names, [name ?? 'shop.test/tar:1'])
      await importImages(target, source)
      source.close()
      assert.equal(runImage(source.names[0]!, ['cat', '/word']), 'tar')
    }
  })

  test('over SSH, as on a machine of somebody’s own', async () => {
    const [machine] = lab.machines()
    const connection = await connectSsh({
      target: { user: 'root', host: machine!.address, port: 22 },
      hostKey: pinnedFingerprint(machine!.sshHostKeyFingerprint),
      identity: await readIdentity(cluster.key),
      dial: dialInNamespace(lab.controlPlane.netns),
    })
    const source = await openImageSource(rootFolder('ssh'), 'ssh-image')
    assert.deepEqual(source.names, ['docker.io/library/ssh-image:latest'])
    await importImages(sshTarget('node-1', connection), source)
    source.close()
    connection.close()
    assert.equal(runImage('docker.io/library/ssh-image:latest', ['cat', '/word']), 'ssh')
  })

  test('what is cut off or false is refused, and says why', async () => {
    const target = lab.importTargets()[0]!
    const good = join(folder, 'exported.tar')
    const bytes = readFileSync(good)
    const cut = join(folder, 'cut.tar')
    writeFileSync(cut, bytes.subarray(0, bytes.length >> 1))
    await assert.rejects(openImageSource(cut), /cut\.tar: the tar archive is cut off/)
    // A blob that is not what its name says is containerd's to refuse.
    const blobs = join(folder, 'layout', 'blobs', 'sha256')
    const config = (
      JSON.parse(readFileSync(join(folder, 'layout', 'manifest.json'), 'utf8')) as { Config: string }[]
    )[0]!.Config
    const file = join(folder, 'layout', config)
    assert.ok(existsSync(blobs) && existsSync(file))
    writeFileSync(file, readFileSync(file, 'utf8').replace('/bin/sh', '/bin/zz'))
    const source = await openImageSource(join(folder, 'layout'), 'shop.test/false:1')
    await target.run(['ctr', '-n', 'k8s.io', 'images', 'remove', 'shop.test/false:1']).catch(() => {})
    const digest = `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`
    assert.notEqual(`blobs/${digest.replace(':', '/')}`, config)
    await target.run(['ctr', '-n', 'k8s.io', 'content', 'rm', `sha256:${config.split('/').at(-1)}`])
    await assert.rejects(importImages(target, source), /digest|mismatch|commit/i)
  })
})

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

function tarOf(root: string, file: string): string {
  execFileSync('tar', ['-cf', file, '-C', root, '.'])
  return file
}

function gzipOf(file: string): string {
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)))
  return `${file}.gz`
}

/** One network for pods, as an agent would write it. */
const NETWORK = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    { type: 'ptp', mtu: 1450, ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.11.0/24' }]] } },
    { type: 'loopback' },
  ],
}
