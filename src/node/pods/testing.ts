/** A control plane, a container runtime and this node's pods in one process, inside namespaces of their own. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { createRemoteClient } from '../../kernel/client/remote.ts'
import { startContainerd, TEST_IMAGE, type TestContainerd, testCgroup, testFolder } from '../../platform/cri/testing.ts'
import type { NodeConfig } from '../config.ts'
import { NODE_DEFAULTS } from '../config.ts'
import type { NodeTask } from '../task.ts'
import type { PodStatus } from './engine/status-types.ts'
import { createNodeStatus } from './node-status/task.ts'
import { createPods, type Pods } from './pods.ts'

export const core = (resource: string): ResourceId => ({ group: '', version: 'v1', resource })
export const NODE_NAME = 'machine-1'
export const NODE_ADDRESS = '127.0.0.1'

export type TestNode = {
  server: TestServer
  /** The administrator's. */
  client: Client
  /** The machine's own, which the agent uses. */
  machine: Client
  containerd: TestContainerd
  config: NodeConfig
  log: string[]
  pods: () => Pods
  /** Ends the agent alone; its pods go on. */
  stopAgent: () => Promise<void>
  startAgent: (client?: Client) => Promise<void>
  close: () => Promise<void>
}

export async function startTestNode(): Promise<TestNode> {
  const folder = testFolder()
  mkdirSync(join(folder, 'server'))
  const [server, containerd] = await Promise.all([
    startTestServer({ directory: join(folder, 'server') }),
    startContainerd(),
  ])
  // As the agent's process has it.
  process.umask(0o077)
  const config: NodeConfig = {
    ...NODE_DEFAULTS,
    nodeName: NODE_NAME,
    server: server.url,
    nodeAddress: NODE_ADDRESS,
    stateFolder: join(folder, 'state'),
    runFolder: join(folder, 'run'),
    containerRuntimeEndpoint: containerd.socket,
    cniConfFolder: containerd.cniConfFolder,
    cgroupParent: testCgroup(),
    podLogFolder: join(folder, 'logs'),
  }
  const log: string[] = []
  const { certificate, key } = server.plane.pki.issue('kubelet-client', {
    commonName: `system:node:${NODE_NAME}`,
    organizations: ['system:nodes'],
  })
  const url = new URL(server.url)
  const machine = createRemoteClient({ server: url, ca: server.ca, cert: certificate, key, userAgent: 'rampart-node' })
  let pods: Pods | undefined
  let tasks: NodeTask[] = []
  const startAgent = async (client: Client = machine): Promise<void> => {
    const line = (level: string, message: string): void => void log.push(`${level} ${message}`)
    const context = { config, client, clock: { now: Date.now }, log: line }
    pods = createPods(context)
    tasks = [createNodeStatus(context), pods.task]
    for (const task of tasks) await task.start(new AbortController().signal)
  }
  const stopAgent = async (): Promise<void> => {
    for (const task of tasks.reverse()) await task.stop()
    tasks = []
  }
  await startAgent()
  const node: TestNode = {
    server,
    client: server.remoteClient,
    machine,
    containerd,
    config,
    log,
    pods: () => pods!,
    startAgent,
    stopAgent,
    close: async () => {
      await stopAgent()
      machine.close()
      await containerd.stop()
      // A test may have put another one in its place.
      await node.server.close()
    },
  }
  return node
}

type Spec = { [field: string]: unknown }

/** A pod on the test's node with one container of the test's image; `container` and `spec` add and replace. */
export function testPod(name: string, command: string | undefined, container: Spec = {}, spec: Spec = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: {
      nodeName: NODE_NAME,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: TEST_IMAGE,
          ...(command === undefined ? {} : { command: ['sh', '-c', command] }),
          ...container,
        },
      ],
      ...spec,
    },
  }
}

export const statusOf = (pod: KubeObject): PodStatus => pod['status'] as PodStatus

/** Waits until the pod's status is as wanted; says how it is when that takes too long. */
export async function until(
  node: TestNode,
  name: string,
  wanted: (status: PodStatus, pod: KubeObject) => boolean,
  timeoutMs = 20_000,
): Promise<PodStatus> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const pod = await node.client.get(core('pods'), 'default', name)
    const status = statusOf(pod)
    if (wanted(status, pod)) return status
    if (Date.now() > end) {
      const events = await eventsOf(node, name)
      throw new Error(
        `${name}: ${JSON.stringify(status, null, 1)}\n${events.join('\n')}\n${node.log.slice(-20).join('\n')}`,
      )
    }
    await delay(30)
  }
}

export const isReady = (status: PodStatus): boolean =>
  status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true

/** Waits until it does not exist any more. */
export async function untilGone(node: TestNode, name: string, timeoutMs = 20_000): Promise<void> {
  const end = Date.now() + timeoutMs
  for (;;) {
    try {
      const pod = await node.client.get(core('pods'), 'default', name)
      if (Date.now() > end)
        throw new Error(`${name} is still there: ${JSON.stringify(pod)}\n${node.log.slice(-20).join('\n')}`)
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return
      throw error
    }
    await delay(30)
  }
}

/** `type reason xN: message`, in the order in which they first came. */
export async function eventsOf(node: TestNode, pod: string): Promise<string[]> {
  const { items } = await node.client.list(core('events'), {
    namespace: 'default',
    fieldSelector: `involvedObject.name=${pod}`,
  })
  return items
    .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    .map((event) => `${event['type']} ${event['reason']} x${event['count']}: ${event['message']}`)
}

/** Waits for an event that begins so. */
export async function untilEvent(node: TestNode, pod: string, line: string, timeoutMs = 10_000): Promise<void> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const events = await eventsOf(node, pod)
    if (events.some((event) => event.startsWith(line))) return
    if (Date.now() > end) throw new Error(`no event ${line}\n${events.join('\n')}`)
    await delay(50)
  }
}
