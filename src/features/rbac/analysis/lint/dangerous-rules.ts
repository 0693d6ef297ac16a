import { resourceQuery, ruleAllowsResource } from '../../engine/rules.ts'
import { type PolicyRule, RBAC_GROUP } from '../../engine/types.ts'
import { isFull } from '../escalation/powers.ts'
import type { Severity } from './finding.ts'

export type DangerousRule = {
  id: string
  /** Held everywhere, or in kube-system. */
  cluster: Severity
  /** Held in another namespace; undefined: not worth a word there, or without effect. */
  namespace: Severity | undefined
  matches: (rule: PolicyRule) => boolean
  /** Some rule of the role, the same or another, must allow this too. */
  and?: (rule: PolicyRule) => boolean
  attack: string
  fix: string
}

/** `verbs group resources`; also true for rules with wildcards. */
function allows(verbs: string, group: string, resources: string, options?: { unlimited: true }) {
  return (rule: PolicyRule): boolean => {
    const name = rule.resourceNames?.[0] ?? ''
    if (options?.unlimited && name !== '') return false
    return resources.split(',').some((resource) => {
      const [plain = '', sub = ''] = resource.split('/')
      return verbs.split(',').some((verb) => {
        if (name !== '' && verb === 'create' && sub === '') return false
        return ruleAllowsResource(rule, resourceQuery(verb, group, plain, sub, name))
      })
    })
  }
}

const either =
  (...tests: ((rule: PolicyRule) => boolean)[]) =>
  (rule: PolicyRule): boolean =>
    tests.some((test) => test(rule))
const has = (list: readonly string[] | undefined, value: string): boolean => list?.includes(value) === true
const CSR = 'certificates.k8s.io'
const WRITE = 'create,update,patch'

/** Wildcards. The first that matches hides what it includes. */
export const WILDCARDS: readonly DangerousRule[] = [
  {
    id: 'full-access',
    cluster: 'critical',
    namespace: 'high',
    matches: isFull,
    attack: 'does everything there is, also what is added to the cluster later',
    fix: 'name the API groups, resources and verbs that are needed; `rampart rbac generate` lists what was used',
  },
  {
    id: 'wildcard-resources',
    cluster: 'high',
    namespace: 'medium',
    matches: (rule) => has(rule.resources, '*') && (rule.resourceNames?.length ?? 0) === 0,
    attack:
      'reaches every kind of the API groups, among them Secrets and subresources such as exec where they are served',
    fix: 'name the resources that are needed',
  },
]

/** The requests that are dangerous to allow. A row's severity is that of who may do it to any object. */
export const DANGEROUS: readonly DangerousRule[] = [
  {
    id: 'wildcard-verbs',
    cluster: 'medium',
    namespace: 'low',
    matches: (rule) => has(rule.verbs, '*') && !has(rule.resources, '*') && (rule.resources?.length ?? 0) > 0,
    attack: 'uses verbs that nobody thought of: deletecollection, impersonate, escalate, bind, approve',
    fix: 'name the verbs that are needed',
  },
  {
    id: 'wildcard-api-groups',
    cluster: 'low',
    namespace: 'low',
    matches: (rule) => has(rule.apiGroups, '*') && !has(rule.resources, '*'),
    attack: 'has rights over resources of the same name in API groups that are added later',
    fix: 'name the API groups that are needed',
  },
  {
    id: 'wildcard-urls',
    cluster: 'low',
    namespace: undefined,
    matches: (rule) => has(rule.nonResourceURLs, '*'),
    attack: 'reads every endpoint that is no resource: metrics, logs, profiles',
    fix: 'name the paths that are needed',
  },
  {
    id: 'escalate',
    cluster: 'critical',
    namespace: undefined,
    matches: allows('escalate', RBAC_GROUP, 'clusterroles,roles'),
    attack: 'writes rights into a role that they do not hold themselves, up to everything',
    fix: 'take the verb escalate away: whoever holds the rules of a role may write it without',
  },
  {
    id: 'escalate',
    cluster: 'critical',
    namespace: 'high',
    matches: allows('escalate', RBAC_GROUP, 'roles'),
    attack: 'writes rights into a role that they do not hold themselves, up to everything in the namespace',
    fix: 'take the verb escalate away: whoever holds the rules of a role may write it without',
  },
  {
    id: 'bind',
    cluster: 'critical',
    namespace: 'high',
    matches: allows('bind', RBAC_GROUP, 'clusterroles,roles'),
    attack: 'binds themselves to a role whose rights they do not hold, such as cluster-admin',
    fix: 'take the verb bind away, or limit it by resourceNames to the roles that may be handed out',
  },
  {
    id: 'impersonate',
    cluster: 'critical',
    namespace: undefined,
    matches: allows('impersonate', '', 'users,groups'),
    attack: 'acts as any user or group, such as system:masters, and the audit log shows it as second name only',
    fix: 'limit it by resourceNames to the users and groups that are meant',
  },
  {
    id: 'impersonate',
    cluster: 'critical',
    namespace: 'medium',
    matches: allows('impersonate', '', 'serviceaccounts'),
    attack: 'acts as service accounts, with all their rights',
    fix: 'limit it by resourceNames to the service accounts that are meant',
  },
  {
    id: 'secrets-read',
    cluster: 'high',
    namespace: undefined,
    matches: allows('get,list,watch', '', 'secrets', { unlimited: true }),
    attack: 'reads every password, key and token that is stored in the cluster (list and watch return the values too)',
    fix: 'grant it by RoleBindings in the namespaces that need it, or limit get by resourceNames',
  },
  {
    id: 'nodes-proxy',
    cluster: 'high',
    namespace: undefined,
    matches: allows('get,create,update,patch,delete', '', 'nodes/proxy'),
    attack: "speaks to every kubelet's API: runs commands in any pod, past admission and audit",
    fix: 'grant nodes/metrics, nodes/stats or nodes/log instead',
  },
  {
    id: 'pods-exec',
    cluster: 'high',
    namespace: 'medium',
    matches: allows('get,create', '', 'pods/exec'),
    attack: 'runs commands in containers and takes their mounted tokens and secrets',
    fix: 'grant it in the namespaces that need it, to people and not to machines',
  },
  {
    id: 'pods-attach',
    cluster: 'high',
    namespace: 'medium',
    matches: allows('get,create', '', 'pods/attach'),
    attack: "writes to the standard input of running containers' processes and reads what they print",
    fix: 'grant it in the namespaces that need it, to people and not to machines',
  },
  {
    id: 'pods-portforward',
    cluster: 'medium',
    namespace: 'low',
    matches: allows('get,create', '', 'pods/portforward'),
    attack: 'reaches ports of pods past network policies',
    fix: 'grant it in the namespaces that need it',
  },
  {
    id: 'ephemeral-containers',
    cluster: 'high',
    namespace: 'medium',
    matches: allows('update,patch', '', 'pods/ephemeralcontainers'),
    attack: 'puts a container of their own into running pods and takes their tokens and secrets',
    fix: 'grant it in the namespaces that need it, to people and not to machines',
  },
  {
    id: 'create-pods',
    cluster: 'high',
    namespace: 'low',
    matches: either(
      allows('create', '', 'pods'),
      allows(WRITE, '', 'replicationcontrollers'),
      allows(WRITE, 'apps', 'deployments,statefulsets,daemonsets,replicasets'),
      allows(WRITE, 'batch', 'jobs,cronjobs'),
    ),
    attack: 'runs pods as any service account of the namespace and mounts any of its Secrets',
    fix: 'grant it in namespaces that hold no stronger service accounts, and enforce pod security there',
  },
  {
    id: 'serviceaccount-token',
    cluster: 'high',
    namespace: 'medium',
    matches: allows('create', '', 'serviceaccounts/token'),
    attack: 'makes tokens of service accounts and acts as them from anywhere',
    fix: 'limit it by resourceNames to the service accounts that are meant',
  },
  {
    id: 'token-secret',
    cluster: 'medium',
    namespace: 'medium',
    matches: allows('create', '', 'secrets'),
    and: allows('get,list,watch', '', 'secrets', { unlimited: true }),
    attack: 'creates a Secret of type kubernetes.io/service-account-token and reads a lasting token out of it',
    fix: 'grant either creating or reading Secrets, or limit get by resourceNames',
  },
  {
    id: 'csr-approve',
    cluster: 'high',
    namespace: undefined,
    matches: allows('approve', CSR, 'signers'),
    attack: 'approves client certificates in names and groups of their choice',
    fix: 'limit it by resourceNames to a signer that issues no client certificates',
  },
  {
    id: 'csr-sign',
    cluster: 'high',
    namespace: undefined,
    matches: allows('sign', CSR, 'signers'),
    attack: 'puts certificates of their own making into requests that others trust',
    fix: "limit it by resourceNames to the signer's own name",
  },
  {
    id: 'webhook-write',
    cluster: 'high',
    namespace: undefined,
    matches: allows(
      WRITE,
      'admissionregistration.k8s.io',
      'mutatingwebhookconfigurations,validatingwebhookconfigurations',
    ),
    attack: 'registers a webhook that sees and changes every object that is written, Secrets included',
    fix: "grant update and patch by resourceNames on the program's own configuration",
  },
  {
    id: 'crd-write',
    cluster: 'medium',
    namespace: undefined,
    matches: allows(`${WRITE},delete`, 'apiextensions.k8s.io', 'customresourcedefinitions'),
    attack: 'deletes custom resources with all their objects, or sends them through a conversion webhook of their own',
    fix: 'grant get, list and watch; let whoever installs the program install its definitions',
  },
  {
    id: 'persistentvolume-create',
    cluster: 'high',
    namespace: undefined,
    matches: allows('create', '', 'persistentvolumes'),
    attack: "creates a hostPath volume and mounts a node's file system, past pod security",
    fix: 'let a provisioner create volumes; grant persistentvolumeclaims instead',
  },
  {
    id: 'nodes-write',
    cluster: 'medium',
    namespace: undefined,
    matches: allows('update,patch', '', 'nodes,nodes/status'),
    attack: 'changes labels, taints and capacity and so draws chosen pods to a node of their choice',
    fix: 'limit it by resourceNames, or grant get, list and watch',
  },
  {
    id: 'rbac-write',
    cluster: 'high',
    namespace: 'medium',
    matches: allows(WRITE, RBAC_GROUP, 'roles,rolebindings'),
    attack: 'hands every right that they hold to others, and keeps it that way after their own is taken',
    fix: 'grant get, list and watch',
  },
  {
    id: 'rbac-write',
    cluster: 'high',
    namespace: undefined,
    matches: allows(WRITE, RBAC_GROUP, 'clusterroles,clusterrolebindings'),
    attack: 'hands every right that they hold to others, and keeps it that way after their own is taken',
    fix: 'grant get, list and watch',
  },
]
