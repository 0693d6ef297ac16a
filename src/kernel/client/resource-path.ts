import type { ListOptions, ResourceId, WatchOptions, WriteOptions } from './client.ts'

/** `/api/v1` or `/apis/<group>/<version>`. */
export function groupVersionPath(id: Pick<ResourceId, 'group' | 'version'>): string {
  return id.group === '' ? `/api/${id.version}` : `/apis/${encodeURIComponent(id.group)}/${id.version}`
}

/** Path of a collection; '' or undefined as namespace: all namespaces, or a cluster-scoped kind. */
export function collectionPath(id: ResourceId, namespace: string | undefined): string {
  const scope = namespace === undefined || namespace === '' ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${groupVersionPath(id)}${scope}/${id.resource}`
}

/** Path of one object, or of its subresource. */
export function objectPath(id: ResourceId, namespace: string | undefined, name: string, subresource?: string): string {
  const own = `${collectionPath(id, namespace)}/${encodeURIComponent(name)}`
  return subresource === undefined || subresource === '' ? own : `${own}/${subresource}`
}

type Parameter = string | number | boolean | undefined

/** `?a=b&c=d` without the parameters that are undefined, '' or false; '' when none is left. */
export function query(parameters: Readonly<Record<string, Parameter>>): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(parameters))
    if (value !== undefined && value !== '' && value !== false) search.set(key, String(value))
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}

export function listQuery(options: ListOptions): string {
  return query({
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit,
    continue: options.continue,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
  })
}

/** sendInitialEvents demands resourceVersionMatch=NotOlderThan (KEP-3157). */
export function watchQuery(options: WatchOptions): string {
  return query({
    watch: true,
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    resourceVersion: options.resourceVersion,
    allowWatchBookmarks: options.allowWatchBookmarks,
    sendInitialEvents: options.sendInitialEvents,
    resourceVersionMatch: options.sendInitialEvents === true ? 'NotOlderThan' : undefined,
    timeoutSeconds: options.timeoutSeconds,
  })
}

export function writeQuery(options: (WriteOptions & { force?: boolean }) | undefined): string {
  return query({
    dryRun: options?.dryRun === true ? 'All' : undefined,
    fieldManager: options?.fieldManager,
    force: options?.force,
  })
}
