import type { ContainerConfig, CriImage, Mount } from '../../../platform/cri/index.ts'
import { containerHash } from './actions.ts'
import { expand } from './expansion.ts'
import { ANNOTATION, LABEL, type Pod, type PodContainer } from './pod.ts'
import { linuxResources } from './resources.ts'
import { type NodeSettings, podLabels } from './sandbox-config.ts'
import { containerSecurity } from './security.ts'

export type ContainerInput = {
  pod: Pod
  container: PodContainer
  restartCount: number
  image: CriImage
  environment: ReadonlyMap<string, Uint8Array>
  mounts: readonly Mount[]
  node: NodeSettings
  /** Of an ephemeral container: the id of the container whose processes it shall see. */
  targetId?: string
}

/** Throws ContainerConfigError. */
export function containerConfig(input: ContainerInput): Partial<ContainerConfig> {
  const { pod, container, restartCount, image, node } = input
  const lookup = (name: string): string | undefined => {
    const value = input.environment.get(name)
    return value === undefined ? undefined : Buffer.from(value).toString()
  }
  const expanded = (words: readonly string[] = []): string[] => words.map((word) => expand(word, lookup))
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: image.id, userSpecifiedImage: container.image },
    command: expanded(container.command),
    args: expanded(container.args),
    workingDir: container.workingDir ?? '',
    envs: [...input.environment].map(([key, value]) => ({ key, value })),
    mounts: [...input.mounts],
    labels: { ...podLabels(pod), [LABEL.container]: container.name },
    annotations: {
      [ANNOTATION.restartCount]: String(restartCount),
      [ANNOTATION.hash]: containerHash(container),
      [ANNOTATION.terminationMessagePath]: container.terminationMessagePath ?? '/dev/termination-log',
      [ANNOTATION.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
      [ANNOTATION.gracePeriod]: String(pod.spec.terminationGracePeriodSeconds ?? 30),
    },
    logPath: `${container.name}/${restartCount}.log`,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: {
      resources: linuxResources(pod, container.resources, node.memoryCapacity),
      securityContext: containerSecurity(pod, container, image, {
        seccompFolder: node.seccompFolder,
        ...(input.targetId === undefined ? {} : { targetId: input.targetId }),
      }),
    },
  }
}
