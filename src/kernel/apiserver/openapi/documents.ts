import { createHash } from 'node:crypto'
import type { JsonObject } from '../../api/object.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import { definitionOf, loadDefinitions } from '../../resources/definitions.ts'
import type { Schema, Schemas } from '../../resources/schema.ts'
import { documentField, documentHead, namedPathItem, namedSchema } from './gnostic.ts'
import { documentPath, kindName, listName, ownDefinitions } from './names.ts'
import type { Path } from './operations.ts'
import { DELETE_OPTIONS, PATCH_BODY, pathsOf, STATUS } from './operations.ts'
import { publish, referencesOf, type Version } from './publish.ts'
import { pathItemV2 } from './v2.ts'
import { pathItemV3 } from './v3.ts'

const TITLE = 'Rampart'

/** `{type: object}`: the body of a patch, of whatever form. */
const PATCH_SCHEMA: Schema = { type: 'object', description: 'The body of a patch; its media type tells the form.' }

/** What one resource adds to the documents. Made once per definition. */
type Fragment = {
  paths: Path[]
  own: ReadonlyMap<string, Schema>
  /** All definitions that its paths need, own and built in. */
  needs: ReadonlySet<string>
}

const fragments = new WeakMap<ResourceDefinition, Fragment>()

function fragmentOf(definition: ResourceDefinition, schemas: Schemas): Fragment {
  let fragment = fragments.get(definition)
  if (fragment === undefined) {
    const own = ownDefinitions(definition)
    const paths = pathsOf(definition, {
      kind: kindName(definition),
      list: listName(definition),
      of: (gvk) => definitionOf(gvk.group, gvk.version, gvk.kind),
    })
    const needs = new Set<string>()
    const todo = [kindName(definition), listName(definition), DELETE_OPTIONS, STATUS, PATCH_BODY, ...own.keys()]
    for (const { operations } of paths)
      for (const { body, answer } of operations) todo.push(...[body, answer].filter((n) => n !== undefined))
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (needs.has(name)) continue
      needs.add(name)
      const schema = own.get(name) ?? schemas.get(name)
      if (schema !== undefined) todo.push(...referencesOf(schema))
    }
    fragment = { paths, own, needs }
    fragments.set(definition, fragment)
  }
  return fragment
}

/** Text and protobuf of schemas and paths, kept as long as what they were made from. */
const schemaTexts: Readonly<Record<Version, WeakMap<Schema, string>>> = { v2: new WeakMap(), v3: new WeakMap() }
const schemaMessages = new WeakMap<Schema, Buffer>()
const pathTexts: Readonly<Record<Version, WeakMap<Path, string>>> = { v2: new WeakMap(), v3: new WeakMap() }
const pathMessages = new WeakMap<Path, Buffer>()

function cached<K extends object, V>(cache: WeakMap<K, V>, key: K, make: () => V): V {
  let value = cache.get(key)
  if (value === undefined) {
    value = make()
    cache.set(key, value)
  }
  return value
}

type Named = { name: string; schema: Schema; custom: boolean }

function definitionsFor(parts: readonly Fragment[], schemas: Schemas): Named[] {
  const out = new Map<string, Named>()
  for (const { own, needs } of parts) {
    for (const name of needs) {
      const schema = own.get(name) ?? (name === PATCH_BODY ? PATCH_SCHEMA : schemas.get(name))
      if (schema !== undefined && !out.has(name)) out.set(name, { name, schema, custom: own.has(name) })
    }
  }
  return [...out.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const sortedPaths = (parts: readonly Fragment[]): Path[] =>
  parts.flatMap((f) => f.paths).sort((a, b) => (a.path < b.path ? -1 : 1))

function schemasText(version: Version, named: readonly Named[]): string {
  return named
    .map(({ name, schema, custom }) => {
      const text = cached(schemaTexts[version], schema, () => JSON.stringify(publish(schema, version, custom)))
      return `${JSON.stringify(name)}:${text}`
    })
    .join(',')
}

function pathsText(version: Version, paths: readonly Path[]): string {
  const make = version === 'v2' ? pathItemV2 : pathItemV3
  return paths
    .map((p) => `${JSON.stringify(p.path)}:${cached(pathTexts[version], p, () => JSON.stringify(make(p)))}`)
    .join(',')
}

export type Document = {
  bytes: Buffer
  /** SHA-512 of the bytes in upper-case hexadecimal, as Kubernetes names documents. */
  hash: string
}

function documentOf(bytes: Buffer): Document {
  return { bytes, hash: createHash('sha512').update(bytes).digest('hex').toUpperCase() }
}

/** The OpenAPI v3 document of the resources of one group version. */
export function buildOpenApiV3Document(
  definitions: readonly ResourceDefinition[],
  version: string,
  schemas: Schemas = loadDefinitions(),
): Document {
  const parts = definitions.map((d) => fragmentOf(d, schemas))
  const info = JSON.stringify({ title: TITLE, version })
  return documentOf(
    Buffer.from(
      `{"openapi":"3.0.0","info":${info},"paths":{${pathsText('v3', sortedPaths(parts))}},` +
        `"components":{"schemas":{${schemasText('v3', definitionsFor(parts, schemas))}}}}`,
    ),
  )
}

/** Definitions by the path of their OpenAPI v3 document. */
export function byDocument(definitions: Iterable<ResourceDefinition>): Map<string, ResourceDefinition[]> {
  const out = new Map<string, ResourceDefinition[]>()
  for (const definition of definitions) {
    const path = documentPath(definition.group, definition.version)
    const list = out.get(path)
    if (list === undefined) out.set(path, [definition])
    else list.push(definition)
  }
  return out
}

/** The index of OpenAPI v3: a hashed address per document. */
export function buildOpenApiV3Index(documents: ReadonlyMap<string, Document>): JsonObject {
  const paths: JsonObject = {}
  for (const path of [...documents.keys()].sort())
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${documents.get(path)!.hash}` }
  return { paths }
}

/** The OpenAPI v2 document of all resources, as JSON. */
export function buildOpenApiV2(
  definitions: Iterable<ResourceDefinition>,
  version: string,
  schemas: Schemas = loadDefinitions(),
): Document {
  const parts = [...definitions].map((d) => fragmentOf(d, schemas))
  const info = JSON.stringify({ title: TITLE, version })
  return documentOf(
    Buffer.from(
      `{"swagger":"2.0","info":${info},"paths":{${pathsText('v2', sortedPaths(parts))}},` +
        `"definitions":{${schemasText('v2', definitionsFor(parts, schemas))}}}`,
    ),
  )
}

/** The same as gnostic's openapi.v2.Document. */
export function buildOpenApiV2Protobuf(
  definitions: Iterable<ResourceDefinition>,
  version: string,
  schemas: Schemas = loadDefinitions(),
): Document {
  const parts = [...definitions].map((d) => fragmentOf(d, schemas))
  const paths = sortedPaths(parts).map((p) => cached(pathMessages, p, () => namedPathItem(p.path, pathItemV2(p))))
  const named = definitionsFor(parts, schemas).map(({ name, schema, custom }) =>
    cached(schemaMessages, schema, () => namedSchema(name, publish(schema, 'v2', custom))),
  )
  return documentOf(Buffer.concat([documentHead(TITLE, version), documentField(8, paths), documentField(9, named)]))
}
