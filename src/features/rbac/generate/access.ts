/**
 * What one request needed, as an authorizer is asked it. `resource` has its subresource behind a slash; `namespace` ''
 * is the cluster's scope, `name` '' a request for no single object.
 */
export type Access =
  | { verb: string; apiGroup: string; resource: string; namespace: string; name: string }
  | { verb: string; path: string }

/** An access that was asked for, by whom and when (milliseconds since the epoch). */
export type ObservedAccess = { user: string; groups: readonly string[]; at: number; access: Access }
