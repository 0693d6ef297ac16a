import type { Client } from '../../../kernel/client/client.ts'
import type { Clock } from '../../../kernel/feature.ts'
import { NODE_DEFAULTS, type NodeConfig } from '../../../node/config.ts'
import type { SshConnection } from '../../../platform/ssh/connection.ts'
import type { AgentBundle } from './bundle.ts'
import type { Architecture } from './bundle-content.ts'
import { type Facts, lookAt } from './facts.ts'
import { joinSteps } from './join-steps.ts'
import { Machine } from './machine.ts'
import { getLease, getNode } from './node-state.ts'
import { architectureOf, nodeNameProblem, preflight } from './preflight.ts'
import { type Report, runSteps } from './step.ts'

export type JoinOptions = {
  nodeName: string
  /** Connects anew each time; see connectSsh. */
  connect: () => Promise<SshConnection>
  /** As an administrator. */
  client: Client
  /** Tells clusters apart, for as long as they live: see clusterId. */
  cluster: string
  /** URL of the API server as the machine reaches it, and the CA (PEM) that verifies it. */
  server: string
  ca: string
  bundle: (architecture: Architecture) => Promise<AgentBundle>
  /** What differs from NODE_DEFAULTS; `nodeAddress` is where SSH reached the machine when it is left out. */
  node?: Partial<Omit<NodeConfig, 'nodeName' | 'server' | 'caFile' | 'bootstrapTokenFile'>>
  /** Remembered for `node ssh` and `node remove`. */
  identityFile?: string
  networkNamespace?: string
  /** For the machine to become Ready; default 120 s. */
  timeoutMs?: number
  /** Has the API server reach the kubelet, verified; default: its `/healthz` through `nodes/NAME/proxy`. */
  probeKubelet?: (nodeName: string) => Promise<void>
  /** Ends the trust in certificates that a failed join has made. */
  revoke?: (nodeName: string) => Promise<void>
  clock: Clock
  randomInt: (below: number) => number
  report?: Report
  signal?: AbortSignal
}

export type JoinResult = { applied: string[]; address: string; bundle: string }

/** What the steps look at and share. */
export type JoinContext = {
  options: JoinOptions
  machine: Machine
  facts: Facts
  bundle: AgentBundle
  config: NodeConfig
  /** As in Journal. */
  cluster: string
  /** Before this run: whether the Node was there, and the version of its lease. */
  nodeBefore: boolean
  leaseBefore: string | undefined
  tokenId?: string
}

/** Everything that the machine lacks, in one list. */
export class PreflightError extends Error {
  readonly problems: readonly string[]
  constructor(machine: string, problems: readonly string[]) {
    super(`${machine} cannot join; nothing was changed:\n${problems.map((p) => `- ${p}`).join('\n')}`)
    this.name = 'PreflightError'
    this.problems = problems
  }
}

/**
 * Makes a machine a Node of the cluster, over SSH alone. May be run again at any time: what is so already is passed over.
 * Rejects with SshError when the machine cannot be reached, PreflightError when it lacks something (nothing was changed
 * then), JoinError when a step failed (what this run did was undone, or is named).
 */
export async function joinNode(options: JoinOptions): Promise<JoinResult> {
  const { nodeName, client, clock, report = (_name, work) => work() } = options
  const problem = nodeNameProblem(nodeName)
  if (problem !== undefined) throw new PreflightError(nodeName, [problem])
  const machine = new Machine(options.connect)
  try {
    const context = await report('look at the machine', () => look(options, machine))
    const wanted = {
      nodeName,
      cluster: context.cluster,
      kubeletPort: context.config.kubeletPort,
      cniBinFolder: context.config.cniBinFolder,
      bundleBytes: context.bundle.bytes,
    }
    const problems = preflight(context.facts, wanted)
    if (context.config.nodeAddress === '') problems.push('its address is not known: name it')
    if (problems.length > 0) throw new PreflightError(await machine.name(), problems)
    context.nodeBefore = (await getNode(client, nodeName)) !== undefined
    context.leaseBefore = (await getLease(client, nodeName))?.metadata.resourceVersion
    const { applied } = await runSteps(await joinSteps(context, clock), context, report, options.signal)
    return { applied, address: context.config.nodeAddress, bundle: context.bundle.sha256 }
  } finally {
    machine.close()
  }
}

async function look(options: JoinOptions, machine: Machine): Promise<JoinContext> {
  const { nodeName, server, node = {}, clock } = options
  const config: NodeConfig = { ...NODE_DEFAULTS, ...node, nodeName, server, nodeAddress: node.nodeAddress ?? '' }
  // Without an architecture that is known there is no bundle, and preflight says so.
  const uname = (await machine.run('look at the machine', 'uname -m', { asUser: true })).trim()
  const bundle = await options.bundle(architectureOf({ machine: uname }) ?? 'x64')
  const facts = await lookAt(
    machine,
    {
      port: config.kubeletPort,
      containerdSocket: config.containerRuntimeEndpoint,
      cniBinFolder: config.cniBinFolder,
      stateFolder: config.stateFolder,
      bundle: bundle.sha256,
    },
    clock,
  )
  return {
    options,
    machine,
    facts,
    bundle,
    config: { ...config, nodeAddress: config.nodeAddress || facts.address },
    cluster: options.cluster,
    nodeBefore: false,
    leaseBefore: undefined,
  }
}

/** A cluster is its namespace kube-system: authorities are rotated, addresses and names change. */
export async function clusterId(client: Client): Promise<string> {
  return (await client.get({ group: '', version: 'v1', resource: 'namespaces' }, '', 'kube-system')).metadata.uid!
}
