import { pipeline } from 'node:stream/promises'
import { ApiError, badRequest } from '../../api/status.ts'
import { type BackendAnswer, refusalText } from '../../streams/exchange.ts'
import { STREAM_IDLE_MS } from '../../streams/upgrade.ts'
import type { ResourceRequest } from '../http/resource-request.ts'

/** Passes a container's log on as it comes; what the kubelet refuses is refused in its words. */
export async function sendLog(r: ResourceRequest, answer: BackendAnswer): Promise<void> {
  const { response } = answer
  if (answer.kind === 'upgraded') {
    answer.socket.destroy()
    throw new ApiError('InternalError', 'the kubelet switched protocols unasked')
  }
  const code = response.statusCode ?? 0
  if (code !== 200) throw logRefusal(r.info.name, code, await refusalText(response))
  r.beforeHead()
  r.res.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-cache, private' })
  r.res.flushHeaders()
  r.onLongRunning(() => r.res.destroy())
  r.req.socket.setTimeout(STREAM_IDLE_MS)
  try {
    await pipeline(response, r.res)
  } catch {
    // Either end went away: the caller sees a body that is not finished.
    response.destroy()
    r.res.destroy()
  }
}

/** k8s.io/apiserver/pkg/registry/generic/rest: GenericHttpResponseChecker. */
function logRefusal(pod: string, code: number, text: string): ApiError {
  if (code === 400) return badRequest(text)
  if (code === 404)
    return new ApiError('NotFound', `the server could not find the requested resource (get pods/log ${pod}): ${text}`)
  return new ApiError('InternalError', `the kubelet answered ${code}: ${text}`)
}
