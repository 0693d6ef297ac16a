import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CgroupHierarchy, cgroupHierarchies, isUnified } from './cgroups.ts'

const line = (id: number, at: string, type: string, options: string): string =>
  `${id} 1 0:${id} / ${at} rw,nosuid - ${type} ${type} ${options}\n`

const v1 = (mountPoint: string, options: string): CgroupHierarchy => ({ version: 1, mountPoint, options })
const v2 = (mountPoint: string): CgroupHierarchy => ({ version: 2, mountPoint, options: '' })

for (const [host, mountinfo, expected, unified] of [
  [
    'of version 2 alone',
    line(30, '/sys/fs/cgroup', 'cgroup2', 'rw,nsdelegate,memory_recursiveprot'),
    [v2('/sys/fs/cgroup')],
    true,
  ],
  [
    'of both versions',
    [
      line(30, '/sys/fs/cgroup/unified', 'cgroup2', 'rw,nsdelegate'),
      line(31, '/sys/fs/cgroup/systemd', 'cgroup', 'rw,xattr,release_agent=/lib/systemd/agent,name=systemd'),
      line(32, '/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
      line(33, '/sys/fs/cgroup/cpuset', 'cgroup', 'rw,cpuset,clone_children'),
      line(34, '/elsewhere/memory', 'cgroup', 'rw,memory'),
      line(35, '/again/memory', 'cgroup', 'rw,memory'),
    ].join(''),
    [
      v2('/sys/fs/cgroup/unified'),
      v1('/sys/fs/cgroup/systemd', 'name=systemd'),
      v1('/sys/fs/cgroup/cpu,cpuacct', 'cpu,cpuacct'),
      v1('/sys/fs/cgroup/cpuset', 'cpuset'),
      v1('/elsewhere/memory', 'memory'),
    ],
    false,
  ],
] as const)
  test(`hierarchies of a host ${host}`, () => {
    const found = cgroupHierarchies(mountinfo)
    assert.deepEqual(found, expected)
    assert.equal(isUnified(found), unified)
  })
