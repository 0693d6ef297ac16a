import type { KubeObject } from '../../../kernel/api/object.ts'
import type { EnvVarSource } from '../../../kernel/resources/kinds/pod/types.ts'
import { type Addresses, type Allocatable, fieldValue, resourceValue } from './downward.ts'
import { expand } from './expansion.ts'
import type { Pod, PodContainer } from './pod.ts'

/** A container cannot be made as its spec says: CreateContainerConfigError. */
export class ContainerConfigError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ContainerConfigError'
  }
}

export type EnvironmentSources = {
  /** ConfigMaps and Secrets of the pod's namespace that the container names; undefined: they do not exist. */
  configMap: (name: string) => KubeObject | undefined
  secret: (name: string) => KubeObject | undefined
  services: ReadonlyMap<string, string>
  addresses: Addresses
  allocatable: Allocatable
}

/** Names of the objects that a container's environment reads. */
export function environmentReferences(container: PodContainer): { configMaps: Set<string>; secrets: Set<string> } {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef?.name) configMaps.add(configMapRef.name)
    if (secretRef?.name) secrets.add(secretRef.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef?.name) configMaps.add(valueFrom.configMapKeyRef.name)
    if (valueFrom?.secretKeyRef?.name) secrets.add(valueFrom.secretKeyRef.name)
  }
  return { configMaps, secrets }
}

/** The container's environment (Kubelet.makeEnvironmentVariables). Throws ContainerConfigError, without values. */
export function environment(pod: Pod, container: PodContainer, sources: EnvironmentSources): Map<string, Uint8Array> {
  const result = new Map<string, Uint8Array>()
  const text = (name: string): string | undefined => {
    const value = result.get(name)
    return value === undefined ? sources.services.get(name) : Buffer.from(value).toString()
  }
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const ref = (configMapRef ?? secretRef) as { name?: string; optional?: boolean } | undefined
    if (ref === undefined) continue
    const kind = configMapRef === undefined ? 'secret' : 'configmap'
    const object = kind === 'secret' ? sources.secret(ref.name ?? '') : sources.configMap(ref.name ?? '')
    if (object === undefined) {
      if (ref.optional === true) continue
      throw new ContainerConfigError(`${kind} ${JSON.stringify(ref.name ?? '')} not found`)
    }
    const data = (object['data'] ?? {}) as Record<string, string>
    for (const key of Object.keys(data).sort()) {
      const name = prefix + key
      if (name === '' || /[=\0]/.test(name)) continue
      result.set(name, Buffer.from(data[key]!, kind === 'secret' ? 'base64' : 'utf8'))
    }
  }
  for (const { name = '', value, valueFrom } of container.env ?? []) {
    if (valueFrom == null) result.set(name, Buffer.from(expand(value ?? '', text)))
    else {
      const found = fromSource(pod, container, valueFrom, sources)
      if (found !== undefined) result.set(name, found)
    }
  }
  for (const [name, value] of sources.services) if (!result.has(name)) result.set(name, Buffer.from(value))
  return result
}

function fromSource(
  pod: Pod,
  container: PodContainer,
  source: EnvVarSource,
  sources: EnvironmentSources,
): Uint8Array | undefined {
  try {
    if (source.fieldRef != null) return Buffer.from(fieldValue(pod, source.fieldRef.fieldPath ?? '', sources.addresses))
    if (source.resourceFieldRef != null)
      return Buffer.from(resourceValue(pod, source.resourceFieldRef, container.name, sources.allocatable))
  } catch (error) {
    throw new ContainerConfigError((error as Error).message)
  }
  const { configMapKeyRef, secretKeyRef } = source
  const ref = configMapKeyRef ?? secretKeyRef
  if (ref == null) throw new ContainerConfigError('an environment variable has a source that is not supported')
  const isSecret = configMapKeyRef == null
  const object = isSecret ? sources.secret(ref.name ?? '') : sources.configMap(ref.name ?? '')
  if (object === undefined) {
    if (ref.optional === true) return undefined
    throw new ContainerConfigError(`${isSecret ? 'secret' : 'configmap'} ${JSON.stringify(ref.name ?? '')} not found`)
  }
  const data = (object['data'] ?? {}) as Record<string, string>
  const key = ref.key ?? ''
  if (Object.hasOwn(data, key)) return Buffer.from(data[key]!, isSecret ? 'base64' : 'utf8')
  const binary = (object['binaryData'] ?? {}) as Record<string, string>
  if (!isSecret && Object.hasOwn(binary, key)) return Buffer.from(binary[key]!, 'base64')
  if (ref.optional === true) return undefined
  const where = `${pod.namespace}/${ref.name ?? ''}`
  throw new ContainerConfigError(`couldn't find key ${key} in ${isSecret ? 'Secret' : 'ConfigMap'} ${where}`)
}
