import { RBAC_GROUP, type Subject } from '../../engine/types.ts'
import { userId } from '../subject.ts'

export type Accounts = {
  /** `NAMESPACE/NAME` */
  names: ReadonlySet<string>
  /** Namespaces whose accounts are all known: each has at least `default`. */
  complete: ReadonlySet<string>
}

type Wrong = { what: string; fix: string }

const KINDS = ['User', 'Group', 'ServiceAccount']
const ACCOUNT_GROUPS = 'system:serviceaccounts'

/** Why a subject matches nobody, or not who was probably meant. Kubernetes refuses some of it, manifests do not. */
export function wrongSubject(subject: Subject, bindingNamespace: string, accounts: Accounts): Wrong | undefined {
  const { kind, apiGroup } = subject
  if (!KINDS.includes(kind)) {
    const meant = KINDS.find((known) => known.toLowerCase() === kind.toLowerCase()) ?? 'User, Group or ServiceAccount'
    return {
      what: `kind ${JSON.stringify(kind)} is no kind of subject: it matches nobody`,
      fix: `write kind: ${meant}`,
    }
  }
  if (kind === 'ServiceAccount') return wrongAccount(subject, bindingNamespace)
  if (apiGroup && apiGroup !== RBAC_GROUP)
    return { what: `a ${kind} is of API group ${RBAC_GROUP}, not ${apiGroup}`, fix: `write apiGroup: ${RBAC_GROUP}` }
  return kind === 'Group' ? wrongGroup(subject.name) : wrongUser(subject.name, bindingNamespace, accounts)
}

function wrongAccount({ name, namespace, apiGroup }: Subject, bindingNamespace: string): Wrong | undefined {
  if (apiGroup) return { what: `a ServiceAccount is not of API group ${apiGroup}`, fix: 'leave apiGroup out' }
  if (!namespace && bindingNamespace === '')
    return { what: `ServiceAccount ${name} without a namespace matches nobody`, fix: 'write its namespace' }
  if (!name.includes(':')) return undefined
  return { what: `no service account can be named ${name}`, fix: 'write its plain name and its namespace' }
}

function wrongGroup(name: string): Wrong | undefined {
  const match = /^system:serviceaccount(?::([^:]*))?/.exec(name)
  if (match === null || name === ACCOUNT_GROUPS || /^system:serviceaccounts:[^:]+$/.test(name)) return undefined
  // `system:serviceaccounts…` is matched by the expression too, with more colons than the group has.
  const namespace = name.split(':')[2]
  const meant = namespace ? `${ACCOUNT_GROUPS}:${namespace}` : ACCOUNT_GROUPS
  return { what: `nobody is in a group named ${name}`, fix: `the group of service accounts is ${meant}` }
}

/** `shop:web`, `shop/web`, `serviceaccount:shop:web`, or `web` where such an account exists. */
function wrongUser(name: string, bindingNamespace: string, { names }: Accounts): Wrong | undefined {
  if (userId(name).kind === 'ServiceAccount') return undefined
  const prefixed = /^(?:system:)?serviceaccounts?:/.exec(name)?.[0] ?? ''
  const account = name.slice(prefixed.length).replace(':', '/')
  const full = account.includes('/') ? account : `${bindingNamespace}/${account}`
  const [namespace = '', plain = ''] = full.split('/')
  if (names.has(full))
    return {
      what: `User ${name} is not the service account ${full}, whose user name is system:serviceaccount:${namespace}:${plain}`,
      fix: `write kind: ServiceAccount, name: ${plain}, namespace: ${namespace}, without apiGroup`,
    }
  if (prefixed === '') return undefined
  return {
    what: `User ${name} is the name of no service account`,
    fix: 'write kind: ServiceAccount with its namespace',
  }
}
