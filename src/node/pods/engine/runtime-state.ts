/** What the container runtime has of one pod. Times are milliseconds since the epoch, 0: not yet. */
export type ContainerRecord = {
  id: string
  name: string
  sandboxId: string
  state: 'created' | 'running' | 'exited' | 'unknown'
  restartCount: number
  createdAt: number
  startedAt: number
  finishedAt: number
  exitCode: number
  reason: string
  /** Of an exited container: its termination message. */
  message: string
  image: string
  imageRef: string
  /** containerHash of the spec that it was made from. */
  hash: string
  logPath: string
}

export type SandboxRecord = {
  id: string
  attempt: number
  ready: boolean
  createdAt: number
  /** Empty while the network is not known, and for a pod in the host's network. */
  ips: readonly string[]
}

/** Both newest first. */
export type PodRuntime = { sandboxes: readonly SandboxRecord[]; containers: readonly ContainerRecord[] }

export const NO_RUNTIME: PodRuntime = { sandboxes: [], containers: [] }

/** The last run of a container, in whichever sandbox. */
export const latest = (runtime: PodRuntime, name: string): ContainerRecord | undefined =>
  runtime.containers.find((container) => container.name === name)

export const readySandbox = (runtime: PodRuntime): SandboxRecord | undefined =>
  runtime.sandboxes.find(({ ready }) => ready)

export const isAlive = ({ state }: ContainerRecord): boolean => state === 'running' || state === 'unknown'
