import type { KubeObject } from '../../../api/object.ts'
import { type FieldError, fieldErrorMessage } from '../../../api/status.ts'
import type { ResourceDefinition, StrategyContext } from '../../definition.ts'

/** Objects for the table tests of kinds, and the steps that the server takes with them. */

type Fields = Record<string, unknown>

export const CONTEXT: StrategyContext = { now: Date.parse('2026-01-01T00:00:00Z'), subresource: '', user: 'alice' }

export const object = (apiVersion: string, kind: string, fields: Fields = {}, metadata: Fields = {}): KubeObject =>
  structuredClone({
    apiVersion,
    kind,
    metadata: { name: 'web', namespace: 'shop', uid: 'u-1', ...metadata },
    ...fields,
  })

export const container = (fields: Fields = {}): Fields => ({ name: 'web', image: 'nginx:1', ...fields })

export const pod = (spec: Fields = {}, metadata: Fields = {}): KubeObject =>
  object('v1', 'Pod', { spec: { containers: [container()], ...spec } }, metadata)

export const template = (spec: Fields = {}, labels: Fields = { app: 'web' }): Fields => ({
  metadata: { labels },
  spec: { containers: [container()], ...spec },
})

/** As on creation: defaults, then what the kind does to new objects. */
export function created(kind: ResourceDefinition, input: KubeObject): KubeObject {
  kind.strategy?.defaults?.(input)
  kind.strategy?.prepareForCreate?.(input, CONTEXT)
  return input
}

export const texts = (errors: readonly FieldError[]): string[] => errors.map(fieldErrorMessage)

export const createErrors = (kind: ResourceDefinition, input: KubeObject): string[] =>
  texts(kind.strategy?.validate?.(created(kind, input)) ?? [])

/** As on an update of `old`, which was created before, by `change`. */
export function updated(
  kind: ResourceDefinition,
  old: KubeObject,
  change: (object: KubeObject) => void,
  subresource = '',
): { object: KubeObject; errors: string[] } {
  const stored = structuredClone(old)
  stored.metadata.resourceVersion = '7'
  const next = structuredClone(stored)
  change(next)
  const context = { ...CONTEXT, subresource }
  kind.strategy?.defaults?.(next)
  kind.strategy?.prepareForUpdate?.(next, stored, context)
  return { object: next, errors: texts(kind.strategy?.validateUpdate?.(next, stored, context) ?? []) }
}

/** The cells of all columns by name. */
export function cells(kind: ResourceDefinition, input: KubeObject, now: number = CONTEXT.now): Record<string, unknown> {
  return Object.fromEntries(kind.columns.map((column) => [column.name, column.cell(input, now)]))
}
