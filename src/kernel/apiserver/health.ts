/** One named check of /livez, /readyz or /healthz; a rejection's message is the reason. */
export type HealthCheck = { name: string; check: () => void | Promise<void> }

/** Kubernetes' text form; `verbose` lists every check, otherwise only a failure does. Excluded checks are not run. */
export async function runChecks(
  path: string,
  checks: readonly HealthCheck[],
  query: URLSearchParams,
): Promise<{ code: number; text: string }> {
  const excluded = new Set(query.getAll('exclude'))
  const results = await Promise.all(
    checks.map(async ({ name, check }) => {
      if (excluded.has(name)) return { name, state: 'excluded' as const, reason: '' }
      try {
        await check()
        return { name, state: 'ok' as const, reason: '' }
      } catch (error) {
        return { name, state: 'failed' as const, reason: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
  const failed = results.some((r) => r.state === 'failed')
  const probe = path.replace(/^\//, '')
  if (!failed && !query.has('verbose')) return { code: 200, text: 'ok' }
  const lines = results.map((r) =>
    r.state === 'ok'
      ? `[+]${r.name} ok`
      : r.state === 'excluded'
        ? `[+]${r.name} excluded: ok`
        : `[-]${r.name} failed: ${r.reason}`,
  )
  return { code: failed ? 500 : 200, text: `${lines.join('\n')}\n${probe} check ${failed ? 'failed' : 'passed'}\n` }
}
