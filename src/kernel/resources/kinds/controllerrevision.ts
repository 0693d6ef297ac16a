import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { semanticEqual } from './pod/equality.ts'
import { nonNegative } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'

function validate(revision: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  if (revision['data'] == null) errors.push(fieldError.required('data', 'data is mandatory'))
  nonNegative(revision['revision'] as number | undefined, 'revision', errors)
  return errors
}

function validateUpdate(revision: KubeObject, old: KubeObject): FieldError[] {
  const errors = validate(revision)
  if (!semanticEqual(revision['data'], old['data']))
    errors.push(fieldError.invalid('data', revision['data'], IMMUTABLE))
  return errors
}

/** `statefulset.apps/web`, from the owner that controls the revision. */
function controllerCell(revision: KubeObject): string {
  const owner = revision.metadata.ownerReferences?.find((reference) => reference.controller === true)
  if (owner === undefined) return '<none>'
  const kind = owner.kind.toLowerCase()
  const slash = owner.apiVersion.indexOf('/')
  return `${slash < 0 ? kind : `${kind}.${owner.apiVersion.slice(0, slash)}`}/${owner.name}`
}

export const controllerRevisionKind: ResourceDefinition = {
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  singular: 'controllerrevision',
  namespaced: true,
  schema: 'io.k8s.api.apps.v1.ControllerRevision',
  columns: [
    nameColumn,
    column('Controller', 'string', 'Object whose past state the revision is.', controllerCell),
    column(
      'Revision',
      'string',
      'Number of the revision; later ones are higher.',
      (revision) => revision['revision'] ?? 0,
    ),
    ageColumn,
  ],
  strategy: { validate: onCreate(validate), validateUpdate },
}
