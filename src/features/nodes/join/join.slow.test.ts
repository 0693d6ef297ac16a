import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../../kernel/apiserver/testing.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { type CuttingProxy, cuttingProxy, freePort } from '../../../platform/ssh/testing.ts'
import { SECRETS } from './bootstrap-token.ts'
import { type AgentBundle, makeBundle } from './bundle.ts'
import { bundleContent } from './bundle-content.ts'
import { clusterId, type JoinOptions, type JoinResult, joinNode, PreflightError } from './join-node.ts'
import { leavingMachine } from './leave.ts'
import { listRecords, readRecord } from './machine-record.ts'
import { forgetNode, getNode, REQUESTS, readyReason } from './node-state.ts'
import { JoinError } from './step.ts'
import { startTestMachine, type TestMachine } from './testing.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const BINDINGS: ResourceId = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterrolebindings' }
const root = process.getuid?.() === 0

/** The bundle with another program in the agent's place. */
async function testBundle(folder: string, main: string): Promise<AgentBundle> {
  const file = join(folder, `main-${createHash('sha256').update(main).digest('hex').slice(0, 8)}.ts`)
  writeFileSync(file, main)
  const here = 'src/features/nodes/join'
  const files = bundleContent(ROOT, 'x64').filter((f) => f.path !== 'src/node/main.ts')
  return await makeBundle(
    [
      ...files,
      { path: 'src/node/main.ts', file },
      { path: `${here}/stand-in-agent.fixture.ts`, file: join(ROOT, here, 'stand-in-agent.fixture.ts') },
    ],
    join(folder, `bundles-${createHash('sha256').update(main).digest('hex').slice(0, 8)}`),
  )
}

/** Approves what machines ask for, where nothing else in the cluster does. */
function approver(client: Client): { stop: () => Promise<void>; pause: (paused: boolean) => void } {
  let running = true
  let paused = false
  const work = (async () => {
    while (running) {
      const { items } = paused ? { items: [] } : await client.list(REQUESTS)
      for (const item of items) {
        if ((item['status']?.conditions ?? []).length > 0) continue
        const approved = { type: 'Approved', status: 'True', reason: 'Test', message: '' }
        await client
          .update(REQUESTS, { ...item, status: { conditions: [approved] } }, { subresource: 'approval' })
          .catch(() => undefined) // somebody else was faster
      }
      await sleep(50)
    }
  })()
  return {
    stop: async () => {
      running = false
      await work
    },
    pause: (value) => {
      paused = value
    },
  }
}

describe('a machine joins over SSH', {
  skip: root ? false : 'needs root: a machine of its own is made of namespaces',
}, () => {
  let folder: string
  let server: TestServer
  let machine: TestMachine
  let proxy: CuttingProxy
  let bundle: AgentBundle
  let approving: ReturnType<typeof approver>
  let port: number
  let untouched: string
  const nodeName = `machine-${process.pid}`

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), `rampart-join-${process.pid}-`))
    server = await startTestServer()
    const subject = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:bootstrappers' }
    await server.localClient.create(BINDINGS, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'test-bootstrap' },
      roleRef: { apiGroup: subject.apiGroup, kind: 'ClusterRole', name: 'system:node-bootstrapper' },
      subjects: [subject],
    })
    approving = approver(server.localClient)
    bundle = await testBundle(folder, 'await import("../features/nodes/join/stand-in-agent.fixture.ts")\n')
    machine = await startTestMachine()
    proxy = await cuttingProxy(machine.target.port)
    port = await freePort()
    untouched = inventory()
  })
  after(async () => {
    await approving?.stop()
    await proxy?.close()
    await machine?.stop()
    await server?.close()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** What is on the machine, beside what the system's own programs write. */
  const inventory = (): string =>
    machine
      .inside(
        'find /etc /opt /var/lib /var/log /run -xdev -not -path "*/containerd*" -not -name machine-id -not -path "/run/mount*" -not -path "/run/netns*" -not -path "/run/rampart" -not -path "/run/rampart/*" | sort; cat /etc/inittab; grep -l rampart /proc/[0-9]*/cmdline 2>/dev/null || true',
      )
      .replace(/\/proc\/\d+\/cmdline\n/g, '')

  /** As the API server: its own client certificate, and the kubelet's verified against the root and the node's name. */
  const probeKubelet = async (name: string): Promise<void> => {
    const { cert, key } = server.plane.pki.leaf('api-server-kubelet-client')
    const status = await new Promise((resolve, reject) => {
      request(
        { host: '127.0.0.1', port, path: '/healthz', servername: name, ca: server.ca, cert, key, agent: false },
        (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        },
      )
        .once('error', reject)
        .end()
    })
    assert.equal(status, 200)
  }

  const join_ = async (more: Partial<JoinOptions> = {}): Promise<JoinResult> =>
    joinNode({
      nodeName,
      cluster: await clusterId(server.localClient),
      connect: () => machine.connect({ ...machine.target, port: proxy.port }),
      client: server.remoteClient,
      server: server.url,
      ca: server.ca,
      bundle: async () => bundle,
      node: { kubeletPort: port },
      identityFile: machine.identity,
      timeoutMs: 30_000,
      clock: { now: Date.now },
      randomInt,
      probeKubelet,
      ...more,
    })

  const leave = async (): Promise<void> => {
    const leaving = await leavingMachine({
      nodeName,
      cluster: await clusterId(server.localClient),
      connect: () => machine.connect(),
      stateFolder: '/var/lib/rampart-node',
      runFolder: '/run/rampart-node',
    })
    await leaving?.stop()
    await leaving?.clean()
    leaving?.close()
    await forgetNode(server.remoteClient, nodeName)
  }

  const tokens = async (): Promise<KubeObject[]> =>
    (
      await server.remoteClient.list(SECRETS, {
        namespace: 'kube-system',
        fieldSelector: 'type=bootstrap.kubernetes.io/token',
      })
    ).items

  const failing = async (work: Promise<unknown>): Promise<JoinError> => {
    try {
      await work
    } catch (error) {
      assert.ok(error instanceof JoinError, `${(error as Error).stack}`)
      return error
    }
    throw new assert.AssertionError({ message: 'it did not fail' })
  }

  const steps: string[] = []
  test('from nothing to Ready; again: nothing to do; out again: as it was', async () => {
    const { applied, address } = await join_({
      report: (name, work) => {
        steps.push(name)
        return work()
      },
    })
    assert.deepEqual(applied, steps.slice(1))
    assert.equal(address, '127.0.0.1')
    assert.equal(readyReason(await getNode(server.remoteClient, nodeName)).ready, true)
    assert.deepEqual(await tokens(), [], 'the token is gone')
    const state = machine.inside('cd /etc/rampart && stat -c "%n %a %U" * && cat join.json node.json')
    assert.match(state, /^ca\.crt 644 root\njoin\.json 600 root\nnode\.json 600 root\nstart-agent 755 root\n/)
    assert.match(state, /"state": "joined"/)
    assert.ok(!state.includes('bootstrap-token '), 'the token file is gone')
    const record = await readRecord(server.remoteClient, nodeName)
    assert.deepEqual(record?.ssh, { ...machine.target, port: proxy.port })
    assert.equal((await listRecords(server.remoteClient)).length, 1)

    const again = await join_()
    assert.deepEqual(again.applied, ['remember how it is reached', 'probe both links'])

    const pid = (): string => machine.inside('pidof node || true').trim()
    const first = pid()
    machine.inside(`kill -9 ${first}`)
    for (let i = 0; i < 100 && (pid() === '' || pid() === first); i++) await sleep(50)
    assert.notEqual(pid(), '', 'its supervisor starts it again')

    await leave()
    assert.equal(inventory(), untouched)
    assert.equal(await getNode(server.remoteClient, nodeName), undefined)
  })

  test('nothing of the token is on a command line, in a file that others read, or in what is reported', async () => {
    let secret = ''
    const seen = new Set<string>()
    await join_({
      report: async (name, work) => {
        if (name === 'start the agent') {
          secret = machine.inside('cat /etc/rampart/bootstrap-token').trim()
          assert.match(machine.inside('stat -c %a /etc/rampart/bootstrap-token /etc/rampart'), /^600\n700\n$/)
          const [item] = await tokens()
          const field = (key: string): string => Buffer.from(item!['data'][key], 'base64').toString()
          assert.equal(field('auth-extra-groups'), `system:bootstrappers:rampart:node:${nodeName}`)
          assert.ok(Date.parse(field('expiration')) - Date.now() <= 15 * 60_000)
        }
        if (name === 'make its bootstrap token') {
          const work_ = work()
          for (let i = 0; i < 40; i++) {
            seen.add(machine.inside('cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " " || true'))
            await sleep(1)
          }
          return await work_
        }
        return await work()
      },
    })
    assert.match(secret, /^[a-z0-9]{6}\.[a-z0-9]{16}$/)
    for (const text of seen) assert.ok(!text.includes(secret.slice(7)))
    await leave()
  })

  test('SSH cut at every step, and the way back stays shut: a second run completes, an abandoned one is undone', async (t) => {
    for (const [index, step] of steps.slice(1, -2).entries())
      await t.test(step, async () => {
        let cut = false
        const error = await join_({
          report: async (name, work) => {
            if (name === step) {
              const begun = work()
              // Some steps speak to the machine at once, some later, some not at all.
              setTimeout(() => proxy.cut(true), index % 2 === 0 ? 0 : 25)
              cut = true
              return await begun
            }
            return await work()
          },
        }).then(
          () => undefined,
          (e: unknown) => e,
        )
        assert.ok(cut)
        proxy.cut(false)
        if (error !== undefined) assert.ok(error instanceof JoinError && error.left.length > 0, String(error))
        if (index % 2 === 0) await join_()
        await leave()
        assert.equal(inventory(), untouched)
        assert.deepEqual(await tokens(), [])
      })
  })

  test('SSH cut at a step, and the way is open again: the run itself undoes what it did', async (t) => {
    for (const step of ['upload the agent', 'write its configuration', 'start the agent'])
      await t.test(step, async () => {
        const error = await failing(
          join_({
            report: async (name, work) => {
              if (name !== step) return await work()
              const begun = work()
              setTimeout(() => proxy.cut(false), 5)
              return await begun
            },
          }),
        )
        assert.deepEqual([error.step, error.left], [step, []])
        assert.match(error.message, /connection/)
        // The far end of the cut connection may still be at its last command.
        for (let i = 0; i < 100 && inventory() !== untouched; i++) await sleep(50)
        assert.equal(inventory(), untouched)
        assert.equal(await getNode(server.remoteClient, nodeName), undefined)
        assert.deepEqual(await tokens(), [])
      })
  })

  test('an agent that does not start: its log is told, and everything is undone', async () => {
    const broken = await testBundle(folder, `throw new Error('no luck with abcdef.0123456789abcdef')\n`)
    const error = await failing(join_({ bundle: async () => broken, timeoutMs: 1500 }))
    assert.equal(error.step, 'wait until its certificates are signed and it is Ready')
    assert.match(error.message, /it has not (asked for its client certificate|registered its Node)/)
    assert.match(error.message, /no luck with abcdef\.…/)
    assert.match(error.message, /everything that was done has been undone/)
    assert.equal(inventory(), untouched)
    assert.deepEqual(await tokens(), [])
  })

  test('an API server that the machine does not reach, or that is an impostor', async () => {
    const other = await startTestServer()
    try {
      const impostor = await failing(join_({ server: other.url }))
      assert.equal(impostor.step, 'reach the API server from the machine')
      assert.match(impostor.message, /does not reach .*certificate/)
      const nobody = await failing(join_({ server: `https://127.0.0.1:${await freePort()}` }))
      assert.match(nobody.message, /ECONNREFUSED/)
      assert.equal(inventory(), untouched)
    } finally {
      await other.close()
    }
  })

  test('an upload that arrives otherwise than it was sent', async () => {
    const damaged: AgentBundle = { ...bundle, sha256: bundle.sha256.replace(/^./, (c) => (c === '0' ? '1' : '0')) }
    const error = await failing(join_({ bundle: async () => damaged }))
    assert.match(error.message, /what arrived has other hashes than what was sent/)
    assert.equal(inventory(), untouched)
  })

  test('a link that does not prove itself undoes the join', async () => {
    const error = await failing(
      join_({ probeKubelet: () => Promise.reject(new Error('certificate for another name')) }),
    )
    assert.match(error.message, /^probe both links: API server → kubelet: certificate for another name/)
    assert.equal(inventory(), untouched)
    assert.equal(await getNode(server.remoteClient, nodeName), undefined)
  })

  test('a new version is put in place of the old; when it fails, the old one goes on', async () => {
    await join_()
    const broken = await testBundle(folder, `throw new Error('the new one')\n`)
    const error = await failing(join_({ bundle: async () => broken, timeoutMs: 2500 }))
    assert.equal(error.left.length, 0, error.message)
    for (let i = 0; i < 100 && machine.inside('pidof node || true').trim() === ''; i++) await sleep(50)
    assert.match(machine.inside('cat /etc/rampart/start-agent'), new RegExp(bundle.sha256))
    const settled = await join_()
    assert.ok(!settled.applied.includes('upload the agent'))
    await leave()
    assert.equal(inventory(), untouched)
  })

  test('a port in use, another cluster, another name: all found before anything is changed', async () => {
    const listener = createServer().listen(port, '127.0.0.1')
    await new Promise((resolve) => listener.once('listening', resolve))
    const used = await join_().catch((e: unknown) => e)
    assert.ok(used instanceof PreflightError)
    assert.deepEqual(used.problems, [`port ${port} is in use`])
    await new Promise((resolve) => listener.close(resolve))

    await join_()
    const renamed = await join_({ nodeName: `${nodeName}-b` }).catch((e: unknown) => e)
    assert.ok(renamed instanceof PreflightError)
    assert.match(renamed.message, new RegExp(`belongs to this cluster already, as ${nodeName}`))
    const other = await startTestServer()
    try {
      const taken = await join_({
        cluster: await clusterId(other.localClient),
        ca: other.ca,
        server: other.url,
        client: other.remoteClient,
      }).catch((e: unknown) => e)
      assert.ok(taken instanceof PreflightError)
      assert.match(taken.message, /belongs to another cluster/)
    } finally {
      await other.close()
    }
    await leave()
    assert.equal(inventory(), untouched)
  })
})

test('what a machine lacks is told at once, and nothing is changed', {
  skip: root ? false : 'needs root: a machine of its own is made of namespaces',
}, async () => {
  const machine = await startTestMachine({
    containerd: false,
    without: ['nft'],
    init: 'none',
    programs: { date: 'if [ "$1" = +%s ]; then echo $(( $(/bin/date +%s) + 600 )); else exec /bin/date "$@"; fi' },
  })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null']
  const ca = execFileSync('openssl', ['req', '-x509', ...newKey, '-subj', '/CN=test'], { stdio: 'pipe' })
  try {
    const before = machine.inside('find /etc /opt /var /run -xdev | sort')
    const error = await joinNode({
      nodeName: 'm',
      cluster: 'a',
      connect: () => machine.connect(),
      client: {} as Client, // nothing is asked of the cluster before the machine has been found good
      server: 'https://127.0.0.1:1',
      ca: ca.toString(),
      bundle: async () => ({ sha256: '0'.repeat(64), bytes: 1000, open: () => Promise.reject(new Error('not yet')) }),
      clock: { now: Date.now },
      randomInt,
    }).catch((e: unknown) => e)
    assert.ok(error instanceof PreflightError, String(error))
    const expected = [
      /^the kernel's nf_tables cannot be used/,
      /^containerd does not answer: no socket \/run\/containerd\/containerd\.sock$/,
      /^the program nft is missing \(package nftables\)$/,
      /^its clock is (599|600|601) s ahead of this machine's/,
      /^nothing here can supervise the agent: process 1 is sh/,
    ]
    assert.equal(error.problems.length, expected.length, error.message)
    for (const [i, pattern] of expected.entries()) assert.match(error.problems[i]!, pattern)
    assert.equal(machine.inside('find /etc /opt /var /run -xdev | sort'), before)
  } finally {
    await machine.stop()
  }
})
