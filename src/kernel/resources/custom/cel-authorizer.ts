import { type Environment, EvaluationError } from '@marcbachmann/cel-js'
import type { UserInfo } from '../../authn/types.ts'
import type { Attributes } from '../../authz/types.ts'
import { dns1123Label, dns1123Subdomain } from '../validation/names.ts'
import { spend } from './cel-environment.ts'
import { AUTHORIZATION_CHECK_STEPS } from './limits.ts'

/** Kubernetes' CEL library for authorization checks: what the caller, or a service account, may do. */

export type CelDecision = { allowed: boolean; reason: string; error: string }
/** Throws when there is no decision yet: the expression then has no value. */
export type Ask = (attributes: Attributes) => CelDecision

type Target = { group: string; resource: string; subresource: string; namespace: string; name: string }

class ResourceCheck {
  readonly authorizer: Authorizer
  readonly target: Target
  constructor(authorizer: Authorizer, target: Target) {
    this.authorizer = authorizer
    this.target = target
  }
  with(part: Partial<Target>): ResourceCheck {
    return new ResourceCheck(this.authorizer, { ...this.target, ...part })
  }
}

class GroupCheck {
  readonly authorizer: Authorizer
  readonly group: string
  constructor(authorizer: Authorizer, group: string) {
    this.authorizer = authorizer
    this.group = group
  }
}

class PathCheck {
  readonly authorizer: Authorizer
  readonly path: string
  constructor(authorizer: Authorizer, path: string) {
    this.authorizer = authorizer
    this.path = path
  }
}

class Decided {
  readonly decision: CelDecision
  constructor(decision: CelDecision) {
    this.decision = decision
  }
}

class Authorizer {
  readonly user: UserInfo
  readonly ask: Ask
  /** A check of the request's own resource; the verb is still to be named. */
  readonly requestResource: ResourceCheck
  constructor(user: UserInfo, ask: Ask, requested: Target) {
    this.user = user
    this.ask = ask
    this.requestResource = new ResourceCheck(this, requested)
  }
}

/** The value of the variable `authorizer`. */
export function celAuthorizer(user: UserInfo, ask: Ask, requested: Target): object {
  return new Authorizer(user, ask, requested)
}

function decide(authorizer: Authorizer, attributes: Attributes): Decided {
  spend(AUTHORIZATION_CHECK_STEPS)
  return new Decided(authorizer.ask(attributes))
}

function serviceAccount(authorizer: Authorizer, namespace: string, name: string): Authorizer {
  if (dns1123Subdomain(name).length > 0) throw new EvaluationError('Invalid service account name')
  if (dns1123Label(namespace).length > 0) throw new EvaluationError('Invalid service account namespace')
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  const user = { name: `system:serviceaccount:${namespace}:${name}`, groups }
  return new Authorizer(user, authorizer.ask, authorizer.requestResource.target)
}

const NO_TARGET = { subresource: '', namespace: '', name: '' }

function named<T>(what: string, text: string, make: (text: string) => T): T {
  if (text.trim() === '') throw new EvaluationError(`${what} must not be empty`)
  return make(text)
}

/** Declares the variable `authorizer` and what can be asked of it. */
export function registerAuthorizer(environment: Environment): void {
  environment
    .registerType('ResourceCheck', { ctor: ResourceCheck, fields: {} })
    .registerType('GroupCheck', { ctor: GroupCheck, fields: {} })
    .registerType('PathCheck', { ctor: PathCheck, fields: {} })
    .registerType('AuthorizationDecision', { ctor: Decided, fields: {} })
    .registerType('Authorizer', { ctor: Authorizer, fields: { requestResource: 'ResourceCheck' } })
    .registerVariable('authorizer', 'Authorizer')
    .registerFunction('Authorizer.path(string): PathCheck', (a: Authorizer, text: string) =>
      named('path', text, (path) => new PathCheck(a, path)),
    )
    .registerFunction(
      'Authorizer.group(string): GroupCheck',
      (a: Authorizer, group: string) => new GroupCheck(a, group),
    )
    .registerFunction('Authorizer.serviceAccount(string, string): Authorizer', serviceAccount)
    .registerFunction('GroupCheck.resource(string): ResourceCheck', (g: GroupCheck, text: string) =>
      named(
        'resource',
        text,
        (resource) => new ResourceCheck(g.authorizer, { ...NO_TARGET, group: g.group, resource }),
      ),
    )
    .registerFunction('PathCheck.check(string): AuthorizationDecision', (p: PathCheck, verb: string) =>
      decide(p.authorizer, { resourceRequest: false, user: p.authorizer.user, verb, path: p.path }),
    )
    .registerFunction('ResourceCheck.check(string): AuthorizationDecision', checkResource)
    .registerFunction('AuthorizationDecision.allowed(): bool', ({ decision }: Decided) => decision.allowed)
    .registerFunction('AuthorizationDecision.reason(): string', ({ decision }: Decided) => decision.reason)
    .registerFunction('AuthorizationDecision.errored(): bool', ({ decision }: Decided) => decision.error !== '')
    .registerFunction('AuthorizationDecision.error(): string', ({ decision }: Decided) => decision.error)
  for (const part of ['subresource', 'namespace', 'name'] as const)
    environment.registerFunction(`ResourceCheck.${part}(string): ResourceCheck`, (r: ResourceCheck, text: string) =>
      r.with({ [part]: text }),
    )
  // No authorizer here looks at selectors: a check with one is decided as for all objects, as Kubernetes' RBAC does.
  for (const selector of ['fieldSelector', 'labelSelector'])
    environment.registerFunction(`ResourceCheck.${selector}(string): ResourceCheck`, (r: ResourceCheck) => r)
}

function checkResource({ authorizer, target }: ResourceCheck, verb: string): Decided {
  const { group, ...rest } = target
  return decide(authorizer, {
    resourceRequest: true,
    user: authorizer.user,
    verb,
    apiGroup: group,
    apiVersion: '*',
    ...rest,
  })
}
