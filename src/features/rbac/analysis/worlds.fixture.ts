import type { KubeObject } from '../../../kernel/api/object.ts'
import { parseRuleLine, type RuleLine } from '../bootstrap/rule-line.ts'
import { RBAC_GROUP, type Subject } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { worldFromObjects } from './load.ts'

const apiVersion = `${RBAC_GROUP}/v1`

/** Objects stand at `world.yaml:1`, `world.yaml:2`, … with the default policy beneath. */
export function makeWorld(...objects: KubeObject[]): RbacWorld {
  return worldFromObjects(
    objects.map((object, i) => ({ object, file: 'world.yaml', line: i + 1 })),
    { defaults: true },
  )
}

export function role(namespace: string, name: string, ...rules: RuleLine[]): KubeObject {
  return { apiVersion, kind: 'Role', metadata: { namespace, name }, rules: rules.map(parseRuleLine) }
}

export function clusterRole(name: string, ...rules: RuleLine[]): KubeObject {
  return { apiVersion, kind: 'ClusterRole', metadata: { name }, rules: rules.map(parseRuleLine) }
}

/** `ref` is `Role/NAME` or `ClusterRole/NAME`; subjects are `user:NAME`, `group:NAME`, `sa:NAMESPACE/NAME`. '' binds everywhere. */
export function bind(namespace: string, name: string, ref: string, ...subjects: (string | Subject)[]): KubeObject {
  const [kind, role] = ref.split('/')
  return {
    apiVersion,
    kind: namespace === '' ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(namespace === '' ? {} : { namespace }) },
    roleRef: { apiGroup: RBAC_GROUP, kind, name: role },
    subjects: subjects.map((s) => (typeof s === 'string' ? subject(s) : s)),
  }
}

function subject(text: string): Subject {
  const colon = text.indexOf(':')
  const name = text.slice(colon + 1)
  if (text.startsWith('user:')) return { apiGroup: RBAC_GROUP, kind: 'User', name }
  if (text.startsWith('group:')) return { apiGroup: RBAC_GROUP, kind: 'Group', name }
  const [namespace = '', account = ''] = name.split('/')
  return { kind: 'ServiceAccount', namespace, name: account }
}

export function account(namespace: string, name: string, more: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name }, ...more }
}

export function pod(namespace: string, name: string, serviceAccountName?: string): KubeObject {
  const spec = serviceAccountName === undefined ? {} : { serviceAccountName }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec }
}

/** The same, annotated or labelled. */
export function withMetadata(object: KubeObject, metadata: KubeObject['metadata']): KubeObject {
  return { ...object, metadata: { ...object.metadata, ...metadata } }
}
