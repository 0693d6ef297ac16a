import type { KubeObject } from '../api/object.ts'

/**
 * The API server's objects as this process knows them, from memory. Objects are shared and must not be changed; a
 * changed object is another object (so its compiled form may hang on it in a WeakMap). `namespace` is '' for
 * cluster-scoped kinds.
 */
export type Lookup = {
  get(group: string, resource: string, namespace: string, name: string): KubeObject | undefined
  /** Without a namespace: of all of them. */
  list(group: string, resource: string, namespace?: string): Iterable<KubeObject>
}
