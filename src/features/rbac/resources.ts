import type { KubeObject } from '../../kernel/api/object.ts'
import type { LabelSelector } from '../../kernel/api/selectors.ts'
import { type FieldError, fieldError } from '../../kernel/api/status.ts'
import type { ResourceDefinition, Strategy } from '../../kernel/resources/definition.ts'
import { ageColumn, column, nameColumn } from '../../kernel/resources/printing.ts'
import { validateLabelSelector } from '../../kernel/resources/validation/meta.ts'
import { dns1123Subdomain, pathSegmentName } from '../../kernel/resources/validation/names.ts'
import { type PolicyRule, RBAC_GROUP, type RoleRef, type Subject } from './engine/types.ts'

const SUBJECT_KINDS = ['ServiceAccount', 'User', 'Group'] as const

function validateRule(rule: PolicyRule, namespaced: boolean, path: string): FieldError[] {
  const errors: FieldError[] = []
  const urls = rule.nonResourceURLs ?? []
  const empty = (list: readonly string[] | undefined): boolean => (list ?? []).length === 0
  if (empty(rule.verbs)) errors.push(fieldError.required(`${path}.verbs`, 'verbs must contain at least one value'))
  if (urls.length > 0) {
    if (namespaced)
      errors.push(
        fieldError.invalid(`${path}.nonResourceURLs`, urls, 'namespaced rules cannot apply to non-resource URLs'),
      )
    if (!empty(rule.apiGroups) || !empty(rule.resources) || !empty(rule.resourceNames))
      errors.push(
        fieldError.invalid(
          `${path}.nonResourceURLs`,
          urls,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      )
    return errors
  }
  if (empty(rule.apiGroups))
    errors.push(fieldError.required(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  if (empty(rule.resources))
    errors.push(fieldError.required(`${path}.resources`, 'resource rules must supply at least one resource'))
  return errors
}

function validateRules(object: KubeObject, namespaced: boolean): FieldError[] {
  return ((object['rules'] ?? []) as PolicyRule[]).flatMap((rule, i) => validateRule(rule, namespaced, `rules[${i}]`))
}

function validateAggregation(object: KubeObject): FieldError[] {
  const rule: { clusterRoleSelectors?: LabelSelector[] } | undefined = object['aggregationRule'] ?? undefined
  if (rule === undefined) return []
  const path = 'aggregationRule.clusterRoleSelectors'
  const selectors = rule.clusterRoleSelectors ?? []
  if (selectors.length === 0)
    return [fieldError.required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil')]
  return selectors.flatMap((selector, i) => validateLabelSelector(selector, `${path}[${i}]`))
}

function validateSubject(subject: Subject, namespaced: boolean, path: string): FieldError[] {
  const errors: FieldError[] = []
  const { name = '', kind, apiGroup = '', namespace = '' } = subject
  if (name === '') errors.push(fieldError.required(`${path}.name`))
  if (kind === 'ServiceAccount') {
    if (name !== '')
      for (const why of dns1123Subdomain(name)) errors.push(fieldError.invalid(`${path}.name`, name, why))
    if (apiGroup !== '') errors.push(fieldError.notSupported(`${path}.apiGroup`, apiGroup, ['']))
    if (!namespaced && namespace === '') errors.push(fieldError.required(`${path}.namespace`))
  } else if (kind === 'User' || kind === 'Group') {
    const what = kind.toLowerCase()
    if (name === '') errors.push(fieldError.invalid(`${path}.name`, name, `${what} name cannot be empty`))
    if (apiGroup !== RBAC_GROUP) errors.push(fieldError.notSupported(`${path}.apiGroup`, apiGroup, [RBAC_GROUP]))
  } else errors.push(fieldError.notSupported(`${path}.kind`, kind ?? '', SUBJECT_KINDS))
  return errors
}

function validateBinding(object: KubeObject, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = []
  const { apiGroup = '', kind = '', name = '' } = (object['roleRef'] ?? {}) as Partial<RoleRef>
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  if (apiGroup !== RBAC_GROUP) errors.push(fieldError.notSupported('roleRef.apiGroup', apiGroup, [RBAC_GROUP]))
  if (!kinds.includes(kind)) errors.push(fieldError.notSupported('roleRef.kind', kind, kinds))
  if (name === '') errors.push(fieldError.required('roleRef.name'))
  else for (const why of pathSegmentName(name)) errors.push(fieldError.invalid('roleRef.name', name, why))
  const subjects = (object['subjects'] ?? []) as Subject[]
  return errors.concat(subjects.flatMap((subject, i) => validateSubject(subject, namespaced, `subjects[${i}]`)))
}

/** A binding cannot be turned into one of another role: who may change subjects is not asked about the role. */
function validateRoleRefUnchanged(object: KubeObject, old: KubeObject): FieldError[] {
  const now = object['roleRef'] as RoleRef
  const was = old['roleRef'] as RoleRef
  if (now.apiGroup === was.apiGroup && now.kind === was.kind && now.name === was.name) return []
  return [fieldError.invalid('roleRef', now, 'cannot change roleRef')]
}

function defaultBinding(object: KubeObject): void {
  const roleRef = object['roleRef'] as RoleRef | undefined
  if (roleRef && !roleRef.apiGroup) roleRef.apiGroup = RBAC_GROUP
  for (const subject of (object['subjects'] ?? []) as Subject[])
    if (!subject.apiGroup && (subject.kind === 'User' || subject.kind === 'Group')) subject.apiGroup = RBAC_GROUP
}

function subjectsOf(object: KubeObject, kind: string): string {
  return ((object['subjects'] ?? []) as Subject[])
    .filter((subject) => subject.kind === kind)
    .map((subject) => (kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name))
    .join(', ')
}

const roleColumns = [
  nameColumn,
  column(
    'Created At',
    'date',
    'Time at which the server created the object.',
    (o) => o.metadata.creationTimestamp ?? null,
  ),
]

const bindingColumns = [
  nameColumn,
  column('Role', 'string', 'The role that the binding grants, as kind/name.', (o) =>
    o['roleRef'] ? `${o['roleRef'].kind}/${o['roleRef'].name}` : '',
  ),
  ageColumn,
  column('Users', 'string', 'Users among the subjects.', (o) => subjectsOf(o, 'User'), 1),
  column('Groups', 'string', 'Groups among the subjects.', (o) => subjectsOf(o, 'Group'), 1),
  column('ServiceAccounts', 'string', 'ServiceAccounts among the subjects.', (o) => subjectsOf(o, 'ServiceAccount'), 1),
]

function kind(
  name: string,
  namespaced: boolean,
  strategy: Strategy,
  columns: ResourceDefinition['columns'],
): ResourceDefinition {
  const singular = name.toLowerCase()
  return {
    group: RBAC_GROUP,
    version: 'v1',
    kind: name,
    plural: `${singular}s`,
    singular,
    namespaced,
    schema: `io.k8s.api.rbac.v1.${name}`,
    columns,
    strategy: { nameFormat: 'path-segment', allowCreateOnUpdate: true, ...strategy },
  }
}

const bindingStrategy = (namespaced: boolean): Strategy => ({
  defaults: defaultBinding,
  validate: (object) => validateBinding(object, namespaced),
  validateUpdate: validateRoleRefUnchanged,
})

export const roleKind: ResourceDefinition = kind('Role', true, { validate: (o) => validateRules(o, true) }, roleColumns)

export const clusterRoleKind: ResourceDefinition = kind(
  'ClusterRole',
  false,
  { validate: (o) => [...validateRules(o, false), ...validateAggregation(o)] },
  roleColumns,
)

export const roleBindingKind: ResourceDefinition = kind('RoleBinding', true, bindingStrategy(true), bindingColumns)

export const clusterRoleBindingKind: ResourceDefinition = kind(
  'ClusterRoleBinding',
  false,
  bindingStrategy(false),
  bindingColumns,
)

export const rbacKinds: readonly ResourceDefinition[] = [
  roleKind,
  roleBindingKind,
  clusterRoleKind,
  clusterRoleBindingKind,
]
