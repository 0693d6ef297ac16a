/** logs, exec, attach, cp and port-forward: kubectl → API server → kubelet API → containerd, all of them real. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { insideNamespaces, runInNamespaces, testFolder, whyNoContainerd } from '../src/platform/cri/testing.ts'
import { KUBECTL_VERSIONS, type KubectlVersion, run } from './setup/cluster.ts'
import { type StreamsWorld, startWorld } from './streams-world.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The file that the pod `http` serves under /bigN. */
const bigFile = (n: number): Buffer => Buffer.from(`${n}\n`.repeat(1_000_000))

/** kubectl port-forward on a free port of this machine. */
async function forward(
  world: StreamsWorld,
  version: KubectlVersion,
  pod: string,
  port: number,
): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(world.program(version), ['port-forward', `pod/${pod}`, `:${port}`], {
    env: { ...process.env, ...world.environment },
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const found = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const match = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)
      if (match !== null) resolve(Number(match[1]))
    })
    child.once('exit', () => reject(new Error(`port-forward ended: ${said}`)))
  })
  return { child, port: found }
}

async function download(port: number, path: string): Promise<Buffer> {
  const [response] = await once(get({ port, path, agent: false }), 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks)
}

if (!insideNamespaces())
  it('streams of pods', { skip: whyNoContainerd() ?? false }, () => {
    runInNamespaces(fileURLToPath(import.meta.url), 300_000)
  })
else
  describe('streams of pods', () => {
    let world: StreamsWorld
    before(async () => {
      world = await startWorld()
      const talk = 'echo hello; sleep 0.2; echo oops >&2; exec sleep 1000'
      const serve =
        'cd /tmp; for i in 1 2 3 4; do yes $i | head -c 2000000 > big$i; done; exec httpd -f -p 127.0.0.1:8080'
      await world.startPod('web', { main: { command: ['sh', '-c', talk] } })
      await world.startPod('http', { main: { command: ['sh', '-c', serve] } })
    })
    after(() => world.close())

    for (const version of KUBECTL_VERSIONS) {
      it(`${version}: logs`, async () => {
        const { code, stdout, stderr } = await world.kubectl(version, ['logs', 'web'])
        assert.deepEqual([code, stdout, stderr], [0, 'hello\noops\n', ''])
        const tail = await world.kubectl(version, ['logs', 'web', '--tail=1', '--timestamps'])
        assert.match(tail.stdout, /^\d{4}-\d\d-\d\dT[\d:.]+Z oops\n$/)
        assert.equal((await world.kubectl(version, ['logs', 'web', '--limit-bytes=3'])).stdout, 'hel')
      })

      it(`${version}: logs -f ends with the container`, async () => {
        const name = `brief-${version.replace('.', '-')}`
        const command = ['sh', '-c', 'for i in 1 2 3; do echo line $i; sleep 0.3; done']
        await world.startPod(name, { main: { command } })
        const { code, stdout } = await world.kubectl(version, ['logs', '-f', name])
        assert.deepEqual([code, stdout], [0, 'line 1\nline 2\nline 3\n'])
      })

      it(`${version}: exec`, async () => {
        const script = 'read line; echo "got $line"; echo err >&2; exit 7'
        const done = await world.kubectl(version, ['exec', '-i', 'web', '--', 'sh', '-c', script], { input: 'in\n' })
        assert.deepEqual([done.code, done.stdout], [7, 'got in\n'], done.stderr)
        assert.match(done.stderr, /^err\n/)
        assert.match(done.stderr, /command terminated with exit code 7/)
      })

      it(`${version}: exec reads its input to the end`, async () => {
        const input = 'x'.repeat(300_000)
        const done = await world.kubectl(version, ['exec', '-i', 'web', '--', 'wc', '-c'], { input })
        assert.deepEqual([done.code, done.stdout.trim()], [0, '300000'], done.stderr)
      })

      it(`${version}: exec with a terminal`, async () => {
        // script(1) gives kubectl a terminal.
        const command = `${world.program(version)} exec -it web -- sh -c 'tty; sleep 0.5; stty size; exit 3'`
        const done = await run('script', ['-qec', `stty rows 33 cols 101; ${command}`, '/dev/null'], {
          env: world.environment,
        })
        assert.match(done.stdout, /\/dev\/pts\/\d+/)
        assert.match(done.stdout, /33 101/)
        assert.equal(done.code, 3, done.stdout)
      })

      it(`${version}: cp of 5 MB both ways`, async () => {
        const folder = mkdtempSync(join(testFolder(), 'cp-'))
        const bytes = randomBytes(5 * 1024 * 1024)
        writeFileSync(join(folder, 'out'), bytes)
        const there = await world.kubectl(version, ['cp', join(folder, 'out'), `default/web:/tmp/in-${version}`])
        assert.equal(there.code, 0, there.stderr)
        const back = await world.kubectl(version, ['cp', `default/web:/tmp/in-${version}`, join(folder, 'back')])
        assert.equal(back.code, 0, back.stderr)
        assert.equal(sha256(readFileSync(join(folder, 'back'))), sha256(bytes))
      })

      it(`${version}: attach`, async () => {
        const name = `cat-${version.replace('.', '-')}`
        await world.startPod(name, { main: { command: ['sh', '-c', 'read a; echo "said $a"; sleep 1'], stdin: true } })
        const done = await world.kubectl(version, ['attach', '-i', name], { input: 'hi\n' })
        assert.match(done.stdout, /said hi/, done.stderr)
      })

      it(`${version}: port-forward of 4 connections at once`, async () => {
        const { child, port } = await forward(world, version, 'http', 8080)
        try {
          const answers = await Promise.all([1, 2, 3, 4].map((i) => download(port, `/big${i}`)))
          for (const [i, body] of answers.entries()) assert.equal(sha256(body), sha256(bigFile(i + 1)))
        } finally {
          const exited = once(child, 'exit')
          if (child.kill('SIGTERM')) await exited
        }
      })
    }
  })
