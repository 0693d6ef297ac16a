import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { STREAM_IDLE_MS } from '../../kernel/streams/upgrade.ts'
import { type LogRequest, readLog } from './log-file.ts'
import { demandContainer, findPod, KubeletError, withoutLog } from './pod-lookup.ts'
import type { ContainerRun, KubeletRuntime } from './runtime.ts'

/** The query of /containerLogs; throws KubeletError 400. */
export function logRequest(query: URLSearchParams, now: number): LogRequest & { previous: boolean } {
  const flag = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '')
  const number = (name: string, least: number): number | undefined => {
    const text = query.get(name)
    if (text === null || text === '' || (name === 'tailLines' && text === 'all')) return undefined
    const value = Number(text)
    if (!/^\d{1,15}$/.test(text) || value < least)
      throw new KubeletError(400, `${name} must be an integer of at least ${least}`)
    return value
  }
  const sinceSeconds = number('sinceSeconds', 1)
  const sinceTime = query.get('sinceTime') || undefined
  if (sinceTime !== undefined && (sinceSeconds !== undefined || Number.isNaN(Date.parse(sinceTime))))
    throw new KubeletError(400, 'sinceTime must be a time of RFC 3339, without sinceSeconds')
  const stream = query.get('stream') || 'All'
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr')
    throw new KubeletError(400, 'stream must be All, Stdout or Stderr')
  const tailLines = number('tailLines', 0)
  if (stream !== 'All' && tailLines !== undefined)
    throw new KubeletError(400, 'tailLines cannot be combined with a stream')
  const limitBytes = number('limitBytes', 1)
  const since = sinceSeconds === undefined ? sinceTime && Date.parse(sinceTime) : now - sinceSeconds * 1000
  return {
    follow: flag('follow'),
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    stream,
    ...(typeof since === 'number' ? { since } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  }
}

/** /containerLogs/NAMESPACE/POD/CONTAINER. Rejects with KubeletError until the first byte is out. */
export async function serveContainerLogs(
  runtime: KubeletRuntime,
  [namespace, name, container]: readonly [string, string, string],
  request: LogRequest & { previous: boolean },
  res: ServerResponse,
): Promise<void> {
  const pod = findPod(runtime.pods(), namespace, name, '')
  demandContainer(pod, container)
  const missing = withoutLog(pod, container, request.previous)
  if (missing !== undefined) throw missing
  const uid = pod.metadata.uid ?? ''
  const run = pick(await runtime.containerRuns(uid, container), request.previous)
  if (run === undefined)
    throw request.previous
      ? new KubeletError(
          400,
          `previous terminated container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} not found`,
        )
      : new KubeletError(400, `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} is not available`)
  const isRunning = async (): Promise<boolean> => {
    const current = (await runtime.containerRuns(uid, container)).find((r) => r.id === run.id)
    return current?.state === 'running' || current?.state === 'created'
  }
  await send(readLog({ path: run.logPath, isRunning }, request, closing(res)), run, res)
}

function pick(runs: readonly ContainerRun[], previous: boolean): ContainerRun | undefined {
  if (!previous) return runs.find((run) => run.state !== 'created') ?? runs[0]
  const current = runs.findIndex((run) => run.state === 'running' || run.state === 'exited')
  return runs.slice(current + 1).find((run) => run.state === 'exited')
}

function closing(res: ServerResponse): AbortSignal {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  return gone.signal
}

async function send(log: AsyncGenerator<Buffer>, run: ContainerRun, res: ServerResponse): Promise<void> {
  res.setHeader('Content-Type', 'text/plain')
  res.socket?.setTimeout(STREAM_IDLE_MS)
  try {
    // The head goes out with the first line, or at once when there is none yet: who follows must not be left waiting.
    const flush = setTimeout(() => res.flushHeaders(), 50)
    try {
      for await (const chunk of log) {
        if (!res.write(chunk)) await Promise.race([once(res, 'drain'), once(res, 'close')])
        if (res.destroyed) return
      }
    } finally {
      clearTimeout(flush)
    }
    res.end()
  } catch (error) {
    if (res.headersSent) {
      res.destroy()
      return
    }
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new KubeletError(404, `the log of container ${JSON.stringify(run.id)} is not there any more`)
  }
}
