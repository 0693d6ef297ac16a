import type { PodSecurityContext, SecurityContext } from '../../../kernel/resources/kinds/pod/types.ts'
import {
  type CriImage,
  type LinuxContainerSecurityContext,
  NAMESPACE_MODE,
  type NamespaceOption,
  PROFILE,
  type SecurityProfile,
} from '../../../platform/cri/index.ts'
import { ContainerConfigError } from './environment.ts'
import type { Pod, PodContainer } from './pod.ts'

/** Of /proc and /sys, what a container does not see, and what it cannot write (procMount: Default). */
const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

export function namespaceOptions(pod: Pod, targetId = ''): NamespaceOption {
  const { hostNetwork, hostIPC, hostPID, shareProcessNamespace } = pod.spec
  const { pod: shared, container, node, target } = NAMESPACE_MODE
  return {
    network: hostNetwork === true ? node : shared,
    ipc: hostIPC === true ? node : shared,
    pid: targetId !== '' ? target : hostPID === true ? node : shareProcessNamespace === true ? shared : container,
    targetId,
  }
}

/** Groups that every process of the pod is in. */
export function supplementalGroups(pod: Pod): number[] {
  const { fsGroup, supplementalGroups: groups = [] } = pod.spec.securityContext ?? {}
  return fsGroup == null ? [...groups] : [...groups, fsGroup]
}

/** A profile of the node lies below `seccompFolder`. Without one the pod is unconfined, as kubelets have it. */
export function seccompProfile(
  profile: { type?: string; localhostProfile?: string } | undefined,
  seccompFolder: string,
): SecurityProfile {
  switch (profile?.type) {
    case 'RuntimeDefault':
      return { profileType: PROFILE.runtimeDefault, localhostRef: '' }
    case 'Localhost':
      return { profileType: PROFILE.localhost, localhostRef: `${seccompFolder}/${profile.localhostProfile ?? ''}` }
    default:
      return { profileType: PROFILE.unconfined, localhostRef: '' }
  }
}

/** A container's own wishes count before its pod's. */
export function effectiveSecurityContext(pod: Pod, container: PodContainer): SecurityContext {
  const ofPod: PodSecurityContext = pod.spec.securityContext ?? {}
  const { runAsUser, runAsGroup, runAsNonRoot, seccompProfile: seccomp } = ofPod
  const inherited = { runAsUser, runAsGroup, runAsNonRoot, seccompProfile: seccomp }
  const own = Object.entries(container.securityContext ?? {}).filter(([, value]) => value != null)
  return { ...inherited, ...Object.fromEntries(own) } as SecurityContext
}

/** The container's security in the runtime's words. Throws ContainerConfigError for a root that must not be. */
export function containerSecurity(
  pod: Pod,
  container: PodContainer,
  image: Pick<CriImage, 'uid' | 'username'>,
  options: { seccompFolder: string; targetId?: string },
): Partial<LinuxContainerSecurityContext> {
  const context = effectiveSecurityContext(pod, container)
  if (context.runAsNonRoot === true) refuseRoot(context.runAsUser, image, container.name)
  const { runAsUser, runAsGroup, privileged = false, capabilities } = context
  const user =
    runAsUser != null
      ? { runAsUser: { value: runAsUser } }
      : image.uid !== undefined
        ? { runAsUser: { value: image.uid.value } }
        : { runAsUsername: image.username }
  const unmasked = context.procMount === 'Unmasked'
  const escalates = privileged || (capabilities?.add ?? []).some((c) => c === 'SYS_ADMIN' || c === 'CAP_SYS_ADMIN')
  return {
    ...user,
    ...(runAsGroup == null ? {} : { runAsGroup: { value: runAsGroup } }),
    privileged,
    capabilities: { addCapabilities: capabilities?.add ?? [], dropCapabilities: capabilities?.drop ?? [] },
    namespaceOptions: namespaceOptions(pod, options.targetId),
    readonlyRootfs: context.readOnlyRootFilesystem === true,
    supplementalGroups: supplementalGroups(pod),
    noNewPrivs: context.allowPrivilegeEscalation === false && !escalates,
    maskedPaths: unmasked ? [] : MASKED_PATHS,
    readonlyPaths: unmasked ? [] : READONLY_PATHS,
    seccomp: seccompProfile(privileged ? undefined : context.seccompProfile, options.seccompFolder),
  }
}

/** pkg/kubelet/kuberuntime/security_context.go: what is not known to be another than root counts as root. */
function refuseRoot(runAsUser: number | undefined, image: Pick<CriImage, 'uid' | 'username'>, name: string): void {
  const refuse = (why: string): never => {
    throw new ContainerConfigError(`container ${name} must not run as root (runAsNonRoot): ${why}`)
  }
  if (runAsUser != null) {
    if (runAsUser === 0) refuse('its runAsUser is 0')
    return
  }
  if (image.uid !== undefined) {
    if (image.uid.value === 0) refuse("its image's user is root, and it has no runAsUser")
    return
  }
  if (image.username === '') refuse("its image's user is root, and it has no runAsUser")
  refuse(`its image's user ${image.username} is a name, not a number, so that it cannot be verified`)
}
