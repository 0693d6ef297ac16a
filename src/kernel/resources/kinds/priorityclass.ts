import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { oneOf } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'

const SYSTEM_PREFIX = 'system-'
const HIGHEST_USER_VALUE = 1_000_000_000
/** Names and values of the classes that every cluster has. */
export const SYSTEM_CLASSES: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
}

function validate(priority: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const name = priority.metadata.name ?? ''
  const value = Number(priority['value'] ?? 0)
  if (name.startsWith(SYSTEM_PREFIX)) {
    const why = systemClassProblem(name, value, priority['globalDefault'] === true)
    if (why !== undefined)
      errors.push(
        fieldError.forbidden(
          'metadata.name',
          `priority class names with '${SYSTEM_PREFIX}' prefix are reserved for system use only. error: ${why}`,
        ),
      )
  } else if (value > HIGHEST_USER_VALUE)
    errors.push(
      fieldError.forbidden('value', `maximum allowed value of a user defined priority is ${HIGHEST_USER_VALUE}`),
    )
  if (priority['preemptionPolicy'] != null)
    oneOf(priority['preemptionPolicy'] as string, ['PreemptLowerPriority', 'Never'], 'preemptionPolicy', errors)
  return errors
}

function systemClassProblem(name: string, value: number, globalDefault: boolean): string | undefined {
  const expected = SYSTEM_CLASSES[name]
  if (expected === undefined) return `${name} is not a known system priority class`
  if (value !== expected) return `value of ${name} PriorityClass must be ${expected}`
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined
}

function validateUpdate(priority: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  if ((priority['value'] ?? 0) !== (old['value'] ?? 0))
    errors.push(fieldError.forbidden('value', 'may not be changed in an update.'))
  if ((priority['preemptionPolicy'] ?? '') !== (old['preemptionPolicy'] ?? ''))
    errors.push(fieldError.invalid('preemptionPolicy', priority['preemptionPolicy'], IMMUTABLE))
  return errors
}

export const priorityClassKind: ResourceDefinition = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  listKind: 'PriorityClassList',
  plural: 'priorityclasses',
  singular: 'priorityclass',
  shortNames: ['pc'],
  namespaced: false,
  schema: 'io.k8s.api.scheduling.v1.PriorityClass',
  columns: [
    nameColumn,
    column('Value', 'integer', 'Priority of the pods of this class; higher goes first.', (p) => p['value'] ?? 0),
    column('Global-Default', 'boolean', 'Whether pods that name no class have this one.', (p) =>
      Boolean(p['globalDefault']),
    ),
    ageColumn,
    column(
      'PreemptionPolicy',
      'string',
      'Whether pods of this class may take the place of others.',
      (p) => p['preemptionPolicy'] ?? '<unset>',
    ),
  ],
  strategy: {
    defaults: (priority) => {
      priority['preemptionPolicy'] ??= 'PreemptLowerPriority'
    },
    validate: onCreate(validate),
    validateUpdate,
    hasGeneration: true,
  },
}
