import { refusal } from '../../../kernel/admission/refusal.ts'
import type { AdmissionRequest, AdmissionStep } from '../../../kernel/admission/types.ts'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import type { ServerContext } from '../../../kernel/feature.ts'
import { examineObject, messageOf } from './findings.ts'
import type { Leak } from './types.ts'

/** Label of a namespace: `warn` (also without the label), `deny` or `off`. */
export const LINT_LABEL = 'secrets.rampart.dev/lint'

const NAMESPACES = { group: '', version: 'v1', resource: 'namespaces' }
const KINDS: ReadonlySet<string> = new Set([
  '/pods',
  '/podtemplates',
  '/replicationcontrollers',
  '/configmaps',
  'apps/deployments',
  'apps/replicasets',
  'apps/statefulsets',
  'apps/daemonsets',
  'batch/jobs',
  'batch/cronjobs',
])
/** Every namespace gets it from the control plane; it holds certificates. */
const ROOT_CA = 'kube-root-ca.crt'
/** More would be noise: kubectl prints each on a line of its own. */
const MAX_WARNINGS = 10

type Mode = 'warn' | 'deny' | 'off'
/** What namespaces ask for, from memory. */
export type Modes = {
  of: (namespace: string) => Mode
  /** Undefined when `of` knows all namespaces; else it resolves when it does. */
  ready: () => Promise<void> | undefined
}

/** Warns of secrets in plain text in pods, workloads and ConfigMaps, or refuses them where the namespace says so. */
export function lintAdmission(context: ServerContext): AdmissionStep {
  const modes = new Map<string, Mode>()
  const informer = createInformer({ client: context.client, resource: NAMESPACES, log: context.log })
  const put = (object: KubeObject): void => {
    const mode = modeOf(object)
    // Most namespaces have no label: only the others are kept.
    if (mode === 'warn') modes.delete(object.metadata.name!)
    else modes.set(object.metadata.name!, mode)
  }
  informer.addHandler({ onAdd: put, onUpdate: put, onDelete: (object) => void modes.delete(object.metadata.name!) })
  informer
    .run(context.signal ?? new AbortController().signal)
    .catch((error: Error) => context.log('error', `namespace informer of secrets lint ended: ${error.message}`))
  return lintStep({
    ready: () => (informer.hasSynced ? undefined : informer.synced()),
    of: (namespace) => modes.get(namespace) ?? 'warn',
  })
}

function modeOf(namespace: KubeObject): Mode {
  const value = namespace.metadata.labels?.[LINT_LABEL]
  return value === 'deny' || value === 'off' ? value : 'warn'
}

/** The step by itself. */
export function lintStep(modes: Modes): AdmissionStep {
  return {
    name: 'SecretsLint',
    handles: ({ operation, definition, subresource }) =>
      (operation === 'CREATE' || operation === 'UPDATE') &&
      (subresource === '' || subresource === 'ephemeralcontainers') &&
      KINDS.has(`${definition.group}/${definition.plural}`),
    validate: (request) => {
      const { object, namespace } = request
      const waiting = modes.ready()
      if (object === undefined || isRootCa(request) || (waiting === undefined && modes.of(namespace) === 'off'))
        return undefined
      const { leaks, suppressed } = examineObject(object)
      if (leaks.length === 0 && suppressed.length === 0) return undefined
      const fresh = news(leaks, request.oldObject)
      if (waiting === undefined) return judge(request, modes.of(namespace), fresh, suppressed)
      return waiting.then(() => judge(request, modes.of(namespace), fresh, suppressed))
    },
  }
}

function judge(request: AdmissionRequest, mode: Mode, leaks: readonly Leak[], suppressed: readonly Leak[]): void {
  if (mode === 'off') return
  // Who may write the object can set its annotation: the audit log tells that it was used.
  if (suppressed.length > 0) request.annotateAudit('SecretsLint/ignored', rulesOf(suppressed))
  if (leaks.length === 0) return
  request.annotateAudit('SecretsLint/found', rulesOf(leaks))
  const messages = leaks.slice(0, MAX_WARNINGS).map((leak) => `${messageOf(leak)} [${leak.rule}]`)
  if (leaks.length > MAX_WARNINGS) messages.push(`${leaks.length - MAX_WARNINGS} more`)
  if (mode === 'deny')
    throw refusal(
      request,
      `secrets in plain text are refused in this namespace (label ${LINT_LABEL}): ${messages.join('; ')}`,
    )
  for (const message of messages) request.warn(`secret in plain text: ${message}`)
}

const rulesOf = (leaks: readonly Leak[]): string => [...new Set(leaks.map((leak) => leak.rule))].sort().join(',')

/** What the old object held already was told when it came. Moving it within the object is not new. */
function news(leaks: readonly Leak[], old: KubeObject | undefined): readonly Leak[] {
  if (leaks.length === 0 || old === undefined) return withoutCopies(leaks)
  const { leaks: before, suppressed } = examineObject(old)
  const known = new Set([...before, ...suppressed].map(identity))
  return withoutCopies(leaks.filter((leak) => !known.has(identity(leak))))
}

const identity = (leak: Leak): string => `${leak.rule}\n${leak.text.slice(leak.start, leak.end)}`

/** kubectl's own copy of the manifest repeats what is found in the object itself. */
function withoutCopies(leaks: readonly Leak[]): readonly Leak[] {
  const own = leaks.filter((leak) => leak.rule !== 'last-applied-configuration')
  return own.length > 0 ? own : leaks
}

function isRootCa({ definition, name }: AdmissionRequest): boolean {
  return definition.group === '' && definition.plural === 'configmaps' && name === ROOT_CA
}
