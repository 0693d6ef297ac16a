/** What crd_publish_openapi.go asks of kubectl: explain and server-side validation of custom kinds. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type Run, run, testProgram } from '../setup/cluster.ts'
import { type Crd, customKind, namespace, server } from './server.ts'

const program = testProgram('kubectl-1.32')
const home = mkdtempSync(join(tmpdir(), 'rampart-explain-'))
after(() => rmSync(home, { recursive: true, force: true }))

const kubectl = (args: string[], input?: string): Promise<Run> =>
  run(program!, args, {
    env: { KUBECONFIG: join(server().directory, 'kubeconfig'), HOME: home },
    ...(input === undefined ? {} : { input }),
  })

const schemaFoo = {
  description: 'Foo CRD for Testing',
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      description: 'Specification of Foo',
      properties: {
        bars: {
          type: 'array',
          description: 'List of Bars and their specs.',
          items: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { type: 'string', description: 'Name of Bar.' },
              age: { type: 'string', description: 'Age of Bar.' },
              bazs: { type: 'array', items: { type: 'string' }, description: 'List of Bazs.' },
            },
          },
        },
      },
    },
    status: { type: 'object', description: 'Status of Foo' },
  },
}

describe('CustomResourcePublishOpenAPI, through kubectl', {
  skip: program === undefined && 'kubectl 1.32 is not there',
}, () => {
  const create = (crd: Crd, ns: string, more: object): Promise<Run> =>
    kubectl(
      ['create', '-n', ns, '-f', '-'],
      JSON.stringify({ kind: crd.kind, apiVersion: `${crd.group}/v1`, metadata: { name: 'test' }, ...more }),
    )

  test('works for CRD with validation schema', async () => {
    const crd = await customKind({ schema: schemaFoo, namespaced: true })
    const ns = await namespace('explain')
    assert.equal((await create(crd, ns, { spec: { bars: [{ name: 'test-bar' }] } })).code, 0)
    assert.equal((await kubectl(['delete', '-n', ns, crd.plural, 'test'])).code, 0)
    assert.match((await create(crd, ns, { spec: { foo: true } })).stderr, /unknown field "spec\.foo"/)
    assert.match(
      (await create(crd, ns, { spec: { bars: [{ age: '10' }] } })).stderr,
      /spec\.bars\[0\]\.name: Required value/,
    )
    const explained: [string, RegExp][] = [
      [
        '',
        /DESCRIPTION:.*Foo CRD for Testing.*FIELDS:.*apiVersion.*<string>.*APIVersion defines.*spec.*<Object>.*Specification of Foo/s,
      ],
      [
        '.metadata',
        /DESCRIPTION:.*Standard object's metadata.*FIELDS:.*creationTimestamp.*<string>.*CreationTimestamp is a timestamp/s,
      ],
      ['.spec', /DESCRIPTION:.*Specification of Foo.*FIELDS:.*bars.*<\[\]Object>.*List of Bars and their specs/s],
      [
        '.spec.bars',
        /(RESOURCE|FIELD):.*bars.*<\[\]Object>.*DESCRIPTION:.*List of Bars and their specs.*FIELDS:.*bazs.*<\[\]string>.*List of Bazs.*name.*<string>.*Name of Bar/s,
      ],
    ]
    for (const [path, text] of explained) assert.match((await kubectl(['explain', crd.plural + path])).stdout, text)
    const none = await kubectl(['explain', `${crd.plural}.spec.bars2`])
    assert.notEqual(none.code, 0)
    assert.match(none.stderr, /field "bars2" does not exist/)
  })

  test('works for CRD without validation schema, and preserving unknown fields', async () => {
    const crd = await customKind({ namespaced: true })
    const ns = await namespace('explain')
    assert.equal((await create(crd, ns, { a: { b: [{ c: 'd' }] } })).code, 0)
    assert.match((await kubectl(['explain', crd.plural])).stdout, /DESCRIPTION:.*<empty>/s)
    const raw = await kubectl(['get', '--raw', `${crd.path.replace('/v1/', `/v1/namespaces/${ns}/`)}/test`])
    assert.equal(JSON.parse(raw.stdout).a.b[0].c, 'd')
  })
})
