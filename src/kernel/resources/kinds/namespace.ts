import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { validateFinalizers, validateKubeFinalizer } from '../validation/meta.ts'

const NAME_LABEL = 'kubernetes.io/metadata.name'

function labelWithName(object: KubeObject): void {
  const { name } = object.metadata
  if (name && object.metadata.labels?.[NAME_LABEL] !== name)
    object.metadata.labels = { ...object.metadata.labels, [NAME_LABEL]: name }
}

function validateSpecFinalizers(object: KubeObject): FieldError[] {
  const finalizers: string[] = object.spec?.finalizers ?? []
  return finalizers.flatMap((finalizer) => [
    ...validateFinalizers([finalizer], 'spec.finalizers'),
    ...validateKubeFinalizer(finalizer, 'spec.finalizers'),
  ])
}

/** The phase says whether the namespace is being deleted; only /status and the server itself write it. */
function validatePhase(object: KubeObject): FieldError[] {
  const phase: string = object.status?.phase ?? ''
  const terminating = object.metadata.deletionTimestamp !== undefined
  if (!terminating && phase !== 'Active')
    return [fieldError.invalid('status.phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")]
  if (terminating && phase !== 'Terminating')
    return [fieldError.invalid('status.phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
  return []
}

export const namespaceKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  schema: 'io.k8s.api.core.v1.Namespace',
  subresources: [
    { name: 'status', verbs: ['get', 'patch', 'update'] },
    { name: 'finalize', verbs: ['update'] },
  ],
  columns: [
    nameColumn,
    column(
      'Status',
      'string',
      'Phase of the namespace: Active, or Terminating while it is emptied.',
      (o) => o.status?.phase ?? '',
    ),
    ageColumn,
  ],
  selectableFields: {
    'status.phase': (o) => o.status?.phase ?? '',
  },
  strategy: {
    nameFormat: 'dns-label',
    defaults: labelWithName,
    prepareForCreate(object) {
      labelWithName(object)
      object.status = { phase: 'Active' }
      const finalizers: string[] = object.spec?.finalizers ?? []
      if (!finalizers.includes('kubernetes'))
        object.spec = { ...object.spec, finalizers: [...finalizers, 'kubernetes'] }
    },
    prepareForUpdate(object, old, { subresource }) {
      if (subresource !== 'status') object.status = old.status
      if (subresource !== 'finalize') object.spec = old.spec
    },
    resetFields: { '': [['status'], ['spec', 'finalizers']], finalize: [['status']] },
    validate: validateSpecFinalizers,
    validateUpdate: (object, _old, { subresource }) => (subresource === 'status' ? validatePhase(object) : []),
  },
}
