import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BIG_BYTES, BigRequests, pauses } from './big-work.ts'

test('what is small is not interrupted', () => {
  assert.equal(pauses(BIG_BYTES), undefined)
  assert.notEqual(pauses(BIG_BYTES + 1), undefined)
})

test('one part of all that is big is done in each round of the event loop', async () => {
  const pause = pauses(BIG_BYTES + 1)!
  const order: string[] = []
  const work = async (name: string): Promise<void> => {
    for (let part = 1; part <= 3; part++) {
      await pause()
      order.push(`${name}${part}`)
    }
  }
  let running = true
  const round = (): void => {
    order.push('-')
    if (running) setImmediate(round)
  }
  setImmediate(round)
  await Promise.all([work('a'), work('b'), work('c')])
  running = false
  const parts = order.join('').split('-')
  assert.ok(
    parts.every((part) => part.length <= 2),
    `more than one part in a round: ${parts}`,
  )
  assert.equal(parts.join(''), 'a1b1c1a2b2c2a3b3c3')
})

test('few at once, fewer of one user, and nobody waits behind a user who has too many', async () => {
  const requests = new BigRequests()
  const order: string[] = []
  const ends: (() => void)[] = []
  const admit = (user: string): Promise<void> =>
    requests.admit(user).then((end) => {
      order.push(user)
      ends.push(end)
    })
  const all = [...Array.from({ length: 4 }, () => admit('a')), admit('b'), admit('c'), admit('d')]
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  await settled()
  assert.deepEqual(order, ['a', 'a', 'b', 'c'])
  ends.shift()!()
  await settled()
  assert.deepEqual(order.slice(4), ['a'], 'the first in the queue who may')
  ends.splice(1, 1)[0]!()
  await settled()
  assert.deepEqual(order.slice(5), ['d'], 'a has two already')
  while (ends.length > 0) {
    ends.shift()!()
    await settled()
  }
  await Promise.all(all)
  assert.equal(order.length, 7)
})

test('a full queue, and one that does not move, answer 429 with Retry-After', async () => {
  const requests = new BigRequests(20)
  const refused = { reason: 'TooManyRequests', code: 429, details: { retryAfterSeconds: 1 } }
  const matches = (error: Error): boolean => {
    const { reason, code, details } = error as unknown as typeof refused
    assert.deepEqual({ reason, code, details: { retryAfterSeconds: details.retryAfterSeconds } }, refused)
    return true
  }
  const end = await requests.admit('a')
  await requests.admit('a')
  const waiting = Array.from({ length: 16 }, () => requests.admit('a'))
  assert.throws(() => requests.refuseIfFull('a'), matches)
  requests.refuseIfFull('b')
  await assert.rejects(requests.admit('a'), matches)
  for (const outcome of await Promise.allSettled(waiting)) {
    assert.equal(outcome.status, 'rejected')
    matches((outcome as PromiseRejectedResult).reason as Error)
  }
  end()
  await requests.admit('a')
})
