import type { PodSpec, Volume } from './pod-secrets.ts'

export const TOKEN_MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const VOLUME_PREFIX = 'kube-api-access-'
/** An hour, and seven seconds by which tokens of this kind are told from those that users asked for. */
const TOKEN_SECONDS = 3607
const DEFAULT_MODE = 0o644

/** Mounts the account's token where containers have nothing mounted yet. `generateName` gives a random suffix. */
export function mountTokenVolume(spec: PodSpec, generateName: (prefix: string) => string): void {
  const existing = spec.volumes?.find((volume) => volume.name?.startsWith(VOLUME_PREFIX))
  const name = existing?.name ?? generateName(VOLUME_PREFIX)
  let needed = false
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    if (container.volumeMounts?.some((mount) => mount.mountPath === TOKEN_MOUNT_PATH)) continue
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH }]
    needed = true
  }
  if (needed && existing === undefined) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)]
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: DEFAULT_MODE,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  }
}
