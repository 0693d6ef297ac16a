import type { KubeObject } from '../../../kernel/api/object.ts'
import { aggregatedRules, isAggregated } from '../aggregation.ts'
import { RBAC_GROUP, type RoleRef, type Subject } from '../engine/types.ts'
import { CLUSTER_ROLE_BINDINGS, NAMESPACE_ROLE_BINDINGS } from './bindings.ts'
import { CLUSTER_ROLES } from './cluster-roles.ts'
import { CONTROLLER_ROLES } from './controller-roles.ts'
import { NAMESPACE_ROLES } from './namespace-roles.ts'
import { parseRuleLine, type RuleLine } from './rule-line.ts'

export const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate'
const CONTROLLER_PREFIX = 'system:controller:'

export type BootstrapPolicy = {
  clusterRoles: KubeObject[]
  clusterRoleBindings: KubeObject[]
  roles: KubeObject[]
  roleBindings: KubeObject[]
}

/** The default roles and bindings as objects; aggregated roles already have what they gather. */
export function bootstrapPolicy(): BootstrapPolicy {
  const clusterRoles = [
    ...Object.entries(CLUSTER_ROLES).map(([name, role]) => clusterRole(name, role.rules, role.labels, role.aggregates)),
    ...Object.entries(CONTROLLER_ROLES).map(([name, rules]) => clusterRole(CONTROLLER_PREFIX + name, rules)),
  ]
  aggregate(clusterRoles)
  return {
    clusterRoles,
    clusterRoleBindings: [
      ...Object.entries(CLUSTER_ROLE_BINDINGS).map(([name, subjects]) => clusterRoleBinding(name, subjects)),
      ...Object.keys(CONTROLLER_ROLES).map((name) =>
        clusterRoleBinding(CONTROLLER_PREFIX + name, [`sa:kube-system/${name}`]),
      ),
    ],
    roles: Object.entries(NAMESPACE_ROLES).flatMap(([namespace, roles]) =>
      Object.entries(roles).map(([name, rules]) => ({
        ...object('Role', name, namespace),
        rules: rules.map(parseRuleLine),
      })),
    ),
    roleBindings: Object.entries(NAMESPACE_ROLE_BINDINGS).flatMap(([namespace, bindings]) =>
      Object.entries(bindings).map(([name, { role, subjects }]) => ({
        ...object('RoleBinding', name, namespace),
        roleRef: roleRef('Role', role),
        subjects: subjects.map(parseSubject),
      })),
    ),
  }
}

function object(kind: string, name: string, namespace?: string): KubeObject {
  return {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
      annotations: { [AUTOUPDATE]: 'true' },
    },
  }
}

function clusterRole(
  name: string,
  rules: readonly RuleLine[],
  labels: readonly string[] = [],
  aggregates?: string,
): KubeObject {
  const role = object('ClusterRole', name)
  for (const label of labels) role.metadata.labels![`${RBAC_GROUP}/${label}`] = 'true'
  if (aggregates !== undefined)
    role['aggregationRule'] = {
      clusterRoleSelectors: [{ matchLabels: { [`${RBAC_GROUP}/${aggregates}`]: 'true' } }],
    }
  role['rules'] = rules.map(parseRuleLine)
  return role
}

function clusterRoleBinding(name: string, subjects: readonly string[]): KubeObject {
  return {
    ...object('ClusterRoleBinding', name),
    roleRef: roleRef('ClusterRole', name),
    ...(subjects.length === 0 ? {} : { subjects: subjects.map(parseSubject) }),
  }
}

function roleRef(kind: string, name: string): RoleRef {
  return { apiGroup: RBAC_GROUP, kind, name }
}

function parseSubject(text: string): Subject {
  const colon = text.indexOf(':')
  const name = text.slice(colon + 1)
  switch (text.slice(0, colon)) {
    case 'user':
      return { apiGroup: RBAC_GROUP, kind: 'User', name }
    case 'group':
      return { apiGroup: RBAC_GROUP, kind: 'Group', name }
    default: {
      const [namespace = '', account = ''] = name.split('/')
      return { kind: 'ServiceAccount', name: account, namespace }
    }
  }
}

/** An aggregated role may gather another one; each round settles one level at least. */
function aggregate(clusterRoles: KubeObject[]): void {
  const aggregated = clusterRoles.filter(isAggregated)
  for (let round = 0; round < aggregated.length; round++)
    for (const role of aggregated) role['rules'] = aggregatedRules(role, clusterRoles)
}
