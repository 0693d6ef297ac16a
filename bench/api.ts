/**
 * The API under load: the same rows, sizes and connections as the baseline (kube-apiserver 1.20.2 with etcd 3.4 on two
 * cores, in bench/baseline.json). Usage: node bench/api.ts [--kubeconfig FILE] [--n 5000] [--only create,get,...]
 *
 * Traps: server and load generator share two cores, so a slow client looks like a slow server; the first seconds run
 * unoptimised code (a warm-up of its own comes first); every write is on disk before it is answered, so a slow disk
 * shows (`--` the row "fsync" is the disk's own speed in this run).
 */
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadKubeconfig } from '../src/kernel/client/kubeconfig.ts'
import { type Answer, Connection, type Figures, load } from './connection.ts'

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string', default: process.env['KUBECONFIG'] ?? '' },
    n: { type: 'string', default: '5000' },
    only: { type: 'string', default: '' },
  },
})
const n = Number(values.n)
const only = new Set(values.only.split(',').filter((v) => v !== ''))
const baseline = JSON.parse(readFileSync(new URL('./baseline.json', import.meta.url), 'utf8')) as {
  api: Record<string, { perSecond?: number }>
}

if (values.kubeconfig === '') {
  process.stderr.write('usage: node bench/api.ts --kubeconfig FILE (or KUBECONFIG)\n')
  process.exit(2)
}
const config = await loadKubeconfig(values.kubeconfig)
const server = config.server
const credentials = config.credentialProvider === undefined ? config : await config.credentialProvider(false)
const tls = {
  host: server.hostname,
  port: Number(server.port),
  servername: 'localhost',
  ...(config.ca === undefined ? {} : { ca: config.ca }),
  ...(credentials.cert === undefined ? {} : { cert: credentials.cert }),
  ...(credentials.key === undefined ? {} : { key: credentials.key }),
}
const open = (count: number): Promise<Connection[]> =>
  Promise.all(Array.from({ length: count }, () => Connection.open(tls)))

const NAMESPACE = `bench-${process.pid}`
const value = Buffer.alloc(1200, 'x').toString('base64')
const secret = (name: string): string =>
  JSON.stringify({
    kind: 'Secret',
    apiVersion: 'v1',
    metadata: { name, labels: { app: 'bench', shard: name.slice(-1) } },
    data: { value },
  })
const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`
const review = JSON.stringify({
  kind: 'SelfSubjectAccessReview',
  apiVersion: 'authorization.k8s.io/v1',
  spec: { resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'default' } },
})

const results: Record<string, Figures> = {}
async function row(name: string, work: () => Promise<Figures>): Promise<void> {
  if (only.size > 0 && !only.has(name) && name !== 'create') return
  const figures = await work()
  results[name] = figures
  const reference = baseline.api[name]?.perSecond
  const ratio = reference === undefined ? '' : `${(figures.perSecond / reference).toFixed(1)} x ${reference}`
  console.log(
    `${name.padEnd(18)} ${String(figures.perSecond).padStart(7)}/s  p50 ${figures.p50ms} ms  p99 ${figures.p99ms} ms  (${figures.n} on ${figures.connections})  ${ratio}`,
  )
}

/** What one fsync costs here: the floor under every write that waits alone. */
function fsyncsPerSecond(): number {
  const file = join(tmpdir(), `rampart-fsync-${process.pid}`)
  const fd = openSync(file, 'w')
  const started = performance.now()
  let count = 0
  while (performance.now() - started < 500) {
    writeSync(fd, 'x')
    fsyncSync(fd)
    count++
  }
  closeSync(fd)
  rmSync(file)
  return Math.round(count * 2)
}

console.log(`fsync              ${String(fsyncsPerSecond()).padStart(7)}/s  one file, one writer`)
const many = await open(32)
const four = many.slice(0, 4)
const one = many.slice(0, 1)
const created = await one[0]!.request(
  'POST',
  '/api/v1/namespaces',
  JSON.stringify({ kind: 'Namespace', apiVersion: 'v1', metadata: { name: NAMESPACE } }),
)
if (created.status !== 201) throw new Error(created.body.toString())
await load(many, 2000, (c, i) => c.request('POST', secrets, secret(`warm-${i}`)), 201)
await load(many, 2000, (c, i) => c.request('DELETE', `${secrets}/warm-${i}`), 200)

await row('create', () => load(many, n, (c, i) => c.request('POST', secrets, secret(`s-${i}`)), 201))
await row('get', () => load(many, 4 * n, (c) => c.request('GET', `${secrets}/s-0`), 200))
await row('get-1conn', () => load(one, n, (c) => c.request('GET', `${secrets}/s-0`), 200))
await row('get-random', () =>
  load(many, 4 * n, (c) => c.request('GET', `${secrets}/s-${Math.floor(Math.random() * n)}`), 200),
)
await row('list', () => load(four, 40, (c) => c.request('GET', secrets), 200))
await row('list-rv0', () => load(four, 40, (c) => c.request('GET', `${secrets}?resourceVersion=0`), 200))
await row('list-1conn', () => load(one, 20, (c) => c.request('GET', secrets), 200))
await row('list-limit500', () => load(four, 200, (c) => c.request('GET', `${secrets}?limit=500`), 200))
await row('list-label', () => load(four, 40, (c) => c.request('GET', `${secrets}?labelSelector=shard%3D3`), 200))
await row('patch-merge', () =>
  load(
    many,
    3000,
    (c, i) =>
      c.request(
        'PATCH',
        `${secrets}/s-${i % n}`,
        `{"metadata":{"annotations":{"i":"${i}"}}}`,
        'application/merge-patch+json',
      ),
    200,
  ),
)
await row('patch-strategic', () =>
  load(
    many,
    3000,
    (c, i) =>
      c.request(
        'PATCH',
        `${secrets}/s-${i % n}`,
        `{"metadata":{"labels":{"i":"${i}"}}}`,
        'application/strategic-merge-patch+json',
      ),
    200,
  ),
)
await row('apply-ssa', () =>
  load(
    many,
    1000,
    (c, i) =>
      c.request(
        'PATCH',
        `${secrets}/s-${i % n}?fieldManager=bench&force=true`,
        JSON.stringify({
          kind: 'Secret',
          apiVersion: 'v1',
          metadata: { name: `s-${i % n}` },
          data: { applied: Buffer.from(String(i)).toString('base64') },
        }),
        'application/apply-patch+yaml',
      ),
    200,
  ),
)
await row('patch-same-object', () =>
  load(
    many,
    500,
    (c, i) =>
      c.request(
        'PATCH',
        `${secrets}/s-0`,
        `{"metadata":{"annotations":{"same":"${i}"}}}`,
        'application/merge-patch+json',
      ),
    200,
  ),
)
const ask = (connection: Connection): Promise<Answer> =>
  connection.request('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review)
await load(many, 2000, ask, 201)
await row('ssar', () => load(many, 10000, ask, 201))
await row('delete', () => load(many, n, (c, i) => c.request('DELETE', `${secrets}/s-${i}`), 200))
await one[0]!.request('DELETE', `/api/v1/namespaces/${NAMESPACE}`)
for (const connection of many) connection.close()
