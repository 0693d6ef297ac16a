import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../../kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'
import { features } from '../index.ts'
import { podSecurity } from './index.ts'

/** The step as the server runs it: over HTTPS, with warnings as kubectl prints them and the audit log. */

type Answer = { code: number; body: KubeObject; warnings: string[] }

const PREFIX = 'pod-security.kubernetes.io/'
const labels = (of: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [PREFIX + key, value]))
const namespace = (name: string, of: Record<string, string>): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: labels(of) },
})
const CONTAINER = { name: 'app', image: 'registry.example/app' }
const pod = (name: string, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [CONTAINER], ...spec },
})
const HOST = { hostNetwork: true, hostPID: true }
const RESTRICTED =
  'allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), ' +
  'unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"]), ' +
  'runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true), ' +
  'seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'

describe('PodSecurity in the server', { skip: features.includes(podSecurity) ? false : 'not a feature of it' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'pod-security-server-'))
  let server: TestServer
  const ask = (method: string, path: string, body?: object, type = 'application/json'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { url, ca, adminCert: cert, adminKey: key } = server
      const headers = { 'Content-Type': type }
      const sent = httpsRequest(`${url}${path}`, { method, ca, cert, key, headers, agent: false }, (res) => {
        const warnings = [res.headers.warning ?? []].flat().flatMap((line) => line.split(/, (?=299 - )/))
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('end', () =>
          resolve({
            code: res.statusCode!,
            body: JSON.parse(Buffer.concat(chunks).toString()) as KubeObject,
            warnings: warnings.map((text) => text.replace(/^299 - "(.*)"$/s, '$1').replace(/\\(.)/g, '$1')),
          }),
        )
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  const post = (path: string, body: object): Promise<Answer> => ask('POST', path, body)
  const merge = (path: string, body: object): Promise<Answer> =>
    ask('PATCH', path, body, 'application/merge-patch+json')

  before(async () => {
    server = await startTestServer({ directory })
    for (const [name, of] of [
      ['open', {}],
      ['mixed', { enforce: 'baseline', audit: 'restricted', warn: 'restricted', 'warn-version': 'v1.30' }],
      ['tight', { enforce: 'restricted' }],
    ] as const)
      assert.equal((await post('/api/v1/namespaces', namespace(name, of))).code, 201)
  })
  after(async () => {
    await server.close({ keep: true })
    rmSync(directory, { recursive: true })
  })

  test('without labels everything is let in, silently', async () => {
    const { code, warnings } = await post('/api/v1/namespaces/open/pods', pod('host', HOST))
    assert.deepEqual({ code, warnings }, { code: 201, warnings: [] })
  })

  test('a pod that violates is refused with Kubernetes’ words', async () => {
    const { code, body, warnings } = await post('/api/v1/namespaces/mixed/pods', pod('host', HOST))
    assert.deepEqual(body, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message:
        'pods "host" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true)',
      reason: 'Forbidden',
      details: { name: 'host', kind: 'pods' },
      code: 403,
    })
    assert.deepEqual({ code, warnings }, { code: 403, warnings: [] })
  })

  test('restricted in full', async () => {
    const { code, body } = await post('/api/v1/namespaces/tight/pods', pod('app'))
    assert.equal(code, 403)
    assert.equal(body['message'], `pods "app" is forbidden: violates PodSecurity "restricted:latest": ${RESTRICTED}`)
  })

  test('a pod in between is let in with a warning', async () => {
    const { code, warnings } = await post('/api/v1/namespaces/mixed/pods', pod('app'))
    assert.equal(code, 201)
    assert.deepEqual(warnings, [`would violate PodSecurity "restricted:v1.30": ${RESTRICTED}`])
  })

  test('so is every Deployment, by the warning that enforcement brings', async () => {
    const { code, warnings } = await post('/apis/apps/v1/namespaces/tight/deployments', {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'app' },
      spec: {
        selector: { matchLabels: { app: 'app' } },
        template: { metadata: { labels: { app: 'app' } }, spec: { containers: [CONTAINER] } },
      },
    })
    assert.equal(code, 201)
    assert.deepEqual(
      warnings.filter((text) => text.includes('PodSecurity')),
      [`would violate PodSecurity "restricted:latest": ${RESTRICTED}`],
    )
  })

  test('a debug container is a container', async () => {
    const debug = { name: 'debug', image: 'x', securityContext: { privileged: true } }
    const path = '/api/v1/namespaces/mixed/pods/app/ephemeralcontainers'
    const { code, body } = await merge(path, { spec: { ephemeralContainers: [debug] } })
    assert.equal(code, 403)
    assert.equal(
      body['message'],
      'pods "app" is forbidden: violates PodSecurity "baseline:latest": privileged (container "debug" must not set securityContext.privileged=true)',
    )
  })

  test('labels that cannot be read', async () => {
    const { code, body } = await post(
      '/api/v1/namespaces',
      namespace('wrong', { enforce: 'tight', 'audit-version': '1.2' }),
    )
    assert.equal(code, 422)
    assert.equal(
      body['message'],
      'Namespace "wrong" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "tight": must be one of privileged, baseline, restricted, ' +
        'metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "1.2": must be "latest" or "v1.x"]',
    )
    assert.equal(body['details'].causes[0].field, 'metadata.labels[pod-security.kubernetes.io/enforce]')
  })

  test('a dry run tells what tightening would meet', async () => {
    const change = { metadata: { labels: labels({ enforce: 'baseline' }) } }
    const warnings = [
      'existing pods in namespace "open" violate the new PodSecurity enforce level "baseline:latest"',
      'host: host namespaces',
    ]
    const dry = await merge('/api/v1/namespaces/open?dryRun=All', change)
    assert.deepEqual([dry.code, dry.warnings], [200, warnings])
    assert.equal((await ask('GET', '/api/v1/namespaces/open')).body.metadata.labels?.[`${PREFIX}enforce`], undefined)
    const real = await merge('/api/v1/namespaces/open', change)
    assert.deepEqual([real.code, real.warnings], [200, warnings])
  })

  test('what runs may still be labelled, but not change its image', async () => {
    const path = '/api/v1/namespaces/open/pods/host'
    assert.equal((await merge(path, { metadata: { labels: { c: 'd' } } })).code, 200)
    const image = { spec: { containers: [{ ...CONTAINER, image: 'other' }] } }
    const changed = await ask('PATCH', path, image, 'application/strategic-merge-patch+json')
    assert.match(changed.body['message'], /violates PodSecurity "baseline:latest": host namespaces/)
    assert.equal((await ask('DELETE', path)).code, 200)
  })

  test('decisions are in the audit log', async () => {
    await server.close({ keep: true })
    const events = readFileSync(join(directory, 'audit', 'audit.log'), 'utf8')
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as {
            verb: string
            requestURI: string
            responseStatus?: { code: number }
            annotations?: Record<string, string>
          },
      )
    const created = events.filter((e) => e.verb === 'create' && e.requestURI === '/api/v1/namespaces/mixed/pods')
    const found = created.map(({ responseStatus, annotations = {} }) => [
      responseStatus?.code,
      annotations[`${PREFIX}enforce-policy`],
      annotations[`${PREFIX}audit-violations`],
    ])
    const host = 'host namespaces (hostNetwork=true, hostPID=true)'
    assert.deepEqual(found, [
      [403, 'baseline:latest', `would violate PodSecurity "restricted:latest": ${host}, ${RESTRICTED}`],
      [201, 'baseline:latest', `would violate PodSecurity "restricted:latest": ${RESTRICTED}`],
    ])
    server = await startTestServer({ directory })
  })
})
