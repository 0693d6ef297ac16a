import type { AdmissionOperation, AdmissionRequest } from '../../admission/types.ts'
import type { KubeObject } from '../../api/object.ts'
import type { Caller } from '../core.ts'
import type { Kind } from '../kind.ts'

export type AdmissionSubject = {
  subresource?: string
  namespace: string
  name: string
  object: KubeObject | undefined
  oldObject: KubeObject | undefined
}

/** What admission is shown of a write. The namespace of a Namespace is itself, as in Kubernetes. */
export function admissionRequest(
  operation: AdmissionOperation,
  kind: Kind,
  subject: AdmissionSubject,
  parameters: { dryRun: boolean; options: AdmissionRequest['options'] },
  caller: Caller,
): AdmissionRequest {
  const { definition } = kind
  const isNamespace = definition.kind === 'Namespace' && definition.group === ''
  return {
    operation,
    definition,
    subresource: subject.subresource ?? '',
    namespace: isNamespace ? subject.name : subject.namespace,
    name: subject.name,
    object: subject.object,
    oldObject: subject.oldObject,
    user: caller.user,
    dryRun: parameters.dryRun,
    options: parameters.options,
    warn: caller.warn,
    annotateAudit: caller.annotateAudit,
    get signal() {
      return caller.signal
    },
  }
}
