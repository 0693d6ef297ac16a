import type { JsonObject, KubeObject } from '../api/object.ts'
import type { Schema } from '../resources/schema.ts'
import { refTo, Schemas } from '../resources/schema.ts'
import { OBJECT_META } from './object-meta.ts'

/** A kind with one field of every sort that merging knows, for tests. */
const string: Schema = { type: 'string' }
const integer: Schema = { type: 'integer' }

const container: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: string,
    image: string,
    args: { type: 'array', items: string },
    resources: { type: 'object', default: {}, properties: { cpu: { 'x-kubernetes-int-or-string': true } } },
    env: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
      items: { type: 'object', properties: { name: string, value: string } },
    },
    ports: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'port',
      items: {
        type: 'object',
        properties: { port: integer, protocol: { type: 'string', default: 'TCP' }, name: string },
      },
    },
  },
}

const spec: Schema = {
  type: 'object',
  properties: {
    title: string,
    replicas: integer,
    paused: { type: 'boolean' },
    options: { type: 'object', additionalProperties: string },
    selector: { type: 'object', additionalProperties: string, 'x-kubernetes-map-type': 'atomic' },
    colors: { type: 'array', items: string, 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' },
    args: { type: 'array', items: string, 'x-kubernetes-list-type': 'atomic' },
    containers: {
      type: 'array',
      items: refTo('test.Container'),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
    },
    strategy: {
      type: 'object',
      'x-kubernetes-patch-strategy': 'retainKeys',
      properties: { type: string, rolling: { type: 'object', properties: { surge: integer } } },
    },
    whole: { type: 'object', 'x-kubernetes-patch-strategy': 'replace', additionalProperties: string },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
}

const status: Schema = {
  type: 'object',
  properties: {
    phase: string,
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: { type: 'object', properties: { type: string, status: string } },
    },
  },
}

const metadata: Schema = structuredClone(OBJECT_META)
metadata.properties!['finalizers']!['x-kubernetes-patch-strategy'] = 'merge'
metadata.properties!['ownerReferences']!['x-kubernetes-patch-strategy'] = 'merge'
metadata.properties!['ownerReferences']!['x-kubernetes-patch-merge-key'] = 'uid'

export const widgetSchema: Schema = {
  type: 'object',
  properties: {
    apiVersion: string,
    kind: string,
    metadata: { ...refTo('test.ObjectMeta'), default: {} },
    spec: { ...refTo('test.Spec'), default: {} },
    status: { ...refTo('test.Status'), default: {} },
  },
}

export const widgetSchemas: Schemas = new Schemas(
  new Map([
    ['test.ObjectMeta', metadata],
    ['test.Spec', spec],
    ['test.Status', status],
    ['test.Container', container],
  ]),
)

export function widget(fields: JsonObject, metadata: JsonObject = {}): KubeObject {
  return {
    apiVersion: 'test/v1',
    kind: 'Widget',
    metadata: { name: 'w', namespace: 'n', ...metadata },
    ...fields,
  } as KubeObject
}
