/** Shapes of the generator's two inputs. */

export type TypedRelationship = 'atomic' | 'associative' | 'separable'

export type TypedRef = {
  scalar?: 'string' | 'numeric' | 'boolean' | 'untyped'
  namedType?: string
  elementRelationship?: TypedRelationship
  list?: { elementType: TypedRef; elementRelationship: TypedRelationship; keys?: string[] }
  map?: { elementType?: TypedRef; elementRelationship?: TypedRelationship }
}

export type TypedField = { name: string; type: TypedRef; default?: unknown }

export type TypedType = {
  name: string
  scalar?: string
  map?: { fields?: TypedField[]; elementType?: TypedRef; elementRelationship?: TypedRelationship }
}

export type TypedSchema = readonly TypedType[]

/** `[number, type]`; types are `string`, `int32`, `repeated Container`, `map<string,bytes>`, `.package.Message` … */
export type ProtoMessage = Readonly<Record<string, readonly [number, string]>>
export type ProtoPackages = Readonly<Record<string, { messages: Readonly<Record<string, ProtoMessage>> }>>

export type ProtoType = { list: boolean; map: boolean /** Scalar name, or full name of a message. */; element: string }

export function parseProtoType(type: string, pkg: string): ProtoType {
  const map = /^map<string,(.+)>$/.exec(type)
  const list = type.startsWith('repeated ')
  const element = map !== null ? map[1]! : list ? type.slice('repeated '.length) : type
  const name = element.startsWith('.') ? element.slice(1) : /^[A-Z]/.test(element) ? `${pkg}.${element}` : element
  return { list, map: map !== null, element: name }
}

/** Messages by full name, with the package needed to read their field types. */
export function messagesByName(proto: ProtoPackages): Map<string, { pkg: string; fields: ProtoMessage }> {
  const out = new Map<string, { pkg: string; fields: ProtoMessage }>()
  for (const [pkg, { messages }] of Object.entries(proto))
    for (const [name, fields] of Object.entries(messages)) out.set(`${pkg}.${name}`, { pkg, fields })
  return out
}
