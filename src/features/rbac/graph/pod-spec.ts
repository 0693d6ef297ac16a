import type { KubeObject } from '../../../kernel/api/object.ts'

/** The service account that a pod, or the pods of a workload, run as; undefined for what has no pod spec. */
export function serviceAccountOf(workload: KubeObject): string | undefined {
  const spec = podSpecOf(workload)
  if (spec === undefined) return undefined
  // serviceAccount is the old name of the field; the API server keeps both alike.
  const name = spec['serviceAccountName'] || spec['serviceAccount']
  return typeof name === 'string' && name !== '' ? name : 'default'
}

function podSpecOf(workload: KubeObject): Record<string, unknown> | undefined {
  const spec = mapAt(workload, 'spec')
  if (workload.kind === 'Pod') return spec
  const job = workload.kind === 'CronJob' ? mapAt(mapAt(spec, 'jobTemplate'), 'spec') : spec
  return mapAt(mapAt(job, 'template'), 'spec')
}

function mapAt(from: unknown, field: string): Record<string, unknown> | undefined {
  const value = (from as Record<string, unknown> | undefined)?.[field]
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined
}
