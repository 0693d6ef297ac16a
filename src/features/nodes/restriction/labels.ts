const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/instance-type',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
])
/** And everything below them. */
const KUBELET_NAMESPACES = ['kubelet.kubernetes.io', 'node.kubernetes.io']
const RESTRICTED = 'node-restriction.kubernetes.io'

const isWithin = (namespace: string, domain: string): boolean =>
  namespace === domain || namespace.endsWith(`.${domain}`)

/** Whether a machine may not set, change or remove this label of its own Node (KEP-279, NodeRestriction). */
export function isForbiddenLabel(key: string): boolean {
  const slash = key.indexOf('/')
  const namespace = slash < 0 ? '' : key.slice(0, slash)
  if (isWithin(namespace, RESTRICTED)) return true
  if (!isWithin(namespace, 'kubernetes.io') && !isWithin(namespace, 'k8s.io')) return false
  return !KUBELET_LABELS.has(key) && !KUBELET_NAMESPACES.some((domain) => isWithin(namespace, domain))
}

type Labels = Readonly<Record<string, string>> | undefined

/** Sorted keys of what differs between the two and is not the machine's to say. */
export function forbiddenLabelChanges(next: Labels = {}, old: Labels = {}): string[] {
  const keys = new Set([...Object.keys(next), ...Object.keys(old)])
  const value = (labels: NonNullable<Labels>, key: string): string | undefined =>
    Object.hasOwn(labels, key) ? labels[key] : undefined
  return [...keys].filter((key) => value(next, key) !== value(old, key) && isForbiddenLabel(key)).sort()
}
