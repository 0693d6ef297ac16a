import type { ObjectMeta } from '../../../api/object.ts'
import { tryQuantity } from '../../../api/quantity.ts'
import { APPARMOR_CONTAINER } from './annotations.ts'
import type { Container, ContainerPort, NodeSelectorTerm, PodSpec } from './types.ts'
import { eachContainer } from './windows.ts'

/** What is allowed in a pod but hardly meant (pkg/api/pod/warnings.go). */

const OLD_NODE_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}

const OLD_VOLUMES: Readonly<Record<string, string>> = {
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
}

const OLD_ANNOTATION = 'non-functional in v1.27+; use the "seccompProfile" field instead'
const SECCOMP = /^(?:container\.)?seccomp\.security\.alpha\.kubernetes\.io\//

/** `prefix` is '' for a pod and the path of the template with a dot, e.g. `spec.template.`, in other kinds. */
export function podWarnings(metadata: ObjectMeta | undefined, spec: PodSpec, prefix: string): string[] {
  const warnings: string[] = []
  const at = `${prefix}spec`
  for (const key in spec.nodeSelector) warnOldLabel(key, `${at}.nodeSelector[${key}]`, warnings)
  warnAffinity(spec, at, warnings)
  spec.topologySpreadConstraints?.forEach((constraint, i) => {
    warnOldLabel(constraint.topologyKey, `${at}.topologySpreadConstraints[${i}].topologyKey`, warnings)
  })
  for (const key in metadata?.annotations) {
    const path = `${prefix}metadata.annotations[${key}]`
    if (SECCOMP.test(key)) warnings.push(`${path}: ${OLD_ANNOTATION}`)
    else if (key === 'scheduler.alpha.kubernetes.io/critical-pod')
      warnings.push(`${path}: non-functional in v1.16+; use the "priorityClassName" field instead`)
    else if (key.startsWith(APPARMOR_CONTAINER) && !hasAppArmorField(spec, key.slice(APPARMOR_CONTAINER.length)))
      warnings.push(`${path}: deprecated since v1.30; use the "appArmorProfile" field instead`)
  }
  spec.volumes?.forEach((volume, i) => {
    for (const field in volume)
      if (volume[field] != null && OLD_VOLUMES[field] !== undefined)
        warnings.push(`${at}.volumes[${i}].${field}: ${OLD_VOLUMES[field]}`)
  })
  const secrets = new Set<string>()
  spec.imagePullSecrets?.forEach(({ name = '' }, i) => {
    if (name === '') warnings.push(`${at}.imagePullSecrets[${i}].name: invalid empty name ""`)
    else if (secrets.has(name)) warnings.push(`${at}.imagePullSecrets[${i}].name: duplicate name "${name}"`)
    secrets.add(name)
  })
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0)
    warnings.push(
      `${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
    )
  eachContainer(spec, at, (container, path) => {
    warnContainer(container, path, warnings)
  })
  return warnings
}

function warnOldLabel(label: string | undefined, path: string, warnings: string[]): void {
  const why = OLD_NODE_LABELS[label ?? '']
  if (why !== undefined) warnings.push(`${path}: ${why}`)
}

function warnAffinity(spec: PodSpec, at: string, warnings: string[]): void {
  const { nodeAffinity } = spec.affinity ?? {}
  const warnTerm = (term: NodeSelectorTerm | undefined, path: string): void => {
    term?.matchExpressions?.forEach(({ key }, i) => {
      warnOldLabel(key, `${path}.matchExpressions[${i}].key`, warnings)
    })
  }
  const path = `${at}.affinity.nodeAffinity`
  nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms?.forEach((term, i) => {
    warnTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`)
  })
  nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ preference }, i) => {
    warnTerm(preference, `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`)
  })
}

function hasAppArmorField(spec: PodSpec, name: string): boolean {
  let found = spec.securityContext?.appArmorProfile != null
  eachContainer(spec, '', (container) => {
    if (container.name === name && container.securityContext?.appArmorProfile != null) found = true
  })
  return found
}

function warnContainer(container: Container, path: string, warnings: string[]): void {
  const names = new Map<string, string>()
  container.env?.forEach(({ name = '', value }, i) => {
    const previous = names.get(name)
    // A variable that refers to its predecessor does not hide it.
    if (previous !== undefined && !value?.includes(`$(${name})`))
      warnings.push(`${path}.env[${i}]: hides previous definition of "${name}", which may be dropped when using apply`)
    names.set(name, value ?? '')
  })
  warnPorts(container.ports ?? [], `${path}.ports`, warnings)
  for (const kind of ['limits', 'requests'] as const)
    for (const name of ['memory', 'ephemeral-storage']) {
      const amount = tryQuantity(container.resources?.[kind]?.[name])
      if (amount !== undefined && amount.nanos % 1_000_000_000n !== 0n)
        warnings.push(
          `${path}.resources.${kind}[${name}]: fractional byte value "${amount.text}" is invalid, must be an integer`,
        )
    }
}

function warnPorts(ports: readonly ContainerPort[], path: string, warnings: string[]): void {
  const seen = new Map<string, number>()
  ports.forEach((port, i) => {
    const key = `${port.protocol ?? 'TCP'}/${port.containerPort}/${port.hostIP ?? ''}/${port.hostPort ?? 0}`
    const first = seen.get(key)
    if (first === undefined) seen.set(key, i)
    else warnings.push(`${path}[${i}]: duplicate port definition with ${path}[${first}]`)
  })
}
