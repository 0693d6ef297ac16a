import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { startTestServer, type TestServer } from '../apiserver/testing.ts'
import type { Client } from '../client/client.ts'
import { testAuthority } from '../client/test-certificates.ts'
import { FakeTime } from '../controller/fake-time.ts'
import { microTime } from '../controller/leader-election.ts'
import { runControllers } from '../controller/runner.ts'
import type { ControllerFactory } from '../feature.ts'
import { IDENTITY_LABEL, IDENTITY_VALUE } from './apiserver-identity.ts'
import { bootstrapTokenExpiry, tokenExpires } from './bootstrap-token-expiry.ts'
import { requestIsOver } from './certificate-request-cleanup.ts'
import { eventExpiry, lastSeen } from './event-expiry.ts'
import { eventually, gone } from './eventually.ts'
import { leaseExpiry, leaseHasExpired } from './lease-expiry.ts'
import { EVENTS, LEASES, NAMESPACES, SECRETS } from './resource-ids.ts'

const NOW = Date.parse('2026-06-01T12:00:00Z')
const HOUR = 3_600_000
const ago = (ms: number): string => new Date(NOW - ms).toISOString().replace('.000Z', 'Z')
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('when something is over', () => {
  test('certificate requests', async () => {
    const { cert } = await (await testAuthority('ca')).issue('x')
    const condition = (type: string, age: number): object => ({ type, lastUpdateTime: ago(age) })
    const request = (created: number, conditions: object[], certificate?: string): KubeObject => ({
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: 'r', creationTimestamp: ago(created) },
      status: { conditions, ...(certificate ? { certificate: base64(certificate) } : {}) },
    })
    const valid = cert
    const rows: [string, KubeObject, string | undefined][] = [
      ['new', request(0, []), undefined],
      ['pending 23 h', request(23 * HOUR, []), undefined],
      ['pending 25 h', request(25 * HOUR, []), 'pending for 24 hours'],
      ['denied now', request(HOUR, [condition('Denied', HOUR - 1000)]), undefined],
      ['denied long ago', request(2 * HOUR, [condition('Denied', HOUR + 1000)]), 'denied an hour ago'],
      [
        'failed long ago',
        request(2 * HOUR, [condition('Approved', 0), condition('Failed', HOUR + 1000)]),
        'failed an hour ago',
      ],
      ['approved, waits for its certificate', request(2 * HOUR, [condition('Approved', 2 * HOUR)]), undefined],
      [
        'approved and forgotten',
        request(25 * HOUR, [condition('Approved', 25 * HOUR)]),
        'approved and not issued for 24 hours',
      ],
      ['issued now', request(HOUR, [condition('Approved', HOUR - 1000)], valid), undefined],
      ['issued long ago', request(2 * HOUR, [condition('Approved', HOUR + 1000)], valid), 'issued an hour ago'],
      ['issued, no certificate at all', request(0, [condition('Approved', 0)], 'nonsense'), undefined],
    ]
    for (const [name, object, expected] of rows) assert.equal(requestIsOver(object, NOW), expected, name)
    const soonOver = request(0, [condition('Approved', 0)], valid)
    assert.equal(requestIsOver(soonOver, Date.parse('2121-01-01T00:00:00Z')), 'issued an hour ago')
    const future = { type: 'Approved', lastUpdateTime: '2121-01-01T00:00:00Z' }
    assert.equal(
      requestIsOver(request(0, [future], valid), Date.parse('2121-01-01T00:00:00Z')),
      'the certificate has expired',
    )
  })

  test('leases', () => {
    const lease = (spec: object): KubeObject => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {},
      spec,
    })
    assert.equal(leaseHasExpired(lease({ renewTime: microTime(NOW - 59_000), leaseDurationSeconds: 60 }), NOW), false)
    assert.equal(leaseHasExpired(lease({ renewTime: microTime(NOW - 61_000), leaseDurationSeconds: 60 }), NOW), true)
    assert.equal(leaseHasExpired(lease({ leaseDurationSeconds: 60 }), NOW), true)
    assert.equal(leaseHasExpired(lease({}), NOW), true)
  })

  test('bootstrap tokens', () => {
    const token = (expiration?: string): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {},
      data: expiration === undefined ? {} : { expiration: base64(expiration) },
    })
    assert.equal(tokenExpires(token()), undefined)
    assert.equal(tokenExpires(token('2026-06-01T12:00:00Z')), NOW)
    assert.equal(tokenExpires(token('tomorrow')), 0)
  })

  test('events are counted from when they were last seen', () => {
    const event = (fields: object): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { creationTimestamp: ago(5 * HOUR) },
      ...fields,
    })
    assert.equal(lastSeen(event({})), NOW - 5 * HOUR)
    assert.equal(lastSeen(event({ lastTimestamp: ago(HOUR), eventTime: null })), NOW - HOUR)
    assert.equal(lastSeen(event({ eventTime: ago(2 * HOUR), series: { lastObservedTime: ago(1000) } })), NOW - 1000)
  })
})

describe('cleaners on a server', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
    for (const name of ['kube-system', 'default']) await eventually(async () => await client.get(NAMESPACES, '', name))
  })
  after(async () => await server.close())

  /** A second instance of the controller, on a clock of its own. */
  async function under(
    factory: (time: FakeTime) => ControllerFactory,
    run: (time: FakeTime) => Promise<void>,
  ): Promise<void> {
    const time = new FakeTime(Date.now())
    const stop = new AbortController()
    const context = { client, clock: time, log: (): void => undefined }
    const done = runControllers({ factories: [factory(time)], context, timers: time }, stop.signal)
    try {
      await run(time)
    } finally {
      stop.abort()
      await done
    }
  }

  test('events go after an hour, those seen since stay', async () => {
    const event = async (name: string, fields: object): Promise<unknown> =>
      await client.create(EVENTS, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace: 'default' },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'default' },
        reason: 'Test',
        type: 'Normal',
        ...fields,
      })
    await event('old', {})
    await event('seen', { lastTimestamp: new Date(Date.now() + HOUR).toISOString().replace(/\.\d+Z/, 'Z') })
    await under(
      (time) => eventExpiry({ timers: time }),
      async (time) => {
        await time.advance(0.5 * HOUR)
        await client.get(EVENTS, 'default', 'old')
        await time.advance(HOUR)
        await gone(() => client.get(EVENTS, 'default', 'old'))
        await client.get(EVENTS, 'default', 'seen')
      },
    )
  })

  test('leases of API servers that are gone go; all others stay', async () => {
    const lease = async (name: string, labels: Record<string, string>): Promise<unknown> =>
      await client.create(LEASES, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: 'kube-system', labels },
        spec: { holderIdentity: name, leaseDurationSeconds: 60, renewTime: microTime(Date.now()) },
      })
    await lease('apiserver-gone', { [IDENTITY_LABEL]: IDENTITY_VALUE })
    await lease('some-leader', {})
    await under(
      (time) => leaseExpiry({ timers: time }),
      async (time) => {
        await time.advance(200_000)
        await gone(() => client.get(LEASES, 'kube-system', 'apiserver-gone'))
        await client.get(LEASES, 'kube-system', 'some-leader')
      },
    )
  })

  test('bootstrap tokens go when they expire; a renewed one later', async () => {
    const token = async (id: string, expiration: number): Promise<unknown> =>
      await client.create(SECRETS, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
        type: 'bootstrap.kubernetes.io/token',
        data: {
          'token-id': base64(id),
          'token-secret': base64('0123456789abcdef'),
          expiration: base64(new Date(expiration).toISOString()),
        },
      })
    const read = (id: string) => () => client.get(SECRETS, 'kube-system', `bootstrap-token-${id}`)
    await token('aaaaaa', Date.now() + 2 * HOUR)
    await token('bbbbbb', Date.now() + 2 * HOUR)
    await under(
      (time) => bootstrapTokenExpiry({ timers: time }),
      async (time) => {
        await time.advance(1.5 * HOUR)
        await read('aaaaaa')()
        const later = { data: { expiration: base64(new Date(Date.now() + 50 * HOUR).toISOString()) } }
        await client.patch(SECRETS, 'kube-system', 'bootstrap-token-bbbbbb', 'merge', later)
        await eventually(async () => {
          await time.advance(HOUR)
          await assert.rejects(read('aaaaaa')())
        })
        await read('bbbbbb')()
      },
    )
    // The server's own instance, on the real clock, sees a token that is over already.
    await token('cccccc', Date.now() - 1000)
    await gone(read('cccccc'))
  })
})
