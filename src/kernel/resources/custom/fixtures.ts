import type { JsonObject, KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { parseSchema } from './schema-parse.ts'
import { validateCustom } from './validate-custom.ts'

/** Shared by the tests beside: definitions and objects that rows differ from. */

export const objectOf = (properties: object, more: object = {}): JsonObject =>
  ({ type: 'object', properties, ...more }) as JsonObject

/** A version's schema whose spec is `spec`. */
export function schemaOf(spec: object): Schema {
  const { schema, errors } = parseSchema(objectOf({ spec }), 'schema')
  if (errors.length > 0) throw new Error(errors.map(fieldErrorMessage).join('\n'))
  return schema
}

export const widget = (spec: unknown): JsonObject =>
  ({ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a' }, spec }) as JsonObject

/** Messages about a widget with this spec, on creation or after `old`. */
export function messages(schema: Schema, spec: unknown, old?: unknown): string[] {
  return validateCustom(widget(spec), schema, old === undefined ? undefined : widget(old)).map(fieldErrorMessage)
}

export function crdOf(schema: object, version: object = {}, spec: object = {}, status: object = {}): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, ...version }],
      conversion: { strategy: 'None' },
      ...spec,
    },
    status: { storedVersions: ['v1'], ...status },
  }
}
