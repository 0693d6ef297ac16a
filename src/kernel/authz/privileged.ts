import type { Authorizer } from './types.ts'

/** Members of system:masters may do everything, whatever the bindings say (k8s.io/apiserver's privileged groups). */
export const systemMasters: Authorizer = {
  name: 'system:masters',
  authorize: ({ user }) =>
    user.groups.includes('system:masters')
      ? { verdict: 'allow', by: { authorizer: 'system:masters', reason: 'member of the group system:masters' } }
      : { verdict: 'next' },
  // What they may do is listed by RBAC, whose default binding says the same; twice it would only be noise.
  rulesFor: () => ({ resourceRules: [], nonResourceRules: [] }),
}
