import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type CriClient, createCriClient } from './client.ts'
import { CriError } from './connection.ts'
import { CONTAINER_STATE, type PodSandboxConfig, SANDBOX_STATE } from './messages.ts'
import {
  insideNamespaces,
  runInNamespaces,
  startContainerd,
  TEST_IMAGE,
  type TestContainerd,
  testCgroup,
  testFolder,
  whyNoContainerd,
} from './testing.ts'

if (!insideNamespaces())
  it('CRI client against containerd', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 120_000)
  })
else
  describe('CRI client against containerd', () => {
    let containerd: TestContainerd
    let cri: CriClient
    let sandboxId: string
    let containerId: string
    const sandbox = (): Partial<PodSandboxConfig> => ({
      metadata: { name: 'web', uid: 'u1', namespace: 'shop', attempt: 0 },
      hostname: 'web',
      logDirectory: join(testFolder(), 'logs'),
      labels: { app: 'web', 'io.kubernetes.pod.uid': 'u1' },
      annotations: { note: 'ü' },
      linux: { cgroupParent: `${testCgroup()}/u1` },
    })

    before(async () => {
      containerd = await startContainerd()
      cri = createCriClient(containerd.socket)
      mkdirSync(join(testFolder(), 'logs'), { recursive: true })
    })
    after(async () => {
      cri.close()
      await containerd.stop()
    })

    it('says who it is and that network and runtime are ready', async () => {
      assert.equal((await cri.version()).runtimeName, 'containerd')
      const conditions = await cri.status()
      assert.deepEqual(
        conditions.map(({ type, status }) => [type, status]),
        [
          ['RuntimeReady', true],
          ['NetworkReady', true],
        ],
      )
    })

    it('knows images', async () => {
      const image = await cri.imageStatus(TEST_IMAGE)
      assert.deepEqual(image?.repoTags, [TEST_IMAGE])
      assert.match(image!.id, /^sha256:/)
      assert.deepEqual([image?.uid, image?.username], [undefined, ''])
      assert.equal(await cri.imageStatus('rampart.test/none:1'), undefined)
      assert.ok((await cri.listImages()).some(({ id }) => id === image!.id))
      assert.ok((await cri.imageFsInfo()).length > 0)
      await assert.rejects(cri.pullImage('rampart.invalid/none:1'), (error: CriError) => {
        assert.ok(error instanceof CriError)
        assert.equal(error.method, 'PullImage')
        assert.match(error.message, /^PullImage: \w+: .*rampart\.invalid/)
        return true
      })
    })

    it('runs a sandbox with an address', async () => {
      sandboxId = await cri.runPodSandbox(sandbox())
      const status = await cri.podSandboxStatus(sandboxId)
      assert.equal(status.state, SANDBOX_STATE.ready)
      assert.match(status.network!.ip, /^10\.88\.7\./)
      assert.equal(status.annotations['note'], 'ü')
      assert.deepEqual(status.metadata, { name: 'web', uid: 'u1', namespace: 'shop', attempt: 0 })
      const found = await cri.listPodSandbox({ labelSelector: { 'io.kubernetes.pod.uid': 'u1' } })
      assert.deepEqual(
        found.map(({ id }) => id),
        [sandboxId],
      )
      assert.deepEqual(await cri.listPodSandbox({ labelSelector: { app: 'db' } }), [])
    })

    it('runs a container with command, environment and limits', async () => {
      containerId = await cri.createContainer(
        sandboxId,
        {
          metadata: { name: 'main', attempt: 3 },
          image: { image: TEST_IMAGE },
          command: ['sh', '-c', 'echo "$GREETING $0 $1"; echo oops >&2; exec sleep 1000'],
          args: ['a', 'b'],
          envs: [{ key: 'GREETING', value: Buffer.from('grüß') }],
          labels: { part: 'main' },
          logPath: 'main.log',
          linux: { resources: { memoryLimitInBytes: 64 * 1024 * 1024, cpuShares: 102 }, securityContext: {} },
        },
        sandbox(),
      )
      assert.equal((await cri.containerStatus(containerId)).state, CONTAINER_STATE.created)
      await cri.startContainer(containerId)
      const status = await cri.containerStatus(containerId)
      assert.equal(status.state, CONTAINER_STATE.running)
      assert.equal(status.metadata?.attempt, 3)
      const log = join(testFolder(), 'logs/main.log')
      while (readFileSync(log, 'utf8').split('\n').length < 3) await delay(20)
      assert.match(readFileSync(log, 'utf8'), /^\S+ stdout F grüß a b$/m)
      assert.match(readFileSync(log, 'utf8'), /^\S+ stderr F oops$/m)
      const [listed] = await cri.listContainers({ podSandboxId: sandboxId, labelSelector: { part: 'main' } })
      assert.equal(listed?.id, containerId)
      assert.equal((await cri.containerStats(containerId))?.attributes?.id, containerId)
      assert.equal((await cri.listContainerStats({ podSandboxId: sandboxId })).length, 1)
    })

    it('executes commands and hands out stream addresses', async () => {
      const output = await cri.execSync(containerId, ['sh', '-c', 'echo out; echo err >&2; exit 7'], 5)
      assert.deepEqual(
        [Buffer.from(output.stdout).toString(), Buffer.from(output.stderr).toString(), output.exitCode],
        ['out\n', 'err\n', 7],
      )
      await assert.rejects(cri.execSync(containerId, ['sleep', '10'], 1), {
        code: 'DEADLINE_EXCEEDED',
        method: 'ExecSync',
      })
      const streams = { stdin: false, stdout: true, stderr: true, tty: false }
      assert.match(await cri.exec(containerId, ['true'], streams), /^http:\/\/127\.0\.0\.1:\d+\/exec\//)
      assert.match(await cri.attach(containerId, streams), /\/attach\//)
      assert.match(await cri.portForward(sandboxId, [80]), /\/portforward\//)
      await cri.reopenContainerLog(containerId)
    })

    it('gives up when asked to', async () => {
      const stop = new AbortController()
      const call = cri.execSync(containerId, ['sleep', '10'], 10, stop.signal)
      stop.abort()
      await assert.rejects(call, { code: 'CANCELLED' })
      await assert.rejects(cri.execSync(containerId, ['true'], 1, stop.signal), { code: 'CANCELLED' })
    })

    it('names the code of refusals', async () => {
      await assert.rejects(cri.containerStatus('none'), { code: 'NOT_FOUND', method: 'ContainerStatus' })
      await assert.rejects(cri.startContainer(containerId), { method: 'StartContainer' })
    })

    it('reaches a runtime that was restarted; its containers run on', async () => {
      await containerd.stop()
      await assert.rejects(cri.status(), { code: 'UNAVAILABLE' })
      await containerd.start()
      for (let attempt = 0; ; attempt++)
        try {
          await cri.status()
          break
        } catch (error) {
          if (attempt > 50) throw error
          await delay(100)
        }
      assert.equal((await cri.containerStatus(containerId)).state, CONTAINER_STATE.running)
    })

    it('stops and removes', async () => {
      await cri.stopContainer(containerId, 1)
      const status = await cri.containerStatus(containerId)
      assert.equal(status.state, CONTAINER_STATE.exited)
      assert.equal(status.exitCode, 143)
      await cri.removeContainer(containerId)
      await cri.stopPodSandbox(sandboxId)
      assert.equal((await cri.podSandboxStatus(sandboxId)).state, SANDBOX_STATE.notReady)
      await cri.removePodSandbox(sandboxId)
      await assert.rejects(cri.podSandboxStatus(sandboxId), { code: 'NOT_FOUND' })
    })
  })
