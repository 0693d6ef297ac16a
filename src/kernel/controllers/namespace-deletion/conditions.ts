/** Outcome of one pass over a namespace that is being deleted. */
export type DeletionPass = {
  /** Messages of group versions that could not be discovered. */
  discoveryFailures: string[]
  /** Messages of kinds that could not be listed or deleted. */
  contentFailures: string[]
  /** Objects still there by `resource.group`; with the core group the name ends in a dot, as Kubernetes prints it. */
  remaining: ReadonlyMap<string, number>
  /** Objects still there by finalizer. */
  finalizers: ReadonlyMap<string, number>
}

export type NamespaceCondition = {
  type: string
  status: 'True' | 'False'
  lastTransitionTime: string
  reason: string
  message: string
}

type State = { type: string; good: { reason: string; message: string }; bad: (pass: DeletionPass) => Bad | undefined }
type Bad = { reason: string; message: string }

const counted = (counts: ReadonlyMap<string, number>, format: (name: string, count: number) => string): string =>
  [...counts]
    .filter(([, count]) => count > 0)
    .map(([name, count]) => format(name, count))
    .sort()
    .join(', ')

/** Types, reasons and messages are those of kube-controller-manager: people and scripts look for them. */
const STATES: readonly State[] = [
  {
    type: 'NamespaceDeletionDiscoveryFailure',
    good: { reason: 'ResourcesDiscovered', message: 'All resources successfully discovered' },
    bad: ({ discoveryFailures }) =>
      discoveryFailures.length === 0
        ? undefined
        : {
            reason: 'DiscoveryFailed',
            message: `Discovery failed for some groups, ${discoveryFailures.length} failing: ${discoveryFailures.toSorted().join(', ')}`,
          },
  },
  {
    type: 'NamespaceDeletionGroupVersionParsingFailure',
    good: { reason: 'ParsedGroupVersions', message: 'All legacy kube types successfully parsed' },
    bad: () => undefined,
  },
  {
    type: 'NamespaceDeletionContentFailure',
    good: { reason: 'ContentDeleted', message: 'All content successfully deleted, may be waiting on finalization' },
    bad: ({ contentFailures }) =>
      contentFailures.length === 0
        ? undefined
        : {
            reason: 'ContentDeletionFailed',
            message: `Failed to delete all resource types, ${contentFailures.length} remaining: ${contentFailures.toSorted().join(', ')}`,
          },
  },
  {
    type: 'NamespaceContentRemaining',
    good: { reason: 'ContentRemoved', message: 'All content successfully removed' },
    bad: ({ remaining }) => {
      const list = counted(remaining, (resource, count) => `${resource} has ${count} resource instances`)
      return list === ''
        ? undefined
        : { reason: 'SomeResourcesRemain', message: `Some resources are remaining: ${list}` }
    },
  },
  {
    type: 'NamespaceFinalizersRemaining',
    good: { reason: 'ContentHasNoFinalizers', message: 'All content-preserving finalizers finished' },
    bad: ({ finalizers }) => {
      const list = counted(finalizers, (finalizer, count) => `${finalizer} in ${count} resource instances`)
      return list === ''
        ? undefined
        : {
            reason: 'SomeFinalizersRemain',
            message: `Some content in the namespace has finalizers remaining: ${list}`,
          }
    },
  },
]

/** The conditions after this pass, or undefined when they are as before. `now` is RFC 3339. */
export function nextConditions(
  before: readonly NamespaceCondition[],
  pass: DeletionPass,
  now: string,
): NamespaceCondition[] | undefined {
  const others = before.filter((condition) => !STATES.some((state) => state.type === condition.type))
  let changed = false
  const ours = STATES.map(({ type, good, bad }): NamespaceCondition => {
    const failure = bad(pass)
    const status = failure === undefined ? 'False' : 'True'
    const { reason, message } = failure ?? good
    const old = before.find((condition) => condition.type === type)
    if (old?.status === status && old.reason === reason && old.message === message) return old
    changed = true
    return { type, status, lastTransitionTime: old?.status === status ? old.lastTransitionTime : now, reason, message }
  })
  return changed ? [...others, ...ours] : undefined
}
