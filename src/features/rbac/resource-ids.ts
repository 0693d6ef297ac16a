import type { ResourceId } from '../../kernel/client/client.ts'
import { RBAC_GROUP } from './engine/types.ts'

const rbac = (resource: string): ResourceId => ({ group: RBAC_GROUP, version: 'v1', resource })

export const ROLES: ResourceId = rbac('roles')
export const ROLE_BINDINGS: ResourceId = rbac('rolebindings')
export const CLUSTER_ROLES: ResourceId = rbac('clusterroles')
export const CLUSTER_ROLE_BINDINGS: ResourceId = rbac('clusterrolebindings')
