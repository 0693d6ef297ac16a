import type { AdmissionRequest, AdmissionStep } from '../../kernel/admission/types.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import { forbidden, notFound } from '../../kernel/api/status.ts'
import type { UserInfo } from '../../kernel/authn/types.ts'
import type { Attributes, Decision } from '../../kernel/authz/types.ts'
import { isAggregated } from './aggregation.ts'
import { compactRules, countAtoms, covers, quotedList, ruleToString } from './engine/covers.ts'
import { joinErrors, type RbacEngine } from './engine/engine.ts'
import { type PolicyRule, RBAC_GROUP, type RoleRef } from './engine/types.ts'

export type EscalationOptions = {
  /** Rules that the user holds, and those of the role a binding refers to. */
  rules: Pick<RbacEngine, 'heldRules' | 'roleRules'>
  /** Who decides about the verbs `escalate` and `bind`: the server's whole chain, or RBAC alone. */
  authorize: (attributes: Attributes) => Decision | Promise<Decision>
}

const FULL_AUTHORITY: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

/** Checking more against a user of many rules would hold up everybody else; real roles have some hundreds. */
const MAX_ATOMS = 50_000
/** Of a message; what is missing beyond is counted. */
const MAX_LINES = 1000

const KINDS = new Set(['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'])

/**
 * Nobody hands out what they do not hold (pkg/registry/rbac, policybased): the writer of a role must hold its rules or
 * may `escalate` it; the writer of a binding must hold the rules of its role or may `bind` it; an aggregationRule, which
 * can gather anything, needs everything. Members of system:masters may do as they like. Every way to write (create,
 * update, patch, apply) comes through here. It runs after all mutation, on the object as it will be stored.
 */
export function escalationCheck(options: EscalationOptions): AdmissionStep {
  return {
    name: 'RBACEscalation',
    handles: ({ operation, definition, subresource }) =>
      definition.group === RBAC_GROUP &&
      KINDS.has(definition.kind) &&
      subresource === '' &&
      (operation === 'CREATE' || operation === 'UPDATE'),
    validate: (request) => {
      if (request.user.groups.includes('system:masters')) return
      if (request.oldObject !== undefined && onlyCollectionFields(request.object!, request.oldObject)) return
      return request.definition.kind.endsWith('Binding') ? checkBinding(options, request) : checkRole(options, request)
    },
  }
}

async function checkRole(options: EscalationOptions, request: AdmissionRequest): Promise<void> {
  const object = request.object!
  // As Kubernetes asks it: a create is not about a name.
  const name = request.operation === 'CREATE' ? '' : request.name
  if (await may(options, request, 'escalate', RBAC_GROUP, request.definition.plural, name)) return
  confirmNoEscalation(options, request, (object['rules'] ?? []) as PolicyRule[])
  const aggregated = isAggregated(object) || (request.oldObject !== undefined && isAggregated(request.oldObject))
  if (request.definition.kind !== 'ClusterRole' || !aggregated) return
  if (!covers(held(options, request).rules, FULL_AUTHORITY).covered)
    throw refused(request, 'must have cluster-admin privileges to use the aggregationRule')
}

async function checkBinding(options: EscalationOptions, request: AdmissionRequest): Promise<void> {
  const roleRef = request.object!['roleRef'] as RoleRef
  const resource = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
  if (await may(options, request, 'bind', roleRef.apiGroup ?? '', resource, roleRef.name)) return
  const rules = options.rules.roleRules(roleRef, request.namespace)
  if (rules === undefined) throw notFound(RBAC_GROUP, resource, roleRef.name)
  confirmNoEscalation(options, request, rules)
}

async function may(
  options: EscalationOptions,
  request: AdmissionRequest,
  verb: string,
  apiGroup: string,
  resource: string,
  name: string,
): Promise<boolean> {
  const attributes: Attributes = {
    resourceRequest: true,
    user: request.user,
    verb,
    apiGroup,
    apiVersion: '*',
    resource,
    subresource: '',
    namespace: request.namespace,
    name,
  }
  return (await options.authorize(attributes)).verdict === 'allow'
}

function held(options: EscalationOptions, request: AdmissionRequest): { rules: PolicyRule[]; errors: string[] } {
  return options.rules.heldRules(request.user, request.namespace)
}

function confirmNoEscalation(
  options: EscalationOptions,
  request: AdmissionRequest,
  wanted: readonly PolicyRule[],
): void {
  const { rules, errors } = held(options, request)
  if (covers(rules, FULL_AUTHORITY).covered) return
  const atoms = countAtoms(wanted)
  if (atoms > MAX_ATOMS)
    throw refused(
      request,
      `the rules name ${atoms} combinations of verb, API group, resource and name; not more than ${MAX_ATOMS} can be checked against what user ${JSON.stringify(request.user.name)} holds`,
    )
  const { covered, missing } = covers(rules, wanted)
  if (!covered) throw refused(request, escalationMessage(request.user, missing, errors))
}

export function escalationMessage(user: UserInfo, missing: readonly PolicyRule[], errors: readonly string[]): string {
  const rules = [...new Set(compactRules(missing).map(ruleToString))].sort()
  if (rules.length > MAX_LINES) rules.splice(MAX_LINES, rules.length, `… and ${rules.length - MAX_LINES} more`)
  // Go prints a list of one error that is itself an aggregate.
  const resolution = errors.length === 0 ? '' : `; resolution errors: [${joinErrors(errors)}]`
  return `user ${JSON.stringify(user.name)} (groups=${quotedList(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${rules.join('\n')}${resolution}`
}

function refused(request: AdmissionRequest, why: string): Error {
  return forbidden(RBAC_GROUP, request.definition.plural, request.object!.metadata.name ?? '', why)
}

/**
 * True when a write changes nothing but what garbage collection needs to let the object go: finalizers and owner
 * references (rbacregistry.IsOnlyMutatingGCFields).
 */
function onlyCollectionFields(object: KubeObject, old: KubeObject): boolean {
  return JSON.stringify(canonical(object)) === JSON.stringify(canonical(old))
}

function canonical(object: KubeObject): unknown {
  const { finalizers: _f, ownerReferences: _o, managedFields: _m, resourceVersion: _r, ...metadata } = object.metadata
  return sorted({ ...object, metadata })
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== undefined && v !== null && !(Array.isArray(v) && v.length === 0))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  )
}
