import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client } from '../../kernel/client/client.ts'
import { adminClient } from '../admin.ts'
import { clusterPaths } from '../cluster.ts'
import { CliError } from '../error.ts'
import { print, say } from '../output.ts'

export type DrainOptions = {
  force?: boolean
  ignoreDaemonsets?: boolean
  deleteEmptydirData?: boolean
  gracePeriod?: string
  timeout?: string
}

const NODES = { group: '', version: 'v1', resource: 'nodes' }
const PODS = { group: '', version: 'v1', resource: 'pods' }
const POLL_MS = 250

export async function drain(
  nodeName: string,
  options: DrainOptions & { name?: string; dataDir?: string },
): Promise<void> {
  const { client } = await adminClient(clusterPaths(options))
  await drainNode(client, nodeName, options)
  print(`node/${nodeName} drained`)
}

/** Cordons, then evicts as `kubectl drain` does; what it may not touch is named before anything is evicted. Throws CliError. */
export async function drainNode(client: Client, nodeName: string, options: DrainOptions): Promise<void> {
  const seconds = (text: string | undefined, flag: string): number | undefined => {
    if (text === undefined) return undefined
    if (!/^\d{1,6}$/.test(text)) throw new CliError(`${flag} must be a whole number of seconds`, 2)
    return Number(text)
  }
  const timeout = seconds(options.timeout, '--timeout') ?? 300
  const grace = seconds(options.gracePeriod, '--grace-period')
  try {
    await client.patch(NODES, '', nodeName, 'merge', { spec: { unschedulable: true } })
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'NotFound') throw new CliError(`no node is named ${nodeName}`, 1)
    throw error
  }
  say(`node/${nodeName} is closed for new pods`)
  const { items } = await client.list(PODS, { fieldSelector: `spec.nodeName=${nodeName}` })
  const evicted: KubeObject[] = []
  const problems: string[] = []
  for (const pod of items) {
    const verdict = judge(pod, options)
    if (verdict === 'evict') evicted.push(pod)
    else if (verdict !== 'leave') problems.push(`${pod.metadata.namespace}/${pod.metadata.name}: ${verdict}`)
  }
  if (problems.length > 0) throw new CliError(`nothing was evicted:\n${problems.join('\n')}`, 1)
  const deadline = Date.now() + timeout * 1000
  await Promise.all(evicted.map((pod) => evict(client, pod, grace, deadline)))
}

function judge(pod: KubeObject, options: DrainOptions): 'evict' | 'leave' | string {
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return 'leave'
  const phase = pod['status']?.phase as string | undefined
  if (phase === 'Succeeded' || phase === 'Failed') return 'evict'
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true)
  if (owner?.kind === 'DaemonSet')
    return options.ignoreDaemonsets === true ? 'leave' : 'is of a DaemonSet (--ignore-daemonsets leaves it)'
  if (owner === undefined && options.force !== true) return 'no controller would start it elsewhere (--force)'
  const volumes = (pod['spec']?.volumes ?? []) as { emptyDir?: object }[]
  if (volumes.some(({ emptyDir }) => emptyDir !== undefined) && options.deleteEmptydirData !== true)
    return 'has an emptyDir volume, which ends with it (--delete-emptydir-data)'
  return 'evict'
}

async function evict(client: Client, pod: KubeObject, grace: number | undefined, deadline: number): Promise<void> {
  const { namespace = '', name = '', uid } = pod.metadata
  const late = (): void => {
    if (Date.now() > deadline) throw new CliError(`${namespace}/${name} is still there; run the command again`)
  }
  for (;;) {
    try {
      await client.create(
        PODS,
        {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { name, namespace },
          deleteOptions: {
            preconditions: { uid: uid! },
            ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
          },
        } as unknown as KubeObject,
        { subresource: 'eviction', name },
      )
      break
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.reason === 'NotFound' || error.reason === 'Conflict') return
      // A disruption budget: it may allow it later.
      if (error.reason !== 'TooManyRequests') throw error
      late()
      await sleep(5000)
    }
  }
  for (;;) {
    try {
      const now = await client.get(PODS, namespace, name)
      if (now.metadata.uid !== uid) break
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') break
      throw error
    }
    late()
    await sleep(POLL_MS)
  }
  say(`pod/${name} evicted`)
}
