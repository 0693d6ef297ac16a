import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processStartTime } from '../../platform/process.ts'
import { clusterPaths, runningControlPlane } from '../cluster.ts'
import { deleteData } from '../data-folder.ts'
import { say, step } from '../output.ts'

const GRACE_MS = 15_000

export async function down(options: { name?: string; dataDir?: string; deleteData?: boolean }): Promise<void> {
  const paths = clusterPaths(options)
  const running = runningControlPlane(paths)
  if (running === undefined) say(`the control plane of ${paths.name} does not run`)
  else
    await step('stopping the control plane', async () => {
      process.kill(running.pid, 'SIGTERM')
      const deadline = Date.now() + GRACE_MS
      while (processStartTime(running.pid) === running.startTime) {
        if (Date.now() > deadline) {
          process.kill(running.pid, 'SIGKILL')
          say(`it did not stop within ${GRACE_MS / 1000} seconds and was killed; nothing acknowledged is lost`)
        }
        await sleep(25)
      }
    })
  rmSync(paths.process, { force: true })
  if (existsSync(join(paths.directory, 'lab'))) {
    const { labOf } = await import('../lab.ts')
    await step('stopping the machines and their network', () => labOf(paths).down())
  }
  if (!options.deleteData) return
  const left = await step(`deleting the data in ${paths.directory}`, async () => deleteData(paths.directory))
  if (left.length > 0) say(`kept in ${paths.directory}, as it is not the cluster's: ${left.join(', ')}`)
}
