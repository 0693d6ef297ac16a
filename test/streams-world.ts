/** An API server, a machine's kubelet API and a containerd with pods in it, inside namespaces of their own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import { createRemoteClient } from '../src/kernel/client/remote.ts'
import { readNodeConfig } from '../src/node/config.ts'
import { criKubeletRuntime } from '../src/node/kubelet-api/cri-runtime.ts'
import { kubeletApiTask } from '../src/node/kubelet-api/task.ts'
import type { NodeTask } from '../src/node/task.ts'
import { type CriClient, createCriClient } from '../src/platform/cri/index.ts'
import {
  startContainerd,
  TEST_IMAGE,
  type TestContainerd,
  testCgroup,
  testFolder,
} from '../src/platform/cri/testing.ts'
import { type KubectlVersion, type Run, type RunOptions, run, testProgram } from './setup/cluster.ts'

const PODS = { group: '', version: 'v1', resource: 'pods' }
const NODES = { group: '', version: 'v1', resource: 'nodes' }

export type StreamsWorld = {
  server: TestServer
  cri: CriClient
  kubeletPort: number
  /** Containers by name and their commands. Resolves when they run; the pod's status says so. */
  startPod: (name: string, containers: Record<string, ContainerWish>) => Promise<KubeObject>
  kubectl: (version: KubectlVersion, args: readonly string[], options?: RunOptions) => Promise<Run>
  environment: NodeJS.ProcessEnv
  program: (version: KubectlVersion) => string
  close: () => Promise<void>
}
export type ContainerWish = { command: string[]; stdin?: boolean; tty?: boolean }

export async function startWorld(): Promise<StreamsWorld> {
  const folder = testFolder()
  const server = await startTestServer({ directory: join(folder, 'server') })
  const { pki } = server.plane
  const containerd: TestContainerd = await startContainerd()
  const cri = createCriClient(containerd.socket)
  const pods = new Map<string, KubeObject>()
  const nodeName = 'n1'
  const serving = pki.issue('kubelet-serving', {
    commonName: `system:node:${nodeName}`,
    organizations: ['system:nodes'],
    sans: { ip: ['127.0.0.1'] },
  })
  const own = pki.issue('kubelet-client', { commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] })
  const client = createRemoteClient({
    server: new URL(server.url),
    ca: server.ca,
    cert: own.certificate,
    key: own.key,
    userAgent: 'rampart-node',
  })
  const configFile = join(folder, 'node.json')
  writeFileSync(configFile, JSON.stringify({ nodeName, server: server.url, nodeAddress: '127.0.0.1' }))
  let kubeletPort = 0
  const task: NodeTask = kubeletApiTask({
    certificate: { context: () => ({ cert: serving.certificate, key: serving.key }), onChange: () => () => undefined },
    clientCa: () => pki.clientCaPem,
    runtime: criKubeletRuntime({ cri, nodeName, pods: () => [...pods.values()] }),
    onListening: (port) => (kubeletPort = port),
  })({
    config: { ...readNodeConfig(configFile), kubeletPort: 0 },
    client,
    clock: { now: Date.now },
    log: (level, message, fields) => server.log.push({ level, message, ...(fields ? { fields } : {}) }),
  })
  await task.start(new AbortController().signal)
  await server.localClient.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } })
  await server.localClient.patch(
    NODES,
    '',
    nodeName,
    'merge',
    {
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      },
    },
    { subresource: 'status' },
  )
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, pki.adminKubeconfig(server.url), { mode: 0o600 })
  const environment = { KUBECONFIG: kubeconfig, HOME: join(folder, 'home') }
  const program = (version: KubectlVersion): string => {
    const found = testProgram(`kubectl-${version}`)
    if (found === undefined) throw new Error(`kubectl ${version} is not there`)
    return found
  }
  return {
    server,
    cri,
    kubeletPort,
    environment,
    program,
    startPod: (name, containers) => startPod(server, cri, pods, nodeName, name, containers),
    kubectl: (version, args, options) =>
      run(program(version), args, { ...options, env: { ...environment, ...options?.env } }),
    close: async () => {
      await task.stop()
      client.close()
      cri.close()
      await server.close()
      await containerd.stop()
    },
  }
}

async function startPod(
  server: TestServer,
  cri: CriClient,
  pods: Map<string, KubeObject>,
  nodeName: string,
  name: string,
  wishes: Record<string, ContainerWish>,
): Promise<KubeObject> {
  const namespace = 'default'
  const containers = Object.entries(wishes).map(([container, wish]) => ({
    name: container,
    image: TEST_IMAGE,
    command: wish.command,
    stdin: wish.stdin ?? false,
    tty: wish.tty ?? false,
  }))
  const spec = { nodeName, containers, automountServiceAccountToken: false }
  const pod = await server.localClient.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec,
  } as unknown as KubeObject)
  const uid = pod.metadata.uid!
  const logDirectory = join(testFolder(), 'logs', `${namespace}_${name}_${uid}`)
  const labels = {
    'io.kubernetes.pod.uid': uid,
    'io.kubernetes.pod.name': name,
    'io.kubernetes.pod.namespace': namespace,
  }
  const sandbox = {
    metadata: { name, uid, namespace, attempt: 0 },
    hostname: name,
    logDirectory,
    labels,
    linux: { cgroupParent: `${testCgroup()}/${uid}` },
  }
  const sandboxId = await cri.runPodSandbox(sandbox)
  const podIP = (await cri.podSandboxStatus(sandboxId)).network?.ip ?? ''
  const statuses: object[] = []
  for (const c of containers) {
    mkdirSync(join(logDirectory, c.name), { recursive: true })
    const id = await cri.createContainer(
      sandboxId,
      {
        metadata: { name: c.name, attempt: 0 },
        image: { image: TEST_IMAGE },
        command: c.command,
        stdin: c.stdin,
        // Without it containerd takes the end of an attach's input for its end.
        stdinOnce: c.stdin,
        tty: c.tty,
        labels: { ...labels, 'io.kubernetes.container.name': c.name },
        logPath: `${c.name}/0.log`,
        linux: { resources: {}, securityContext: {} },
      },
      sandbox,
    )
    await cri.startContainer(id)
    const state = { running: { startedAt: new Date().toISOString() } }
    statuses.push({ name: c.name, ready: true, restartCount: 0, image: TEST_IMAGE, imageID: '', state })
  }
  const running = await server.localClient.patch(
    PODS,
    namespace,
    name,
    'merge',
    { status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], containerStatuses: statuses } },
    { subresource: 'status' },
  )
  pods.set(uid, running)
  return running
}
