import type { PodSpec } from '../../../kernel/resources/kinds/pod/types.ts'
import type { PodUnderTest } from './check.ts'
import { LEVELS, type Level } from './levels.ts'

/** A change of the smallest valid pod; `spec` and its containers' security contexts are there to be written to. */
export type Change = (pod: TestPod) => void

type TestContainer = NonNullable<PodSpec['containers']>[number] & {
  securityContext: NonNullable<NonNullable<PodSpec['containers']>[number]['securityContext']>
}

export type TestPod = {
  metadata: { annotations: Record<string, string> }
  spec: PodSpec & {
    securityContext: NonNullable<PodSpec['securityContext']>
    containers: [TestContainer]
    initContainers: [TestContainer]
  }
}

export const isAtLeast = (level: Level, other: Level): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(other)

/** One container and one init container with as little as the level asks for at v1.`minor`. */
export function smallestPod(level: Level, minor: number, change: Change = () => undefined): PodUnderTest {
  const restricted = isAtLeast(level, 'restricted')
  const container = (name: string): TestContainer => ({
    name,
    image: 'registry.example/app',
    securityContext: {
      ...(restricted && minor >= 8 ? { allowPrivilegeEscalation: false } : {}),
      ...(restricted && minor >= 22 ? { capabilities: { drop: ['ALL'] } } : {}),
    },
  })
  const pod: TestPod = {
    metadata: { annotations: {} },
    spec: {
      securityContext: {
        ...(restricted ? { runAsNonRoot: true } : {}),
        ...(restricted && minor >= 19 ? { seccompProfile: { type: 'RuntimeDefault' } } : {}),
      },
      containers: [container('app')],
      initContainers: [container('init')],
    },
  }
  change(pod)
  return pod
}
