/** Kubernetes' own migration, `kubectl get … -o json | kubectl replace -f -`: what changes nothing is written again when its key is old. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { startTestServer } from '../../../kernel/apiserver/testing.ts'

const SECRETS = { group: '', version: 'v1', resource: 'secrets' }
const KEY = '/registry/core/secrets/default/a'
const configuration = (...providers: object[]): string =>
  JSON.stringify({
    kind: 'EncryptionConfiguration',
    apiVersion: 'apiserver.config.k8s.io/v1',
    resources: [{ resources: ['secrets'], providers }],
  })
const aesgcm = { aesgcm: { keys: [{ name: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }] } }

test('an update that changes nothing is stored with today’s key, and once only', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-replace-'))
  const file = join(folder, 'encryption.json')
  writeFileSync(file, configuration({ identity: {} }, aesgcm), { mode: 0o600 })
  const server = await startTestServer({ settings: { encryptionProviderConfig: file } })
  try {
    const client = server.remoteClient
    const stored = async (): Promise<{ text: string; revision: number }> => {
      const { value, modRevision } = (await server.plane.store.range({ key: KEY })).kvs[0]!
      return { text: Buffer.from(value).toString('latin1'), revision: modRevision }
    }
    await client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a', namespace: 'default' },
      stringData: { password: 'in the clear' },
    } as unknown as KubeObject)
    const before = await stored()
    assert.match(before.text, /aW4gdGhlIGNsZWFy/)
    await client.update(SECRETS, await client.get(SECRETS, 'default', 'a'))
    assert.equal((await stored()).revision, before.revision, 'nothing had changed')

    writeFileSync(file, configuration(aesgcm, { identity: {} }))
    await server.plane.encryption.refresh()
    const read = await client.get(SECRETS, 'default', 'a')
    const written = await client.update(SECRETS, read)
    const after = await stored()
    assert.match(after.text, /^k8s:enc:aesgcm:v1:k1:/)
    assert.ok(after.revision > before.revision)
    assert.equal(written.metadata.resourceVersion, String(after.revision))
    await client.update(SECRETS, written)
    assert.equal((await stored()).revision, after.revision)
    assert.deepEqual((await client.get(SECRETS, 'default', 'a'))['data'], read['data'])
  } finally {
    await server.close()
    rmSync(folder, { recursive: true })
  }
})
