import { existsSync, readFileSync } from 'node:fs'
import { adminClient } from '../admin.ts'
import { certificateFiles } from '../certificates.ts'
import { clusterPaths, runningControlPlane } from '../cluster.ts'
import { outputFormat, print, printTable, printValue } from '../output.ts'
import type { Settings } from '../settings.ts'

/** Exit 0 when the control plane runs and is ready, 1 when not. */
export async function status(options: { name?: string; dataDir?: string; output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const paths = clusterPaths(options)
  const running = runningControlPlane(paths)
  const settings = existsSync(paths.settings)
    ? (JSON.parse(readFileSync(paths.settings, 'utf8')) as Settings)
    : undefined
  let ready = false
  let reason = 'it does not run'
  if (running !== undefined) {
    try {
      await (await adminClient(paths)).get('/readyz')
      ready = true
      reason = ''
    } catch (error) {
      reason = (error as Error).message
    }
  }
  const certificates = certificateFiles(paths.pki)
  const value = {
    name: settings?.name ?? paths.name,
    running: running !== undefined,
    ready,
    ...(reason === '' ? {} : { reason }),
    ...(running === undefined
      ? {}
      : { pid: running.pid, server: `https://127.0.0.1:${running.port}`, startedAt: running.startedAt }),
    store: settings?.store ?? 'none yet',
    directory: paths.directory,
    kubeconfig: paths.kubeconfig,
    certificates,
  }
  process.exitCode = ready ? 0 : 1
  if (format === 'json' || format === 'yaml') return printValue(format, value)
  if (format === 'name') return print(`cluster/${value.name}`)
  print(`cluster       ${value.name}`)
  print(`control plane ${ready ? 'ready' : running ? `running, not ready: ${reason}` : 'stopped'}`)
  if (running !== undefined) {
    print(`process       ${running.pid}, since ${running.startedAt}`)
    print(`API server    https://127.0.0.1:${running.port}`)
  }
  print(`store         ${value.store}`)
  print(`data          ${paths.directory}`)
  if (certificates.length === 0) return
  print('')
  const rows = certificates.map((c) => [c.name, c.subject, c.notAfter, c.left])
  printTable(['CERTIFICATE', 'SUBJECT', 'EXPIRES', 'LEFT'], format === 'wide' ? rows : rows.map((r) => [...r]))
}
