import type { UserInfo } from '../../kernel/authn/types.ts'

export const NODES_GROUP = 'system:nodes'
/** Bearers of bootstrap tokens. */
export const BOOTSTRAPPERS_GROUP = 'system:bootstrappers'
export const NODE_USER_PREFIX = 'system:node:'

/** Whether the caller is a machine, and which: user `system:node:NAME` in the group `system:nodes`. */
export function nodeIdentity(user: UserInfo): { isNode: false } | { isNode: true; name: string } {
  if (!user.name.startsWith(NODE_USER_PREFIX) || !user.groups.includes(NODES_GROUP)) return { isNode: false }
  return { isNode: true, name: user.name.slice(NODE_USER_PREFIX.length) }
}
