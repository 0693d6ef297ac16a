import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { logRequest } from './container-logs.ts'
import { type LogRequest, readLog } from './log-file.ts'
import { LogRenderer, parseLogLine } from './log-line.ts'
import { KubeletError } from './pod-lookup.ts'

const folder = mkdtempSync(join(tmpdir(), 'rampart-log-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const at = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}.123456789Z`
const lines = [
  `${at(1)} stdout F one\n`,
  `${at(2)} stderr F two\n`,
  `${at(3)} stdout P thr\n`,
  `${at(3)} stdout F ee\n`,
  `${at(4)} stdout F \n`,
  `${at(5)} stderr F five\n`,
].join('')

async function text(log: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of log) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
const signal = new AbortController().signal
const everything: LogRequest = { follow: false, timestamps: false, stream: 'All' }
const ended = { isRunning: async () => false }

describe('container logs', () => {
  const rows: [string, Partial<LogRequest>, string][] = [
    ['all', {}, 'one\ntwo\nthree\n\nfive\n'],
    ['from a time', { since: Date.parse(at(3)) }, 'three\n\nfive\n'],
    ['from a time to come', { since: Date.parse(at(59)) }, ''],
    ['with times, once a line', { timestamps: true, tailLines: 4 }, `${at(3)} three\n${at(4)} \n${at(5)} five\n`],
    ['the last lines', { tailLines: 2 }, '\nfive\n'],
    ['no line', { tailLines: 0 }, ''],
    ['more lines than there are', { tailLines: 100 }, 'one\ntwo\nthree\n\nfive\n'],
    ['the first bytes', { limitBytes: 6 }, 'one\ntw'],
    ['one stream', { stream: 'Stderr' }, 'two\nfive\n'],
  ]
  const path = join(folder, 'rows.log')
  writeFileSync(path, lines)
  for (const [name, request, expected] of rows)
    it(name, async () => {
      assert.equal(await text(readLog({ path, ...ended }, { ...everything, ...request }, signal)), expected)
    })

  it('skips lines that are none', () => {
    for (const line of ['\n', 'hello\n', `${at(1)} stdin F x\n`, ' stdout F x\n'])
      assert.equal(parseLogLine(Buffer.from(line)), undefined)
  })

  it('finds the last lines of a long log as a slow reading does', async () => {
    const long = join(folder, 'long.log')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 12 }),
        fc.integer({ min: 0, max: 14 }),
        async (lengths, tailLines) => {
          writeFileSync(long, lengths.map((n, i) => `${at(i)} stdout F ${'x'.repeat(n)}${i}\n`).join(''))
          const expected = lengths
            .map((n, i) => `${'x'.repeat(n)}${i}\n`)
            .slice(Math.max(0, lengths.length - tailLines))
          const got = await text(readLog({ path: long, ...ended }, { ...everything, tailLines }, signal))
          assert.equal(got, expected.join(''))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (all) => {
        const out: Buffer[] = []
        const renderer = new LogRenderer({ ...everything, limitBytes: 100 })
        for (const bytes of all) renderer.render(Buffer.from(bytes), out)
        assert.ok(Buffer.concat(out).length <= 100)
      }),
    )
  })

  it('follows what is written, over a rotation, until the container ends', async () => {
    const log = join(folder, 'follow.log')
    writeFileSync(log, `${at(1)} stdout F 1\n`)
    let running = true
    const following = readLog(
      { path: log, isRunning: async () => running },
      { ...everything, follow: true },
      AbortSignal.timeout(20_000),
    )
    const next = async (): Promise<string> => String((await following.next()).value)
    assert.equal(await next(), '1\n')
    appendFileSync(log, `${at(2)} stdout F 2\n${at(3)} stdout F ha`)
    assert.equal(await next(), '2\n')
    appendFileSync(log, `lf\n`)
    assert.equal(await next(), 'half\n')
    // As log rotation does it: what is written until the runtime opens the new file goes to the old one.
    renameSync(log, `${log}.old`)
    appendFileSync(`${log}.old`, `${at(4)} stdout F 4\n`)
    assert.equal(await next(), '4\n')
    writeFileSync(log, `${at(5)} stdout F 5\n`)
    assert.equal(await next(), '5\n')
    running = false
    appendFileSync(log, `${at(6)} stdout F 6\n`)
    assert.equal(await text(following), '6\n')
  })

  it('stops when its reader goes', async () => {
    const log = join(folder, 'gone.log')
    writeFileSync(log, '')
    const gone = new AbortController()
    const following = text(
      readLog({ path: log, isRunning: async () => true }, { ...everything, follow: true }, gone.signal),
    )
    setTimeout(() => gone.abort(), 20)
    assert.equal(await following, '')
  })

  const queries: [string, RegExp][] = [
    ['tailLines=-1', /tailLines/],
    ['limitBytes=0', /limitBytes/],
    ['sinceSeconds=1e3', /sinceSeconds/],
    ['sinceTime=never', /sinceTime/],
    ['stream=Both', /stream/],
    ['stream=Stdout&tailLines=1', /tailLines/],
  ]
  for (const [query, message] of queries)
    it(`refuses ?${query}`, () => {
      const refused = (e: Error): boolean => e instanceof KubeletError && e.code === 400 && message.test(e.message)
      assert.throws(() => logRequest(new URLSearchParams(query), 0), refused)
    })
})
