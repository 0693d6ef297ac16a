/** The agent of a machine. Argument: its configuration file, /etc/rampart/node.json. */
import { mkdirSync } from 'node:fs'
import { CLUSTER_CIDR } from '../features/nodes/lifecycle/cluster-cidr.ts'
import { jsonLog } from '../kernel/log.ts'
import { openAgentCertificates } from './certificates/index.ts'
import { type NodeConfig, readNodeConfig } from './config.ts'
import { criKubeletRuntime } from './kubelet-api/cri-runtime.ts'
import { kubeletApiTask } from './kubelet-api/task.ts'
import { networkTask } from './network/task.ts'
import { createPods, nodeStatusTask } from './pods/index.ts'
import type { NodeContext, NodeTask } from './task.ts'

const [configFile = '/etc/rampart/node.json'] = process.argv.slice(2)
const log = jsonLog(process.env['RAMPART_LOG'] === 'debug' ? 'debug' : 'info')
process.umask(0o077)
const clock = { now: Date.now }
const stopping = new AbortController()

/**
 * Parts in the order in which they need each other: the Node first, then its network, its pods, and the API that shows
 * them. When the agent stops, pods, links and rules stay as they are.
 */
async function run(config: NodeConfig): Promise<void> {
  for (const folder of [config.stateFolder, config.runFolder]) mkdirSync(folder, { recursive: true, mode: 0o700 })
  const certificates = await openAgentCertificates({ config, clock, log }, stopping.signal)
  const keeping = certificates.keepValid(stopping.signal)
  const context: NodeContext = { config, client: certificates.client, clock, log }
  const pods = createPods(context)
  const tasks: NodeTask[] = [
    nodeStatusTask(context),
    networkTask({ clusterCidr: CLUSTER_CIDR })(context),
    pods.task,
    kubeletApiTask({
      certificate: { context: () => certificates.serving().pair, onChange: certificates.onServingChange },
      clientCa: certificates.clientCa,
      isRevoked: certificates.isRevoked,
      runtime: criKubeletRuntime({ cri: pods.cri, nodeName: config.nodeName, pods: () => pods.list() }),
    })(context),
  ]
  const started: NodeTask[] = []
  try {
    for (const task of tasks) {
      if (stopping.signal.aborted) break
      started.push(task)
      await task.start(stopping.signal)
      log('info', `${task.name} is ready`)
    }
    if (!stopping.signal.aborted)
      await new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve(), { once: true }))
  } finally {
    stopping.abort()
    for (const task of started.reverse())
      await task.stop().catch((error: Error) => log('error', `${task.name} did not stop`, { error: error.message }))
    await keeping
    certificates.client.close()
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    log('info', 'the agent stops; pods and their network stay', { signal })
    stopping.abort()
  })
const fatal = (what: string) => (reason: unknown) => {
  log('error', what, { error: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason) })
  process.exit(1)
}
process.on('unhandledRejection', fatal('unhandled rejection'))
process.on('uncaughtException', fatal('uncaught exception'))

try {
  await run(readNodeConfig(configFile))
  log('info', 'the agent has stopped')
  process.exit(0)
} catch (error) {
  // The supervisor starts it again, perhaps with what was missing.
  fatal('the agent cannot go on')(error)
}
