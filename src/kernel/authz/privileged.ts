import type { Authorizer } from './types.ts'

/** Members of system:masters may do everything, whatever the bindings say (k8s.io/apiserver's privileged groups). */
export const systemMasters: Authorizer = {
  name: 'system:masters',
  authorize: ({ user }) =>
    user.groups.includes('system:masters')
      ? { verdict: 'allow', by: { authorizer: 'system:masters', reason: 'member of the group system:masters' } }
      : { verdict: 'next' },
  rulesFor: (user) =>
    user.groups.includes('system:masters')
      ? {
          resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
          nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        }
      : { resourceRules: [], nonResourceRules: [] },
}
