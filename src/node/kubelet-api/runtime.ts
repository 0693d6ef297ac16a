import type { KubeObject } from '../../kernel/api/object.ts'

/** One run of a container, as the container runtime has it. */
export type ContainerRun = {
  id: string
  state: 'created' | 'running' | 'exited' | 'unknown'
  /** Absolute path of its log in CRI's format. */
  logPath: string
}

export type StreamRequest = { containerId: string; stdin: boolean; stdout: boolean; stderr: boolean; tty: boolean }

/** What the kubelet API needs of the agent's pods and of the container runtime. */
export type KubeletRuntime = {
  /** The pods of this machine with their statuses as the agent has them; shared, not to be changed. */
  pods: () => readonly KubeObject[]
  /** Those that the container runtime has running, named and with their containers, for /runningpods. */
  runningPods: () => Promise<readonly KubeObject[]>
  /** All runs of one container that are still there, newest first. */
  containerRuns: (podUid: string, container: string) => Promise<readonly ContainerRun[]>
  /** Id of the pod's sandbox that is ready. */
  sandboxId: (podUid: string) => Promise<string | undefined>
  /** URLs of the runtime's streaming server (http on loopback), good for one use. Reject with an Error that says why. */
  exec: (request: StreamRequest & { command: readonly string[] }) => Promise<string>
  attach: (request: StreamRequest) => Promise<string>
  portForward: (sandboxId: string, ports: readonly number[]) => Promise<string>
  /** stats.k8s.io/v1alpha1 Summary; undefined where the runtime does not count. */
  statsSummary?: () => Promise<object>
}

/** The machine's serving certificate, PEM; it changes when it is renewed. */
export type ServingCertificate = {
  context: () => { cert: string; key: string }
  /** Returns what takes the listener away. */
  onChange: (listener: () => void) => () => void
}
