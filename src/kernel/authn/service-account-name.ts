const PREFIX = 'system:serviceaccount:'
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** `system:serviceaccount:NAMESPACE:NAME`, as user name. */
export const serviceAccountUser = (namespace: string, name: string): string => `${PREFIX}${namespace}:${name}`

/** Groups that every service account of a namespace is in. */
export const serviceAccountGroups = (namespace: string): string[] => [
  'system:serviceaccounts',
  `system:serviceaccounts:${namespace}`,
]

/** Undefined for every name that is not one of a service account, with valid names in it. */
export function splitServiceAccountName(user: string): { namespace: string; name: string } | undefined {
  if (!user.startsWith(PREFIX)) return undefined
  const [namespace = '', name = '', ...more] = user.slice(PREFIX.length).split(':')
  if (more.length > 0 || !LABEL.test(namespace) || name.length > 253 || !SUBDOMAIN.test(name)) return undefined
  return { namespace, name }
}
