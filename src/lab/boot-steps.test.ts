import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CgroupHierarchy } from '../platform/cgroups.ts'
import { type BootStep, bootSteps, OLD_ROOT } from './boot-steps.ts'

const plan = (hierarchies: readonly CgroupHierarchy[]): BootStep[] =>
  bootSteps({
    hostname: 'node-1',
    disk: '/data/disk',
    hierarchies,
    cgroup: 'rampart-id-node-1',
    readOnly: ['/proc/sys/kernel'],
    rootLinks: [{ name: 'bin', target: 'usr/bin' }],
    files: [{ do: 'write', path: '/etc/hostname', mode: 0o644, content: 'node-1\n' }],
  })
const V1: CgroupHierarchy[] = [
  { version: 1, mountPoint: '/sys/fs/cgroup/cpu,cpuacct', options: 'cpu,cpuacct' },
  { version: 1, mountPoint: '/sys/fs/cgroup/systemd', options: 'name=systemd' },
  { version: 2, mountPoint: '/sys/fs/cgroup/unified', options: '' },
]
const V2: CgroupHierarchy[] = [{ version: 2, mountPoint: '/sys/fs/cgroup', options: '' }]

const mountsOf = (steps: readonly BootStep[]): string[] =>
  steps.flatMap((step) => (step.do === 'mount' ? step.mounts.map((m) => `${m.type} ${m.target} ${m.options}`) : []))
const at = (steps: readonly BootStep[], kind: BootStep['do']): number => steps.findIndex((step) => step.do === kind)

describe('a machine’s start', () => {
  for (const [host, hierarchies] of [
    ['version 1', V1],
    ['version 2', V2],
  ] as const)
    test(`order, cgroups of ${host}`, () => {
      const steps = plan(hierarchies)
      const joins = steps.findLastIndex((s) => s.do === 'put' && s.path.includes('rampart-id-node-1'))
      assert.ok(joins < at(steps, 'enter'), 'joins its cgroup while it sees the host’s')
      const written = steps.findIndex((s) => s.do === 'write' && s.path === '/etc/hostname')
      assert.ok(at(steps, 'enter') < written, 'writes when links lead nowhere but into its own disk')
      assert.ok(written < at(steps, 'forget'), 'reads the host’s files before it loses sight of them')
      assert.equal(steps.at(-1)!.do, 'become')
      assert.equal(at(steps, 'become'), steps.length - 1)
      const late = steps.slice(at(steps, 'forget') + 1)
      assert.ok(!JSON.stringify(late).includes(OLD_ROOT))
    })

  test('hierarchies of version 1 are found where programs look for them', () => {
    const steps = plan(V1)
    const mounts = mountsOf(steps)
    assert.ok(mounts.includes('cgroup /sys/fs/cgroup/cpu,cpuacct nosuid,nodev,noexec,cpu,cpuacct'))
    assert.ok(mounts.includes('cgroup /sys/fs/cgroup/systemd nosuid,nodev,noexec,name=systemd'))
    assert.ok(mounts.includes('cgroup2 /sys/fs/cgroup/unified nosuid,nodev,noexec'))
    const links = steps.flatMap((s) => (s.do === 'link' && s.path.startsWith('/sys') ? [s.path] : []))
    assert.deepEqual(links, ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpuacct'])
  })

  test('version 2 alone is the folder itself; the machine’s programs leave its root', () => {
    const steps = plan(V2)
    assert.ok(mountsOf(steps).includes('cgroup2 /sys/fs/cgroup nosuid,nodev,noexec'))
    assert.ok(!mountsOf(steps).some((m) => m.startsWith('tmpfs /sys')))
    assert.ok(steps.some((s) => s.do === 'put' && s.path === '/sys/fs/cgroup/system/cgroup.procs'))
  })

  test('init keeps no way to the one kernel’s modules, clock and power', () => {
    const last = plan(V2).at(-1)!
    assert.ok(last.do === 'become')
    const bounding = last.argv.find((arg) => arg.startsWith('--bounding-set='))!
    for (const name of ['sys_module', 'sys_boot', 'sys_time', 'sys_rawio'])
      assert.ok(bounding.includes(`-${name}`), name)
  })
})
