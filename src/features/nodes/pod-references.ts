import type { KubeObject } from '../../kernel/api/object.ts'

/** `resource/name` of what a pod refers to in its own namespace. */
export type PodReference = `${'secrets' | 'configmaps' | 'persistentvolumeclaims' | 'serviceaccounts'}/${string}`

type Named = { name?: string } | undefined
type Source = {
  configMap?: Named
  secret?: Named & { secretName?: string }
  persistentVolumeClaim?: { claimName?: string }
  projected?: { sources?: Source[] }
  ephemeral?: object
  azureFile?: { secretName?: string }
  cephfs?: { secretRef?: Named }
  cinder?: { secretRef?: Named }
  csi?: { nodePublishSecretRef?: Named }
  flexVolume?: { secretRef?: Named }
  iscsi?: { secretRef?: Named }
  rbd?: { secretRef?: Named }
  scaleIO?: { secretRef?: Named }
  storageos?: { secretRef?: Named }
  name?: string
}
type Container = {
  env?: { valueFrom?: { secretKeyRef?: Named; configMapKeyRef?: Named } }[]
  envFrom?: { secretRef?: Named; configMapRef?: Named }[]
}

/** Everything that a pod's spec names and its machine must be able to read to run it, each once. */
export function podReferences(pod: KubeObject): Set<PodReference> {
  const found = new Set<PodReference>()
  const add = (resource: 'secrets' | 'configmaps' | 'persistentvolumeclaims' | 'serviceaccounts', name?: string) => {
    if (name) found.add(`${resource}/${name}`)
  }
  const spec = (pod['spec'] ?? {}) as Record<string, unknown>
  add('serviceaccounts', spec['serviceAccountName'] as string | undefined)
  for (const secret of (spec['imagePullSecrets'] ?? []) as Named[]) add('secrets', secret?.name)
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'])
    for (const { env = [], envFrom = [] } of (spec[list] ?? []) as Container[]) {
      for (const { valueFrom } of env) {
        add('secrets', valueFrom?.secretKeyRef?.name)
        add('configmaps', valueFrom?.configMapKeyRef?.name)
      }
      for (const { secretRef, configMapRef } of envFrom) {
        add('secrets', secretRef?.name)
        add('configmaps', configMapRef?.name)
      }
    }
  for (const volume of (spec['volumes'] ?? []) as Source[]) {
    add('secrets', volume.secret?.secretName)
    add('secrets', volume.azureFile?.secretName)
    add('configmaps', volume.configMap?.name)
    add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName)
    // A generic ephemeral volume has a claim named after pod and volume.
    if (volume.ephemeral !== undefined) add('persistentvolumeclaims', `${pod.metadata.name}-${volume.name}`)
    add('secrets', volume.csi?.nodePublishSecretRef?.name)
    for (const kind of ['cephfs', 'cinder', 'flexVolume', 'iscsi', 'rbd', 'scaleIO', 'storageos'] as const)
      add('secrets', volume[kind]?.secretRef?.name)
    for (const source of volume.projected?.sources ?? []) {
      add('secrets', source.secret?.name)
      add('configmaps', source.configMap?.name)
    }
  }
  return found
}

/** A mirror pod shows what runs on a machine anyway: it may make nothing readable. */
export const isMirrorPod = (pod: KubeObject): boolean =>
  pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined
