/**
 * Runs on the machine, from the uploaded bundle: `reach.ts URL CA-FILE`. Says over TLS hello to the API server, verified
 * with that CA, and prints one JSON line: `{ "ok": true, "date": "…" }` or `{ "ok": false, "reason": "…" }`.
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'

const [url = '', caFile = ''] = process.argv.slice(2)
const tell = (value: Record<string, unknown>): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

const asked = request(
  new URL('/healthz', url),
  { ca: readFileSync(caFile), minVersion: 'TLSv1.2', timeout: 10_000, agent: false },
  (answer) => {
    answer.resume()
    answer.once('end', () =>
      tell(
        answer.statusCode === 200
          ? { ok: true, date: answer.headers.date ?? '' }
          : { ok: false, reason: `it answers ${answer.statusCode} for its health` },
      ),
    )
  },
)
asked.once('timeout', () => asked.destroy(new Error('no answer within 10 s')))
asked.once('error', (error) => tell({ ok: false, reason: error.message }))
asked.end()
