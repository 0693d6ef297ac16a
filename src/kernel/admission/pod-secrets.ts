/** Where a pod's spec names Secrets. */

export type EnvVar = { name?: string; valueFrom?: { secretKeyRef?: { name?: string } } }
export type Container = {
  name?: string
  env?: EnvVar[]
  envFrom?: { secretRef?: { name?: string } }[]
  volumeMounts?: { name?: string; mountPath?: string; readOnly?: boolean }[]
}
export type Volume = {
  name?: string
  secret?: { secretName?: string }
  projected?: { defaultMode?: number; sources?: ProjectedSource[] }
  [source: string]: unknown
}
export type ProjectedSource = { secret?: { name?: string }; serviceAccountToken?: object; [source: string]: unknown }
export type PodSpec = {
  serviceAccountName?: string
  serviceAccount?: string
  automountServiceAccountToken?: boolean
  imagePullSecrets?: { name?: string }[]
  initContainers?: Container[]
  containers?: Container[]
  ephemeralContainers?: Container[]
  volumes?: Volume[]
}

/** Fields of volume sources that hold a reference to a Secret, as a name or as `{ name }`. */
const VOLUME_SECRETS: readonly (readonly [source: string, field: string])[] = [
  ['azureFile', 'secretName'],
  ['cephfs', 'secretRef'],
  ['cinder', 'secretRef'],
  ['csi', 'nodePublishSecretRef'],
  ['flexVolume', 'secretRef'],
  ['iscsi', 'secretRef'],
  ['rbd', 'secretRef'],
  ['scaleIO', 'secretRef'],
  ['secret', 'secretName'],
  ['storageos', 'secretRef'],
]

/** True when any part of the pod names a Secret. */
export function referencesSecrets(spec: PodSpec): boolean {
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]
  return (
    (spec.imagePullSecrets ?? []).length > 0 ||
    containers.some((c) => secretReferences(c).length > 0) ||
    (spec.volumes ?? []).some(volumeReferencesSecret)
  )
}

function volumeReferencesSecret(volume: Volume): boolean {
  if (volume.projected?.sources?.some((source) => source.secret !== undefined)) return true
  return VOLUME_SECRETS.some(([source, field]) => {
    const reference = (volume[source] as Record<string, unknown> | undefined)?.[field]
    return reference !== undefined && reference !== null
  })
}

/** The Secrets a container's environment names; `how` is the way in Kubernetes' words. */
export function secretReferences(container: Container): { how: string; secret: string }[] {
  const out: { how: string; secret: string }[] = []
  for (const env of container.env ?? []) {
    const ref = env.valueFrom?.secretKeyRef
    if (ref) out.push({ how: `envVar ${env.name}`, secret: ref.name ?? '' })
  }
  for (const { secretRef } of container.envFrom ?? [])
    if (secretRef) out.push({ how: 'envFrom', secret: secretRef.name ?? '' })
  return out
}
