import {
  bool,
  bytes,
  embedded,
  type Field,
  integer,
  type Message,
  message,
  repeatedInteger,
  repeatedMessage,
  repeatedString,
  string,
  stringMap,
} from '../grpc/proto.ts'
import { CriConnection } from './connection.ts'
import {
  type AuthConfig,
  authConfig,
  type ContainerConfig,
  type ContainerStats,
  type CriContainer,
  type CriContainerStatus,
  type CriImage,
  containerConfig,
  containerStats,
  criContainer,
  criContainerStatus,
  criImage,
  type FilesystemUsage,
  filesystemUsage,
  type ImageSpec,
  imageSpec,
  type PodSandbox,
  type PodSandboxConfig,
  type PodSandboxStatus,
  podSandbox,
  podSandboxConfig,
  podSandboxStatus,
  type RuntimeCondition,
  runtimeStatus,
} from './messages.ts'

export type RuntimeVersion = { runtimeName: string; runtimeVersion: string; runtimeApiVersion: string }
export type LabelFilter = { id?: string; podSandboxId?: string; labelSelector?: Record<string, string> }
export type StreamRequest = { stdin: boolean; stdout: boolean; stderr: boolean; tty: boolean }
export type ExecOutput = { stdout: Uint8Array; stderr: Uint8Array; exitCode: number }

/**
 * The container runtime (CRI v1). Every method rejects with CriError, which names method and gRPC code; with a signal it
 * can be given up early. Names and numbers are CRI's; ids are the runtime's.
 */
export type CriClient = {
  version: () => Promise<RuntimeVersion>
  /** Conditions RuntimeReady and NetworkReady. */
  status: () => Promise<RuntimeCondition[]>
  runPodSandbox: (config: Partial<PodSandboxConfig>, signal?: AbortSignal) => Promise<string>
  stopPodSandbox: (id: string) => Promise<void>
  removePodSandbox: (id: string) => Promise<void>
  podSandboxStatus: (id: string) => Promise<PodSandboxStatus>
  listPodSandbox: (filter?: Omit<LabelFilter, 'podSandboxId'>) => Promise<PodSandbox[]>
  createContainer: (
    podSandboxId: string,
    config: Partial<ContainerConfig>,
    sandboxConfig: Partial<PodSandboxConfig>,
    signal?: AbortSignal,
  ) => Promise<string>
  startContainer: (id: string, signal?: AbortSignal) => Promise<void>
  /** SIGTERM (or the image's signal), and SIGKILL after `graceSeconds`. */
  stopContainer: (id: string, graceSeconds: number, signal?: AbortSignal) => Promise<void>
  removeContainer: (id: string) => Promise<void>
  listContainers: (filter?: LabelFilter) => Promise<CriContainer[]>
  containerStatus: (id: string) => Promise<CriContainerStatus>
  containerStats: (id: string) => Promise<ContainerStats | undefined>
  listContainerStats: (filter?: LabelFilter) => Promise<ContainerStats[]>
  /** DEADLINE_EXCEEDED when the command takes longer. */
  execSync: (id: string, cmd: readonly string[], timeoutSeconds: number, signal?: AbortSignal) => Promise<ExecOutput>
  /** These answer the URL of the runtime's streaming server. */
  exec: (containerId: string, cmd: readonly string[], streams: StreamRequest) => Promise<string>
  attach: (containerId: string, streams: StreamRequest) => Promise<string>
  portForward: (podSandboxId: string, ports: readonly number[]) => Promise<string>
  reopenContainerLog: (id: string) => Promise<void>
  listImages: () => Promise<CriImage[]>
  /** undefined: not there. */
  imageStatus: (image: string) => Promise<CriImage | undefined>
  /** Returns the image's reference for createContainer. */
  pullImage: (image: string, auth?: Partial<AuthConfig>, signal?: AbortSignal) => Promise<string>
  removeImage: (image: string) => Promise<void>
  imageFsInfo: () => Promise<FilesystemUsage[]>
  close: () => void
}

const SHORT_MS = 15_000
/** Sandboxes call CNI plugins, and removal waits for the kernel. */
const LONG_MS = 240_000
const PULL_MS = 30 * 60_000

const part = <T>(number: number, of: Message<T>): Field<Partial<T> | undefined> =>
  embedded(number, () => of as Message<Partial<T>>)

type Filter = { id: string; podSandboxId: string; labelSelector: Record<string, string> }
type WithFilter = { filter: Partial<Filter> | undefined }
const withFilter = (labels: number, sandbox: number): Message<WithFilter> => {
  const filter = message<Filter>({ id: string(1), labelSelector: stringMap(labels), podSandboxId: string(sandbox) })
  return message<WithFilter>({ filter: part(1, filter) })
}
/** A sandbox has no sandbox: 100 is not a number of its filter, and it is never given. */
const sandboxFilter = withFilter(3, 100)
const containerFilter = withFilter(4, 3)
const statsFilter = withFilter(3, 2)

type Nothing = Record<never, never>
const nothing: Message<Nothing> = message<Nothing>({})
const sandboxId = message({ podSandboxId: string(1) })
const containerId = message({ containerId: string(1) })
const url = message({ url: string(1) })
const image = message<{ image: Partial<ImageSpec> | undefined }>({ image: part(1, imageSpec) })

const messages = {
  version: message<RuntimeVersion>({
    runtimeName: string(2),
    runtimeVersion: string(3),
    runtimeApiVersion: string(4),
  }),
  status: message({ status: embedded(1, () => runtimeStatus) }),
  runPodSandbox: message<{ config: Partial<PodSandboxConfig> | undefined }>({ config: part(1, podSandboxConfig) }),
  podSandboxStatus: message({ status: embedded(1, () => podSandboxStatus) }),
  sandboxes: message({ items: repeatedMessage(1, () => podSandbox) }),
  createContainer: message<{
    podSandboxId: string
    config: Partial<ContainerConfig> | undefined
    sandboxConfig: Partial<PodSandboxConfig> | undefined
  }>({ podSandboxId: string(1), config: part(2, containerConfig), sandboxConfig: part(3, podSandboxConfig) }),
  stopContainer: message({ containerId: string(1), timeout: integer(2) }),
  containers: message({ containers: repeatedMessage(1, () => criContainer) }),
  containerStatus: message({ status: embedded(1, () => criContainerStatus) }),
  oneStats: message({ stats: embedded(1, () => containerStats) }),
  allStats: message({ stats: repeatedMessage(1, () => containerStats) }),
  execSync: message({ containerId: string(1), cmd: repeatedString(2), timeout: integer(3) }),
  execOutput: message<ExecOutput>({ stdout: bytes(1), stderr: bytes(2), exitCode: integer(3) }),
  exec: message<{ containerId: string; cmd: string[] } & StreamRequest>({
    containerId: string(1),
    cmd: repeatedString(2),
    tty: bool(3),
    stdin: bool(4),
    stdout: bool(5),
    stderr: bool(6),
  }),
  attach: message<{ containerId: string } & StreamRequest>({
    containerId: string(1),
    stdin: bool(2),
    tty: bool(3),
    stdout: bool(4),
    stderr: bool(5),
  }),
  portForward: message({ podSandboxId: string(1), port: repeatedInteger(2) }),
  images: message({ images: repeatedMessage(1, () => criImage) }),
  imageStatus: message({ image: embedded(1, () => criImage) }),
  pullImage: message<{ image: Partial<ImageSpec> | undefined; auth: Partial<AuthConfig> | undefined }>({
    image: part(1, imageSpec),
    auth: part(2, authConfig),
  }),
  pulled: message({ imageRef: string(1) }),
  fsInfo: message({ imageFilesystems: repeatedMessage(1, () => filesystemUsage) }),
}

/** Connects to the runtime's socket, an absolute path, at the first call; the connection repairs itself. */
export function createCriClient(endpoint: string): CriClient {
  const connection = new CriConnection(endpoint)
  const on =
    (service: string) =>
    <Q, R>(
      method: string,
      request: Message<Q>,
      argument: Partial<Q>,
      response: Message<R>,
      ms = SHORT_MS,
      signal?: AbortSignal,
    ) =>
      connection.unary(`/runtime.v1.${service}/${method}`, request, argument, response, { timeoutMs: ms, signal })
  const runtime = on('RuntimeService')
  const images = on('ImageService')
  const m = messages
  const ended = async (call: Promise<unknown>): Promise<void> => void (await call)
  return {
    version: () => runtime('Version', nothing, {}, m.version),
    status: async () => (await runtime('Status', nothing, {}, m.status)).status?.conditions ?? [],
    runPodSandbox: async (config, signal) =>
      (await runtime('RunPodSandbox', m.runPodSandbox, { config }, sandboxId, LONG_MS, signal)).podSandboxId,
    stopPodSandbox: (id) => ended(runtime('StopPodSandbox', sandboxId, { podSandboxId: id }, nothing, LONG_MS)),
    removePodSandbox: (id) => ended(runtime('RemovePodSandbox', sandboxId, { podSandboxId: id }, nothing, LONG_MS)),
    podSandboxStatus: async (id) =>
      given(
        (await runtime('PodSandboxStatus', sandboxId, { podSandboxId: id }, m.podSandboxStatus)).status,
        'PodSandboxStatus',
      ),
    listPodSandbox: async (filter) => (await runtime('ListPodSandbox', sandboxFilter, { filter }, m.sandboxes)).items,
    createContainer: async (podSandboxId, config, sandboxConfig, signal) => {
      const request = { podSandboxId, config, sandboxConfig }
      return (await runtime('CreateContainer', m.createContainer, request, containerId, LONG_MS, signal)).containerId
    },
    startContainer: (id, signal) =>
      ended(runtime('StartContainer', containerId, { containerId: id }, nothing, LONG_MS, signal)),
    stopContainer: (id, graceSeconds, signal) => {
      const request = { containerId: id, timeout: graceSeconds }
      return ended(runtime('StopContainer', m.stopContainer, request, nothing, graceSeconds * 1000 + LONG_MS, signal))
    },
    removeContainer: (id) => ended(runtime('RemoveContainer', containerId, { containerId: id }, nothing, LONG_MS)),
    listContainers: async (filter) =>
      (await runtime('ListContainers', containerFilter, { filter }, m.containers)).containers,
    containerStatus: async (id) =>
      given((await runtime('ContainerStatus', containerId, { containerId: id }, m.containerStatus)).status, id),
    containerStats: async (id) => (await runtime('ContainerStats', containerId, { containerId: id }, m.oneStats)).stats,
    listContainerStats: async (filter) =>
      (await runtime('ListContainerStats', statsFilter, { filter }, m.allStats)).stats,
    execSync: (id, cmd, timeoutSeconds, signal) => {
      const request = { containerId: id, cmd: [...cmd], timeout: timeoutSeconds }
      const limit = timeoutSeconds > 0 ? timeoutSeconds * 1000 + 2000 : LONG_MS
      return runtime('ExecSync', m.execSync, request, m.execOutput, limit, signal)
    },
    exec: async (id, cmd, streams) =>
      (await runtime('Exec', m.exec, { containerId: id, cmd: [...cmd], ...streams }, url)).url,
    attach: async (id, streams) => (await runtime('Attach', m.attach, { containerId: id, ...streams }, url)).url,
    portForward: async (id, ports) =>
      (await runtime('PortForward', m.portForward, { podSandboxId: id, port: [...ports] }, url)).url,
    reopenContainerLog: (id) => ended(runtime('ReopenContainerLog', containerId, { containerId: id }, nothing)),
    listImages: async () => (await images('ListImages', nothing, {}, m.images)).images,
    imageStatus: async (name) => (await images('ImageStatus', image, { image: { image: name } }, m.imageStatus)).image,
    pullImage: async (name, auth, signal) =>
      (await images('PullImage', m.pullImage, { image: { image: name }, auth }, m.pulled, PULL_MS, signal)).imageRef,
    removeImage: (name) => ended(images('RemoveImage', image, { image: { image: name } }, nothing, LONG_MS)),
    imageFsInfo: async () => (await images('ImageFsInfo', nothing, {}, m.fsInfo)).imageFilesystems,
    close: () => connection.close(),
  }
}

function given<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the runtime's answer about ${what} is empty`)
  return value
}
