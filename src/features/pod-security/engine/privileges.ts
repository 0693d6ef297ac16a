/** Checks of what a process may do: privileged mode, capabilities, becoming or being root. */
import {
  type Check,
  type CheckPod,
  containersOf,
  containersWith,
  exceptWindows,
  joinQuote,
  named,
  nameOf,
  settersOf,
  sorted,
} from './check.ts'

const privileged: Check = {
  id: 'privileged',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const bad = containersWith(spec, (context) => context.privileged === true)
        if (bad.length === 0) return undefined
        return {
          reason: 'privileged',
          detail: `${named('container', bad)} must not set securityContext.privileged=true`,
        }
      },
    },
  ],
}

/** What container runtimes give by default. */
const DEFAULT_CAPABILITIES: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])

/** `container "a" must not include "X" in …`, or undefined. */
function capabilitiesBeyond(allowed: ReadonlySet<string>): (pod: Parameters<CheckPod>[0]) => string | undefined {
  return ({ spec }) => {
    const bad = containersOf(spec)
      .map((container) => ({
        name: nameOf(container),
        added: (container.securityContext?.capabilities?.add ?? []).filter((capability) => !allowed.has(capability)),
      }))
      .filter(({ added }) => added.length > 0)
    if (bad.length === 0) return undefined
    const who = named(
      'container',
      bad.map(({ name }) => name),
    )
    const what = joinQuote(sorted(bad.flatMap(({ added }) => added)))
    return `${who} must not include ${what} in securityContext.capabilities.add`
  }
}

const beyondDefault = capabilitiesBeyond(DEFAULT_CAPABILITIES)
const beyondRestricted = capabilitiesBeyond(new Set(['NET_BIND_SERVICE']))

const capabilitiesBaseline: Check = {
  id: 'capabilities_baseline',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: (pod) => {
        const detail = beyondDefault(pod)
        return detail === undefined ? undefined : { reason: 'non-default capabilities', detail }
      },
    },
  ],
}

const dropsAll: CheckPod = (pod) => {
  const keep = containersWith(pod.spec, (context) => context.capabilities?.drop?.includes('ALL') !== true)
  const details = [
    keep.length === 0 ? undefined : `${named('container', keep)} must set securityContext.capabilities.drop=["ALL"]`,
    beyondRestricted(pod),
  ].filter((detail) => detail !== undefined)
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') }
}

const capabilitiesRestricted: Check = {
  id: 'capabilities_restricted',
  level: 'restricted',
  overrides: 'capabilities_baseline',
  versions: [
    { since: 22, check: dropsAll },
    { since: 25, check: exceptWindows(dropsAll) },
  ],
}

const forbidsEscalation: CheckPod = ({ spec }) => {
  const bad = containersWith(spec, (context) => context.allowPrivilegeEscalation !== false)
  if (bad.length === 0) return undefined
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${named('container', bad)} must set securityContext.allowPrivilegeEscalation=false`,
  }
}

const allowPrivilegeEscalation: Check = {
  id: 'allowPrivilegeEscalation',
  level: 'restricted',
  versions: [
    { since: 8, check: forbidsEscalation },
    { since: 25, check: exceptWindows(forbidsEscalation) },
  ],
}

/** A check that does not look at pods in a user namespace of their own, where the gate says so (KEP-127). */
const outsideUserNamespace =
  (userNamespaces: boolean, check: CheckPod): CheckPod =>
  (pod) =>
    userNamespaces && pod.spec.hostUsers === false ? undefined : check(pod)

const runAsNonRoot: CheckPod = ({ spec }) => {
  const ofPod = spec.securityContext?.runAsNonRoot
  const reason = 'runAsNonRoot != true'
  const setters = settersOf(
    ofPod === false,
    containersWith(spec, (context) => context.runAsNonRoot === false),
  )
  if (setters !== '') return { reason, detail: `${setters} must not set securityContext.runAsNonRoot=false` }
  if (ofPod === true) return undefined
  const silent = containersWith(spec, (context) => context.runAsNonRoot == null)
  if (silent.length === 0) return undefined
  return { reason, detail: `pod or ${named('container', silent)} must set securityContext.runAsNonRoot=true` }
}

const runAsUser: CheckPod = ({ spec }) => {
  const setters = settersOf(
    spec.securityContext?.runAsUser === 0,
    containersWith(spec, (context) => context.runAsUser === 0),
  )
  return setters === '' ? undefined : { reason: 'runAsUser=0', detail: `${setters} must not set runAsUser=0` }
}

export function privilegeChecks(userNamespaces: boolean): readonly Check[] {
  return [
    allowPrivilegeEscalation,
    capabilitiesBaseline,
    capabilitiesRestricted,
    privileged,
    {
      id: 'runAsNonRoot',
      level: 'restricted',
      versions: [{ since: 0, check: outsideUserNamespace(userNamespaces, runAsNonRoot) }],
    },
    {
      id: 'runAsUser',
      level: 'restricted',
      versions: [{ since: 23, check: outsideUserNamespace(userNamespaces, runAsUser) }],
    },
  ]
}
