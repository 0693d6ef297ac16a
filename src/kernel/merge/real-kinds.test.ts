import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { JsonObject, KubeObject } from '../api/object.ts'
import { definitionOf, loadDefinitions } from '../resources/definitions.ts'
import { refTo } from '../resources/schema.ts'
import { createFieldManager, type FieldManager } from './field-manager.ts'
import { childType, compileType, type MergeType } from './merge-type.ts'
import { applyStrategicMergePatch } from './strategic.ts'

const schemas = loadDefinitions()
const schemaOf = (group: string, version: string, kind: string) => schemas.get(definitionOf(group, version, kind)!)!
const managerOf = (group: string, version: string, kind: string): FieldManager =>
  createFieldManager({
    schema: schemaOf(group, version, kind),
    schemas,
    apiVersion: group === '' ? version : `${group}/${version}`,
    subresource: '',
    resetFields: [['status']],
    custom: false,
  })

const now = '2026-01-01T00:00:00Z'

const deployment = (image: string, more: JsonObject = {}): KubeObject =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'c', image, ports: [{ containerPort: 80, protocol: 'TCP' }] }] },
      },
      ...more,
    },
  }) as KubeObject

describe('field management of built-in kinds', () => {
  it('a created Deployment is owned as kube-apiserver records it', () => {
    const object = managerOf('apps', 'v1', 'Deployment').update(undefined, deployment('nginx'), 'kubectl-create', now)
    assert.equal(
      JSON.stringify(object.metadata.managedFields?.[0]?.fieldsV1),
      '{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":' +
        '{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\\"name\\":\\"c\\"}":' +
        '{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":' +
        '{".":{},"f:containerPort":{},"f:protocol":{}}}}}}}}}',
    )
  })

  it('a ConfigMap and a Secret own their keys', () => {
    for (const kind of ['ConfigMap', 'Secret']) {
      const object = { apiVersion: 'v1', kind, metadata: { name: 'x' }, data: { b: 'MQ==', a: 'Mg==' } } as KubeObject
      const { metadata } = managerOf('', 'v1', kind).update(undefined, object, 'm', now)
      assert.equal(JSON.stringify(metadata.managedFields?.[0]?.fieldsV1), '{"f:data":{".":{},"f:a":{},"f:b":{}}}')
    }
  })

  it('applies a port without its protocol onto the one with the default', () => {
    const manager = managerOf('', 'v1', 'Service')
    const service = (port: JsonObject): KubeObject =>
      ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { ports: [port] } }) as KubeObject
    const live = manager.apply(undefined, service({ port: 80, protocol: 'TCP', name: 'a' }), 'helm', false, now)
    const next = manager.apply(live, service({ port: 80, name: 'b' }), 'helm', false, now)
    assert.deepEqual(next['spec'].ports, [{ port: 80, name: 'b' }])
    const other = manager.apply(live, service({ port: 80, targetPort: 'http' }), 'other', false, now)
    assert.deepEqual(other['spec'].ports, [{ port: 80, protocol: 'TCP', name: 'a', targetPort: 'http' }])
  })

  it('an image changed by another manager conflicts at its path', () => {
    const manager = managerOf('apps', 'v1', 'Deployment')
    const live = manager.update(undefined, deployment('nginx:1'), 'kubectl-client-side-apply', now)
    assert.throws(() => manager.apply(live, deployment('nginx:2'), 'helm', false, now), {
      message:
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: ' +
        '.spec.template.spec.containers[name="c"].image',
    })
  })

  it('refuses a misspelt field by its path', () => {
    const config = deployment('nginx', { replica: 1 })
    assert.throws(() => managerOf('apps', 'v1', 'Deployment').apply(undefined, config, 'helm', false, now), {
      message:
        'failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replica: ' +
        'field not declared in schema',
    })
  })

  it('a CustomResourceDefinition, whose schema is recursive, applies twice as once', () => {
    const manager = managerOf('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition')
    const openAPIV3Schema = {
      type: 'object',
      properties: { spec: { type: 'object', properties: { size: { type: 'integer', default: 1 } } } },
    }
    const config = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.test' },
      spec: {
        group: 'test',
        names: { plural: 'widgets', kind: 'Widget' },
        scope: 'Namespaced',
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    } as unknown as KubeObject
    const live = manager.apply(undefined, config, 'helm', false, now)
    assert.deepEqual(live['spec'], config['spec'])
    assert.deepEqual(manager.apply(live, config, 'helm', false, '2026-01-02T00:00:00Z'), live)
  })
})

describe('strategic merge patch of built-in kinds', () => {
  it('adds a container and changes another', () => {
    const patch = {
      spec: {
        template: {
          spec: {
            '$setElementOrder/containers': [{ name: 'c' }, { name: 'side' }],
            containers: [
              { name: 'c', image: 'nginx:2' },
              { name: 'side', image: 'side' },
            ],
          },
        },
        strategy: { $retainKeys: ['type'], type: 'Recreate' },
      },
    }
    const before = deployment('nginx:1', { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } })
    const after = applyStrategicMergePatch(before, patch, schemaOf('apps', 'v1', 'Deployment'), schemas)
    assert.deepEqual(after['spec'].template.spec.containers, [
      { name: 'c', image: 'nginx:2', ports: [{ containerPort: 80, protocol: 'TCP' }] },
      { name: 'side', image: 'side' },
    ])
    assert.deepEqual(after['spec'].strategy, { type: 'Recreate' })
  })

  it('merges by the keys that Kubernetes declares', () => {
    const rows: [kind: string, live: JsonObject, patch: JsonObject, result: JsonObject][] = [
      [
        'Service',
        { spec: { ports: [{ port: 80, name: 'a' }] } },
        { spec: { ports: [{ port: 80, name: 'b' }] } },
        { spec: { ports: [{ port: 80, name: 'b' }] } },
      ],
      [
        'ServiceAccount',
        { secrets: [{ name: 'a' }] },
        { secrets: [{ name: 'b' }] },
        { secrets: [{ name: 'b' }, { name: 'a' }] },
      ],
      [
        'Node',
        { status: { conditions: [{ type: 'Ready', status: 'False' }] } },
        { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
        { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      ],
      ['Node', { spec: { podCIDRs: ['a'] } }, { spec: { podCIDRs: ['b'] } }, { spec: { podCIDRs: ['b', 'a'] } }],
      [
        'Pod',
        { spec: { tolerations: [{ key: 'a' }] } },
        { spec: { tolerations: [{ key: 'b' }] } },
        { spec: { tolerations: [{ key: 'b' }] } },
      ],
      [
        'Pod',
        { spec: { volumes: [{ name: 'a', emptyDir: {} }] } },
        { spec: { volumes: [{ name: 'a', $retainKeys: ['name', 'secret'], secret: { secretName: 's' } }] } },
        { spec: { volumes: [{ name: 'a', secret: { secretName: 's' } }] } },
      ],
    ]
    for (const [kind, live, patch, result] of rows) {
      const head = { apiVersion: 'v1', kind, metadata: { name: 'x' } }
      const object = { ...head, ...live } as KubeObject
      assert.deepEqual(applyStrategicMergePatch(object, patch, schemaOf('', 'v1', kind), schemas), {
        ...head,
        ...result,
      })
    }
  })
})

/** The atoms that Kubernetes itself merges by, where the table of them is at hand. */
const table = new URL('../../../../shared/data/k8s-schema.json', import.meta.url)

type Atom = {
  name?: string
  namedType?: string
  scalar?: string
  list?: { elementType: Atom; elementRelationship: string; keys?: string[] }
  map?: { fields?: { name: string; type: Atom }[]; elementType?: Atom; elementRelationship?: string }
  elementRelationship?: string
}

describe('merge types', () => {
  it('are those of Kubernetes', {
    skip: existsSync(table) ? false : 'no table of Kubernetes’ merge types here',
  }, () => {
    const atoms = new Map((JSON.parse(readFileSync(table, 'utf8')) as Atom[]).map((atom) => [atom.name!, atom]))
    const differences = new Set<string>()
    const seen = new Set<string>()

    const check = (path: string, type: MergeType, ref: Atom): void => {
      const atom = ref.namedType === undefined ? ref : atoms.get(ref.namedType)
      // Values without a schema are compared by their shape, here and there.
      if (atom === undefined || ref.namedType?.startsWith('__untyped_')) return
      if (ref.namedType !== undefined) {
        if (seen.has(ref.namedType)) return
        seen.add(ref.namedType)
      }
      const report = (what: string): void => void differences.add(`${path}: ${what}`)
      if ((atom.scalar === undefined) !== (type.scalar === undefined)) report(`scalar ${atom.scalar} is ${type.scalar}`)
      if (atom.list === undefined || type.list === undefined) {
        if ((atom.list === undefined) !== (type.list === undefined)) report('list')
      } else {
        const { keys, elementRelationship, elementType } = atom.list
        const kind = elementRelationship === 'atomic' ? 'atomic' : keys === undefined ? 'set' : 'map'
        if (kind !== type.list.kind) report(`list ${kind} is ${type.list.kind}`)
        const names = type.list.keys.map(({ name }) => name)
        if (String([...(keys ?? [])].sort()) !== String(names)) report(`keys ${keys} are ${names}`)
        // What lies in an atomic list is never looked at.
        if (kind !== 'atomic') check(`${path}[]`, type.list.element, elementType)
      }
      if (atom.map === undefined || type.map === undefined) {
        if ((atom.map === undefined) !== (type.map === undefined)) report('map')
        return
      }
      const relationship = ref.elementRelationship ?? atom.map.elementRelationship
      if ((relationship === 'atomic') !== type.map.atomic) report(`map ${relationship} is atomic: ${type.map.atomic}`)
      for (const field of atom.map.fields ?? []) {
        if (!type.map.fields.has(field.name)) report(`${field.name} is missing`)
        else check(`${path}.${field.name}`, childType(type.map, field.name), field.type)
      }
      if (atom.map.elementType !== undefined && type.map.element !== undefined) {
        check(`${path}{}`, type.map.element, atom.map.elementType)
      }
    }
    for (const name of schemas.definitions.keys()) {
      const atom = atoms.get(name)
      if (atom === undefined || seen.has(name)) continue
      check(name, compileType(refTo(name), schemas, false), { namedType: name })
    }
    assert.ok(seen.size > 100)
    assert.deepEqual([...differences], [])
  })
})
