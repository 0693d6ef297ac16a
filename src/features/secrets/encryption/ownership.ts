import { isUtf8 } from 'node:buffer'
import { REGISTRY } from '../../../kernel/apiserver/cache/watch-cache.ts'

/**
 * Whether bytes are the JSON of the object that a storage key names: for formats that do not bind a value to its key.
 * Compared are group, kind (in the core group, where the plural follows from it), namespace and name.
 */
export function belongsTo(plain: Buffer, storageKey: string): boolean {
  const [group, resource, ...place] = storageKey.slice(REGISTRY.length).split('/')
  if (!storageKey.startsWith(REGISTRY) || resource === undefined || place.length === 0 || place.length > 2) return false
  const object = parse(plain)
  const metadata = object?.['metadata']
  if (typeof metadata !== 'object' || metadata === null) return false
  const { name, namespace = '' } = metadata as { name?: unknown; namespace?: unknown }
  if (name !== place.at(-1) || namespace !== (place.length === 2 ? place[0] : '')) return false
  const { apiVersion, kind } = object!
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return false
  const slash = apiVersion.indexOf('/')
  if ((slash < 0 ? 'core' : apiVersion.slice(0, slash)) !== group) return false
  return group !== 'core' || pluralsOf(kind.toLowerCase()).includes(resource)
}

function parse(plain: Buffer): Record<string, unknown> | undefined {
  if (!isUtf8(plain)) return undefined
  try {
    const value: unknown = JSON.parse(plain.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const pluralsOf = (kind: string): string[] => [kind, `${kind}s`, `${kind}es`, `${kind.slice(0, -1)}ies`]
