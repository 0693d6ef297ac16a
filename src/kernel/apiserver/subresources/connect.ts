import type { KubeObject } from '../../api/object.ts'
import { notFound } from '../../api/status.ts'
import { namespaceOf, numberParameter, type ResourceRequest } from '../http/resource-request.ts'
import { connectPod } from '../node-proxy/pod-connect.ts'
import { connectProxy } from '../node-proxy/proxy-connect.ts'
import { isTrue } from '../request-info.ts'
import { admissionRequest } from '../verbs/admission-request.ts'
import { current } from '../verbs/update.ts'

/** Subresources that lead to what runs behind the object, and never to the object itself. */
export const CONNECT: ReadonlySet<string> = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

/** Subresources whose GET is more than a look. */
const INTERACTIVE: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward'])

/** The object's own content is not for who may only connect. Rejects with ApiError until an answer has begun. */
export async function connect(r: ResourceRequest): Promise<void> {
  const { core, kind, info } = r
  const { group, plural } = kind.definition
  // A WebSocket begins with a GET, which must not make a command of what may only be read (KEP-4006, since 1.35).
  if (info.verb === 'get' && INTERACTIVE.has(info.subresource)) await r.caller.authorizeCreate()
  await admit(r)
  if (info.subresource === 'proxy') return connectProxy(r)
  const entry = await current(core, kind, namespaceOf(r), info.name)
  if (entry === undefined) throw notFound(group, plural, info.name)
  return connectPod(r, entry.shared())
}

/** CONNECT is admitted before anybody looks whether the object is there; reading a log is a get. */
async function admit(r: ResourceRequest): Promise<void> {
  const { core, kind, info, caller } = r
  const options = kind.subresource(info.subresource)?.kind
  if (options === undefined) return
  const request = admissionRequest(
    'CONNECT',
    kind,
    {
      subresource: info.subresource,
      kind: options,
      namespace: namespaceOf(r),
      name: info.name,
      object: connectOptions(r, options.kind),
      oldObject: undefined,
    },
    { dryRun: false, options: undefined },
    caller,
  )
  await core.admission.mutate(request)
  await core.admission.validate(request)
}

/** PodExecOptions and the like from the query, with their defaults; they have no metadata. */
function connectOptions(r: ResourceRequest, kind: string): KubeObject {
  const { query } = r.info
  const options: Record<string, unknown> = { kind, apiVersion: 'v1' }
  if (kind === 'PodExecOptions' || kind === 'PodAttachOptions') {
    for (const name of ['stdin', 'tty']) if (query.has(name) && isTrue(query.get(name))) options[name] = true
    // Defaulted whatever the caller says (pkg/apis/core/v1: SetDefaults_PodExecOptions).
    Object.assign(options, { stdout: true, stderr: true })
    if (query.get('container')) options['container'] = query.get('container')
    if (kind === 'PodExecOptions') options['command'] = query.getAll('command')
  } else if (kind === 'PodPortForwardOptions') {
    const ports = query.getAll('ports').flatMap((text) => text.split(','))
    if (ports.length > 0) options['ports'] = ports.map((port) => numberParameter(new URLSearchParams({ port }), 'port'))
  } else {
    const path = `/${r.info.rest.join('/')}`
    options['path'] = r.info.path.endsWith('/') && path !== '/' ? `${path}/` : path
  }
  return options as unknown as KubeObject
}
