import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import { compileCustom } from './codec.ts'
import { hasCondition } from './crd.ts'
import { defaultCustomResourceDefinition } from './crd-defaults.ts'
import {
  customResourceDefinitionWarnings,
  validateCustomResourceDefinition,
  validateCustomResourceDefinitionUpdate,
} from './crd-validation.ts'
import { definitionsFromCrd } from './definitions.ts'
import { establish } from './establish.ts'
import { crdOf, objectOf } from './fixtures.ts'
import { readScale, writeScale } from './scale.ts'

const string = { type: 'string' }
const integer = { type: 'integer' }
const schema = objectOf({ spec: objectOf({ a: string, n: integer }), status: objectOf({ n: integer, sel: string }) })
const errors = (crd: KubeObject): string[] => validateCustomResourceDefinition(crd).map(fieldErrorMessage)
const S = 'spec.validation.openAPIV3Schema'

function check(got: string[], want: readonly (string | RegExp)[]): void {
  assert.equal(got.length, want.length, got.join('\n'))
  want.forEach((w, i) => {
    if (typeof w === 'string') assert.equal(got[i], w)
    else assert.match(got[i]!, w)
  })
}

describe('definitions', () => {
  const version = (name: string, storage: boolean, own: object = schema): object => ({
    name,
    storage,
    served: true,
    schema: { openAPIV3Schema: own },
  })
  const rows: [name: string, crd: KubeObject, ...want: (string | RegExp)[]][] = [
    ['good', crdOf(schema)],
    [
      'name',
      { ...crdOf(schema), metadata: { name: 'x.example.com' } },
      'metadata.name: Invalid value: "x.example.com": must be spec.names.plural+"."+spec.group',
    ],
    [
      'group',
      crdOf(schema, {}, { group: 'example' }),
      /metadata.name/,
      'spec.group: Invalid value: "example": should be a domain with at least one dot',
    ],
    [
      'scope',
      crdOf(schema, {}, { scope: 'World' }),
      'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"',
    ],
    [
      'names',
      crdOf(
        schema,
        {},
        {
          names: {
            plural: 'widgets',
            singular: 'W',
            kind: 'Widget',
            listKind: 'Widget',
            shortNames: ['-'],
            categories: ['A'],
          },
        },
      ),
      /spec.names.singular.*DNS-1035/,
      /spec.names.shortNames\[0\]/,
      'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same',
      /spec.names.categories\[0\]/,
    ],
    [
      'no storage version',
      crdOf(schema, { storage: false }),
      /must have exactly one version marked as storage version/,
    ],
    [
      'two storage versions',
      crdOf(schema, {}, { versions: [version('v1', true), version('v2', true, objectOf({}))] }),
      /exactly one version/,
      /must have the storage version v2/,
    ],
    [
      'the same version twice',
      crdOf(schema, {}, { versions: [version('v1', true), version('v1', false)] }),
      /must contain unique version names/,
    ],
    [
      'version name',
      crdOf(schema, {}, { versions: [version('V1', true)] }, { storedVersions: ['V1'] }),
      /spec.versions\[0\].name: Invalid value: "V1": a DNS-1035 label/,
    ],
    [
      'no schema',
      crdOf(schema, { schema: undefined }),
      'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required',
    ],
    [
      'preserveUnknownFields',
      crdOf(schema, {}, { preserveUnknownFields: true }),
      /^spec.preserveUnknownFields: Invalid value: true: cannot set to true/,
    ],
    ['deprecation', crdOf(schema, { deprecationWarning: 'x' }), /can only be set for deprecated versions/],
    [
      'deprecation text',
      crdOf(schema, { deprecated: true, deprecationWarning: 'a\nb' }),
      /non-printable character found at index 1/,
    ],
    [
      'protected group',
      { ...crdOf(schema, {}, { group: 'x.k8s.io' }), metadata: { name: 'widgets.x.k8s.io' } },
      /^metadata.annotations\[api-approved.kubernetes.io\]: Required value: protected groups must have approval annotation/,
    ],
    [
      'protected group, unapproved',
      {
        ...crdOf(schema, {}, { group: 'x.k8s.io' }),
        metadata: { name: 'widgets.x.k8s.io', annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' } },
      },
    ],
    [
      'conversion by webhook',
      crdOf(
        schema,
        {},
        {
          conversion: {
            strategy: 'Webhook',
            webhook: { clientConfig: { url: 'https://x' }, conversionReviewVersions: ['v1'] },
          },
        },
      ),
      /^spec.conversion.strategy: Forbidden: conversion by webhook is not supported/,
    ],
    [
      'stored versions',
      crdOf(schema, {}, {}, { storedVersions: ['v0', 'v1'] }),
      /^status.storedVersions\[0\]: Invalid value: "v0": missing from spec.versions/,
    ],
    [
      'column',
      crdOf(schema, { additionalPrinterColumns: [{ name: 'A', type: 'x', jsonPath: 'spec' }] }),
      'spec.additionalPrinterColumns[0].type: Invalid value: "x": must be one of boolean,date,integer,number,string',
      'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .',
    ],
    [
      'scale paths',
      crdOf(schema, { subresources: { scale: { specReplicasPath: '.status.n', statusReplicasPath: '' } } }),
      'spec.subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec',
      'spec.subresources.scale.statusReplicasPath: Required value',
    ],
    [
      'scale path with an index',
      crdOf(schema, { subresources: { scale: { specReplicasPath: '.spec.a[0]', statusReplicasPath: '.status.n' } } }),
      /must be a json path in the dot notation/,
    ],
    ['selectable fields', crdOf(schema, { selectableFields: [{ jsonPath: '.spec.a' }, { jsonPath: '.spec.n' }] })],
    [
      'no such field, an object, metadata, twice',
      crdOf(schema, {
        selectableFields: ['.spec.x', '.spec', '.metadata.name', '.spec.a', '.spec.a'].map((jsonPath) => ({
          jsonPath,
        })),
      }),
      /is an invalid path/,
      /must point to a field of type string/,
      /must not point to fields in metadata/,
      /invalid path/,
      /Duplicate value: ".spec.a"/,
    ],
  ]
  for (const [name, crd, ...want] of rows) test(name, () => check(errors(crd), want))

  test('errors of versions that differ name the version', () => {
    const versions = [version('v1', true), version('v2', false, { type: 'object', properties: { x: {} } })]
    check(errors(crdOf(schema, {}, { versions })), [
      'spec.versions[1].schema.openAPIV3Schema.properties[x].type: Required value: must not be empty for specified object fields',
    ])
  })
})

describe('schemas', () => {
  const field = (f: object, more: object = {}): KubeObject => crdOf({ ...objectOf({ f }), ...more })
  const F = `${S}.properties[f]`
  const item = objectOf({ k: string }, { required: ['k'] })
  const mapList = { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: item }
  const rows: [name: string, crd: KubeObject, ...want: (string | RegExp)[]][] = [
    ['no type', field({}), `${F}.type: Required value: must not be empty for specified object fields`],
    [
      'unknown type',
      field({ type: 'text' }),
      `${F}.type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"`,
    ],
    ['list without items', field({ type: 'array' }), `${F}.items: Required value: must be specified`],
    [
      'root must be an object',
      crdOf({ type: 'array', items: string }),
      `${S}.type: Invalid value: "array": must be object at the root`,
    ],
    [
      'root map',
      crdOf({ type: 'object', additionalProperties: string }),
      `${S}.additionalProperties: Forbidden: must not be used at the root`,
    ],
    [
      'type inside anyOf',
      field({ ...objectOf({ a: string }), anyOf: [{ type: 'object', properties: { a: { minLength: 1 } } }] }),
      `${F}.anyOf[0].type: Forbidden: must be empty to be structural`,
    ],
    [
      'int or string spelled out',
      field({ 'x-kubernetes-int-or-string': true, anyOf: [integer, string], pattern: '^a' }),
    ],
    [
      'int or string in allOf',
      field({ 'x-kubernetes-int-or-string': true, allOf: [{ anyOf: [integer, string] }, { minLength: 1 }] }),
    ],
    [
      'field that only a junctor names',
      field({ ...objectOf({ a: string }), oneOf: [{ required: ['b'], properties: { b: { minLength: 1 } } }] }),
      `${F}.properties[b]: Required value: because it is defined in ${F}.oneOf[0].properties[b]`,
    ],
    [
      'default in a junctor',
      field({ ...string, allOf: [{ default: 'x' }] }),
      `${F}.allOf[0].default: Forbidden: must be undefined to be structural`,
    ],
    [
      'metadata',
      crdOf(objectOf({ metadata: objectOf({ labels: objectOf({}) }) })),
      `${S}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified`,
    ],
    ['metadata.name', crdOf(objectOf({ metadata: objectOf({ name: { ...string, maxLength: 10 } }) }))],
    [
      'pattern',
      field({ ...string, pattern: '(' }),
      new RegExp(
        `^${F.replace(/[[\]]/g, '\\$&')}.pattern: Invalid value: "\\(": must be a valid regular expression, but isn't: `,
      ),
    ],
    ['lookahead is not RE2', field({ ...string, pattern: '(?=a)' }), /must be a valid regular expression/],
    [
      '$ref and friends',
      field({ ...string, $ref: '#/x', definitions: { a: {} }, id: 'x' }),
      `${F}.$ref: Forbidden: $ref is not supported`,
      `${F}.definitions: Forbidden: definitions is not supported`,
      `${F}.id: Forbidden: id is not supported`,
    ],
    [
      'items as a list',
      field({ type: 'array', items: [string] }),
      `${F}.items: Forbidden: items must be a schema object and not an array`,
    ],
    ['uniqueItems', field({ type: 'array', items: string, uniqueItems: true }), /uniqueItems cannot be set to true/],
    [
      'properties and additionalProperties',
      field({ ...objectOf({ a: string }), additionalProperties: string }),
      `${F}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive`,
    ],
    [
      'wrong types of keywords',
      field({ type: 'array', items: { ...string, maxLength: '3' } }),
      `${F}.items.maxLength: Invalid value: "3": must be an integer`,
    ],
    [
      'embedded resource',
      field({ 'x-kubernetes-embedded-resource': true, type: 'object' }),
      /must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields/,
    ],
    [
      'preserve false',
      field({ type: 'object', 'x-kubernetes-preserve-unknown-fields': false }),
      /must be true or undefined/,
    ],
    ['map list', field(mapList)],
    [
      'map list without keys',
      field({ ...mapList, 'x-kubernetes-list-map-keys': undefined }),
      /must not be empty if x-kubernetes-list-type is map/,
    ],
    [
      'map list of scalars',
      field({ ...mapList, items: string }),
      /must be object if parent array's x-kubernetes-list-type is map/,
    ],
    [
      'key that is no property',
      field({ ...mapList, 'x-kubernetes-list-map-keys': ['z'] }),
      /entries must all be names of item properties/,
    ],
    [
      'optional key',
      field({ ...mapList, items: objectOf({ k: string }) }),
      /so it must have a default or be a required property/,
    ],
    [
      'set of objects',
      field({ type: 'array', 'x-kubernetes-list-type': 'set', items: objectOf({}) }),
      /must be atomic as item of a list with x-kubernetes-list-type=set/,
    ],
    [
      'list type',
      field({ type: 'array', 'x-kubernetes-list-type': 'bag', items: string }),
      /Unsupported value: "bag": supported values: "atomic", "set", "map"/,
    ],
    [
      'default of the wrong type',
      field({ ...string, default: 1 }),
      `${F}.default: Invalid value: "integer": ${F}.default in body must be of type string: "integer"`,
    ],
    [
      'default with unknown fields',
      field({ ...objectOf({ a: string }), default: { b: 1 } }),
      `${F}.default: Invalid value: {"b":1}: must not have unknown fields`,
    ],
    [
      'default of the kind',
      crdOf(objectOf({ kind: { ...string, default: 'x' } })),
      `${S}.properties[kind].default: Forbidden: must not be set in top-level kind`,
    ],
    [
      'nullable root',
      crdOf({ ...schema, nullable: true }),
      `${S}.nullable: Forbidden: nullable cannot be true at the root`,
    ],
    [
      'junctor at the root beside status',
      crdOf({ ...schema, anyOf: [{ required: ['spec'] }] }, { subresources: { status: {} } }),
      /only \[Description Type Format.*\] fields are allowed at the root of the schema if the status subresource is enabled/,
    ],
  ]
  for (const [name, crd, ...want] of rows) test(name, () => check(errors(crd), want))

  test('unknown formats are accepted with a warning', () => {
    assert.deepEqual(customResourceDefinitionWarnings(crdOf(objectOf({ f: { ...string, format: 'int33' } }))), [
      'spec.versions[0].schema.openAPIV3Schema.properties[f].format: unrecognized format "int33"',
    ])
  })
})

test('defaults of a definition', () => {
  const crd = crdOf(schema, {}, { names: { plural: 'widgets', kind: 'Widget' }, conversion: undefined })
  defaultCustomResourceDefinition(crd)
  assert.deepEqual(crd.spec.names, { plural: 'widgets', kind: 'Widget', singular: 'widget', listKind: 'WidgetList' })
  assert.deepEqual(crd.spec.conversion, { strategy: 'None' })
})

test('what an update may not change', () => {
  const old = crdOf(schema, {}, {}, { conditions: [{ type: 'Established', status: 'True' }] })
  const changed = crdOf(schema, {}, { scope: 'Cluster', group: 'other.com', names: { plural: 'x', kind: 'Y' } })
  const update = (before: KubeObject, subresource = ''): string[] =>
    validateCustomResourceDefinitionUpdate(changed, before, { now: 0, subresource, user: 'u' }).map((e) => e.field)
  assert.deepEqual(update(old), ['spec.scope', 'spec.names.kind', 'spec.group', 'spec.names.plural'])
  assert.deepEqual(update(crdOf(schema)), ['spec.group', 'spec.names.plural'])
  assert.deepEqual(update(old, 'status'), [])
})

describe('establish', () => {
  const now = Date.UTC(2025, 0, 1)
  const other = (names: object): KubeObject => ({
    ...crdOf(schema, {}, {}, { acceptedNames: names }),
    metadata: { name: 'others.example.com' },
  })

  test('names are accepted and the kind is served', () => {
    const crd = crdOf(schema)
    crd.status = establish(crd, [], now)
    assert.ok(hasCondition(crd, 'NamesAccepted') && hasCondition(crd, 'Established'))
    assert.deepEqual(crd.status.acceptedNames, {
      plural: 'widgets',
      singular: 'widget',
      kind: 'Widget',
      listKind: 'WidgetList',
    })
    assert.deepEqual(crd.status.storedVersions, ['v1'])
    assert.equal(crd.status.conditions[0].lastTransitionTime, '2025-01-01T00:00:00Z')
  })
  test('looking again changes nothing', () => {
    const crd = crdOf(schema)
    crd.status = establish(crd, [], now)
    assert.deepEqual(establish(crd, [], now + 60_000), crd.status)
  })
  test('a name that is taken', () => {
    const crd = crdOf(schema)
    crd.status = establish(crd, [other({ plural: 'widgets', kind: 'Other' })], now)
    const [accepted, established] = crd.status.conditions
    assert.deepEqual(
      [accepted.status, accepted.reason, accepted.message],
      ['False', 'PluralConflict', '"widgets" is already in use'],
    )
    assert.deepEqual([established.status, established.reason], ['False', 'NotAccepted'])
    crd.status = establish(crd, [], now + 60_000)
    assert.ok(hasCondition(crd, 'Established'))
    assert.equal(crd.status.conditions[0].lastTransitionTime, '2025-01-01T00:01:00Z')
  })
  test('short names collide with singular names, kinds with list kinds, groups do not', () => {
    const crd = crdOf(
      schema,
      {},
      { names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList', shortNames: ['w'] } },
    )
    const reason = (taken: KubeObject): string => establish(crd, [taken], now).conditions![0]!.reason!
    assert.equal(reason(other({ singular: 'w' })), 'ShortNamesConflict')
    assert.equal(reason(other({ listKind: 'Widget' })), 'KindConflict')
    assert.equal(reason({ ...other({ plural: 'widgets' }), spec: { group: 'elsewhere.com' } }), 'NoConflicts')
  })
  test('once served, always served', () => {
    const crd = crdOf(schema)
    crd.status = establish(crd, [], now)
    crd.status = establish(crd, [other({ plural: 'widgets' })], now)
    assert.ok(hasCondition(crd, 'Established') && !hasCondition(crd, 'NamesAccepted'))
    assert.equal(crd.status.acceptedNames.plural, 'widgets')
  })
  test('a schema that is not structural is told', () => {
    const crd = crdOf(objectOf({ f: {} }))
    const condition = establish(crd, [], now).conditions!.find((c) => c.type === 'NonStructuralSchema')
    assert.match(condition!.message!, /properties\[f\].type: must not be empty/)
  })
})

describe('served versions', () => {
  const crd = crdOf(
    schema,
    {
      subresources: {
        status: {},
        scale: { specReplicasPath: '.spec.n', statusReplicasPath: '.status.n', labelSelectorPath: '.status.sel' },
      },
      selectableFields: [{ jsonPath: '.spec.a' }, { jsonPath: '.spec.n' }],
      additionalPrinterColumns: [
        { name: 'A', type: 'string', jsonPath: '.spec.a' },
        { name: 'All', type: 'string', jsonPath: '.spec', priority: 1 },
        { name: 'N', type: 'integer', jsonPath: '.spec.n' },
        { name: 'Since', type: 'date', jsonPath: '.metadata.creationTimestamp' },
      ],
      deprecated: true,
    },
    {
      names: {
        plural: 'widgets',
        singular: 'widget',
        kind: 'Widget',
        listKind: 'WidgetList',
        shortNames: ['w'],
        categories: ['all'],
      },
    },
  )
  const [definition] = definitionsFromCrd(crd)
  const object: KubeObject = {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name: 'x', namespace: 'n', uid: 'u', creationTimestamp: '1970-01-01T00:00:00Z' },
    spec: { a: 'red', n: 3 },
    status: { n: 2, sel: 'a=b' },
  }

  test('definition', () => {
    const d = definition!
    assert.deepEqual(
      [
        d.group,
        d.version,
        d.kind,
        d.listKind,
        d.plural,
        d.singular,
        d.shortNames,
        d.categories,
        d.namespaced,
        d.custom,
        d.storageVersion,
      ],
      ['example.com', 'v1', 'Widget', 'WidgetList', 'widgets', 'widget', ['w'], ['all'], true, true, 'v1'],
    )
    assert.deepEqual(
      d.subresources!.map((s) => s.name),
      ['status', 'scale'],
    )
    assert.equal(d.createWarning, 'example.com/v1 Widget is deprecated')
    assert.deepEqual(
      d.columns.map((c) => c.cell(object, 61_000)),
      ['x', 'red', '{"a":"red","n":3}', 3, '61s'],
    )
    assert.deepEqual(
      Object.entries(d.selectableFields!).map(([k, get]) => [k, get(object)]),
      [
        ['spec.a', 'red'],
        ['spec.n', '3'],
      ],
    )
  })

  test('versions that are not served are left out; Age is the default column', () => {
    const versions = [
      { name: 'v1', served: false, storage: true, schema: { openAPIV3Schema: schema } },
      { name: 'v2', served: true, storage: false, schema: { openAPIV3Schema: objectOf({}) } },
    ]
    const [only, ...none] = definitionsFromCrd(crdOf(schema, {}, { versions }))
    assert.deepEqual([only!.version, only!.storageVersion, none], ['v2', 'v1', []])
    assert.deepEqual(
      only!.columns.map((c) => [c.name, c.cell(object, 5000)]),
      [
        ['Name', 'x'],
        ['Age', '5s'],
      ],
    )
  })

  test('scale', () => {
    assert.deepEqual(readScale(object, definition!).status, { replicas: 2, selector: 'a=b' })
    const copy = structuredClone(object)
    const scale = readScale(copy, definition!)
    scale.spec.replicas = 7
    writeScale(copy, definition!, scale)
    assert.equal(copy.spec.n, 7)
    const empty = { ...structuredClone(object), spec: undefined }
    assert.throws(() => readScale(empty, definition!), {
      code: 500,
      message: /spec replicas field ".spec.n" does not exist/,
    })
    writeScale(empty, definition!, scale)
    assert.deepEqual(empty.spec, { n: 7 })
    scale.spec.replicas = -1
    assert.throws(() => writeScale(copy, definition!, scale), {
      code: 422,
      message: /spec.replicas: Invalid value: -1: should be a non-negative integer/,
    })
    assert.throws(() => writeScale(copy, definition!, object), { code: 400 })
  })

  test('names are restricted by the schema of metadata', () => {
    const [d] = definitionsFromCrd(crdOf(objectOf({ metadata: objectOf({ name: { ...string, maxLength: 2 } }) })))
    const codec = compileCustom(d!.schema as never, d!)
    const named = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'long' } }
    assert.deepEqual(codec.validate(named).map(fieldErrorMessage), [
      'metadata.name: Too long: may not be more than 2 bytes',
    ])
  })

  test('finalizers without a domain are warned about once', () => {
    const named = { ...object, metadata: { name: 'x', finalizers: ['mine', 'a/b'] } }
    assert.equal(definition!.strategy!.warnings!(named, undefined).length, 1)
    assert.deepEqual(definition!.strategy!.warnings!(named, named), [])
  })
})
