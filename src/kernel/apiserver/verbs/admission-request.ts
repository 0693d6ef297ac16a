import type { AdmissionOperation, AdmissionRequest } from '../../admission/types.ts'
import type { GroupVersionKind, KubeObject } from '../../api/object.ts'
import type { Caller } from '../core.ts'
import type { Kind } from '../kind.ts'

export type AdmissionSubject = {
  subresource?: string
  /** Kind of the objects where it is not the resource's own. */
  kind?: GroupVersionKind | undefined
  namespace: string
  name: string
  object: KubeObject | undefined
  oldObject: KubeObject | undefined
}

type Parameters = { dryRun: boolean; fieldManager?: string; options: AdmissionRequest['options'] }

/** What admission is shown of a write. The namespace of a Namespace is itself, as in Kubernetes. */
export function admissionRequest(
  operation: AdmissionOperation,
  kind: Kind,
  subject: AdmissionSubject,
  parameters: Parameters,
  caller: Caller,
): AdmissionRequest {
  const { definition } = kind
  const isNamespace = definition.kind === 'Namespace' && definition.group === ''
  return {
    operation,
    definition,
    subresource: subject.subresource ?? '',
    kind: subject.kind,
    namespace: isNamespace ? subject.name : subject.namespace,
    name: subject.name,
    object: subject.object,
    oldObject: subject.oldObject,
    user: caller.user,
    dryRun: parameters.dryRun,
    // Few steps look at them.
    get options() {
      return optionsFor(operation, parameters)
    },
    warn: caller.warn,
    annotateAudit: caller.annotateAudit,
    get signal() {
      return caller.signal
    },
  }
}

const OPTIONS_KINDS = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' } as const

/**
 * The options by what the write has become: a PATCH is an update or, by apply, a create; a PUT may create
 * (k8s.io/apiserver handlers: patchToUpdateOptions, patchToCreateOptions, updateToCreateOptions).
 */
function optionsFor(
  operation: AdmissionOperation,
  { options, dryRun, fieldManager }: Parameters,
): KubeObject | undefined {
  if (operation === 'CONNECT') return undefined
  const kind = OPTIONS_KINDS[operation]
  if (options !== undefined) return options.kind === kind ? options : { ...options, kind }
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(dryRun ? { dryRun: ['All'] } : {}),
    ...(fieldManager ? { fieldManager } : {}),
  } as unknown as KubeObject
}
