import type { PolicyRule } from '../engine/types.ts'
import { type Permission, permissionsOf } from './permission.ts'

type Danger = { why: string; verbs: readonly string[]; apiGroup: string; resources: readonly string[] }

const WRITE = ['create', 'update', 'patch']

/**
 * Permissions that lead to more than they say (Kubernetes: RBAC good practices, privilege escalation risks), the worst
 * first.
 */
const DANGERS: readonly Danger[] = [
  {
    why: 'may grant more than it holds (escalate)',
    verbs: ['escalate'],
    apiGroup: 'rbac.authorization.k8s.io',
    resources: ['roles', 'clusterroles'],
  },
  {
    why: 'may bind roles that it does not hold (bind)',
    verbs: ['bind'],
    apiGroup: 'rbac.authorization.k8s.io',
    resources: ['roles', 'clusterroles'],
  },
  {
    why: 'may act as others (impersonate)',
    verbs: ['impersonate'],
    apiGroup: '',
    resources: ['users', 'groups', 'serviceaccounts'],
  },
  {
    why: 'may act as others (impersonate)',
    verbs: ['impersonate'],
    apiGroup: 'authentication.k8s.io',
    resources: ['uids', 'userextras'],
  },
  { why: 'reads Secrets', verbs: ['get', 'list', 'watch'], apiGroup: '', resources: ['secrets'] },
  { why: 'makes tokens of service accounts', verbs: ['create'], apiGroup: '', resources: ['serviceaccounts/token'] },
  {
    why: 'reaches the kubelet past the API server',
    verbs: ['get', 'create', 'update', 'patch', 'delete'],
    apiGroup: '',
    resources: ['nodes/proxy'],
  },
  { why: 'runs commands in pods', verbs: ['create', 'get'], apiGroup: '', resources: ['pods/exec', 'pods/attach'] },
  {
    why: 'puts containers into running pods',
    verbs: ['update', 'patch'],
    apiGroup: '',
    resources: ['pods/ephemeralcontainers'],
  },
  {
    why: 'runs pods as any service account of the namespace',
    verbs: ['create'],
    apiGroup: '',
    resources: ['pods'],
  },
  {
    why: 'runs pods as any service account of the namespace',
    verbs: WRITE,
    apiGroup: '',
    resources: ['replicationcontrollers', 'podtemplates'],
  },
  {
    why: 'runs pods as any service account of the namespace',
    verbs: WRITE,
    apiGroup: 'apps',
    resources: ['deployments', 'daemonsets', 'statefulsets', 'replicasets'],
  },
  {
    why: 'runs pods as any service account of the namespace',
    verbs: WRITE,
    apiGroup: 'batch',
    resources: ['jobs', 'cronjobs'],
  },
  {
    why: 'lets client certificates be issued',
    verbs: ['update', 'patch'],
    apiGroup: 'certificates.k8s.io',
    resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
  },
  {
    why: 'lets client certificates be issued',
    verbs: ['approve', 'sign'],
    apiGroup: 'certificates.k8s.io',
    resources: ['signers'],
  },
  {
    why: 'sees and changes every write (webhooks)',
    verbs: WRITE,
    apiGroup: 'admissionregistration.k8s.io',
    resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
  },
  { why: 'makes volumes of host folders', verbs: ['create'], apiGroup: '', resources: ['persistentvolumes'] },
]

/** Why a permission is dangerous, in a few words; undefined when it is not known to be. */
export function dangerOf(p: Permission): string | undefined {
  if ('url' in p) return p.url === '*' && p.verb === '*' ? 'all verbs on all paths (wildcard)' : undefined
  if (p.resource === '*') {
    if (p.verb === '*' && p.apiGroup === '*') return 'everything (wildcard)'
    return p.apiGroup === '*' || p.apiGroup === ''
      ? 'all resources, Secrets and those to come (wildcard)'
      : 'all resources of the group, those to come too (wildcard)'
  }
  const known = DANGERS.find((d) => matches(d, p))
  if (known !== undefined) return known.why
  if (p.verb === '*') return 'all verbs, those to come too (wildcard)'
  return p.apiGroup === '*' ? 'all groups, those to come too (wildcard)' : undefined
}

type ResourcePermission = Extract<Permission, { resource: string }>

function matches(danger: Danger, p: ResourcePermission): boolean {
  return (
    (p.verb === '*' || danger.verbs.includes(p.verb)) &&
    (p.apiGroup === '*' || p.apiGroup === danger.apiGroup) &&
    danger.resources.some((resource) => sameResource(resource, p.resource))
  )
}

function sameResource(dangerous: string, resource: string): boolean {
  if (dangerous === resource) return true
  if (resource.startsWith('*/')) return dangerous.endsWith(resource.slice(1))
  // The keys of extra fields are subresources.
  return dangerous === 'userextras' && resource.startsWith('userextras/')
}

/** The distinct reasons for which a rule is dangerous, sorted. */
export function dangersOf(rule: PolicyRule): string[] {
  const reasons = new Set<string>()
  for (const permission of permissionsOf([rule], 'cluster')) {
    const why = dangerOf(permission)
    if (why !== undefined) reasons.add(why)
  }
  return [...reasons].sort()
}
