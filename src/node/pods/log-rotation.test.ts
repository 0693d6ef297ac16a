import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { removeLogs, rotateLog } from './log-rotation.ts'

test('logs are put aside when they are large, up to five files, and removed together', async () => {
  const folder = mkdtempSync(join(tmpdir(), `rampart-logs-${process.pid}-`))
  try {
    const log = join(folder, '0.log')
    writeFileSync(join(folder, '1.log'), 'of the next run')
    writeFileSync(log, 'small')
    assert.equal(await rotateLog(log, new Date(0), () => Promise.reject(new Error('not called')), 10), false)
    for (let i = 0; i < 8; i++) {
      writeFileSync(log, `large enough ${i}`)
      assert.equal(
        await rotateLog(log, new Date(Date.UTC(2026, 0, 1, 0, 0, i)), async () => writeFileSync(log, ''), 10),
        true,
      )
    }
    const names = [
      '0.log',
      '0.log.20260101000004',
      '0.log.20260101000005',
      '0.log.20260101000006',
      '0.log.20260101000007',
    ]
    assert.deepEqual(readdirSync(folder).sort(), [...names, '1.log'])
    writeFileSync(log, 'large enough, once more')
    await assert.rejects(
      rotateLog(log, new Date(0), () => Promise.reject(new Error('away')), 10),
      /away/,
    )
    assert.equal(readFileSync(log, 'utf8'), 'large enough, once more')
    removeLogs(log)
    assert.deepEqual(readdirSync(folder), ['1.log'])
    removeLogs(join(folder, 'none/0.log'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
