import type { KubeObject } from '../api/object.ts'
import type { ControllerFactory } from '../feature.ts'
import { namespacedDefault } from './namespaced-defaults.ts'
import type { ControllerOptions } from './options.ts'
import { CONFIG_MAPS } from './resource-ids.ts'

export const ROOT_CA_CONFIG_MAP = 'kube-root-ca.crt'
const DESCRIPTION = 'kubernetes.io/description'
const DESCRIPTION_TEXT =
  'Certificate authorities by which clients in the cluster verify the API server at its internal address.'

export type RootCaConfigMapOptions = ControllerOptions & {
  /** PEM certificates; asked whenever a namespace is looked at, at least every ten minutes. */
  rootCa: () => string
}

/** Every namespace has the ConfigMap `kube-root-ca.crt`, from which pods verify the API server. */
export function rootCaConfigMap(options: RootCaConfigMapOptions): ControllerFactory {
  return namespacedDefault({
    ...options,
    controller: 'root-ca-config-map',
    resource: CONFIG_MAPS,
    name: ROOT_CA_CONFIG_MAP,
    resyncMs: 600_000,
    // Nobody can mend an immutable one.
    replace: (current) =>
      current['immutable'] === true && desiredConfigMap('', current, options.rootCa()) !== undefined,
    desired: (namespace, current) => desiredConfigMap(namespace, current, options.rootCa()),
  })
}

export function desiredConfigMap(
  namespace: string,
  current: KubeObject | undefined,
  ca: string,
): KubeObject | undefined {
  const data = current?.['data'] as Record<string, string> | undefined
  const exact = data !== undefined && Object.keys(data).length === 1 && data['ca.crt'] === ca
  const described = (current?.metadata.annotations?.[DESCRIPTION] ?? '') !== ''
  if (exact && described && current?.['binaryData'] === undefined) return undefined
  return {
    ...current,
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      ...current?.metadata,
      name: ROOT_CA_CONFIG_MAP,
      namespace,
      annotations: { ...current?.metadata.annotations, [DESCRIPTION]: DESCRIPTION_TEXT },
    },
    data: { 'ca.crt': ca },
    binaryData: undefined,
  }
}
