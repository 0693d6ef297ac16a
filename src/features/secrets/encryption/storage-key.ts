import { REGISTRY } from '../../../kernel/apiserver/cache/watch-cache.ts'

/** `<group or core>/<resource>` of `/registry/<group or core>/<resource>/…`; undefined for what is no object's key. */
export function resourceOf(storageKey: string): string | undefined {
  if (!storageKey.startsWith(REGISTRY)) return undefined
  const group = storageKey.indexOf('/', REGISTRY.length)
  const end = group < 0 ? -1 : storageKey.indexOf('/', group + 1)
  return end < 0 ? undefined : storageKey.slice(REGISTRY.length, end)
}

/** The same of a resource as Kubernetes writes it. */
export const resourceKey = (group: string, resource: string): string => `${group === '' ? 'core' : group}/${resource}`
