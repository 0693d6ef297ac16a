import { isDeepStrictEqual } from 'node:util'
import type { KubeObject, ObjectMeta } from '../../api/object.ts'
import { badRequest, type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, nameColumn } from '../printing.ts'
import { labelValue, qualifiedName } from '../validation/names.ts'

/** Questions that are answered on create and never stored. */

type FieldRequirement = { key?: string; operator?: string; values?: string[] }
type SelectorAttributes = { rawSelector?: string; requirements?: FieldRequirement[] }
type ResourceAttributes = {
  namespace?: string
  fieldSelector?: SelectorAttributes
  labelSelector?: SelectorAttributes
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

function validateRequirement(requirement: FieldRequirement, labels: boolean, path: string): FieldError[] {
  const { key = '', operator = '', values = [] } = requirement
  const errors: FieldError[] = []
  if (labels) for (const message of qualifiedName(key)) errors.push(fieldError.invalid(`${path}.key`, key, message))
  else if (key === '') errors.push(fieldError.required(`${path}.key`, 'must be specified'))
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0)
      errors.push(fieldError.required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0)
      errors.push(
        fieldError.forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
      )
  } else if (labels) errors.push(fieldError.invalid(`${path}.operator`, operator, 'not a valid selector operator'))
  else errors.push(fieldError.notSupported(`${path}.operator`, operator, OPERATORS))
  if (labels)
    values.forEach((value, i) => {
      for (const message of labelValue(value)) errors.push(fieldError.invalid(`${path}.values[${i}]`, value, message))
    })
  return errors
}

function validateSelector(selector: SelectorAttributes | undefined, labels: boolean, path: string): FieldError[] {
  if (selector === undefined) return []
  const { rawSelector = '', requirements = [] } = selector
  if (rawSelector !== '' && requirements.length > 0)
    return [
      fieldError.invalid(`${path}.rawSelector`, rawSelector, 'may not specified at the same time as requirements'),
    ]
  if (rawSelector === '' && requirements.length === 0)
    return [
      fieldError.required(`${path}.requirements`, `when ${path} is specified, requirements or rawSelector is required`),
    ]
  return requirements.flatMap((requirement, i) =>
    validateRequirement(requirement, labels, `${path}.requirements[${i}]`),
  )
}

/** spec of the access reviews; `named`: it must also say whose access it asks about. */
function validateAccessSpec(object: KubeObject, named: boolean): FieldError[] {
  const spec = object.spec ?? {}
  const resource: ResourceAttributes | undefined = spec.resourceAttributes ?? undefined
  const nonResource: unknown = spec.nonResourceAttributes ?? undefined
  const errors: FieldError[] = []
  if (resource !== undefined && nonResource !== undefined)
    errors.push(
      fieldError.invalid(
        'spec.nonResourceAttributes',
        nonResource,
        'cannot be specified in combination with resourceAttributes',
      ),
    )
  if (resource === undefined && nonResource === undefined)
    errors.push(
      fieldError.invalid(
        'spec.resourceAttributes',
        null,
        'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    )
  if (named && !spec.user && !spec.groups?.length)
    errors.push(fieldError.invalid('spec.user', spec.user ?? '', 'at least one of user or group must be specified'))
  const path = 'spec.resourceAttributes'
  return errors.concat(
    validateSelector(resource?.fieldSelector, false, `${path}.fieldSelector`),
    validateSelector(resource?.labelSelector, true, `${path}.labelSelector`),
  )
}

/** What the server itself has put into the metadata of every object that is created. */
const SYSTEM_META: readonly (keyof ObjectMeta)[] = ['uid', 'creationTimestamp', 'managedFields', 'generation']

function validateEmptyMeta(object: KubeObject, except: readonly (keyof ObjectMeta)[], detail: string): FieldError[] {
  const meta: ObjectMeta = { ...object.metadata }
  for (const field of [...SYSTEM_META, ...except]) delete meta[field]
  for (const field of Object.keys(meta) as (keyof ObjectMeta)[]) if (meta[field] === '') delete meta[field]
  return isDeepStrictEqual(meta, {}) ? [] : [fieldError.invalid('metadata', object.metadata, detail)]
}

function validateLocal(object: KubeObject): FieldError[] {
  const errors = [
    ...validateAccessSpec(object, true),
    ...validateEmptyMeta(object, ['namespace'], 'must be empty except for namespace'),
  ]
  const { resourceAttributes, nonResourceAttributes } = object.spec ?? {}
  if (resourceAttributes && (resourceAttributes.namespace ?? '') !== object.metadata.namespace)
    errors.push(
      fieldError.invalid(
        'spec.resourceAttributes.namespace',
        resourceAttributes.namespace ?? '',
        'must match metadata.namespace',
      ),
    )
  if (nonResourceAttributes)
    errors.push(
      fieldError.invalid('spec.nonResourceAttributes', nonResourceAttributes, 'disallowed on this kind of request'),
    )
  return errors
}

function review(
  group: 'authentication.k8s.io' | 'authorization.k8s.io',
  kind: string,
  validate: ((object: KubeObject) => FieldError[]) | undefined,
  namespaced = false,
): ResourceDefinition {
  const singular = kind.toLowerCase()
  return {
    group,
    version: 'v1',
    kind,
    plural: `${singular}s`,
    singular,
    namespaced,
    verbs: ['create'],
    schema: `io.k8s.api.${group.split('.')[0]}.v1.${kind}`,
    columns: [nameColumn, ageColumn],
    stored: false,
    ...(validate ? { strategy: { validate } } : {}),
  }
}

const AUTHENTICATION = 'authentication.k8s.io'
const AUTHORIZATION = 'authorization.k8s.io'

export const tokenReviewKind: ResourceDefinition = review(AUTHENTICATION, 'TokenReview', (object) => {
  if (!object.spec?.token) throw badRequest('token is required for TokenReview in authentication')
  return []
})

export const selfSubjectReviewKind: ResourceDefinition = review(AUTHENTICATION, 'SelfSubjectReview', undefined)

export const subjectAccessReviewKind: ResourceDefinition = review(AUTHORIZATION, 'SubjectAccessReview', (object) => [
  ...validateAccessSpec(object, true),
  ...validateEmptyMeta(object, [], 'must be empty'),
])

export const selfSubjectAccessReviewKind: ResourceDefinition = review(
  AUTHORIZATION,
  'SelfSubjectAccessReview',
  (object) => [...validateAccessSpec(object, false), ...validateEmptyMeta(object, [], 'must be empty')],
)

export const localSubjectAccessReviewKind: ResourceDefinition = review(
  AUTHORIZATION,
  'LocalSubjectAccessReview',
  validateLocal,
  true,
)

export const selfSubjectRulesReviewKind: ResourceDefinition = review(
  AUTHORIZATION,
  'SelfSubjectRulesReview',
  (object) => {
    if (!object.spec?.namespace) throw badRequest('no namespace on request')
    return []
  },
)

export const reviewKinds: readonly ResourceDefinition[] = [
  tokenReviewKind,
  selfSubjectReviewKind,
  subjectAccessReviewKind,
  selfSubjectAccessReviewKind,
  localSubjectAccessReviewKind,
  selfSubjectRulesReviewKind,
]
