import type { Client } from '../kernel/client/client.ts'
import type { Clock, Log } from '../kernel/feature.ts'
import type { NodeConfig } from './config.ts'

/** What every part of the agent is given. The client authenticates as system:node:NAME and survives renewals. */
export type NodeContext = { config: NodeConfig; client: Client; clock: Clock; log: Log }

/**
 * A part of the agent: pod network, pods, kubelet API, status, later a feature's rules. `start` resolves when the part
 * is ready; the next one is started then. `stop` leaves in force what is in force: pods, links and rules outlive the agent.
 */
export type NodeTask = { name: string; start: (signal: AbortSignal) => Promise<void>; stop: () => Promise<void> }
export type NodeTaskFactory = (context: NodeContext) => NodeTask
