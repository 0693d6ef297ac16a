import type { Authorizer } from '../../kernel/authz/types.ts'
import type { Feature } from '../../kernel/feature.ts'
import { clusterRoleAggregation } from './aggregation-controller.ts'
import { AUTHORIZER_NAME } from './engine/binding.ts'
import type { RbacEngine } from './engine/engine.ts'
import { escalationCheck } from './escalation.ts'
import { rbacKinds } from './resources.ts'
import { rbacRuntime } from './runtime.ts'

export { bootstrapPolicy } from './bootstrap/policy.ts'
export { reconcileBootstrapPolicy } from './bootstrap/reconcile.ts'
export { covers } from './engine/covers.ts'
export { createRbacEngine, type RbacEngine } from './engine/engine.ts'
export type { BindingObject, PolicyRule, RoleObject, RoleRef, Subject } from './engine/types.ts'

export function rbacAuthorizer(engine: RbacEngine): Authorizer {
  return { name: AUTHORIZER_NAME, authorize: engine.decide, rulesFor: engine.rulesFor }
}

/** Role-based access control, as rbac.authorization.k8s.io/v1 defines it. */
export const rbac: Feature = {
  name: 'rbac',
  resources: rbacKinds,
  authorizers: async (context) => {
    const { engine, ready } = rbacRuntime(context)
    await ready
    return [rbacAuthorizer(engine)]
  },
  admission: async (context) => {
    const { engine, ready } = rbacRuntime(context)
    await ready
    return [escalationCheck({ rules: engine, authorize: context.authorize ?? engine.decide })]
  },
  controllers: [clusterRoleAggregation],
}
