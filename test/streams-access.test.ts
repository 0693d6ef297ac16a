/** Who may use a machine's streams, and what becomes of them: wrong callers, wrong peers, slow readers, the end. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ClientOptions, WebSocket } from 'ws'
import { ControlPlanePki } from '../src/features/tls/index.ts'
import { insideNamespaces, runInNamespaces, testFolder, whyNoContainerd } from '../src/platform/cri/testing.ts'
import { type StreamsWorld, startWorld } from './streams-world.ts'

type Answer = { code: number; body: string }

async function ask(options: RequestOptions): Promise<Answer> {
  const out = request({ host: '127.0.0.1', agent: false, ...options })
  out.end()
  const [response] = (await once(out, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }
}

if (!insideNamespaces())
  it('access to streams of pods', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 300_000)
  })
else
  describe('access to streams of pods', () => {
    let world: StreamsWorld
    let foreign: ControlPlanePki
    type Certificate = { cert: string; key: string }
    const client = (pki: ControlPlanePki, commonName: string, organizations: string[] = []): Certificate => {
      const { certificate, key } = pki.issue('client', { commonName, organizations })
      return { cert: certificate, key }
    }
    const admin = (): Certificate => world.server.plane.pki.leaf('admin')
    const kubelet = (path: string, options: RequestOptions = {}): Promise<Answer> =>
      ask({ port: world.kubeletPort, ca: world.server.ca, path, ...options })
    const api = (path: string, options: RequestOptions = {}): Promise<Answer> =>
      ask({ port: world.server.port, ca: world.server.ca, ...admin(), path, ...options })
    const create = (group: string, resource: string, object: object): Promise<unknown> =>
      world.server.localClient.create({ group, version: 'v1', resource }, object as never)
    const grant = async (user: string, rules: object[]): Promise<void> => {
      const apiVersion = 'rbac.authorization.k8s.io/v1'
      const metadata = { name: user }
      await create('rbac.authorization.k8s.io', 'clusterroles', { apiVersion, kind: 'ClusterRole', metadata, rules })
      await create('rbac.authorization.k8s.io', 'clusterrolebindings', {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: user },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
      })
    }
    const rule = (verbs: string[], ...resources: string[]): object => ({ apiGroups: [''], resources, verbs })
    const open = (path: string, protocols: string[], options: ClientOptions = {}): WebSocket =>
      new WebSocket(`${world.server.url.replace('https', 'wss')}${path}`, protocols, {
        ca: world.server.ca,
        ...admin(),
        ...options,
      })
    const exec = (...command: string[]): string =>
      `/api/v1/namespaces/default/pods/web/exec?stdin=true&${command.map((w) => `command=${encodeURIComponent(w)}`).join('&')}`

    before(async () => {
      world = await startWorld()
      await world.startPod('web', { main: { command: ['sh', '-c', 'echo hello; exec sleep 1000'] } })
      const serve = 'cd /tmp; echo served > page; exec httpd -f -p 8080'
      await world.startPod('http', { main: { command: ['sh', '-c', serve] } })
      await world.startPod('two', { a: { command: ['sleep', '1000'] }, b: { command: ['sleep', '1000'] } })
      await grant('metrics-reader', [rule(['get'], 'nodes/metrics', 'nodes/pods')])
      await grant('looker', [rule(['get'], 'pods/exec', 'pods/attach', 'pods/portforward', 'pods/log')])
      foreign = new ControlPlanePki({
        directory: join(testFolder(), 'foreign'),
        clock: { now: Date.now },
        clusterName: 'foreign',
        apiServerNames: [],
        serviceAddress: '10.96.0.1',
      })
    })
    after(() => world.close())

    describe('at the kubelet', () => {
      it('nobody is served without credentials', async () => {
        for (const path of [
          '/healthz',
          '/pods',
          '/metrics',
          '/containerLogs/default/web/main',
          '/run/default/web/main',
        ])
          assert.equal((await kubelet(path)).code, 401, path)
      })

      it('a certificate of another authority, or of a server, is nobody', async () => {
        assert.equal((await kubelet('/pods', client(foreign, 'kubernetes-admin', ['system:masters']))).code, 401)
        const { certificate, key } = world.server.plane.pki.issue('kubelet-serving', { commonName: 'system:node:n1' })
        assert.equal((await kubelet('/pods', { cert: certificate, key })).code, 401)
      })

      it('who is known must also be allowed', async () => {
        const answer = await kubelet('/pods', client(world.server.plane.pki, 'mallory'))
        assert.equal(answer.code, 403)
        assert.match(
          answer.body,
          /^Forbidden \(user=mallory, verb=get, resource=nodes, subresource\(s\)=\[pods proxy\]\)/,
        )
      })

      it('rights are as narrow as they are given', async () => {
        const reader = client(world.server.plane.pki, 'metrics-reader')
        assert.match((await kubelet('/metrics', reader)).body, /kubelet_running_pods 3/)
        assert.match((await kubelet('/pods', reader)).body, /"kind":"PodList"/)
        for (const path of ['/stats/summary', '/healthz', '/containerLogs/default/web/main', '/%6detrics'])
          assert.equal((await kubelet(path, reader)).code, 403, path)
        assert.equal((await kubelet('/metrics', { ...reader, method: 'POST' })).code, 403)
      })

      it('a token is asked about', async () => {
        const { status } = (await world.server.localClient.create(
          { group: '', version: 'v1', resource: 'serviceaccounts' },
          {
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'TokenRequest',
            metadata: { namespace: 'default' },
            spec: {},
          } as never,
          { subresource: 'token', name: 'default' },
        )) as unknown as { status: { token: string } }
        const headers = { authorization: `Bearer ${status.token}` }
        const answer = await kubelet('/pods', { headers })
        assert.equal(answer.code, 403)
        assert.match(answer.body, /user=system:serviceaccount:default:default/)
        assert.equal((await kubelet('/pods', { headers: { authorization: 'Bearer nonsense' } })).code, 401)
      })

      it('the API server’s own certificate is served', async () => {
        const own = world.server.plane.pki.leaf('api-server-kubelet-client')
        assert.deepEqual(await kubelet('/healthz', own), { code: 200, body: 'ok' })
        assert.match((await kubelet('/runningpods', own)).body, /"name":"web"/)
        const stats = JSON.parse((await kubelet('/stats/summary', own)).body)
        assert.equal(stats.node.nodeName, 'n1')
        assert.equal(stats.pods.length, 3)
        const rows: [string, number, RegExp][] = [
          ['/run/default/web/main', 404, /not found/],
          ['/logs/', 404, /not found/],
          ['/containerLogs/default/none/main', 404, /pod "default\/none" does not exist/],
          ['/containerLogs/default/web/none', 404, /container "none" not found/],
          ['/containerLogs/default/web/main?previous=true', 400, /previous terminated container "main".* not found/],
          ['/containerLogs/default/web/..%2Fmain', 400, /not allowed/],
          ['/exec/default/web/main?command=id&output=1', 400, /Upgrade request required/],
          ['/exec/default/web/main?command=id', 400, /at least 1 of/],
        ]
        for (const [path, code, message] of rows) {
          const answer = await kubelet(path, own)
          assert.equal(answer.code, code, `${path}: ${answer.body}`)
          assert.match(answer.body, message)
        }
      })
    })

    describe('through the API server', () => {
      it('a GET that runs commands needs the right to create (KEP-4006)', async () => {
        const looker = client(world.server.plane.pki, 'looker')
        assert.equal((await api('/api/v1/namespaces/default/pods/web/log', looker)).body, 'hello\n')
        for (const what of ['exec?command=id', 'attach', 'portforward']) {
          const answer = await api(`/api/v1/namespaces/default/pods/web/${what}`, looker)
          assert.equal(answer.code, 403)
          assert.match(answer.body, /cannot create resource \\"pods\//)
        }
      })

      it('says what is missing', async () => {
        const of = (pod: string): string => `/api/v1/namespaces/default/pods/${pod}`
        const waiting = await create('', 'pods', {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'waiting', namespace: 'default' },
          spec: { containers: [{ name: 'c', image: 'i' }] },
        })
        assert.ok(waiting)
        const rows: [string, number, RegExp][] = [
          [`${of('waiting')}/log`, 400, /pod waiting does not have a host assigned/],
          [`${of('two')}/log`, 400, /a container name must be specified for pod two, choose one of: \[a b\]/],
          [`${of('two')}/log?container=c`, 400, /container c is not valid for pod two/],
          [`${of('web')}/log?previous=true`, 400, /previous terminated container/],
          [`${of('web')}/exec?command=id`, 400, /Upgrade request required/],
          [`${of('none')}/log`, 404, /pods \\"none\\" not found/],
        ]
        for (const [path, code, message] of rows) {
          const answer = await api(path)
          assert.equal(answer.code, code, `${path}: ${answer.body}`)
          assert.match(answer.body, message)
        }
      })

      /** Runs to the end of the socket; output by channel. */
      const collect = async (ws: WebSocket): Promise<{ channels: Map<number, string>; code: number }> => {
        const channels = new Map<number, string>()
        ws.on('message', (data: Buffer) => channels.set(data[0]!, (channels.get(data[0]!) ?? '') + data.subarray(1)))
        const [code] = await once(ws, 'close')
        return { channels, code }
      }

      for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'channel.k8s.io'])
        it(`${protocol}: standard output and error apart, and how it ended`, async () => {
          const ws = open(exec('sh', '-c', 'echo out; echo err >&2; exit 4'), [protocol])
          const { channels } = await collect(ws)
          assert.equal(ws.protocol, protocol)
          assert.deepEqual([channels.get(1), channels.get(2)], ['out\n', 'err\n'])
          const expected = protocol === 'channel.k8s.io' ? /exit code 4/ : /"reason":"NonZeroExitCode".*"message":"4"/
          assert.match(channels.get(3) ?? '', expected)
        })

      it('v5: an input that ends; messages that mean nothing are passed over', async () => {
        const ws = open(exec('cat'), ['v5.channel.k8s.io'])
        await once(ws, 'open')
        for (const bytes of [[], [0], [9, 1], [255], [255, 77], [0, 104, 105], [255, 0], [0, 104]])
          ws.send(Buffer.from(bytes))
        const { channels, code } = await collect(ws)
        assert.equal(channels.get(1), 'hi')
        assert.equal(JSON.parse(channels.get(3) ?? '{}').status, 'Success')
        assert.equal(code, 1000)
      })

      it('v4: port-forward without SPDY', async () => {
        const ws = open('/api/v1/namespaces/default/pods/http/portforward?ports=8080', ['v4.channel.k8s.io'])
        const data: Buffer[] = []
        ws.on('message', (bytes: Buffer) => bytes[0] === 0 && data.push(bytes.subarray(1)))
        await once(ws, 'open')
        ws.send(Buffer.concat([Buffer.from([0]), Buffer.from('GET /page HTTP/1.0\r\n\r\n')]))
        const closed = once(ws, 'close')
        while (!/served/.test(Buffer.concat(data).toString())) await Promise.race([once(ws, 'message'), closed])
        // Each channel begins with its port, low byte first.
        assert.equal(Buffer.concat(data).readUInt16LE(0), 8080)
        ws.terminate()
      })

      it('v5: a command that is not there', async () => {
        const { channels } = await collect(open(exec('/none'), ['v5.channel.k8s.io']))
        assert.match(channels.get(3) ?? '', /"status":"Failure"/)
      })

      it('a reader that stops stops the writer, and memory does not grow', async () => {
        for (const [protocol, megabytes] of [
          ['v5.channel.k8s.io', 80],
          ['channel.k8s.io', 80],
        ] as const) {
          const ws = open(exec('sh', '-c', `yes | head -c ${megabytes}000000; echo done >&2`), [protocol])
          await once(ws, 'message')
          ws.pause()
          await delay(500)
          const rss = process.memoryUsage.rss()
          await delay(1000)
          const grown = process.memoryUsage.rss() - rss
          assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes more while nobody reads`)
          let bytes = 0
          let said = ''
          ws.on('message', (data: Buffer) => {
            if (data[0] === 1) bytes += data.length - 1
            if (data[0] === 2) said += data.subarray(1)
          })
          ws.resume()
          await once(ws, 'close')
          assert.equal(said, 'done\n')
          assert.ok(bytes > (megabytes - 1) * 1e6)
        }
      })

      it('pods and kubelets are proxied to, with the caller’s credentials left out', async () => {
        const { status } = (await world.server.localClient.get(
          { group: '', version: 'v1', resource: 'pods' },
          'default',
          'http',
        )) as unknown as { status: { podIP: string } }
        assert.match(status.podIP, /^10\.88\.7\./)
        const of = '/api/v1/namespaces/default/pods'
        assert.deepEqual(await api(`${of}/http:8080/proxy/page`), { code: 200, body: 'served\n' })
        assert.equal((await api(`${of}/http:8080/proxy/none`)).code, 404)
        assert.equal((await api(`${of}/http:8080/proxy`)).code, 301)
        assert.equal((await api(`${of}/https:http:8080/proxy/page`)).code, 400)
        assert.equal((await api(`${of}/http:8081/proxy/page`)).code, 500)
        assert.equal((await api('/api/v1/nodes/n1/proxy/healthz')).body, 'ok')
        assert.equal((await api('/api/v1/nodes/n1:22/proxy/')).code, 400)
        assert.equal((await api('/api/v1/nodes/none/proxy/healthz')).code, 404)
      })

      it('streams are in the audit log, when they begin and when they end', async () => {
        const agent = `streams-test-${process.pid}`
        await collect(open(exec('true'), ['v5.channel.k8s.io'], { headers: { 'user-agent': agent } }))
        const stages = async (): Promise<string[]> => {
          const text = readFileSync(join(world.server.directory, 'audit', 'audit.log'), 'utf8')
          return text
            .split('\n')
            .filter((line) => line.includes(agent))
            .map((line) => JSON.parse(line))
            .map((event) => `${event.stage} ${event.responseStatus?.code} ${event.objectRef.subresource}`)
        }
        while ((await stages()).length < 2) await delay(50)
        assert.deepEqual(await stages(), ['ResponseStarted 101 exec', 'ResponseComplete 101 exec'])
      })

      it('an impostor of the machine is sent nothing', async () => {
        const { core } = world.server.plane.api
        const right = core.kubelet!
        core.kubelet = { ...right, ca: () => foreign.rootPem }
        try {
          const answer = await api('/api/v1/namespaces/default/pods/web/log')
          assert.equal(answer.code, 500)
          assert.match(answer.body, /error dialing backend/)
        } finally {
          core.kubelet = right
        }
      })

      it('streams end with the server', async () => {
        const ws = open(exec('sleep', '1000'), ['v5.channel.k8s.io'])
        await once(ws, 'open')
        const spdy = open(exec('sleep', '1000'), ['channel.k8s.io'])
        await once(spdy, 'open')
        const ends = Promise.all([once(ws, 'close'), once(spdy, 'close')])
        await world.close()
        await ends
        world.close = async () => undefined
      })
    })
  })
