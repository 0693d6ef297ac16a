import { readFileSync } from 'node:fs'
import type { Schema } from './schema.ts'
import { Schemas } from './schema.ts'

let schemas: Schemas | undefined
let byKind: Map<string, string> | undefined

/** The definitions of all built-in kinds and of the types they are made of; read once, on first use. */
export function loadDefinitions(): Schemas {
  if (schemas === undefined) {
    const text = readFileSync(new URL('./data/definitions.json', import.meta.url), 'utf8')
    schemas = new Schemas(new Map(Object.entries(JSON.parse(text) as Record<string, Schema>)))
  }
  return schemas
}

/** Name of a built-in kind's definition, e.g. `io.k8s.api.core.v1.Pod`. */
export function definitionOf(group: string, version: string, kind: string): string | undefined {
  if (byKind === undefined) {
    byKind = new Map()
    for (const [name, schema] of loadDefinitions().definitions)
      for (const gvk of schema['x-kubernetes-group-version-kind'] ?? [])
        byKind.set(`${gvk.group}/${gvk.version}/${gvk.kind}`, name)
  }
  return byKind.get(`${group}/${version}/${kind}`)
}
