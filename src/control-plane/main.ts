/** The control plane's process. Arguments: data folder, file with its settings, file for the reason of a failed start. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { jsonLog, keepLogSmall } from '../kernel/log.ts'
import { lockDirectory } from '../kernel/store/lock.ts'
import { writePrivate } from '../platform/files.ts'
import { processStartTime } from '../platform/process.ts'
import { controlHandlers } from './control-handlers.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { controlSocketPath, serveControl } from './control-socket.ts'
import type { ControlPlaneSettings } from './settings.ts'
import { keepReserve } from './space-reserve.ts'

const [directory = '', settingsFile = '', failureFile = ''] = process.argv.slice(2)
const log = jsonLog(process.env['RAMPART_LOG'] === 'debug' ? 'debug' : 'info')
process.umask(0o077)

const record = join(directory, 'control-plane.json')

async function start(): Promise<void> {
  const settings = JSON.parse(readFileSync(settingsFile, 'utf8')) as ControlPlaneSettings
  const lock = await lockDirectory(directory, `the control plane "${settings.name}"`)
  writePrivate(join(directory, 'settings.json'), JSON.stringify(settings, null, 2))
  let plane: ControlPlane | undefined
  const startedAt = new Date().toISOString()
  plane = await startControlPlane({ directory, settings, clock: { now: Date.now }, log })
  const { port } = plane
  const stopRotation = keepLogSmall(join(directory, 'log', 'control-plane.log'), log)
  const control = await serveControl(directory, controlHandlers(directory, plane))
  writePrivate(record, JSON.stringify({ pid: process.pid, startTime: processStartTime(process.pid), port, startedAt }))
  const stopReserve = keepReserve(directory, log)
  log('info', 'the control plane serves', { port, pid: process.pid })

  let stopping = false
  const stop = (signal: string): void => {
    if (stopping) return
    stopping = true
    log('info', 'the control plane stops', { signal })
    control.close()
    rmSync(controlSocketPath(directory), { force: true })
    stopRotation()
    stopReserve()
    void plane
      .close()
      .then(() => lock.release())
      .then(
        () => {
          rmSync(record, { force: true })
          log('info', 'the control plane has stopped')
          process.exit(0)
        },
        (error: Error) => {
          log('error', 'the control plane did not stop cleanly', { error: error.stack })
          process.exit(1)
        },
      )
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
}

process.on('unhandledRejection', (reason) => {
  log('error', 'unhandled rejection', { error: reason instanceof Error ? reason.stack : String(reason) })
  process.exit(1)
})
process.on('uncaughtException', (error) => {
  log('error', 'uncaught exception', { error: error.stack })
  process.exit(1)
})

start().catch((error: Error) => {
  log('error', 'the control plane could not start', { error: error.stack })
  if (failureFile !== '') writePrivate(failureFile, error.message)
  process.exit(1)
})
