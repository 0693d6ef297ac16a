import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ControlPlanePki } from '../features/tls/index.ts'
import type { Log } from '../kernel/feature.ts'
import { writePrivate } from '../platform/files.ts'
import { processStartTime } from '../platform/process.ts'

export type EtcdProcess = {
  endpoint: string
  /** Reads its authorities anew, which etcd does at its start only: a second or so without it. */
  restart: () => void
  stop: () => Promise<void>
}

/**
 * An etcd of one member beside the control plane: TLS with client certificates of the cluster's etcd CA on both of its
 * ports, on loopback; started again when it ends by itself. One that an earlier control plane left running is stopped first.
 */
export async function startEtcd(directory: string, pki: ControlPlanePki, log: Log): Promise<EtcdProcess> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const record = join(directory, 'etcd.json')
  await stopLeftover(record)
  const [clientPort, peerPort] = [await freePort(), await freePort()]
  const client = `https://127.0.0.1:${clientPort}`
  const peer = `https://127.0.0.1:${peerPort}`
  const supervisor = superviseEtcd({ client, peer, directory, record, pki, log })
  return {
    endpoint: client,
    restart: () => supervisor.restart(),
    stop: async () => {
      await supervisor.stop()
      rmSync(record, { force: true })
    },
  }
}

type EtcdMember = { client: string; peer: string; directory: string; record: string; pki: ControlPlanePki; log: Log }

/** Pauses before a member that ended by itself is started again. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 10_000
/** One that lived this long did not fail for the reason of the last time. */
const SETTLED_MS = 60_000

/** Keeps the member running, on the same ports, until it is stopped. */
function superviseEtcd(member: EtcdMember): { restart: () => void; stop: () => Promise<void> } {
  const stopping = new AbortController()
  let current: { child: ChildProcess; exit: Promise<void> } | undefined
  let wanted: ChildProcess | undefined
  const running = (async () => {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const startedAt = performance.now()
      current = spawnEtcd(member)
      await current.exit
      if (stopping.signal.aborted) return
      if (wanted === current.child) {
        pause = FIRST_PAUSE_MS / 2
        continue
      }
      if (performance.now() - startedAt > SETTLED_MS) pause = FIRST_PAUSE_MS
      member.log('error', 'etcd ended by itself: it is started again', { afterMs: pause })
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined)
      if (stopping.signal.aborted) return
    }
  })()
  return {
    restart: () => {
      if (current === undefined) return
      wanted = current.child
      void stop(current.child, current.exit)
    },
    stop: async () => {
      stopping.abort()
      if (current !== undefined) await stop(current.child, current.exit)
      await running
    },
  }
}

function spawnEtcd({ client, peer, directory, record, pki, log }: EtcdMember): {
  child: ChildProcess
  exit: Promise<void>
} {
  const [cert, key, ca] = [pki.file('etcd-server', 'crt'), pki.file('etcd-server', 'key'), pki.etcdTrustFile]
  const child = spawn(
    'etcd',
    [
      '--name=rampart',
      `--data-dir=${join(directory, 'data')}`,
      '--log-level=warn',
      '--logger=zap',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=rampart=${peer}`,
      // A member that comes back on another peer port keeps its data: there are no peers to tell.
      ...(existsSync(join(directory, 'data')) ? ['--force-new-cluster'] : []),
      `--cert-file=${cert}`,
      `--key-file=${key}`,
      `--trusted-ca-file=${ca}`,
      '--client-cert-auth',
      `--peer-cert-file=${cert}`,
      `--peer-key-file=${key}`,
      `--peer-trusted-ca-file=${ca}`,
      '--peer-client-cert-auth',
      '--auto-compaction-mode=periodic',
      '--auto-compaction-retention=10m',
      '--max-request-bytes=3145728',
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const exit = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.on('error', (error) => {
      log('error', 'etcd could not be started', { error: error.message })
      resolve()
    })
  })
  child.once('exit', (code, signal) => log('info', 'etcd ended', { code, signal }))
  if (child.pid !== undefined)
    writePrivate(record, JSON.stringify({ pid: child.pid, startTime: processStartTime(child.pid) }))
  return { child, exit }
}

async function stop(child: ChildProcess, exit: Promise<void>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await exit
  clearTimeout(timer)
}

async function stopLeftover(record: string): Promise<void> {
  if (!existsSync(record)) return
  const { pid, startTime } = JSON.parse(readFileSync(record, 'utf8')) as { pid: number; startTime: string }
  for (let attempt = 0; processStartTime(pid) === startTime; attempt++) {
    process.kill(pid, attempt < 100 ? 'SIGTERM' : 'SIGKILL')
    await sleep(100)
  }
  rmSync(record, { force: true })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
