import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { insideNamespaces, runInNamespaces, TEST_IMAGE, whyNoContainerd } from '../../platform/cri/testing.ts'
import {
  core,
  eventsOf,
  isReady,
  NODE_ADDRESS,
  startTestNode,
  type TestNode,
  testPod,
  until,
  untilGone,
} from './testing.ts'

if (!insideNamespaces())
  it('pods in containerd', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 300_000)
  })
else
  describe('pods in containerd', () => {
    let node: TestNode
    before(async () => {
      node = await startTestNode()
    })
    after(async () => await node.close())
    const create = async (pod: ReturnType<typeof testPod>) => await node.client.create(core('pods'), pod)

    it('runs a pod and says so', async () => {
      const created = await create(testPod('web', 'echo hello; exec sleep 1000'))
      const status = await until(node, 'web', isReady)
      assert.equal(status.phase, 'Running')
      assert.match(status.podIP!, /^10\.88\.7\.\d+$/)
      assert.deepEqual(status.podIPs, [{ ip: status.podIP }])
      assert.equal(status.hostIP, NODE_ADDRESS)
      assert.equal(status.qosClass, 'BestEffort')
      assert.deepEqual(
        status.conditions.map(({ type, status }) => `${type}=${status}`),
        [
          'PodReadyToStartContainers=True',
          'Initialized=True',
          'Ready=True',
          'ContainersReady=True',
          'PodScheduled=True',
        ],
      )
      const [main] = status.containerStatuses!
      assert.equal(main?.name, 'main')
      assert.equal(main?.image, TEST_IMAGE)
      assert.match(main!.imageID, /sha256:/)
      assert.match(main!.containerID!, /^containerd:\/\/[0-9a-f]{64}$/)
      assert.deepEqual([main?.ready, main?.started, main?.restartCount], [true, true, 0])
      assert.deepEqual(Object.keys(main!.state), ['running'])
      const log = join(node.config.podLogFolder, `default_web_${created.metadata.uid}/main/0.log`)
      assert.match(readFileSync(log, 'utf8'), /stdout F hello\n$/)
      await new Promise((resolve) => setTimeout(resolve, 300))
      assert.deepEqual(await eventsOf(node, 'web'), [
        `Normal Pulled x1: Container image "${TEST_IMAGE}" already present on machine`,
        'Normal Created x1: Created container: main',
        'Normal Started x1: Started container main',
      ])
    })

    it('deletes it', async () => {
      await node.client.delete(core('pods'), 'default', 'web')
      await untilGone(node, 'web')
    })
  })
