/**
 * Makes definitions.json, the schemas of all built-in kinds, and messages.json, their protobuf field numbers. Run by hand when Kubernetes' types change:
 *
 *   node src/kernel/resources/data/generate.ts TYPED_SCHEMA.json PROTO.json
 *
 * TYPED_SCHEMA.json: structured-merge-diff types (a list of `{name, map|list|scalar}`), which know fields, list types,
 * list keys and defaults. PROTO.json: `{package: {messages: {Message: {field: [number, type]}}}}`, which knows integer
 * widths, bytes, and the kinds that the first lacks. The tables in ./tables/ hold what neither knows.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { buildDefinitions, buildMessages } from './tables/build.ts'
import type { ProtoPackages, TypedSchema } from './tables/sources.ts'

const [typedFile, protoFile] = process.argv.slice(2)
if (typedFile === undefined || protoFile === undefined) {
  process.stderr.write('usage: generate.ts TYPED_SCHEMA.json PROTO.json\n')
  process.exit(2)
}
const typed: TypedSchema = JSON.parse(readFileSync(typedFile, 'utf8'))
const proto: ProtoPackages = JSON.parse(readFileSync(protoFile, 'utf8'))

/** One definition a line: compact, and a change shows as a line. */
function writeLines(file: string, value: Readonly<Record<string, unknown>>): void {
  const lines = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(value[key])}`)
  writeFileSync(new URL(file, import.meta.url), `{\n${lines.join(',\n')}\n}\n`)
}

writeLines('definitions.json', buildDefinitions(typed, proto))
writeLines('messages.json', buildMessages(proto))
