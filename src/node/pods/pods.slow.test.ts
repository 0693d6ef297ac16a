import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { KubeObject } from '../../kernel/api/object.ts'
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
  untilEvent,
  untilGone,
} from './testing.ts'
import { mountsBelow } from './volumes/mounts.ts'

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
    const create = async (pod: KubeObject): Promise<KubeObject> => await node.client.create(core('pods'), pod)
    const remove = async (name: string): Promise<void> => {
      await node.client.delete(core('pods'), 'default', name, { gracePeriodSeconds: 1 })
      await untilGone(node, name)
    }
    const log = async (name: string, container = 'main', run = 0): Promise<string> => {
      const { uid } = (await node.client.get(core('pods'), 'default', name)).metadata
      const text = readFileSync(
        join(node.config.podLogFolder, `default_${name}_${uid}/${container}/${run}.log`),
        'utf8',
      )
      return text.replaceAll(/^\S+ \S+ F /gm, '')
    }
    /** What a command prints in the pod's container. */
    const exec = async (name: string, command: string, container = 'main'): Promise<string> => {
      const { uid } = (await node.client.get(core('pods'), 'default', name)).metadata
      const { id } = node
        .pods()
        .runtimeOf(uid!)
        .containers.find((c) => c.name === container && c.state === 'running')!
      const { stdout, stderr, exitCode } = await node.pods().cri.execSync(id, ['sh', '-c', command], 10)
      if (exitCode !== 0) throw new Error(`${command}: ${exitCode}: ${Buffer.from(stderr).toString()}`)
      return Buffer.from(stdout).toString()
    }

    it('runs a pod and says so', async () => {
      await create(testPod('web', 'echo hello; exec sleep 1000'))
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
      assert.equal(await log('web'), 'hello\n')
      await delay(300)
      assert.deepEqual(await eventsOf(node, 'web'), [
        `Normal Pulled x1: Container image "${TEST_IMAGE}" already present on machine`,
        'Normal Created x1: Created container: main',
        'Normal Started x1: Started container main',
      ])
      // What is told is not told again.
      const { resourceVersion } = (await node.client.get(core('pods'), 'default', 'web')).metadata
      await delay(2500)
      assert.equal((await node.client.get(core('pods'), 'default', 'web')).metadata.resourceVersion, resourceVersion)
    })

    it('gives it its name, its hosts, its token', async () => {
      const pod = await node.client.get(core('pods'), 'default', 'web')
      assert.equal((await exec('web', 'hostname')).trim(), 'web')
      assert.match(await exec('web', 'cat /etc/hosts'), new RegExp(`^${pod['status'].podIP}\tweb$`, 'm'))
      const folder = '/var/run/secrets/kubernetes.io/serviceaccount'
      const listed = (await exec('web', `ls -a ${folder}`)).trim().split('\n')
      assert.deepEqual(
        listed.filter((name) => !/^\.\.\d/.test(name)),
        ['.', '..', '..data', 'ca.crt', 'namespace', 'token'],
      )
      assert.equal(await exec('web', `cat ${folder}/namespace`), 'default')
      const token = await exec('web', `cat ${folder}/token`)
      const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
      assert.equal(claims.sub, 'system:serviceaccount:default:default')
      assert.equal(claims['kubernetes.io'].pod.uid, pod.metadata.uid)
      assert.match(await exec('web', `mount | grep ${folder}`), /tmpfs/)
      assert.match(await exec('web', 'env'), /^KUBERNETES_SERVICE_HOST=.+$/m)
    })

    it('deletes it, and nothing is left', async () => {
      const { uid } = (await node.client.get(core('pods'), 'default', 'web')).metadata
      await remove('web')
      for (let tries = 0; existsSync(join(node.config.stateFolder, 'checkpoints', `${uid}.json`)); tries++) {
        assert.ok(tries < 100, 'its checkpoint is still there')
        await delay(50)
      }
      assert.deepEqual(mountsBelow(node.config.stateFolder), [])
      assert.deepEqual(readdirSync(join(node.config.stateFolder, 'pods')), [])
      assert.deepEqual(readdirSync(node.config.podLogFolder), [])
      assert.deepEqual(await node.pods().cri.listPodSandbox(), [])
      assert.deepEqual(await node.pods().cri.listContainers(), [])
      const cgroup = join('/sys/fs/cgroup/memory', node.config.cgroupParent, 'besteffort', `pod${uid}`)
      assert.equal(existsSync(cgroup), false)
      assert.ok((await eventsOf(node, 'web')).includes('Normal Killing x1: Stopping container main'))
    })

    it('runs init containers in order, sidecars beside, and completes', async () => {
      const step = (name: string, script: string): object => ({
        name,
        image: TEST_IMAGE,
        command: ['sh', '-c', script],
      })
      const shared = { volumeMounts: [{ name: 'stage', mountPath: '/stage' }] }
      await create(
        testPod('job', 'cat /stage/order; test -e /stage/side', shared, {
          restartPolicy: 'Never',
          volumes: [{ name: 'stage', emptyDir: {} }],
          initContainers: [
            { ...step('one', 'echo one >> /stage/order'), ...shared },
            { ...step('side', 'touch /stage/side; exec sleep 1000'), restartPolicy: 'Always', ...shared },
            { ...step('two', 'echo two >> /stage/order; test -e /stage/side'), ...shared },
          ],
        }),
      )
      const status = await until(node, 'job', ({ phase }) => phase === 'Succeeded' || phase === 'Failed')
      assert.equal(status.phase, 'Succeeded')
      assert.equal(await log('job'), 'one\ntwo\n')
      assert.deepEqual(
        status.initContainerStatuses?.map(({ name, state }) => [name, state.terminated?.reason]),
        [
          ['one', 'Completed'],
          ['side', 'Error'],
          ['two', 'Completed'],
        ],
      )
      assert.deepEqual(
        status.conditions.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`.trim()),
        [
          'PodReadyToStartContainers=False',
          'Initialized=True PodCompleted',
          'Ready=False PodCompleted',
          'ContainersReady=False PodCompleted',
          'PodScheduled=True',
        ],
      )
      assert.equal(status.containerStatuses?.[0]?.state.terminated?.reason, 'Completed')
      await remove('job')
    })

    it('restarts what fails with growing waits, and keeps its last words', async () => {
      await create(testPod('crash', 'echo "run $HOSTNAME" > /dev/termination-log; exit 3'))
      const status = await until(
        node,
        'crash',
        ({ containerStatuses: [main] = [] }) => main?.state.waiting?.reason === 'CrashLoopBackOff',
      )
      const [main] = status.containerStatuses!
      assert.match(main!.state.waiting!.message!, /^back-off 10s restarting failed container=main pod=crash_default\(/)
      assert.equal(main?.lastState.terminated?.exitCode, 3)
      assert.equal(main?.lastState.terminated?.message, 'run crash\n')
      assert.equal(main?.lastState.terminated?.reason, 'Error')
      assert.equal(main?.restartCount, 1)
      assert.equal(status.phase, 'Running')
      assert.equal(await log('crash', 'main', 1), '')
      await until(node, 'crash', ({ containerStatuses: [now] = [] }) => now?.restartCount === 2, 30_000)
      const again = await until(
        node,
        'crash',
        ({ containerStatuses: [now] = [] }) => now?.state.waiting?.message?.startsWith('back-off 20s') === true,
      )
      assert.equal(again.containerStatuses?.[0]?.lastState.terminated?.exitCode, 3)
      const { uid } = (await node.client.get(core('pods'), 'default', 'crash')).metadata
      assert.equal(node.pods().runtimeOf(uid!).containers.length, 2)
      assert.match(
        (await eventsOf(node, 'crash')).join('\n'),
        /Warning BackOff x\d+: Back-off restarting failed container main/,
      )
      await remove('crash')
    })

    it('fails a pod that never restarts', async () => {
      await create(testPod('once', 'exit 4', {}, { restartPolicy: 'Never' }))
      const status = await until(node, 'once', ({ phase }) => phase === 'Failed')
      assert.equal(status.containerStatuses?.[0]?.state.terminated?.exitCode, 4)
      assert.equal(status.conditions.find(({ type }) => type === 'Ready')?.reason, 'PodFailed')
      await remove('once')
    })

    it('fills environment, arguments and files', async () => {
      await node.client.create(core('configmaps'), {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings', namespace: 'default' },
        data: { color: 'blue', 'app.conf': 'level=1\n' },
        binaryData: { raw: Buffer.from([0, 255]).toString('base64') },
      })
      await node.client.create(core('secrets'), {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'door', namespace: 'default' },
        stringData: { key: 's3same', other: 'x' },
      })
      await create(
        testPod(
          'filled',
          undefined,
          {
            command: ['sh', '-c', 'echo "$0 $1"; exec sleep 1000', '$(GREETING)', '$$(GREETING)$(NOPE)'],
            envFrom: [
              { prefix: 'CFG_', configMapRef: { name: 'settings' } },
              { configMapRef: { name: 'no', optional: true } },
            ],
            env: [
              { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
              { name: 'KEY', valueFrom: { secretKeyRef: { name: 'door', key: 'key' } } },
              { name: 'GREETING', value: 'hi $(NAME) $(CFG_color)' },
              { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
            ],
            resources: { limits: { cpu: '250m', memory: '64Mi' } },
            workingDir: '/tmp',
            volumeMounts: [
              { name: 'settings', mountPath: '/settings' },
              { name: 'door', mountPath: '/door' },
              { name: 'all', mountPath: '/all' },
              { name: 'settings', mountPath: '/one.conf', subPath: 'app.conf' },
              { name: 'scratch', mountPath: '/scratch' },
              { name: 'scratch', mountPath: '/part', subPath: 'a/b' },
              { name: 'memory', mountPath: '/memory' },
              { name: 'host', mountPath: '/host', readOnly: true },
            ],
          },
          {
            securityContext: { fsGroup: 2000 },
            volumes: [
              { name: 'settings', configMap: { name: 'settings' } },
              { name: 'door', secret: { secretName: 'door', items: [{ key: 'key', path: 'deep/key', mode: 0o400 }] } },
              {
                name: 'all',
                projected: {
                  sources: [
                    { secret: { name: 'door' } },
                    { configMap: { name: 'settings', items: [{ key: 'color', path: 'c' }] } },
                    { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
                    { serviceAccountToken: { path: 'tok', audience: 'shop' } },
                  ],
                },
              },
              { name: 'scratch', emptyDir: {} },
              { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
              { name: 'host', hostPath: { path: node.config.podLogFolder, type: 'Directory' } },
            ],
          },
        ),
      )
      const status = await until(node, 'filled', isReady)
      assert.equal(await log('filled'), 'hi filled blue $(GREETING)$(NOPE)\n')
      const environment = await exec('filled', 'env; pwd')
      for (const line of ['CFG_color=blue', 'NAME=filled', `IP=${status.podIP}`, 'KEY=s3same', 'CPU=250', '/tmp'])
        assert.match(environment, new RegExp(`^${line}$`, 'm'))
      assert.equal(await exec('filled', 'cat /settings/app.conf /one.conf'), 'level=1\nlevel=1\n')
      assert.equal(await exec('filled', 'od -An -tu1 /settings/raw'), '   0 255\n')
      assert.equal(await exec('filled', 'stat -L -c "%a %g" /door/deep/key; cat /door/deep/key'), '440 2000\ns3same')
      assert.equal(await exec('filled', 'cat /all/c /all/key /all/labels'), 'blues3sameapp="filled"')
      assert.equal(await exec('filled', 'stat -c "%a %g" /scratch; touch /part/x; ls /scratch/a/b'), '2777 2000\nx\n')
      assert.match(await exec('filled', 'df -k /memory | tail -1'), /^tmpfs\s+1024 /)
      assert.match(await exec('filled', 'ls /host'), /default_filled_/)
      for (const path of ['/settings/x', '/door/x', '/host/x'])
        await assert.rejects(exec('filled', `touch ${path}`), /Read-only file system/)
      assert.match(await exec('filled', 'id'), /groups=.*2000/)
      const audience = JSON.parse(
        Buffer.from((await exec('filled', 'cat /all/tok')).split('.')[1]!, 'base64url').toString(),
      )
      assert.deepEqual(audience.aud, ['shop'])
      const limits = join('/sys/fs/cgroup', 'memory', node.config.cgroupParent, 'pod')
      assert.match(limits, /^\/sys/)
      assert.equal(
        (await exec('filled', 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes')).trim(),
        String(64 * 1024 * 1024),
      )
      assert.equal(
        await exec('filled', 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares'),
        '25000\n256\n',
      )
      await remove('filled')
      assert.ok(existsSync(node.config.podLogFolder))
    })

    it('says what is missing, and starts when it is there', async () => {
      await create(
        testPod('needy', 'exec sleep 1000', {
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'late', key: 'a' } } }],
        }),
      )
      const waiting = await until(
        node,
        'needy',
        ({ containerStatuses: [main] = [] }) => main?.state.waiting?.reason === 'CreateContainerConfigError',
      )
      assert.equal(waiting.containerStatuses?.[0]?.state.waiting?.message, 'configmap "late" not found')
      assert.equal(waiting.phase, 'Pending')
      await node.client.create(core('configmaps'), {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'late', namespace: 'default' },
        data: { a: '1' },
      })
      await until(node, 'needy', isReady)
      await remove('needy')
    })

    it('pulls as told, and waits after failures', async () => {
      const policy = { imagePullPolicy: 'Never', image: 'rampart.invalid/none:1' }
      await create(testPod('never', undefined, policy))
      await create(testPod('pull', undefined, { ...policy, imagePullPolicy: 'IfNotPresent' }))
      const never = await until(
        node,
        'never',
        ({ containerStatuses: [main] = [] }) => main?.state.waiting?.reason === 'ErrImageNeverPull',
      )
      assert.match(never.containerStatuses![0]!.state.waiting!.message!, /is not present with pull policy of Never/)
      await until(node, 'pull', ({ containerStatuses: [main] = [] }) =>
        /^(ErrImagePull|ImagePullBackOff)$/.test(main?.state.waiting?.reason ?? ''),
      )
      for (const line of [
        'Normal Pulling x1: Pulling image "rampart.invalid/none:1"',
        'Warning Failed x1: Failed to pull image "rampart.invalid/none:1": ',
        'Warning Failed x1: Error: ErrImagePull',
      ])
        await untilEvent(node, 'pull', line)
      await Promise.all([remove('never'), remove('pull')])
    })

    it('watches probes: ready when it says so, restarted when it hangs', async () => {
      const script = 'touch /ready /alive; httpd -p 8080 -h /; exec sleep 1000'
      const every = { periodSeconds: 1, failureThreshold: 1 }
      await create(
        testPod('probed', script, {
          ports: [{ name: 'http', containerPort: 8080 }],
          startupProbe: { tcpSocket: { port: 'http' }, periodSeconds: 1, failureThreshold: 20 },
          readinessProbe: { httpGet: { path: '/ready', port: 'http' }, ...every },
          livenessProbe: { exec: { command: ['test', '-e', '/alive'] }, ...every },
        }),
      )
      const ready = await until(node, 'probed', isReady)
      assert.equal(ready.containerStatuses?.[0]?.started, true)
      await exec('probed', 'rm /ready')
      const unready = await until(node, 'probed', (status) => !isReady(status))
      assert.equal(
        unready.conditions.find(({ type }) => type === 'Ready')?.message,
        'containers with unready status: [main]',
      )
      assert.equal(unready.containerStatuses?.[0]?.restartCount, 0)
      await exec('probed', 'rm /alive')
      const restarted = await until(
        node,
        'probed',
        (status) => status.containerStatuses?.[0]?.restartCount === 1 && isReady(status),
      )
      assert.notEqual(restarted.containerStatuses?.[0]?.lastState.terminated, undefined)
      const events = (await eventsOf(node, 'probed')).join('\n')
      assert.match(events, /Warning Unhealthy x\d+: Readiness probe failed: HTTP probe failed with statuscode: 404/)
      assert.match(events, /Warning Unhealthy x\d+: Liveness probe failed: /)
      assert.match(events, /Normal Killing x1: Container main failed liveness probe, will be restarted/)
      await remove('probed')
    })

    it('runs hooks, and stops within the grace', async () => {
      await create(
        testPod(
          'hooked',
          'trap "" TERM; while :; do sleep 0.1; done',
          {
            lifecycle: {
              postStart: { exec: { command: ['sh', '-c', 'echo begun > /stage/start'] } },
              preStop: { exec: { command: ['sh', '-c', 'echo bye > /stage/stop'] } },
            },
            volumeMounts: [{ name: 'stage', mountPath: '/stage' }],
          },
          {
            volumes: [
              { name: 'stage', hostPath: { path: join(node.config.runFolder, 'hooked'), type: 'DirectoryOrCreate' } },
            ],
          },
        ),
      )
      await until(node, 'hooked', isReady)
      const begun = Date.now()
      await node.client.delete(core('pods'), 'default', 'hooked', { gracePeriodSeconds: 2 })
      await untilGone(node, 'hooked')
      assert.ok(Date.now() - begun >= 1900, 'it had its two seconds')
      const files = ['start', 'stop'].map((name) => readFileSync(join(node.config.runFolder, 'hooked', name), 'utf8'))
      assert.deepEqual(files, ['begun\n', 'bye\n'])
    })

    it('keeps containers to their security context', async () => {
      const context = {
        runAsUser: 1000,
        runAsGroup: 3000,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      }
      await create(testPod('tight', 'exec sleep 1000', { securityContext: context }))
      await until(node, 'tight', isReady)
      assert.match(await exec('tight', 'id'), /^uid=1000\(web\) gid=3000/)
      await assert.rejects(exec('tight', 'touch /x'), /Read-only file system/)
      const proc = await exec('tight', 'cat /proc/1/status')
      assert.match(proc, /^CapEff:\s+0+$/m)
      assert.match(proc, /^NoNewPrivs:\s+1$/m)
      assert.match(proc, /^Seccomp:\s+2$/m)
      await assert.rejects(exec('tight', 'echo 1 > /proc/sys/vm/drop_caches'), /Read-only|Permission|nonexistent/)
      await create(testPod('root', 'exec sleep 1000', { securityContext: { runAsNonRoot: true } }))
      const refused = await until(
        node,
        'root',
        ({ containerStatuses: [main] = [] }) => main?.state.waiting?.reason === 'CreateContainerConfigError',
      )
      assert.match(refused.containerStatuses![0]!.state.waiting!.message!, /must not run as root/)
      await Promise.all([remove('tight'), remove('root')])
    })

    it('lets users who are not root read what is theirs', async () => {
      await create(
        testPod(
          'user',
          'echo mine > /part/file; exec sleep 1000',
          {
            securityContext: { runAsUser: 1000 },
            volumeMounts: [
              { name: 'door', mountPath: '/door' },
              { name: 'settings', mountPath: '/settings' },
              { name: 'scratch', mountPath: '/part', subPath: 'deep/er' },
            ],
          },
          {
            volumes: [
              { name: 'door', secret: { secretName: 'door', items: [{ key: 'key', path: 'a/b/key' }] } },
              { name: 'settings', configMap: { name: 'settings' } },
              { name: 'scratch', emptyDir: {} },
            ],
          },
        ),
      )
      await until(node, 'user', isReady)
      assert.equal(await exec('user', 'cat /door/a/b/key /settings/color /part/file'), 's3samebluemine\n')
      assert.match(await exec('user', 'cat /etc/hosts'), /localhost/)
      const token = '/var/run/secrets/kubernetes.io/serviceaccount/token'
      assert.equal(
        await exec('user', `stat -L -c '%a %u' ${token}; test -s ${token} && cat ${token} | wc -l`),
        '600 1000\n0\n',
      )
      await remove('user')
    })

    it('ends a pod whose time is over', async () => {
      await create(testPod('late', 'exec sleep 1000', {}, { activeDeadlineSeconds: 2 }))
      const status = await until(node, 'late', ({ phase }) => phase === 'Failed')
      assert.equal(status.reason, 'DeadlineExceeded')
      assert.notEqual(status.containerStatuses?.[0]?.state.terminated, undefined)
      await remove('late')
    })

    it('shows changed ConfigMaps to containers that run', async () => {
      // The kubelet's minute is long for a test: the pod is looked at again because it changes.
      await create(
        testPod(
          'fresh',
          'exec sleep 1000',
          { volumeMounts: [{ name: 'v', mountPath: '/v' }] },
          {
            volumes: [{ name: 'v', configMap: { name: 'late' } }],
          },
        ),
      )
      await until(node, 'fresh', isReady)
      assert.equal(await exec('fresh', 'cat /v/a'), '1')
      await remove('fresh')
    })

    it('registers the node, and says that it is ready', async () => {
      const object = await node.client.get(core('nodes'), '', node.config.nodeName)
      assert.equal(object.metadata.labels?.['kubernetes.io/hostname'], node.config.nodeName)
      const status = object['status']
      assert.deepEqual(
        status.conditions.map(({ type, status }: { type: string; status: string }) => `${type}=${status}`).sort(),
        ['DiskPressure=False', 'MemoryPressure=False', 'PIDPressure=False', 'Ready=True'],
      )
      assert.equal(status.capacity.pods, '110')
      assert.match(status.nodeInfo.containerRuntimeVersion, /^containerd:\/\/.*1\./)
      assert.deepEqual(status.addresses[0], { type: 'InternalIP', address: NODE_ADDRESS })
      assert.ok(status.images.some(({ names }: { names: string[] }) => names.includes(TEST_IMAGE)))
      const leases = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
      const lease = await node.client.get(leases, 'kube-node-lease', node.config.nodeName)
      assert.equal(lease['spec'].holderIdentity, node.config.nodeName)
      assert.equal(lease.metadata.ownerReferences?.[0]?.uid, object.metadata.uid)
    })
  })
