/** A whole cluster on this host: two machines that joined over SSH, and everything that people do with pods on them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { KUBECTL_VERSIONS, run, testProgram } from './setup/cluster.ts'
import { eventually, startLab, type TestLab, whyNoLab } from './setup/lab.ts'

const IMAGE = 'rampart.internal/library/busybox:1'
const folder = mkdtempSync(join(tmpdir(), 'rampart-machines-'))

/** What a lab could leave behind on the host, by its name. */
async function traces(name: string): Promise<string[]> {
  const found: string[] = []
  for (const argv of [
    ['ip', 'netns', 'list'],
    ['ip', '-o', 'link'],
    ['findmnt', '-rno', 'TARGET,SOURCE'],
  ]) {
    const { stdout } = await run(argv[0]!, argv.slice(1))
    found.push(...stdout.split('\n').filter((line) => line.includes(name)))
  }
  const rules = await run('nft', ['list', 'ruleset'])
  if (rules.stdout.includes('rampart')) found.push('rules of the host')
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      if (line.includes(name) && Number(pid) !== process.pid) found.push(line)
    } catch {
      // it has ended meanwhile
    }
  const { stdout } = await run('find', ['/sys/fs/cgroup', '-maxdepth', '3', '-name', `*${name}*`])
  found.push(...stdout.split('\n').filter((line) => line !== ''))
  return found
}

const fetch = (url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    get(url, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    }).once('error', reject)
  })

describe('a cluster with two machines', { skip: whyNoLab ?? false }, () => {
  let lab: TestLab
  before(async () => {
    lab = await startLab()
  })
  after(async () => {
    await lab.stop()
    rmSync(folder, { recursive: true })
    assert.deepEqual(await traces(lab.name), [], 'down leaves nothing behind')
  })

  const uidOf = async (pod: string): Promise<string> =>
    await lab.ok('get', 'pod', pod, '-o', 'jsonpath={.metadata.uid}')
  const running = async (name: string, ...more: string[]): Promise<void> => {
    await lab.ok('run', name, `--image=${IMAGE}`, '--restart=Never', ...more)
    await lab.ok('wait', `pod/${name}`, '--for=condition=Ready', '--timeout=30s')
  }

  test('both are Ready, closed to nobody, and tell who they are', async () => {
    const nodes = JSON.parse(await lab.ok('get', 'nodes', '-o', 'json')).items as {
      metadata: { name: string }
      spec: { podCIDR: string; taints?: object[] }
      status: { addresses: { type: string; address: string }[]; nodeInfo: { containerRuntimeVersion: string } }
    }[]
    assert.deepEqual(
      nodes.map(({ metadata, status }) => [
        metadata.name,
        status.addresses.find((a) => a.type === 'InternalIP')?.address,
      ]),
      [
        ['node-1', '172.31.0.11'],
        ['node-2', '172.31.0.12'],
      ],
    )
    assert.deepEqual(new Set(nodes.map((n) => n.spec.podCIDR)), new Set(['10.244.0.0/24', '10.244.1.0/24']))
    for (const node of nodes) {
      assert.match(node.status.nodeInfo.containerRuntimeVersion, /^containerd:\/\//)
      assert.deepEqual(node.spec.taints ?? [], [])
    }
    const list = await lab.rampart(['node', 'list', '-o', 'json'])
    assert.deepEqual(
      (JSON.parse(list.stdout) as { name: string; state: string; certificateExpires: string }[]).map((row) => [
        row.name,
        row.state,
        row.certificateExpires !== '',
      ]),
      [
        ['node-1', 'Ready', true],
        ['node-2', 'Ready', true],
      ],
    )
  })

  test('every link proves itself', async () => {
    const links = await lab.rampart(['tls', 'links'])
    assert.equal(links.code, 0, links.stdout + links.stderr)
    for (const node of ['node-1', 'node-2']) {
      assert.match(links.stdout, new RegExp(`kubelet ${node} → API server .* all \\d+ right`))
      assert.match(links.stdout, new RegExp(`API server → kubelet ${node} .* all \\d+ right`))
    }
  })

  for (const version of KUBECTL_VERSIONS)
    test(`kubectl ${version}: run, logs, exec, cp, port-forward, delete`, async () => {
      const pod = `web-${version.replace('.', '')}`
      const kubectl = async (...args: string[]) => await lab.kubectl(version, args)
      const command = 'echo ready; exec httpd -f -p 8080 -h /etc'
      const made = await kubectl('run', pod, `--image=${IMAGE}`, '--command', '--', 'sh', '-c', command)
      assert.equal(made.code, 0, made.stderr)
      await lab.ok('wait', `pod/${pod}`, '--for=condition=Ready', '--timeout=30s')
      assert.match(
        (await kubectl('get', 'pod', pod, '-o', 'wide')).stdout,
        /1\/1 +Running .* 10\.244\.[01]\.\d+ +node-[12]/,
      )
      assert.match((await kubectl('logs', pod)).stdout, /^ready\n/)

      const failed = await kubectl('exec', pod, '--', 'sh', '-c', 'echo out; echo err >&2; exit 7')
      assert.deepEqual([failed.code, failed.stdout], [7, 'out\n'])
      assert.match(failed.stderr, /^err\n/)
      const echoed = await lab.kubectl(version, ['exec', '-i', pod, '--', 'cat'], { input: 'through' })
      assert.equal(echoed.stdout, 'through', echoed.stderr)

      const bytes = randomBytes(3_000_000)
      const file = join(folder, `${pod}.bin`)
      writeFileSync(file, bytes)
      assert.equal((await kubectl('cp', file, `${pod}:/tmp/copy`)).code, 0)
      assert.equal((await kubectl('cp', `${pod}:/tmp/copy`, `${file}.back`)).code, 0)
      assert.ok(readFileSync(`${file}.back`).equals(bytes))

      const forward = spawn(testProgram(`kubectl-${version}`)!, ['port-forward', `pod/${pod}`, ':8080'], {
        env: { ...process.env, KUBECONFIG: lab.kubeconfig },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      try {
        const port = await new Promise<string>((resolve, reject) => {
          let text = ''
          forward.stdout.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk
            const match = /127\.0\.0\.1:(\d+) ->/.exec(text)
            if (match !== null) resolve(match[1]!)
          })
          forward.once('close', () => reject(new Error(`port-forward ended: ${text}`)))
        })
        const answers = await Promise.all([1, 2, 3, 4].map(() => fetch(`http://127.0.0.1:${port}/passwd`)))
        assert.deepEqual(answers, [200, 200, 200, 200])
      } finally {
        forward.kill()
      }
      assert.equal((await kubectl('delete', 'pod', pod, '--grace-period=1')).code, 0)
      assert.equal((await kubectl('get', 'pod', pod)).code, 1)
    })

  test('pods of different machines reach each other; what a pod is given arrives', async () => {
    await lab.ok('create', 'secret', 'generic', 'cred', '--from-literal=password=sesame')
    await lab.ok('create', 'configmap', 'conf', '--from-literal=greeting=hello')
    const spec = (node: string, command: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `on-${node}`, labels: { app: 'x' } },
        spec: {
          nodeName: node,
          containers: [
            {
              name: 'c',
              image: IMAGE,
              command: ['sh', '-c', command],
              env: [
                { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'cred', key: 'password' } } },
                { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
              ],
              volumeMounts: [{ name: 'all', mountPath: '/given' }],
              readinessProbe: { httpGet: { port: 8080, path: '/greeting' }, periodSeconds: 1 },
            },
          ],
          volumes: [
            {
              name: 'all',
              projected: {
                sources: [
                  { configMap: { name: 'conf' } },
                  { secret: { name: 'cred' } },
                  { serviceAccountToken: { path: 'token', audience: 'elsewhere', expirationSeconds: 600 } },
                ],
              },
            },
          ],
        },
      })
    for (const node of ['node-1', 'node-2'])
      await lab.kubectl('1.32', ['create', '-f', '-'], { input: spec(node, 'httpd -f -p 8080 -h /given') })
    await lab.ok('wait', 'pod/on-node-1', 'pod/on-node-2', '--for=condition=Ready', '--timeout=30s')
    const address = await lab.ok('get', 'pod', 'on-node-2', '-o', 'jsonpath={.status.podIP}')
    const inside = (script: string): Promise<string> => lab.ok('exec', 'on-node-1', '--', 'sh', '-c', script)
    assert.equal(await inside(`wget -qO- http://${address}:8080/greeting`), 'hello')
    assert.equal(await inside('echo $PASSWORD $NODE; cat /given/password'), 'sesame node-1\nsesame')
    const payload = JSON.parse(Buffer.from((await inside('cat /given/token')).split('.')[1]!, 'base64url').toString())
    assert.deepEqual([payload.aud, payload['kubernetes.io'].node.name], [['elsewhere'], 'node-1'])
  })

  test('a container that ends comes again, by its policy', async () => {
    await lab.ok('run', 'flaky', `--image=${IMAGE}`, '--command', '--', 'sh', '-c', 'sleep 1; exit 3')
    await eventually('a restart', async () => {
      const text = await lab.ok('get', 'pod', 'flaky', '-o', 'jsonpath={.status.containerStatuses[0].restartCount}')
      return Number(text) >= 1
    })
    const last = await lab.ok(
      ...['get', 'pod', 'flaky', '-o', 'jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}'],
    )
    assert.equal(last, '3')
    await lab.ok('delete', 'pod', 'flaky', '--grace-period=0', '--force')
  })

  test('the agent may be killed: containers go on, and it knows them again', async () => {
    await running('steady', '--overrides={"spec":{"nodeName":"node-1"}}', '--command', '--', 'sleep', '1000')
    const id = (): Promise<string> =>
      lab.ok(
        'get',
        'pod',
        'steady',
        '-o',
        'jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}',
      )
    const [uid, containerBefore] = [await uidOf('steady'), await id()]
    const killed = await lab.rampart(['node', 'ssh', 'node-1', '--', 'pkill', '-9', '-f', 'src/node/main.ts'])
    assert.equal(killed.code, 0, killed.stderr)
    await eventually('exec works again', async () => {
      const { code, stdout } = await lab.kubectl('1.32', ['exec', 'steady', '--', 'echo', 'here'])
      return code === 0 && stdout === 'here\n'
    })
    assert.deepEqual([await uidOf('steady'), await id()], [uid, containerBefore])
  })

  test('after kill -9 of the control plane and of a machine, up brings the same cluster back', async () => {
    const before = JSON.parse(await lab.ok('get', 'nodes', '-o', 'json')).items.map(
      (n: { metadata: object }) => n.metadata,
    )
    const first = await run('sh', [
      '-c',
      `for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/usr/bin/busybox init' && grep -q '${lab.data}' $p/mountinfo && echo \${p#/proc/}; done; true`,
    ])
    const inits = first.stdout.split('\n').filter((line) => line !== '')
    assert.equal(inits.length, 2, first.stdout)
    process.kill(lab.pid(), 'SIGKILL')
    process.kill(Number(inits[0]), 'SIGKILL')
    const up = await lab.up()
    assert.equal(up.code, 0, up.stderr)
    const uids = (items: { name: string; uid: string }[]): string[] =>
      items.map(({ name, uid }) => `${name} ${uid}`).sort()
    await lab.ok('wait', 'nodes', '--all', '--for=condition=Ready', '--timeout=60s')
    const now = JSON.parse(await lab.ok('get', 'nodes', '-o', 'json')).items.map(
      (n: { metadata: object }) => n.metadata,
    )
    assert.deepEqual(uids(now), uids(before))
    await eventually(
      'pods run on both machines',
      async () =>
        (await lab.kubectl('1.32', ['exec', 'on-node-1', '--', 'true'])).code === 0 &&
        (await lab.kubectl('1.32', ['exec', 'on-node-2', '--', 'true'])).code === 0,
      60_000,
    )
  })

  test('a machine leaves: its pods are evicted, its certificates are of no use, nothing of it stays', async () => {
    const refused = await lab.rampart(['node', 'drain', 'node-2'])
    assert.deepEqual([refused.code, /no controller would start it elsewhere/.test(refused.stderr)], [1, true])
    const drained = await lab.rampart(['node', 'drain', 'node-2', '--force', '--grace-period', '1'])
    assert.equal(drained.code, 0, drained.stderr)
    const removed = await lab.rampart(['node', 'remove', 'node-2'])
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal((await lab.kubectl('1.32', ['get', 'node', 'node-2'])).code, 1)
    const certificates = JSON.parse((await lab.rampart(['tls', 'list', '--all', '-o', 'json'])).stdout)
      .certificates as {
      name: string
      state: string
    }[]
    const own = certificates.filter(({ name }) => name.startsWith('node/node-2/'))
    assert.ok(own.length >= 2)
    assert.deepEqual([...new Set(own.map(({ state }) => state))], ['revoked'])
    assert.equal((await lab.rampart(['node', 'remove', 'node-2'])).code, 1)
  })
})
