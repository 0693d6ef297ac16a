import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { KubeObject } from '../../kernel/api/object.ts'
import { startTestServer } from '../../kernel/apiserver/testing.ts'
import { insideNamespaces, runInNamespaces, whyNoContainerd } from '../../platform/cri/testing.ts'
import { core, isReady, startTestNode, statusOf, type TestNode, testPod, until, untilGone } from './testing.ts'

if (!insideNamespaces())
  it('pods outlive the agent, the runtime and the API server', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 300_000)
  })
else
  describe('pods outlive', () => {
    let node: TestNode
    before(async () => {
      node = await startTestNode()
    })
    after(async () => await node.close())
    const read = async (name: string): Promise<KubeObject> => await node.client.get(core('pods'), 'default', name)
    const main = async (name: string): Promise<{ containerID?: string; restartCount: number }> =>
      statusOf(await read(name)).containerStatuses![0]!
    const running = (name: string): string | undefined => {
      for (const pod of node.pods().list())
        if (pod.metadata.name === name)
          return node
            .pods()
            .runtimeOf(pod.metadata.uid!)
            .containers.find(({ state }) => state === 'running')?.id
      return undefined
    }
    const untilRunning = async (name: string, other: string | undefined): Promise<string> => {
      for (let attempt = 0; ; attempt++) {
        const id = running(name)
        if (id !== undefined && id !== other) return id
        assert.ok(attempt < 300, `${name} does not run again\n${node.log.slice(-20).join('\n')}`)
        await delay(50)
      }
    }
    const probe = { exec: { command: ['test', '-e', '/ready'] }, periodSeconds: 1, initialDelaySeconds: 1 }

    it('the agent: nothing restarts, and nothing is written', async () => {
      await node.client.create(
        core('pods'),
        testPod('steady', 'touch /ready; exec sleep 1000', { readinessProbe: probe, startupProbe: probe }),
      )
      await node.client.create(core('pods'), testPod('brief', 'exit 0', {}, { restartPolicy: 'Never' }))
      await until(node, 'steady', isReady)
      await until(node, 'brief', ({ phase }) => phase === 'Succeeded')
      await delay(300)
      const before = await read('steady')
      const brief = await read('brief')
      await node.stopAgent()
      await node.startAgent()
      await delay(3000)
      assert.deepEqual((await read('steady'))['status'], before['status'])
      assert.equal((await read('steady')).metadata.resourceVersion, before.metadata.resourceVersion)
      assert.equal((await read('brief')).metadata.resourceVersion, brief.metadata.resourceVersion)
    })

    it('the agent: what ended or was deleted meanwhile is seen to', async () => {
      await node.client.create(core('pods'), testPod('away', 'exec sleep 1000'))
      await node.client.create(core('pods'), testPod('forced', 'exec sleep 1000'))
      await until(node, 'away', isReady)
      const { uid } = await until(node, 'forced', isReady).then(async () => (await read('forced')).metadata)
      const id = running('away')!
      const { cri } = node.pods()
      await node.stopAgent()
      await node.client.delete(core('pods'), 'default', 'forced', { gracePeriodSeconds: 0 })
      await node.startAgent()
      const again = node.pods().cri
      assert.notEqual(again, cri)
      await again.stopContainer(id, 0)
      await until(node, 'away', ({ containerStatuses: [c] = [] }) => c?.restartCount === 1 && c.ready)
      for (let attempt = 0; ; attempt++) {
        const left = await again.listPodSandbox({ labelSelector: { 'io.kubernetes.pod.uid': uid! } })
        if (left.length === 0) break
        assert.ok(attempt < 200, 'the sandbox of a pod that was deleted stays')
        await delay(50)
      }
    })

    it('the runtime: nothing restarts', async () => {
      const before = await main('steady')
      await node.containerd.stop()
      await delay(1500)
      await node.containerd.start()
      await node.client.create(core('pods'), testPod('next', 'exec sleep 1000'))
      await until(node, 'next', isReady)
      assert.deepEqual(await main('steady'), before)
      assert.ok(node.log.some((line) => line.startsWith('warn the container runtime does not answer')))
    })

    it('the API server: what fails is restarted, also by a new agent', async () => {
      const { directory, port } = node.server
      const id = running('steady')!
      await node.server.close({ keep: true })
      await node.pods().cri.stopContainer(id, 0)
      const second = await untilRunning('steady', id)
      await node.stopAgent()
      await node.startAgent()
      assert.equal(running('steady'), second)
      await node.pods().cri.stopContainer(second, 0)
      const third = await untilRunning('steady', second)
      node.server = await startTestServer({ directory, settings: { port } })
      node.client = node.server.remoteClient
      const status = await until(
        node,
        'steady',
        (s) => s.containerStatuses?.[0]?.restartCount === 2 && isReady(s),
        60_000,
      )
      assert.equal(status.containerStatuses?.[0]?.containerID, `containerd://${third}`)
      await node.client.delete(core('pods'), 'default', 'steady')
      await untilGone(node, 'steady', 60_000)
    })
  })
