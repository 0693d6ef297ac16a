import { isIP } from 'node:net'
import type { KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import { type BackendAnswer, exchange } from '../../streams/exchange.ts'
import { demandUpgrade, passThrough, upgradeHeaders } from '../../streams/pass-through.ts'
import { namespaceOf, type ResourceRequest } from '../http/resource-request.ts'
import { dialKubelet } from './connection.ts'
import { nodeTarget } from './node-target.ts'
import { chooseContainer } from './pod-container.ts'
import { sendLog } from './pod-log.ts'
import { logQuery, streamOptions, streamQuery } from './pod-options.ts'

const hostOf = (host: string, port: number): string => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`

/** log, exec, attach and portforward of a pod: at the kubelet of its node. */
export async function connectPod(r: ResourceRequest, pod: KubeObject): Promise<void> {
  const { query, subresource } = r.info
  const name = pod.metadata.name ?? ''
  const { nodeName = '' } = (pod['spec'] ?? {}) as { nodeName?: string }
  const container = subresource === 'portforward' ? '' : chooseContainer(pod, query.get('container') ?? '')
  const log = subresource === 'log' ? logQuery(query, name) : ''
  if (nodeName === '') throw badRequest(`pod ${name} does not have a host assigned`)
  const at = `${encodeURIComponent(namespaceOf(r))}/${encodeURIComponent(name)}`
  if (subresource === 'log')
    return sendLog(r, await askKubelet(r, nodeName, 'GET', `/containerLogs/${at}/${container}?${log}`, {}))
  if (r.core.kubelet !== undefined) demandUpgrade(r.req)
  const path =
    subresource === 'portforward'
      ? `/portForward/${at}`
      : `/${subresource}/${at}/${container}?${streamQuery(streamOptions(query), query.getAll('command'))}`
  const front = { req: r.req, res: r.res, onOpen: r.onLongRunning }
  return passThrough(front, await askKubelet(r, nodeName, r.req.method ?? 'POST', path, upgradeHeaders(r.req)))
}

async function askKubelet(
  r: ResourceRequest,
  nodeName: string,
  method: string,
  path: string,
  headers: Parameters<typeof exchange>[1]['headers'] & object,
): Promise<BackendAnswer> {
  const { target, connection } = await nodeTarget(r.core, nodeName)
  const socket = await dialKubelet(target, connection)
  const host = hostOf(target.host, target.port)
  return await exchange(socket, { method, path, host, headers, signal: r.caller.signal })
}
