/**
 * 50 watchers of one namespace: how long after a write was sent each of them has it. Usage:
 * node bench/watch.ts --kubeconfig FILE [--watchers 50] [--writes 200]
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { parseArgs } from 'node:util'
import { loadKubeconfig } from '../src/kernel/client/kubeconfig.ts'
import { Connection } from './connection.ts'

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string', default: process.env['KUBECONFIG'] ?? '' },
    watchers: { type: 'string', default: '50' },
    writes: { type: 'string', default: '200' },
  },
})
const watchers = Number(values.watchers)
const writes = Number(values.writes)
const config = await loadKubeconfig(values.kubeconfig)
const credentials = config.credentialProvider === undefined ? config : await config.credentialProvider(false)
const tls = {
  host: config.server.hostname,
  port: Number(config.server.port),
  servername: 'localhost',
  ca: config.ca!,
  cert: credentials.cert!,
  key: credentials.key!,
}
const baseline = JSON.parse(readFileSync(new URL('./baseline.json', import.meta.url), 'utf8')) as {
  api: Record<string, { fromSend_p50ms?: number; fromSend_p99ms?: number }>
}

const NAMESPACE = `watch-${process.pid}`
const control = await Connection.open(tls)
await control.request(
  'POST',
  '/api/v1/namespaces',
  JSON.stringify({ kind: 'Namespace', apiVersion: 'v1', metadata: { name: NAMESPACE } }),
)
const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`

const sentAt = new Map<string, number>()
const latencies: number[] = []
let outOfOrder = 0
const opened = Array.from(
  { length: watchers },
  () =>
    new Promise<() => void>((resolve, reject) => {
      let rest = ''
      let last = -1
      const req = request({ ...tls, path: `${path}?watch=1&resourceVersion=0`, agent: false }, (res) => {
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => {
          const now = performance.now()
          const lines = (rest + chunk).split('\n')
          rest = lines.pop()!
          for (const line of lines) {
            const name = /"name":"w-(\d+)"/.exec(line)
            if (name === null) continue
            if (Number(name[1]) < last) outOfOrder++
            last = Number(name[1])
            latencies.push(now - sentAt.get(name[1]!)!)
          }
        })
        resolve(() => req.destroy())
      })
      req.on('error', reject)
      req.end()
    }),
)
const close = await Promise.all(opened)

async function phase(name: string, connections: number): Promise<void> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(tls)))
  latencies.length = 0
  let next = 0
  const base = name === 'watch' ? 0 : writes
  await Promise.all(
    open.map(async (connection) => {
      for (let i = next++; i < writes; i = next++) {
        const id = String(base + i)
        sentAt.set(id, performance.now())
        await connection.request(
          'POST',
          path,
          JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: `w-${id}` }, data: { a: 'b' } }),
        )
      }
    }),
  )
  const deadline = Date.now() + 5000
  while (latencies.length < watchers * writes && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  latencies.sort((a, b) => a - b)
  const at = (q: number): string =>
    (latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * q))] ?? Number.NaN).toFixed(2)
  const reference = baseline.api[name]
  console.log(
    `${name.padEnd(12)} ${latencies.length}/${watchers * writes} delivered, out of order ${connections === 1 ? outOfOrder : 'not counted'}, from send p50 ${at(0.5)} ms (${reference?.fromSend_p50ms}), p99 ${at(0.99)} ms (${reference?.fromSend_p99ms})`,
  )
  for (const connection of open) connection.close()
}

await phase('watch', 1)
await phase('watch-burst', 16)
for (const stop of close) stop()
await control.request('DELETE', `/api/v1/namespaces/${NAMESPACE}`)
control.close()
process.exit(0)
