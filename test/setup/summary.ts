import type { TestEvent } from 'node:test/reporters'

/** Reporter for the many fast tests: only what failed or was skipped, then the counts. */
export default async function* summary(source: AsyncIterable<TestEvent>): AsyncIterable<string> {
  const counts = { pass: 0, fail: 0, skipped: 0 }
  for await (const event of source) {
    if (event.type === 'test:fail') {
      const { name, file, line, details } = event.data
      if (details.type === 'suite') continue
      counts.fail++
      const cause = details.error.cause
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? details.error)
      yield `not ok: ${name} (${file ?? ''}:${line ?? ''})\n${text.replace(/^/gm, '    ')}\n`
    } else if (event.type === 'test:pass') {
      if (event.data.details.type === 'suite') continue
      if (event.data.skip !== undefined) {
        counts.skipped++
        yield `skipped: ${event.data.name} (${event.data.skip === true ? 'no reason given' : event.data.skip})\n`
      } else counts.pass++
    } else if (event.type === 'test:stderr') yield event.data.message
  }
  yield `\nℹ tests ${counts.pass + counts.fail + counts.skipped}\nℹ pass ${counts.pass}\nℹ fail ${counts.fail}\nℹ skipped ${counts.skipped}\n`
}
