/**
 * Equality of API values as Kubernetes' apiequality.Semantic sees them: a field that is missing equals its empty list,
 * map or string. `false` and 0 equal a missing field only where the API cannot tell them apart.
 */
const ZERO_IS_MISSING: ReadonlySet<string> = new Set([
  'hostNetwork',
  'hostPID',
  'hostIPC',
  'stdin',
  'stdinOnce',
  'tty',
  'readOnly',
  'hostPort',
  'initialDelaySeconds',
  'minReadySeconds',
  'partition',
  'paused',
  'publishNotReadyAddresses',
  'healthCheckNodePort',
  'nodePort',
  'unschedulable',
])

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function isMissing(value: unknown, key: string): boolean {
  if (value === undefined || value === null || value === '') return true
  if (value === 0 || value === false) return ZERO_IS_MISSING.has(key)
  if (Array.isArray(value)) return value.length === 0
  if (typeof value === 'object') {
    for (const _ in value) return false
    return true
  }
  return false
}

/** `key` is the name of the field that holds the values. */
export function semanticEqual(a: unknown, b: unknown, key = ''): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false
    for (let i = 0; i < a.length; i++) if (!semanticEqual(a[i], b[i])) return false
    return true
  }
  if (isRecord(a) && isRecord(b) && !Array.isArray(a) && !Array.isArray(b)) {
    for (const field in a) if (!semanticEqual(a[field], b[field], field)) return false
    for (const field in b) if (!(field in a) && !isMissing(b[field], field)) return false
    return true
  }
  return isMissing(a, key) && isMissing(b, key)
}

/** Paths under `path` at which the two differ; lists of unequal length are one difference. */
export function differences(a: unknown, b: unknown, path: string, key = ''): string[] {
  if (semanticEqual(a, b, key)) return []
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length)
    return a.flatMap((item, i) => differences(item, b[i], `${path}[${i}]`))
  if (isRecord(a) && isRecord(b) && !Array.isArray(a) && !Array.isArray(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((field) =>
      differences(a[field], b[field], `${path}.${field}`, field),
    )
  return [path]
}
