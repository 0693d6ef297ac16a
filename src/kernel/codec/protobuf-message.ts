import { readFileSync } from 'node:fs'
import { loadDefinitions } from '../resources/definitions.ts'
import { omitsZero } from '../resources/typed/zero.ts'

export type Scalar = 'string' | 'bytes' | 'bool' | 'int32' | 'int64' | 'double'

/** A field of a message, ready to be read and written. */
export type MessageField = {
  number: number
  /** Name in JSON; '' for a message whose fields belong to the object around it. */
  name: string
  list: boolean
  map: boolean
  /** A scalar, or the name of a definition. */
  type: Scalar | (string & {})
  /** Go's JSON leaves the field out when it is zero. */
  omitZero: boolean
}

export type Message = {
  /** The definition whose JSON object the fields belong to. */
  owner: string
  fields: readonly MessageField[]
  byNumber: ReadonlyMap<number, MessageField>
  byName: ReadonlyMap<string, MessageField>
}

type Raw = Readonly<Record<string, readonly (readonly [number: number, name: string, type: string])[]>>
let raw: Raw | undefined
const compiled = new Map<string, Message>()

/**
 * The message of a definition, e.g. `io.k8s.api.core.v1.Pod`. `owner` is the definition whose JSON object an inlined
 * message is part of: Volume for VolumeSource. Undefined when there is no such message.
 */
export function messageOf(definition: string, owner: string = definition): Message | undefined {
  const key = `${definition} ${owner}`
  let message = compiled.get(key)
  if (message === undefined) {
    raw ??= JSON.parse(readFileSync(new URL('../resources/data/messages.json', import.meta.url), 'utf8')) as Raw
    if (!Object.hasOwn(raw, definition)) return undefined
    const properties = loadDefinitions().get(owner)?.properties ?? {}
    const fields = raw[definition]!.map(([number, name, type]): MessageField => {
      const schema = properties[name]
      const list = type.startsWith('*')
      const map = type.startsWith('%')
      const element = list || map ? type.slice(1) : type
      const omitZero = schema === undefined ? element === 'string' : omitsZero(schema)
      return { number, name, list, map, type: element, omitZero: !list && !map && omitZero }
    })
    message = {
      owner,
      fields,
      byNumber: new Map(fields.map((f) => [f.number, f])),
      byName: new Map(fields.map((f) => [f.name, f])),
    }
    compiled.set(key, message)
  }
  return message
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.'
/** Kinds of meta/v1 that every group and version has. */
const OPTIONS: ReadonlySet<string> = new Set(['DeleteOptions', 'CreateOptions', 'UpdateOptions', 'PatchOptions'])

export function optionsDefinition(kind: string): string | undefined {
  return OPTIONS.has(kind) ? META + kind : undefined
}
