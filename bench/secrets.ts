/**
 * What encryption at rest costs where it counts: creating 1 KB Secrets against 1 KB ConfigMaps (which are not encrypted)
 * on the same server in the same run, and a rotation of 10,000 Secrets while the API is idle.
 * Usage: node bench/secrets.ts --data-dir DIR [--n 2000] [--rounds 6]   (DIR: the data folder of a running cluster)
 *
 * Traps: disk and processor are shared with others, so the two kinds take turns in short rounds and the median of the
 * rounds' ratios is the figure; both kinds have the same bytes on the wire; the objects of a round are deleted before
 * the next, or the second kind would meet a fuller store.
 */
import { parseArgs } from 'node:util'
import { clusterPaths } from '../src/cli/cluster.ts'
import { controlRequest } from '../src/control-plane/control-socket.ts'
import { loadKubeconfig } from '../src/kernel/client/kubeconfig.ts'
import { Connection, load } from './connection.ts'

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    n: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '6' },
  },
})
if (values['data-dir'] === undefined) throw new Error('--data-dir names the data folder of a running cluster')
const paths = clusterPaths({ dataDir: values['data-dir'] })
const config = await loadKubeconfig(paths.kubeconfig)
const credentials = config.credentialProvider === undefined ? config : await config.credentialProvider(false)
const connections = await Promise.all(
  Array.from({ length: 32 }, () =>
    Connection.open({
      host: config.server.hostname,
      port: Number(config.server.port),
      servername: 'localhost',
      ...(config.ca === undefined ? {} : { ca: config.ca }),
      ...(credentials.cert === undefined ? {} : { cert: credentials.cert }),
      ...(credentials.key === undefined ? {} : { key: credentials.key }),
    }),
  ),
)
const [first] = connections
const NAMESPACE = `bench-secrets-${process.pid}`
const at = (resource: string): string => `/api/v1/namespaces/${NAMESPACE}/${resource}`
const value = Buffer.alloc(600, 'x').toString('base64')
const body = (kind: string, name: string): string =>
  JSON.stringify({ kind, apiVersion: 'v1', metadata: { name, labels: { app: 'bench' } }, data: { value } })

async function expect(status: number, method: string, path: string, text?: string): Promise<void> {
  const answer = await first!.request(method, path, text)
  if (answer.status !== status)
    throw new Error(`${method} ${path}: ${answer.status} ${answer.body.toString().slice(0, 200)}`)
}

async function create(kind: 'Secret' | 'ConfigMap', resource: string, count: number, round: number): Promise<number> {
  const figures = await load(
    connections,
    count,
    (connection, i) => connection.request('POST', at(resource), body(kind, `r${round}-${String(i).padStart(6, '0')}`)),
    201,
  )
  await expect(200, 'DELETE', at(resource))
  return figures.perSecond
}

const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!

await expect(201, 'POST', '/api/v1/namespaces', JSON.stringify({ metadata: { name: NAMESPACE } }))
try {
  const n = Number(values.n)
  await create('Secret', 'secrets', n, -1)
  await create('ConfigMap', 'configmaps', n, -2)
  const rates: { secrets: number; configMaps: number }[] = []
  for (let round = 0; round < Number(values.rounds); round++) {
    // Who goes first alternates.
    const second = round % 2 === 1
    const early = second
      ? await create('ConfigMap', 'configmaps', n, round)
      : await create('Secret', 'secrets', n, round)
    const late = second
      ? await create('Secret', 'secrets', n, round)
      : await create('ConfigMap', 'configmaps', n, round)
    rates.push(second ? { secrets: late, configMaps: early } : { secrets: early, configMaps: late })
  }
  const cost = median(rates.map((r) => r.configMaps / r.secrets))
  console.log(`create ConfigMap   ${Math.round(median(rates.map((r) => r.configMaps)))}/s (1 KB, in the clear)`)
  console.log(`create Secret      ${Math.round(median(rates.map((r) => r.secrets)))}/s (1 KB, encrypted)`)
  console.log(
    `encrypted costs    ${((cost - 1) * 100).toFixed(1)} % more (goal: at most 15; median of ${rates.length} rounds)`,
  )

  const objects = 10_000
  await load(
    connections,
    objects,
    (connection, i) =>
      connection.request('POST', at('secrets'), body('Secret', `rotate-${String(i).padStart(6, '0')}`)),
    201,
  )
  const started = performance.now()
  const result = await controlRequest(paths.directory, { command: 'secrets-rotate', rotate: 'dek' })
  const seconds = (performance.now() - started) / 1000
  console.log(`rotate             ${result['rewritten']} objects in ${seconds.toFixed(1)} s (goal: 10,000 in 10 s)`)
} finally {
  await expect(200, 'DELETE', `/api/v1/namespaces/${NAMESPACE}`)
  for (const connection of connections) connection.close()
}
