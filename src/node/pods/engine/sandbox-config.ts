import { join } from 'node:path'
import type { DnsConfig, PodSandboxConfig } from '../../../platform/cri/index.ts'
import { podDns, podHostname } from './dns.ts'
import { LABEL, type Pod } from './pod.ts'
import { podCgroup } from './resources.ts'
import { namespaceOptions, seccompProfile, supplementalGroups } from './security.ts'

export type NodeSettings = {
  cgroupParent: string
  podLogFolder: string
  seccompFolder: string
  nodeHostname: string
  resolver: DnsConfig
  memoryCapacity: number
}

export const podLogFolder = (pod: Pick<Pod, 'uid' | 'namespace' | 'name'>, root: string): string =>
  join(root, `${pod.namespace}_${pod.name}_${pod.uid}`)

export const podLabels = (pod: Pod): Record<string, string> => ({
  [LABEL.podName]: pod.name,
  [LABEL.podNamespace]: pod.namespace,
  [LABEL.podUid]: pod.uid,
})

export function sandboxConfig(pod: Pod, attempt: number, node: NodeSettings): Partial<PodSandboxConfig> {
  const { securityContext: context = {}, hostNetwork } = pod.spec
  const containers = [...pod.initContainers, ...pod.containers]
  const sysctls = (context.sysctls ?? []).map(({ name = '', value = '' }) => [name, value] as const)
  return {
    metadata: { name: pod.name, uid: pod.uid, namespace: pod.namespace, attempt },
    // In the node's network the runtime keeps the node's own name.
    hostname: hostNetwork === true ? '' : podHostname(pod),
    logDirectory: podLogFolder(pod, node.podLogFolder),
    dnsConfig: podDns(pod, node.resolver),
    labels: { ...pod.metadata.labels, ...podLabels(pod) },
    annotations: { ...pod.metadata.annotations },
    linux: {
      cgroupParent: podCgroup(pod, node.cgroupParent),
      sysctls: Object.fromEntries(sysctls),
      securityContext: {
        namespaceOptions: namespaceOptions(pod),
        supplementalGroups: supplementalGroups(pod),
        privileged: containers.some((c) => c.securityContext?.privileged === true),
        seccomp: seccompProfile(context.seccompProfile ?? { type: 'RuntimeDefault' }, node.seccompFolder),
        ...(context.runAsUser == null ? {} : { runAsUser: { value: context.runAsUser } }),
        ...(context.runAsGroup == null || context.runAsUser == null
          ? {}
          : { runAsGroup: { value: context.runAsGroup } }),
      },
    },
  }
}
