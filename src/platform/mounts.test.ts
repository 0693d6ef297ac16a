import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindMount, mountAt, mountTable, parseMounts, tmpfs } from './mounts.ts'

const MOUNTINFO = `21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
22 21 0:20 / /proc rw,relatime - proc proc rw
23 21 254:0 /a\\040b /mnt/x\\134y rw - ext4 /dev/vda rw
40 21 254:0 /run/netns /run/netns rw shared:5 master:3 - ext4 /dev/vda rw
`
const HIDING = `${MOUNTINFO}50 21 0:44 / /run rw,relatime - tmpfs tmpfs rw,mode=755
`

test('mountinfo: optional fields and escapes', () => {
  const mounts = parseMounts(MOUNTINFO)
  assert.equal(mounts.length, 4)
  assert.deepEqual(mounts[2], {
    id: 23,
    parent: 21,
    root: '/a b',
    mountPoint: '/mnt/x\\y',
    options: ['rw'],
    fileSystem: 'ext4',
    source: '/dev/vda',
    superOptions: ['rw'],
  })
  assert.equal(mounts[3]!.fileSystem, 'ext4')
})

for (const [path, info, id] of [
  ['/run/netns', MOUNTINFO, 40],
  ['/run/netns', HIDING, undefined],
  ['/run', HIDING, 50],
  ['/run', MOUNTINFO, undefined],
  ['/', HIDING, 21],
  [
    '/run/netns',
    `${HIDING}51 50 0:44 /netns /run/netns rw - tmpfs tmpfs rw\n52 51 0:44 /netns /run/netns rw - tmpfs tmpfs rw\n`,
    52,
  ],
] as const)
  test(`the mount at ${path} is ${id}`, () => assert.equal(mountAt(parseMounts(info), path)?.id, id))

test('a table for mount: names with blanks stay one field', () => {
  assert.equal(
    mountTable([bindMount('/a b', '/c\\d', true), tmpfs('/run', 'mode=755')]),
    '/a\\040b /c\\134d none bind,ro 0 0\ntmpfs /run tmpfs mode=755 0 0\n',
  )
})
