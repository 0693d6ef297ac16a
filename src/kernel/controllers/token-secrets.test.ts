import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { JsonObject, KubeObject } from '../api/object.ts'
import { startTestServer, type TestServer } from '../apiserver/testing.ts'
import type { Client, ResourceId } from '../client/client.ts'
import { eventually, gone } from './eventually.ts'
import { SECRETS, SERVICE_ACCOUNTS } from './resource-ids.ts'

const TOKEN_REVIEWS: ResourceId = { group: 'authentication.k8s.io', version: 'v1', resource: 'tokenreviews' }
const NAME = 'kubernetes.io/service-account.name'
const UID = 'kubernetes.io/service-account.uid'

describe('tokens in Secrets', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
  })
  after(async () => await server.close())

  const account = async (name: string): Promise<KubeObject> =>
    await client.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: 'default' },
    })
  const ask = async (name: string, of: string, more: Record<string, string> = {}): Promise<KubeObject> =>
    await client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/service-account-token',
      metadata: { name, namespace: 'default', annotations: { [NAME]: of, ...more } },
    })
  const filled = async (name: string): Promise<{ token: string; secret: KubeObject }> =>
    await eventually(async () => {
      const secret = await client.get(SECRETS, 'default', name)
      const { token } = (secret['data'] ?? {}) as Record<string, string>
      assert.ok(token)
      return { token: Buffer.from(token, 'base64').toString(), secret }
    })
  const review = async (token: string, audiences?: string[]): Promise<JsonObject> => {
    const spec = { token, ...(audiences && { audiences }) }
    const answer = await client.create(TOKEN_REVIEWS, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      metadata: {},
      spec,
    })
    return answer['status'] as JsonObject
  }

  test('a ServiceAccount gets none unasked', async () => {
    const made = await account('unasked')
    await ask('asked-meanwhile', 'unasked')
    await filled('asked-meanwhile')
    assert.equal((await client.get(SERVICE_ACCOUNTS, 'default', 'unasked'))['secrets'], undefined)
    const { items } = await client.list(SECRETS, { namespace: 'default' })
    assert.deepEqual(
      items.filter((s) => s.metadata.annotations?.[UID] === made.metadata.uid).map((s) => s.metadata.name),
      ['asked-meanwhile'],
    )
  })

  test('who asks for one gets token, namespace and ca.crt, and the token signs in', async () => {
    const made = await account('robot')
    await ask('robot-token', 'robot')
    const { token, secret } = await filled('robot-token')
    const data = secret['data'] as Record<string, string>
    assert.equal(Buffer.from(data['namespace']!, 'base64').toString(), 'default')
    assert.equal(Buffer.from(data['ca.crt']!, 'base64').toString(), server.ca)
    assert.equal(secret.metadata.annotations?.[UID], made.metadata.uid)
    const status = await review(token)
    assert.equal(status['authenticated'], true)
    assert.deepEqual(status['user'], {
      username: 'system:serviceaccount:default:robot',
      uid: made.metadata.uid,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    })
    assert.equal((await review(token, ['https://elsewhere.example']))['authenticated'] ?? false, false)
  })

  test('the token ends with its Secret, its account, and the label of the clean-up', async () => {
    await account('mortal')
    for (const name of ['one', 'two', 'three']) await ask(`mortal-${name}`, 'mortal')
    const [one, two, three] = await Promise.all(['one', 'two', 'three'].map((n) => filled(`mortal-${n}`)))
    await client.delete(SECRETS, 'default', 'mortal-one')
    assert.equal((await review(one!.token))['authenticated'] ?? false, false)
    await client.patch(SECRETS, 'default', 'mortal-two', 'merge', {
      metadata: { labels: { 'kubernetes.io/legacy-token-invalid-since': '2026-01-01' } },
    })
    assert.equal((await review(two!.token))['authenticated'] ?? false, false)
    assert.equal((await review(three!.token))['authenticated'], true)
    await client.delete(SERVICE_ACCOUNTS, 'default', 'mortal')
    assert.equal((await review(three!.token))['authenticated'] ?? false, false)
    await gone(async () => await client.get(SECRETS, 'default', 'mortal-three'))
  })

  test('another token in the Secret is replaced and was never accepted; a lost one comes back', async () => {
    await account('mended')
    await ask('mended-token', 'mended')
    const { token } = await filled('mended-token')
    const write = async (data: Record<string, string | null>): Promise<unknown> =>
      await client.patch(SECRETS, 'default', 'mended-token', 'merge', { data })
    await write({ token: Buffer.from('x.y.z').toString('base64') })
    await eventually(async () => {
      const now = await filled('mended-token')
      assert.equal((await review(now.token))['authenticated'], true)
    })
    assert.equal((await review('x.y.z'))['authenticated'] ?? false, false)
    await write({ token: null })
    assert.equal((await review((await filled('mended-token')).token))['authenticated'], true)
    assert.notEqual(token, '')
  })

  test('a Secret of an account that is not there, or was made anew, is deleted', async () => {
    await ask('nobody-token', 'nobody')
    await gone(async () => await client.get(SECRETS, 'default', 'nobody-token'))
    await account('again')
    await ask('again-token', 'again', { [UID]: '00000000-0000-0000-0000-000000000000' })
    await gone(async () => await client.get(SECRETS, 'default', 'again-token'))
  })

  test('a retired signing key takes its tokens along, and the Secret gets a new one', async () => {
    await account('rotated')
    await ask('rotated-token', 'rotated')
    const { token } = await filled('rotated-token')
    const rotation = server.plane.pki.serviceAccountKeyRotation
    rotation.rotate()
    assert.equal((await review(token))['authenticated'], true)
    rotation.retire(1)
    assert.equal((await review(token))['authenticated'] ?? false, false)
    // The next look at the Secret (ten minutes at most, or any change) finds that the token does not count.
    await client.patch(SECRETS, 'default', 'rotated-token', 'merge', { metadata: { labels: { look: 'now' } } })
    await eventually(async () =>
      assert.equal((await review((await filled('rotated-token')).token))['authenticated'], true),
    )
  })
})
