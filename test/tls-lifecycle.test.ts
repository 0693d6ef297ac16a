/** Certificates of a running control plane: listed, renewed, revoked, proved link by link, their authorities rotated. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { tlsHandlers } from '../src/control-plane/tls-handlers.ts'
import type { InventoryItem, LinkReport } from '../src/features/tls/index.ts'
import { writeCertificateRequest } from '../src/features/tls/request-writer.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../src/kernel/apiserver/testing.ts'
import type { ResourceId } from '../src/kernel/client/client.ts'
import { createRemoteClient, type RemoteClient } from '../src/kernel/client/remote.ts'

const CSRS: ResourceId = { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' }
const ISSUED: ResourceId = { group: 'tls.rampart.dev', version: 'v1', resource: 'issuedcertificates' }
const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
const BINDINGS: ResourceId = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterrolebindings' }

let server: TestServer
before(async () => {
  server = await startTestServer()
})
after(() => server.close())

async function ask<T>(command: string, request: Record<string, unknown> = {}): Promise<T> {
  const handler = tlsHandlers(server.directory, server.plane)[command]!
  return (await handler({ command, ...request }, () => undefined, new AbortController().signal)) as T
}

const list = async (): Promise<InventoryItem[]> =>
  (await ask<{ certificates: InventoryItem[] }>('tls-list')).certificates

/** Polls until `look` gives something. */
async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (let i = 0; i < 400; i++) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await sleep(25)
  }
  throw new Error(`never: ${what}`)
}

let requests = 0
/** A client certificate by a CertificateSigningRequest that the administrator approves. */
async function userCertificate(commonName: string): Promise<{ cert: string; key: string }> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = `user-${requests++}`
  const created = await server.remoteClient.create(CSRS, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(writeCertificateRequest({ commonName, key: privateKey })).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth'],
    },
  } as unknown as KubeObject)
  const approved = { type: 'Approved', status: 'True', reason: 'Test', message: '' }
  await server.remoteClient.update(
    CSRS,
    { ...created, status: { conditions: [approved] } },
    { subresource: 'approval' },
  )
  const certificate = await eventually(`${name} signed`, async () => {
    return (await server.remoteClient.get(CSRS, '', name))['status']?.certificate as string | undefined
  })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { cert: Buffer.from(certificate, 'base64').toString('utf8'), key }
}

const asUser = (pair: { cert: string; key: string }, ca = server.plane.pki.rootPem): RemoteClient =>
  createRemoteClient({ server: new URL(server.url), ca, ...pair, userAgent: 'test' })

async function allowReading(user: string): Promise<void> {
  await server.remoteClient.create(BINDINGS, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: `view-${user}` },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
  } as unknown as KubeObject)
}

describe('certificates', () => {
  test('every one is listed: authorities, the control plane, users', async () => {
    await userCertificate('lister')
    const items = await list()
    const names = items.map(({ name }) => name)
    for (const name of [
      'ca/root',
      'ca/kubelet-serving',
      'control-plane/api-server',
      'control-plane/admin',
      'user/lister',
    ])
      assert.ok(names.includes(name), name)
    const api = items.find(({ name }) => name === 'control-plane/api-server')!
    assert.equal(api.where, 'pki/api-server.crt')
    assert.ok(api.names.includes('IP:127.0.0.1'))
    assert.ok(items.every(({ state }) => state === 'valid'))
    const { items: objects } = await server.remoteClient.list(ISSUED)
    assert.ok(objects.length >= 7, 'the control plane’s own have their objects too')
  })

  test('an issued certificate is a fact: its object cannot be changed, a revocation not taken back', async () => {
    const { cert } = await userCertificate('fixed')
    const name = new X509Certificate(cert).serialNumber.toLowerCase()
    const patch = (spec: object): Promise<KubeObject> => server.remoteClient.patch(ISSUED, '', name, 'merge', { spec })
    await assert.rejects(patch({ commonName: 'other' }), /only revokedAt/)
    await patch({ revokedAt: new Date().toISOString() })
    await assert.rejects(patch({ revokedAt: null }), /final/)
    await eventually('revoked by its object alone', async () => server.plane.revocations.isRevoked(name, ''))
  })

  test('renew: new ones at once, without a restart, for whoever knocks', async () => {
    const before = new X509Certificate(server.plane.pki.leaf('api-server').cert).serialNumber
    await server.remoteClient.get(CONFIG_MAPS, 'kube-system', 'kube-root-ca.crt').catch(() => undefined)
    assert.deepEqual(await ask('tls-renew', { names: ['api-server', 'admin'] }), { issued: ['api-server', 'admin'] })
    const kubeconfig = readFileSync(join(server.directory, 'kubeconfig'), 'utf8')
    assert.ok(kubeconfig.includes(Buffer.from(server.plane.pki.leaf('admin').cert).toString('base64')))
    const { links } = await ask<{ links: LinkReport[] }>('tls-links')
    assert.notEqual(links[0]!.server!.serial, before)
    await assert.rejects(ask('tls-renew', { names: ['nobody'] }), /no certificate of the control plane: nobody/)
    const replaced = await eventually('the old one is known as replaced', async () =>
      (await list()).find(({ serial, state }) => serial === before && state === 'replaced'),
    )
    assert.equal(replaced.name, 'control-plane/api-server')
  })

  test('revoke: open watches end, the next request is refused, others go on', async () => {
    await allowReading('mallory')
    const [mallory, other] = [await userCertificate('mallory'), await userCertificate('mallory')]
    const [client, innocent] = [asUser(mallory), asUser(other)]
    const watch = (from: RemoteClient, signal: AbortSignal): Promise<string> =>
      (async () => {
        for await (const _event of from.watch(CONFIG_MAPS, { namespace: 'default', signal }));
        return 'ended'
      })().catch((error: Error) => error.message)
    const stop = new AbortController()
    const [ended, going] = [watch(client, stop.signal), watch(innocent, stop.signal)]
    await client.list(CONFIG_MAPS, { namespace: 'default' })
    const { serialNumber } = new X509Certificate(mallory.cert)
    const result = await ask<{ revoked: { commonName: string }[] }>('tls-revoke', { serial: serialNumber })
    assert.deepEqual(
      result.revoked.map(({ commonName }) => commonName),
      ['mallory'],
    )
    const first = await Promise.race([ended, sleep(1000, 'still open')])
    assert.notEqual(first, 'still open')
    await assert.rejects(client.list(CONFIG_MAPS, { namespace: 'default' }), /Unauthorized|ECONNRESET|hang up/i)
    await assert.rejects(client.list(CONFIG_MAPS, { namespace: 'default' }), /Unauthorized/)
    await innocent.list(CONFIG_MAPS, { namespace: 'default' })
    assert.equal(await Promise.race([going, sleep(50, 'still open')]), 'still open')
    assert.equal((await list()).find(({ serial }) => serial === serialNumber)!.state, 'revoked')

    await ask('tls-revoke', { user: 'mallory' })
    await assert.rejects(innocent.list(CONFIG_MAPS, { namespace: 'default' }))
    stop.abort()
    client.close()
    innocent.close()
  })

  test('revoking what the control plane uses itself gives it a new one', async () => {
    const old = new X509Certificate(server.plane.pki.leaf('controller-manager').cert).serialNumber
    const { issued } = await ask<{ issued: string[] }>('tls-revoke', { serial: old })
    assert.deepEqual(issued, ['controller-manager'])
    assert.notEqual(new X509Certificate(server.plane.pki.leaf('controller-manager').cert).serialNumber, old)
  })

  test('links: the administrator’s is right in every respect', async () => {
    const { links } = await ask<{ links: LinkReport[] }>('tls-links')
    assert.equal(links.length, 1)
    const [link] = links
    assert.deepEqual(
      link!.probes.filter(({ verdict }) => verdict !== 'right'),
      [],
    )
    assert.equal(link!.client.subject, 'O=system:masters, CN=kubernetes-admin')
    assert.equal(link!.server!.issuer, 'O=rampart, CN=test api-server CA')
  })
})

describe('rotation of authorities', () => {
  test('trust, sign, retire: connections and clients go on, the old one goes when nobody hangs on it', async () => {
    await allowReading('steady')
    const steady = await userCertificate('steady')
    const oldRoot = server.plane.pki.rootPem
    const early = asUser(steady, oldRoot)
    await early.list(CONFIG_MAPS, { namespace: 'default' })

    type Step = { done: boolean; blockers: { name: string; why: string }[]; rotation: { phase: string } }
    assert.equal((await ask<Step>('tls-rotate', { step: 'trust' })).rotation.phase, 'trust')
    const both = server.plane.pki.rootPem
    assert.equal(both.split('BEGIN').length - 1, 2)
    await eventually('kube-root-ca.crt has both', async () => {
      const map = await server.localClient.get(CONFIG_MAPS, 'default', 'kube-root-ca.crt')
      return (map['data'] as Record<string, string>)['ca.crt'] === both
    })
    assert.ok(readFileSync(join(server.directory, 'kubeconfig'), 'utf8').includes(Buffer.from(both).toString('base64')))
    const trust = await eventually('machines are told', async () => {
      const map = await server.localClient.get(CONFIG_MAPS, 'kube-public', 'rampart-trust')
      return (map['data'] as Record<string, string>)['ca.crt'] === both ? map : undefined
    })
    assert.equal((trust['data'] as Record<string, string>)['client-ca.crt']!.split('BEGIN').length - 1, 4)

    assert.ok((await ask<Step>('tls-rotate', { step: 'sign' })).done, 'there are no machines to wait for')
    await early.list(CONFIG_MAPS, { namespace: 'default' }).catch(() => assert.fail('its open connection goes on'))
    const informed = asUser(steady, both)
    await informed.list(CONFIG_MAPS, { namespace: 'default' })
    const fresh = asUser(await userCertificate('steady'), both)
    await fresh.list(CONFIG_MAPS, { namespace: 'default' })

    const refused = await ask<Step>('tls-rotate', { step: 'retire' })
    assert.equal(refused.done, false)
    const names = refused.blockers.map(({ name }) => name)
    assert.ok(names.includes('user/steady') && names.includes('control-plane/admin'), names.join(' '))
    for (const item of await list())
      if (item.retiring && !item.name.startsWith('ca/') && item.state !== 'revoked')
        await ask('tls-revoke', { serial: item.serial })
    assert.ok((await ask<Step>('tls-rotate', { step: 'retire' })).done)
    await assert.rejects(informed.list(CONFIG_MAPS, { namespace: 'default' }))
    await fresh.list(CONFIG_MAPS, { namespace: 'default' })
    const { links } = await ask<{ links: LinkReport[] }>('tls-links')
    assert.ok(links[0]!.right)
    assert.match(links[0]!.server!.issuer, /G2/)
    for (const client of [early, informed, fresh]) client.close()
  })

  test('after a restart everything is as it was', async () => {
    const { directory } = server
    const root = server.plane.pki.rootPem
    await server.close({ keep: true })
    server = await startTestServer({ directory })
    assert.equal(server.plane.pki.rootPem, root)
    await server.remoteClient.list(CONFIG_MAPS, { namespace: 'default' })
  })
})
