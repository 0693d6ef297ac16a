/**
 * 10,000 Secrets of 1.8 KB: how long a restart takes until the server is ready, and how much memory it then holds.
 * Usage: node bench/restart.ts [--objects 10000]. Starts a control plane of its own in a temporary folder.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadKubeconfig } from '../src/kernel/client/kubeconfig.ts'
import { Connection, load } from './connection.ts'

const { values } = parseArgs({ options: { objects: { type: 'string', default: '10000' } } })
const rampart = fileURLToPath(new URL('../rampart', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'rampart-bench-'))
const data = join(directory, 'data')
const cli = (...args: string[]): void => void execFileSync(rampart, [...args, '--data-dir', data], { stdio: 'ignore' })
const memory = (): string => {
  const { pid } = JSON.parse(readFileSync(join(data, 'control-plane.json'), 'utf8')) as { pid: number }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const megabytes = (field: string): number =>
    Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024)
  return `${megabytes('VmRSS')} MB resident, ${megabytes('RssAnon')} MB of it private`
}
const timed = (...args: string[]): number => {
  const started = performance.now()
  cli(...args)
  return Math.round(performance.now() - started)
}

try {
  console.log(`up, first time        ${timed('up', '--port', '0')} ms (the launcher's own start included)`)
  const config = await loadKubeconfig(join(data, 'kubeconfig'))
  const credentials = await config.credentialProvider!(false)
  const tls = {
    host: '127.0.0.1',
    port: Number(config.server.port),
    servername: 'localhost',
    ca: config.ca!,
    cert: credentials.cert!,
    key: credentials.key!,
  }
  const connections = await Promise.all(Array.from({ length: 32 }, () => Connection.open(tls)))
  const value = Buffer.alloc(1200, 'x').toString('base64')
  const n = Number(values.objects)
  await load(
    connections,
    n,
    (c, i) =>
      c.request(
        'POST',
        '/api/v1/namespaces/default/secrets',
        JSON.stringify({ kind: 'Secret', apiVersion: 'v1', metadata: { name: `s-${i}` }, data: { value } }),
      ),
    201,
  )
  for (const connection of connections) connection.close()
  console.log(`after ${n} creates   ${memory()}`)
  cli('down')
  console.log(`up with ${n} objects ${timed('up', '--port', '0')} ms`)
  console.log(`after the restart     ${memory()}`)
} finally {
  cli('down')
  rmSync(directory, { recursive: true, force: true })
}
