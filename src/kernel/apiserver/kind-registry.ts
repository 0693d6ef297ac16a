import { apiVersionOf } from '../api/object.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import { compileKind } from './compile-kind.ts'
import type { Kind } from './kind.ts'

const keyOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`

/** Every kind that is served, built in or custom. Readers that cache by its content compare `generation`. */
export class KindRegistry {
  readonly #byResource = new Map<string, Kind>()
  readonly #byKind = new Map<string, Kind>()
  readonly #builtIn: readonly ResourceDefinition[]
  /** Keys of the kinds that one CustomResourceDefinition brought. */
  readonly #custom = new Map<string, readonly ResourceDefinition[]>()
  /** Counts up with every change. */
  generation = 0

  constructor(definitions: readonly ResourceDefinition[]) {
    this.#builtIn = definitions
    for (const definition of definitions) this.#add(definition)
  }

  /** The kinds of a group that are the server's own. */
  builtIn(group: string): readonly ResourceDefinition[] {
    return this.#builtIn.filter((d) => d.group === group)
  }

  #add(definition: ResourceDefinition): void {
    const kind = compileKind(definition)
    this.#byResource.set(keyOf(definition.group, definition.version, definition.plural), kind)
    this.#byKind.set(keyOf(definition.group, definition.version, definition.kind), kind)
    this.generation++
  }

  get(group: string, version: string, plural: string): Kind | undefined {
    return this.#byResource.get(keyOf(group, version, plural))
  }

  byKind(group: string, version: string, kind: string): Kind | undefined {
    return this.#byKind.get(keyOf(group, version, kind))
  }

  /** Any served version of a resource. */
  anyVersion(group: string, plural: string): Kind | undefined {
    for (const kind of this.#byResource.values())
      if (kind.definition.group === group && kind.definition.plural === plural) return kind
    return undefined
  }

  all(): IterableIterator<Kind> {
    return this.#byResource.values()
  }

  /** Versions of a group, the preferred one first. */
  versions(group: string): string[] {
    const found = new Set<string>()
    for (const { definition } of this.#byResource.values())
      if (definition.group === group) found.add(definition.version)
    return [...found].sort(compareVersions)
  }

  groups(): string[] {
    const found = new Set<string>()
    for (const { definition } of this.#byResource.values()) if (definition.group !== '') found.add(definition.group)
    return [...found]
  }

  hasGroupVersion(group: string, version: string): boolean {
    for (const { definition } of this.#byResource.values())
      if (definition.group === group && definition.version === version) return true
    return false
  }

  /** Replaces what the named CustomResourceDefinition serves; an empty list serves nothing any more. */
  setCustom(crdName: string, definitions: readonly ResourceDefinition[]): void {
    for (const d of this.#custom.get(crdName) ?? []) {
      this.#byResource.delete(keyOf(d.group, d.version, d.plural))
      this.#byKind.delete(keyOf(d.group, d.version, d.kind))
    }
    if (definitions.length === 0) this.#custom.delete(crdName)
    else this.#custom.set(crdName, definitions)
    for (const definition of definitions) this.#add(definition)
    this.generation++
  }
}

export function groupVersion(definition: ResourceDefinition): string {
  return apiVersionOf(definition.group, definition.version)
}

/** Kubernetes' version priority: GA before beta before alpha, newer first, then anything else by name. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [rank(a), rank(b)]
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return y[i]! - x[i]!
  return a < b ? -1 : a > b ? 1 : 0
}

function rank(version: string): [number, number, number] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (match === null) return [0, 0, 0]
  const [, major, stage, minor] = match
  return [stage === undefined ? 3 : stage === 'beta' ? 2 : 1, Number(major), Number(minor ?? 0)]
}
