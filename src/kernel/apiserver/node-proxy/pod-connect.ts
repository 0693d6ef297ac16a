import type { OutgoingHttpHeaders } from 'node:http'
import type { KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import { demandWebSocket } from '../../streams/channels.ts'
import { type BackendAnswer, exchange } from '../../streams/exchange.ts'
import { demandUpgrade, type Front, passThrough, upgradeHeaders } from '../../streams/pass-through.ts'
import { SPDY_EXEC_HEADERS, translate, translatedProtocol } from '../../streams/translate.ts'
import { isTunnel, SPDY_PORT_FORWARD_HEADERS, tunnel } from '../../streams/tunnel.ts'
import { namespaceOf, type ResourceRequest } from '../http/resource-request.ts'
import { dialKubelet } from './connection.ts'
import { hostPort } from './http-proxy.ts'
import { nodeTarget } from './node-target.ts'
import { chooseContainer } from './pod-container.ts'
import { sendLog } from './pod-log.ts'
import { logQuery, streamOptions, streamQuery } from './pod-options.ts'

/** log, exec, attach and portforward of a pod: at the kubelet of its node. */
export async function connectPod(r: ResourceRequest, pod: KubeObject): Promise<void> {
  const { query, subresource } = r.info
  const name = pod.metadata.name ?? ''
  const { nodeName = '' } = (pod['spec'] ?? {}) as { nodeName?: string }
  const container = subresource === 'portforward' ? '' : chooseContainer(pod, query.get('container') ?? '')
  const log = subresource === 'log' ? logQuery(query, name) : ''
  if (nodeName === '') throw badRequest(`pod ${name} does not have a host assigned`)
  const kubelet = await nodeTarget(r.core, nodeName)
  const at = `${encodeURIComponent(namespaceOf(r))}/${encodeURIComponent(name)}`
  if (subresource === 'log')
    return sendLog(r, await askKubelet(r, kubelet, 'GET', `/containerLogs/${at}/${container}?${log}`, {}))
  demandUpgrade(r.req)
  const front: Front = { req: r.req, res: r.res, onOpen: r.onLongRunning }
  const ask = (path: string, headers: OutgoingHttpHeaders, method = 'POST'): Promise<BackendAnswer> =>
    askKubelet(r, kubelet, method, path, headers)
  if (subresource === 'portforward') {
    const ports = query.getAll('ports').join(',')
    const path = `/portForward/${at}${ports === '' ? '' : `?${new URLSearchParams({ port: ports })}`}`
    if (!isTunnel(r.req)) return passThrough(front, await ask(path, upgradeHeaders(r.req), r.req.method))
    demandWebSocket(r.req)
    return tunnel(front, await ask(path, SPDY_PORT_FORWARD_HEADERS))
  }
  const options = streamOptions(query)
  const path = `/${subresource}/${at}/${container}?${streamQuery(options, query.getAll('command'))}`
  const protocol = translatedProtocol(r.req)
  if (protocol === undefined) return passThrough(front, await ask(path, upgradeHeaders(r.req), r.req.method))
  demandWebSocket(r.req)
  return translate(front, protocol, options, await ask(path, SPDY_EXEC_HEADERS))
}

async function askKubelet(
  r: ResourceRequest,
  { target, connection }: Awaited<ReturnType<typeof nodeTarget>>,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders,
): Promise<BackendAnswer> {
  const socket = await dialKubelet(target, connection)
  const host = hostPort(target.host, target.port)
  return await exchange(socket, { method, path, host, headers, signal: r.caller.signal })
}
