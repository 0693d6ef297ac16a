import { ApiError, notFound } from '../../api/status.ts'
import { isTrue } from '../request-info.ts'
import { cacheKey } from '../verbs/commit.ts'
import { list, parseResourceVersion } from '../verbs/list.ts'
import { watch } from '../verbs/watch.ts'
import { encodeList } from './encode.ts'
import {
  encodeContext,
  listParameters,
  namespaceOf,
  numberParameter,
  type ResourceRequest,
  responseOptions,
  sendEntry,
} from './resource-request.ts'
import { sendChunks, statusOf } from './respond.ts'
import { WatchStream } from './watch-stream.ts'

export async function get(r: ResourceRequest): Promise<void> {
  const { core, kind, info } = r
  const version = parseResourceVersion(info.query.get('resourceVersion') ?? undefined)
  if (version === undefined) await core.cache.fresh()
  else if (version > 0) await core.cache.waitFor(version)
  const entry = core.cache.resource(kind.prefix).get(cacheKey(namespaceOf(r), info.name))
  if (entry === undefined) throw notFound(kind.definition.group, kind.definition.plural, info.name)
  return sendEntry(r, 200, entry)
}

export async function listVerb(r: ResourceRequest): Promise<void> {
  const context = encodeContext(r)
  const page = await list(r.core.cache, r.core.store, r.kind, listParameters(r))
  r.beforeHead()
  return sendChunks(r.res, 200, encodeList(r.kind, page, context), responseOptions(r, context.accepted.media))
}

/** Without timeoutSeconds a watch lives between 30 and 60 minutes, as kube-apiserver's default has it. */
const MIN_WATCH_SECONDS = 1800

export async function watchVerb(r: ResourceRequest): Promise<void> {
  const { core, kind, info, res } = r
  const allowBookmarks = isTrue(info.query.get('allowWatchBookmarks'))
  const sendInitial = info.query.get('sendInitialEvents')
  // A list that is streamed is never a table (KEP-3157).
  const asked = encodeContext(r, allowBookmarks && isTrue(sendInitial) ? ['object', 'partial'] : undefined)
  // Metadata of a list is nothing that an event has: kube-apiserver sends the objects then.
  const context = asked.accepted.ofList ? { ...asked, accepted: { ...asked.accepted, form: 'object' as const } } : asked
  const { limit: _limit, continue: _continue, ...selection } = listParameters(r)
  const timeout = numberParameter(info.query, 'timeoutSeconds') ?? 0
  const seconds = timeout > 0 ? timeout : MIN_WATCH_SECONDS * (1 + Math.random())
  const stream = new WatchStream(res, { kind, encode: context, allowBookmarks, now: core.clock.now })

  let headSent = false
  const sendHead = (): void => {
    if (headSent) return
    headSent = true
    r.beforeHead()
    const contentType =
      context.accepted.form === 'object'
        ? 'application/json'
        : `application/json;as=${context.accepted.form === 'table' ? 'Table' : 'PartialObjectMetadata'};v=${context.accepted.metaVersion};g=meta.k8s.io`
    res.writeHead(200, {
      'Content-Type': contentType,
      'Cache-Control': 'no-cache, private',
      'Transfer-Encoding': 'chunked',
    })
    res.flushHeaders()
  }
  let cancel: () => void
  try {
    cancel = await watch(
      core.cache,
      core.store,
      kind,
      {
        ...selection,
        allowWatchBookmarks: allowBookmarks,
        ...(sendInitial === null ? {} : { sendInitialEvents: isTrue(sendInitial) }),
      },
      {
        send: (type, entry, event) => stream.send(type, entry, event),
        bookmark: (revision, end) => stream.bookmark(revision, end),
        started: (revision) => {
          sendHead()
          stream.started(revision)
        },
        ended: () => stream.ended(),
      },
    )
  } catch (error) {
    // Too old: Kubernetes answers such a watch with 200 and one ERROR event; a bad request stays an HTTP error.
    if (!(error instanceof ApiError) || error.reason !== 'Expired') throw error
    sendHead()
    stream.error(statusOf(error).status)
    stream.finish()
    return
  }
  stream.startBookmarks(() => core.cache.revision)
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => stream.finish(), Math.min(seconds * 1000, 2 ** 31 - 1))
    timer.unref()
    r.onLongRunning(() => stream.finish())
    // Nothing to send for long is how watches are; a reader that takes nothing of what is there is not.
    res.on('timeout', () => {
      if (res.writableLength > 0) res.destroy()
    })
    res.once('close', () => {
      clearTimeout(timer)
      cancel()
      stream.stop()
      resolve()
    })
    if (res.destroyed) res.emit('close')
  })
}
