/** Checks of what the kernel holds against a process: AppArmor, SELinux, seccomp, masked /proc, sysctls. */
import {
  type Check,
  type CheckPod,
  containersOf,
  containersWith,
  exceptWindows,
  joinQuote,
  named,
  nameOf,
  type PodUnderTest,
  pluralize,
  quote,
  settersOf,
  sorted,
  type Violation,
} from './check.ts'

const CONFINED: ReadonlySet<string | undefined> = new Set(['RuntimeDefault', 'Localhost'])

type ProfileField = 'appArmorProfile' | 'seccompProfile'

/** Types of the profiles that lift confinement, and who set them. A profile without a type is one of type ''. */
function unconfined({ spec }: PodUnderTest, field: ProfileField): { setters: string; types: string[] } {
  const types: string[] = []
  const isBad = (context: { [F in ProfileField]?: { type?: string } | null } | null | undefined): boolean => {
    const profile = context?.[field]
    if (profile == null || CONFINED.has(profile.type)) return false
    types.push(profile.type ?? '')
    return true
  }
  const setters = settersOf(isBad(spec.securityContext), containersWith(spec, isBad))
  return { setters, types: sorted(types) }
}

const APP_ARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'
const isAppArmorAnnotationAllowed = (value: string): boolean =>
  value === '' || value === 'runtime/default' || value.startsWith('localhost/')

const appArmorProfile: Check = {
  id: 'appArmorProfile',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: (pod) => {
        const { setters, types } = unconfined(pod, 'appArmorProfile')
        const annotations = Object.entries(pod.metadata.annotations ?? {})
          .filter(([key, value]) => key.startsWith(APP_ARMOR_ANNOTATION) && !isAppArmorAnnotationAllowed(value))
          .map(([key, value]) => `${key}=${quote(value)}`)
        const values = [...types, ...sorted(annotations)]
        if (values.length === 0) return undefined
        const who = [setters, annotations.length > 0 ? pluralize('annotation', annotations.length) : '']
        return {
          reason: pluralize('forbidden AppArmor profile', values.length),
          detail: `${who.filter((w) => w !== '').join(' and ')} must not set AppArmor profile type to ${joinQuote(values)}`,
        }
      },
    },
  ],
}

type SELinuxOptions = { type?: string; user?: string; role?: string }

const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t']

function seLinuxOptions(allowed: readonly string[]): CheckPod {
  return ({ spec }) => {
    const types: string[] = []
    const set = { user: false, role: false }
    const isBad = (options: SELinuxOptions | null | undefined): boolean => {
      if (options == null) return false
      const { type, user, role } = { type: options.type ?? '', user: options.user ?? '', role: options.role ?? '' }
      const badType = !allowed.includes(type)
      if (badType) types.push(type)
      set.user ||= user !== ''
      set.role ||= role !== ''
      return badType || user !== '' || role !== ''
    }
    const setters = settersOf(
      isBad(spec.securityContext?.seLinuxOptions),
      containersWith(spec, (context) => isBad(context.seLinuxOptions)),
    )
    if (setters === '') return undefined
    const bad = sorted(types)
    const what = [
      ...(bad.length > 0 ? [`${pluralize('type', bad.length)} ${joinQuote(bad)}`] : []),
      ...(set.user ? ['user may not be set'] : []),
      ...(set.role ? ['role may not be set'] : []),
    ]
    const detail = `${setters} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}`
    return { reason: 'seLinuxOptions', detail }
  }
}

const POD_SECCOMP_ANNOTATION = 'seccomp.security.alpha.kubernetes.io/pod'
const CONTAINER_SECCOMP_ANNOTATION = 'container.seccomp.security.alpha.kubernetes.io/'
const isSeccompAnnotationAllowed = (value: string): boolean =>
  value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/')

/** Until 1.18 seccomp was set by annotations. */
const seccompAnnotations: CheckPod = ({ metadata, spec }) => {
  const { annotations } = metadata
  const keys = [POD_SECCOMP_ANNOTATION, ...containersOf(spec).map((c) => CONTAINER_SECCOMP_ANNOTATION + nameOf(c))]
  const bad = sorted(
    keys
      .filter((key) => annotations?.[key] !== undefined && !isSeccompAnnotationAllowed(annotations[key]))
      .map((key) => `${key}=${quote(annotations![key]!)}`),
  )
  if (bad.length === 0) return undefined
  return { reason: 'seccompProfile', detail: `forbidden ${pluralize('annotation', bad.length)} ${bad.join(', ')}` }
}

const seccompFields = (pod: PodUnderTest): Violation | undefined => {
  const { setters, types } = unconfined(pod, 'seccompProfile')
  if (setters === '') return undefined
  const detail = `${setters} must not set securityContext.seccompProfile.type to ${joinQuote(types)}`
  return { reason: 'seccompProfile', detail }
}

/** Besides: there must be a profile. */
const seccompRequired: CheckPod = (pod) => {
  const bad = seccompFields(pod)
  if (bad !== undefined || pod.spec.securityContext?.seccompProfile != null) return bad
  const without = containersWith(pod.spec, (context) => context.seccompProfile == null)
  if (without.length === 0) return undefined
  return {
    reason: 'seccompProfile',
    detail: `pod or ${named('container', without)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  }
}

/** With `userNamespaces`, root in a pod of its own user namespace is nobody on the node (KEP-127). */
function procMount(userNamespaces: boolean): CheckPod {
  return ({ spec }) => {
    if (userNamespaces && spec.hostUsers === false) return undefined
    const types: string[] = []
    const bad = containersWith(spec, (context) => {
      if (context.procMount == null || context.procMount === 'Default') return false
      types.push(context.procMount)
      return true
    })
    if (bad.length === 0) return undefined
    const detail = `${named('container', bad)} must not set securityContext.procMount to ${joinQuote(sorted(types))}`
    return { reason: 'procMount', detail }
  }
}

const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
]
const SYSCTLS_27 = [...SYSCTLS, 'net.ipv4.ip_local_reserved_ports']
const SYSCTLS_29 = [
  ...SYSCTLS_27,
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
]
const SYSCTLS_32 = [...SYSCTLS_29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']

function sysctls(allowed: readonly string[]): CheckPod {
  return ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name ?? '').filter((n) => !allowed.includes(n))
    return bad.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: bad.join(', ') }
  }
}

export function confinementChecks(userNamespaces: boolean): readonly Check[] {
  return [
    appArmorProfile,
    { id: 'procMount', level: 'baseline', versions: [{ since: 0, check: procMount(userNamespaces) }] },
    {
      id: 'seLinuxOptions',
      level: 'baseline',
      versions: [
        { since: 0, check: seLinuxOptions(SELINUX_TYPES) },
        { since: 31, check: seLinuxOptions([...SELINUX_TYPES, 'container_engine_t']) },
      ],
    },
    {
      id: 'seccompProfile_baseline',
      level: 'baseline',
      versions: [
        { since: 0, check: seccompAnnotations },
        { since: 19, check: seccompFields },
      ],
    },
    {
      id: 'seccompProfile_restricted',
      level: 'restricted',
      overrides: 'seccompProfile_baseline',
      versions: [
        { since: 19, check: seccompRequired },
        { since: 25, check: exceptWindows(seccompRequired) },
      ],
    },
    {
      id: 'sysctls',
      level: 'baseline',
      versions: [
        { since: 0, check: sysctls(SYSCTLS) },
        { since: 27, check: sysctls(SYSCTLS_27) },
        { since: 29, check: sysctls(SYSCTLS_29) },
        { since: 32, check: sysctls(SYSCTLS_32) },
      ],
    },
  ]
}
