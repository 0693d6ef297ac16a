import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector, type LabelSelector, matchesSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { SubresourceDefinition, TableColumn } from '../definition.ts'
import { column, formatLabelSelector } from '../printing.ts'
import { validateLabelSelector } from '../validation/meta.ts'
import { dns1123Label } from '../validation/names.ts'
import { nonNegative } from './pod/formats.ts'
import { validatePodTemplateSpec } from './pod/template.ts'
import type { PodTemplateSpec } from './pod/types.ts'
import { podWarnings } from './pod/warnings.ts'

/** What kinds that make pods from a template have in common. */

export type WorkloadSpec = {
  replicas?: number
  minReadySeconds?: number
  revisionHistoryLimit?: number
  selector?: LabelSelector
  template?: PodTemplateSpec
}

export const workloadSpec = <T extends WorkloadSpec>(object: KubeObject): T => (object['spec'] ?? {}) as T

/** Sent when such an object is created: the server keeps it, nothing acts on it. */
export const withoutController = (kind: string): string =>
  `this cluster stores ${kind} objects, but no controller acts on them yet: no pods will be made`

export const STATUS: SubresourceDefinition = { name: 'status', verbs: ['get', 'patch', 'update'] }
export const SCALE: SubresourceDefinition = {
  name: 'scale',
  kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  verbs: ['get', 'patch', 'update'],
}

/** spec.selector must be there, select something, and select the pods of the template. `kind` as Kubernetes says it. */
export function validateWorkloadSelector(spec: WorkloadSpec, kind: string, errors: FieldError[]): void {
  const selector = spec.selector
  if (selector == null) {
    errors.push(fieldError.required('spec.selector'))
    return
  }
  errors.push(...validateLabelSelector(selector, 'spec.selector'))
  if (isEmptySelector(selector))
    errors.push(fieldError.invalid('spec.selector', selector, `empty selector is invalid for ${kind}`))
}

export const isEmptySelector = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0

/** An empty selector is an error of its own; any other, and none at all, is held against the template. */
export const mustSelect = (selector: LabelSelector | null | undefined): boolean =>
  selector == null || !isEmptySelector(selector)

/** The selector matches the labels of the template; a missing selector matches none. */
export function selectsTemplate(
  selector: LabelSelector | null | undefined,
  template: PodTemplateSpec | undefined,
): boolean {
  const compiled = compileLabelSelector(selector)
  return compiled !== undefined && matchesSelector(compiled, template?.metadata?.labels)
}

export function templateMismatch(template: PodTemplateSpec | undefined, path: string): FieldError {
  const labels = template?.metadata?.labels ?? {}
  return fieldError.invalid(`${path}.metadata.labels`, labels, '`selector` does not match template `labels`')
}

/** A template whose pods run for ever: restarted always, and without a deadline. `kind` as Kubernetes says it. */
export function validateLastingTemplate(
  template: PodTemplateSpec | undefined,
  kind: string,
  path: string,
  errors: FieldError[],
): void {
  validatePodTemplateSpec(template, path, errors)
  validateLastingPods(template, kind, path, errors)
}

export function validateLastingPods(
  template: PodTemplateSpec | undefined,
  kind: string,
  path: string,
  errors: FieldError[],
): void {
  const policy = template?.spec?.restartPolicy ?? ''
  if (policy !== 'Always') errors.push(fieldError.notSupported(`${path}.spec.restartPolicy`, policy, ['Always']))
  if (template?.spec?.activeDeadlineSeconds != null)
    errors.push(
      fieldError.forbidden(`${path}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`),
    )
}

type Counts = Readonly<Record<string, unknown>>

/** Counters of a status: none negative, none of `parts` above `whole`. */
export function validateCounts(
  status: Counts | undefined,
  fields: readonly string[],
  errors: FieldError[],
  limits: readonly (readonly [part: string, whole: string, message: string])[] = [],
): void {
  const count = (field: string): number => {
    const value = status?.[field]
    return typeof value === 'number' ? value : 0
  }
  for (const field of fields) nonNegative(count(field), `status.${field}`, errors)
  for (const [part, whole, message] of limits)
    if (count(part) > count(whole)) errors.push(fieldError.invalid(`status.${part}`, count(part), message))
}

/** status.collisionCount only grows. */
export function validateCollisionCount(object: KubeObject, old: KubeObject, errors: FieldError[]): void {
  const now: number | undefined = object['status']?.collisionCount
  const before: number | undefined = old['status']?.collisionCount
  if (before != null && (now == null || now < before))
    errors.push(fieldError.invalid('status.collisionCount', now ?? 0, 'cannot be decremented'))
}

/** Warnings about the template, and about a name that pods will carry. */
export function workloadWarnings(object: KubeObject, old: KubeObject | undefined, subject: string): string[] {
  const spec = workloadSpec(object)
  const problems = old === undefined ? dns1123Label(object.metadata.name ?? '') : []
  const name =
    problems.length === 0
      ? []
      : [
          `metadata.name: this is used in ${subject}, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`,
        ]
  return name.concat(podWarnings(spec.template?.metadata, spec.template?.spec ?? {}, 'spec.template.'))
}

const containersOf = (template: PodTemplateSpec | undefined): readonly { name?: string; image?: string }[] =>
  template?.spec?.containers ?? []

/** Names and images of the template's containers, with -o wide. */
export function containerColumns(
  template: (object: KubeObject) => PodTemplateSpec | undefined,
  priority = 1,
): TableColumn[] {
  return [
    column(
      'Containers',
      'string',
      'Names of the containers in the template.',
      (object) =>
        containersOf(template(object))
          .map((c) => c.name ?? '')
          .join(','),
      priority,
    ),
    column(
      'Images',
      'string',
      'Images of the containers in the template.',
      (object) =>
        containersOf(template(object))
          .map((c) => c.image ?? '')
          .join(','),
      priority,
    ),
  ]
}

export const templateOf = (object: KubeObject): PodTemplateSpec | undefined => workloadSpec(object).template

export const selectorColumn: TableColumn = column(
  'Selector',
  'string',
  'Labels of the pods that belong to the object.',
  (object) => formatLabelSelector(workloadSpec(object).selector),
  1,
)

/** A number in the spec or status; missing counts are zero. */
export const countCell =
  (part: 'spec' | 'status', field: string) =>
  (object: KubeObject): number => {
    const value: unknown = object[part]?.[field]
    return typeof value === 'number' ? value : 0
  }
