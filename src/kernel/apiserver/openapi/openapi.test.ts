import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { Json, JsonObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import { loadDefinitions } from '../../resources/definitions.ts'
import { buildOpenApiV2, buildOpenApiV2Protobuf, buildOpenApiV3Document } from './documents.ts'
import { OpenApi } from './openapi.ts'

const NOT_NAMESPACED = new Set(['Namespace', 'Node', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition'])

/** Every built-in kind as a resource, without the rest of what makes a kind. */
const builtIn: ResourceDefinition[] = [...loadDefinitions().definitions].flatMap(([schema, { properties, ...s }]) =>
  (s['x-kubernetes-group-version-kind'] ?? [])
    .filter(({ kind }) => !kind.endsWith('List') && kind !== 'DeleteOptions' && kind !== 'Status')
    .map(({ group, version, kind }): ResourceDefinition => {
      const status = properties?.['status'] !== undefined
      return {
        group,
        version,
        kind,
        plural: `${kind.toLowerCase()}s`,
        singular: kind.toLowerCase(),
        namespaced: !NOT_NAMESPACED.has(kind),
        schema,
        columns: [],
        ...(status ? { subresources: [{ name: 'status', verbs: ['get', 'update', 'patch'] }] } : {}),
      }
    }),
)

const widget: ResourceDefinition = {
  group: 'shop.example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  namespaced: true,
  custom: true,
  columns: [],
  schema: {
    type: 'object',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        description: 'What is wanted.',
        properties: {
          size: { type: 'integer', minimum: 1, maximum: 5 },
          port: { 'x-kubernetes-int-or-string': true },
          maybe: { type: 'string', nullable: true },
          free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          tags: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
          labels: { type: 'object', additionalProperties: { type: 'string' } },
        },
      },
    },
  },
}

const parse = (bytes: Buffer): JsonObject => JSON.parse(bytes.toString()) as JsonObject
const at = (value: Json | undefined, ...path: string[]): JsonObject => {
  let node = value as JsonObject
  for (const step of path) node = node?.[step] as JsonObject
  return node
}

/** Every reference in a document must point into it. */
function assertReferencesResolve(document: JsonObject): void {
  const walk = (value: Json | undefined): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, member] of Object.entries(value)) {
      if (key === '$ref' && typeof member === 'string')
        assert.ok(at(document, ...member.slice(2).split('/')), `${member} is missing`)
      walk(member)
    }
  }
  walk(document)
}

test('v3: a document of one group version stands alone', () => {
  const rbac = builtIn.filter((d) => d.group === 'rbac.authorization.k8s.io')
  const document = parse(buildOpenApiV3Document(rbac, 'v1.0').bytes)
  assertReferencesResolve(document)
  assert.equal(document['openapi'], '3.0.0')
  const role = '/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}'
  const patch = at(document, 'paths', role, 'patch')
  assert.equal(patch['x-kubernetes-action'], 'patch')
  assert.deepEqual(patch['x-kubernetes-group-version-kind'], {
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    kind: 'Role',
  })
  const names = (patch['parameters'] as JsonObject[]).map((p) => p['name'])
  for (const name of ['dryRun', 'fieldManager', 'fieldValidation', 'force']) assert.ok(names.includes(name), name)
  const schemas = at(document, 'components', 'schemas')
  assert.ok(schemas['io.k8s.api.rbac.v1.RoleList'])
  assert.ok(!('io.k8s.api.core.v1.Pod' in schemas))
  assert.deepEqual(at(schemas, 'io.k8s.api.rbac.v1.Role', 'properties', 'metadata')['allOf'], [
    { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
  ])
  assert.ok(!JSON.stringify(document).includes('x-omit-zero'))
})

test('v3 and v2 documents of everything resolve', () => {
  const all = [...builtIn, widget]
  for (const document of [buildOpenApiV3Document(all, 'v1'), buildOpenApiV2(all, 'v1')])
    assertReferencesResolve(parse(document.bytes))
})

test('v3: types that JSON writes in two ways are alternatives', () => {
  const schemas = at(parse(buildOpenApiV3Document(builtIn, 'v1').bytes), 'components', 'schemas')
  const { description: _, ...intOrString } = at(schemas, 'io.k8s.apimachinery.pkg.util.intstr.IntOrString')
  assert.deepEqual(intOrString, { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] })
  assert.deepEqual(at(schemas, 'io.k8s.apimachinery.pkg.api.resource.Quantity')['oneOf'], [
    { type: 'string' },
    { type: 'number' },
  ])
})

test('custom kinds: published as given in v3, open where v2 cannot say it', () => {
  const v3 = at(parse(buildOpenApiV3Document([widget], 'v1').bytes), 'components', 'schemas')
  const v2 = at(parse(buildOpenApiV2([widget], 'v1').bytes), 'definitions')
  const name = 'com.example.shop.v1.Widget'
  for (const schemas of [v2, v3]) {
    assert.deepEqual(at(schemas, name)['x-kubernetes-group-version-kind'], [
      { group: 'shop.example.com', version: 'v1', kind: 'Widget' },
    ])
    assert.ok(at(schemas, name, 'properties')['metadata'])
    assert.deepEqual(at(schemas, `${name}List`)['required'], ['items'])
  }
  assert.equal(at(v3, name, 'properties', 'spec', 'properties', 'maybe')['nullable'], true)
  const spec = at(v2, name, 'properties', 'spec', 'properties')
  assert.deepEqual(spec['maybe'], {})
  assert.deepEqual(spec['port'], { 'x-kubernetes-int-or-string': true })
  assert.deepEqual(spec['free'], { 'x-kubernetes-preserve-unknown-fields': true })
  assert.deepEqual(spec['size'], { type: 'integer', minimum: 1, maximum: 5 })
})

// A decoder of its own for openapi.v2.Document: message → field number → [name, type]. Types: s string, b bool,
// i int64, d double, or a message; `*` repeated.
const GNOSTIC: Record<string, Record<number, [string, string]>> = {
  Document: { 1: ['swagger', 's'], 2: ['info', 'Info'], 8: ['paths', 'Paths'], 9: ['definitions', 'Definitions'] },
  Info: { 1: ['title', 's'], 2: ['version', 's'] },
  Paths: { 2: ['path', '*NamedPathItem'] },
  NamedPathItem: { 1: ['name', 's'], 2: ['value', 'PathItem'] },
  PathItem: {
    2: ['get', 'Operation'],
    3: ['put', 'Operation'],
    4: ['post', 'Operation'],
    5: ['delete', 'Operation'],
    8: ['patch', 'Operation'],
    9: ['parameters', '*ParametersItem'],
  },
  Operation: {
    1: ['tags', '*s'],
    3: ['description', 's'],
    5: ['operationId', 's'],
    6: ['produces', '*s'],
    7: ['consumes', '*s'],
    8: ['parameters', '*ParametersItem'],
    9: ['responses', 'Responses'],
    13: ['extensions', '*NamedAny'],
  },
  ParametersItem: { 1: ['parameter', 'Parameter'] },
  Parameter: { 1: ['body', 'Body'], 2: ['nonBody', 'NonBody'] },
  Body: { 2: ['name', 's'], 3: ['in', 's'], 4: ['required', 'b'], 5: ['schema', 'Schema'] },
  NonBody: { 3: ['query', 'Query'], 4: ['path', 'PathParameter'] },
  Query: { 2: ['in', 's'], 3: ['description', 's'], 4: ['name', 's'], 6: ['type', 's'], 20: ['uniqueItems', 'b'] },
  PathParameter: {
    1: ['required', 'b'],
    2: ['in', 's'],
    3: ['description', 's'],
    4: ['name', 's'],
    5: ['type', 's'],
    18: ['uniqueItems', 'b'],
  },
  Responses: { 1: ['code', '*NamedResponse'] },
  NamedResponse: { 1: ['name', 's'], 2: ['value', 'ResponseValue'] },
  ResponseValue: { 1: ['response', 'Response'] },
  Response: { 1: ['description', 's'], 2: ['schema', 'SchemaItem'] },
  SchemaItem: { 1: ['schema', 'Schema'] },
  Definitions: { 1: ['named', '*NamedSchema'] },
  NamedSchema: { 1: ['name', 's'], 2: ['value', 'Schema'] },
  Schema: {
    1: ['$ref', 's'],
    2: ['format', 's'],
    4: ['description', 's'],
    7: ['maximum', 'd'],
    9: ['minimum', 'd'],
    19: ['required', '*s'],
    21: ['additionalProperties', 'AdditionalProperties'],
    22: ['type', 'TypeItem'],
    23: ['items', 'ItemsItem'],
    25: ['properties', 'Definitions'],
    31: ['extensions', '*NamedAny'],
  },
  AdditionalProperties: { 1: ['schema', 'Schema'], 2: ['boolean', 'b'] },
  TypeItem: { 1: ['value', '*s'] },
  ItemsItem: { 1: ['schema', '*Schema'] },
  NamedAny: { 1: ['name', 's'], 2: ['value', 'Any'] },
  Any: { 2: ['yaml', 's'] },
}

// biome-ignore lint/suspicious/noExplicitAny: a decoded message has the fields that the table above gives it
type Decoded = Record<string, any>

function decode(bytes: Buffer, type: string): Decoded {
  const out: Decoded = {}
  let i = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const b = bytes[i++]!
      value += (b & 127) * shift
      if (b < 128) return value
    }
  }
  while (i < bytes.length) {
    const tag = varint()
    const field = GNOSTIC[type]?.[tag >>> 3]
    assert.ok(field, `${type} has no field ${tag >>> 3}`)
    const [name, kind] = field
    const element = kind.replace('*', '')
    let value: unknown
    if ((tag & 7) === 0) value = element === 'b' ? varint() === 1 : varint()
    else if ((tag & 7) === 1) {
      value = bytes.readDoubleLE(i)
      i += 8
    } else {
      assert.equal(tag & 7, 2)
      const length = varint()
      assert.ok(i + length <= bytes.length)
      const part = bytes.subarray(i, i + length)
      i += length
      value = element === 's' ? part.toString() : decode(part, element)
    }
    if (kind.startsWith('*')) (out[name] ??= []).push(value)
    else out[name] = value
  }
  return out
}

const extensionsOf = (m: Decoded): JsonObject =>
  Object.fromEntries((m['extensions'] ?? []).map((e: Decoded) => [e['name'], JSON.parse(e['value']['yaml'])]))
const namedOf = (list: Decoded[] | undefined, value: (m: Decoded) => Json): JsonObject =>
  Object.fromEntries((list ?? []).map((n) => [n['name'], value(n['value'])]))

function schemaOf(m: Decoded): JsonObject {
  const { extensions: _, ...out } = m
  if (out['type'] !== undefined) out['type'] = out['type'].value[0]
  if (out['items'] !== undefined) out['items'] = schemaOf(out['items'].schema[0])
  if (out['additionalProperties'] !== undefined)
    out['additionalProperties'] = schemaOf(out['additionalProperties'].schema)
  if (out['properties'] !== undefined) out['properties'] = namedOf(out['properties'].named, schemaOf)
  return { ...out, ...extensionsOf(m) }
}

function parameterOf({ parameter: p }: Decoded): JsonObject {
  return p['body'] ? { ...p['body'], schema: schemaOf(p['body'].schema) } : (p['nonBody'].query ?? p['nonBody'].path)
}

function operationOf(m: Decoded): JsonObject {
  const { extensions: _, ...rest } = m
  return {
    ...rest,
    parameters: (m['parameters'] ?? []).map(parameterOf),
    responses: namedOf(m['responses'].code, ({ response }) =>
      response.schema === undefined ? response : { ...response, schema: schemaOf(response.schema.schema) },
    ),
    ...extensionsOf(m),
  }
}

function pathItemOf({ parameters, ...methods }: Decoded): JsonObject {
  const out: JsonObject = Object.fromEntries(Object.entries(methods).map(([k, m]) => [k, operationOf(m)]))
  return parameters === undefined ? out : { ...out, parameters: parameters.map(parameterOf) }
}

test('v2: the protobuf form says the same as the JSON form', () => {
  const all = [...builtIn, widget]
  const json = parse(buildOpenApiV2(all, 'v1.2').bytes)
  const document = decode(buildOpenApiV2Protobuf(all, 'v1.2').bytes, 'Document')
  assert.equal(document['swagger'], '2.0')
  assert.deepEqual(document['info'], json['info'])
  const definitions = namedOf(document['definitions'].named, schemaOf)
  for (const [name, schema] of Object.entries(at(json, 'definitions'))) {
    const { enum: _, ...expected } = schema as JsonObject
    assert.deepEqual(definitions[name], expected, name)
  }
  assert.equal(Object.keys(definitions).length, Object.keys(at(json, 'definitions')).length)
  assert.deepEqual(namedOf(document['paths'].path, pathItemOf), json['paths'])
})

const kinds = {
  generation: 0,
  definitions: builtIn,
  all: () => kinds.definitions.map((definition) => ({ definition })),
}
const openapi = new OpenApi(kinds)
const server = createServer((req, res) => {
  openapi.serve((req.url ?? '').split('?')[0]!, req, res).catch((error) => {
    res.writeHead(error instanceof ApiError ? error.code : 500)
    res.end(String(error))
  })
})
server.listen(0, '127.0.0.1')
after(() => server.close())

async function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
  if (!server.listening) await once(server, 'listening')
  const { request } = await import('node:http')
  const req = request({ port: (server.address() as AddressInfo).port, path, headers }).end()
  const [res] = await once(req, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk)
  return { status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) }
}

test('served: negotiation, hashes, 304, redirects', async () => {
  const V2 = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
  const protobuf = await get('/openapi/v2', { accept: V2 })
  assert.equal(protobuf.status, 200)
  assert.equal(protobuf.headers['content-type'], V2.replace('@', '.'))
  assert.equal(decode(protobuf.body, 'Document')['swagger'], '2.0')
  assert.equal((await get('/openapi/v2', { accept: V2, 'if-none-match': protobuf.headers.etag! })).status, 304)
  assert.equal((await get('/openapi/v2')).headers['content-type'], 'application/json')
  const both = await get('/openapi/v2', { accept: `application/json, ${V2}` })
  assert.equal(both.headers['content-type'], 'application/json')
  assert.equal((await get('/openapi/v2', { accept: 'text/html' })).status, 406)
  assert.deepEqual((await get('/swagger-2.0.0.pb-v1')).body, protobuf.body)
  const zipped = await get('/openapi/v2', { accept: V2, 'accept-encoding': 'gzip' })
  assert.deepEqual(gunzipSync(zipped.body), protobuf.body)

  const index = at(parse((await get('/openapi/v3')).body), 'paths')
  assert.ok(index['api/v1'])
  const url = String(at(index, 'apis/apps/v1')['serverRelativeURL'])
  const apps = await get(url)
  assert.equal(apps.status, 200)
  assert.match(String(apps.headers['cache-control']), /immutable/)
  assert.equal(`"${url.split('hash=')[1]}"`, apps.headers.etag)
  const old = await get('/openapi/v3/apis/apps/v1?hash=OLD')
  assert.equal(old.status, 301)
  assert.equal(old.headers.location, url)
  assert.equal((await get('/openapi/v3/apis/nothing/v1')).status, 404)
  assert.equal((await get('/openapi/v3/apis/apps/v1', { accept: 'application/x-protobuf' })).status, 406)
})

test('served: a custom kind comes and goes; other documents keep their hashes', async () => {
  const before = at(parse((await get('/openapi/v3')).body), 'paths')
  const etag = (await get('/openapi/v2')).headers.etag
  kinds.definitions = [...builtIn, widget]
  kinds.generation++
  const during = at(parse((await get('/openapi/v3')).body), 'paths')
  assert.ok(during['apis/shop.example.com/v1'])
  assert.deepEqual(during['apis/apps/v1'], before['apis/apps/v1'])
  const v2 = await get('/openapi/v2')
  assert.notEqual(v2.headers.etag, etag)
  assert.ok(at(parse(v2.body), 'definitions')['com.example.shop.v1.Widget'])
  kinds.definitions = builtIn
  kinds.generation++
  assert.deepEqual(at(parse((await get('/openapi/v3')).body), 'paths'), before)
  assert.equal((await get('/openapi/v2')).headers.etag, etag)
})
