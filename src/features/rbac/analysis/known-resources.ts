import { parseApiVersion } from '../../../kernel/api/object.ts'
import type { Client } from '../../../kernel/client/client.ts'
import { ALL_VERBS } from '../../../kernel/resources/definition.ts'
import { builtinKinds } from '../../../kernel/resources/kinds/index.ts'
import { rbacKinds } from '../resources.ts'

export type KnownResource = {
  group: string
  plural: string
  singular: string
  /** Lower case. */
  kind: string
  shortNames: readonly string[]
  namespaced: boolean
  verbs: readonly string[]
  subresources: readonly string[]
}

export type KnownResources = {
  resources: readonly KnownResource[]
  /** True when it is all that there is: discovery. The built-in kinds know nothing of custom ones. */
  complete: boolean
}

/** What Kubernetes 1.32 serves beyond the kernel's own kinds: `[!]group plural[/sub,…] [short,…]`, `!` cluster-scoped. */
const FURTHER = `
core bindings
!core componentstatuses cs
core persistentvolumeclaims/status pvc
!core persistentvolumes/status pv
core replicationcontrollers/scale,status rc
!admissionregistration.k8s.io validatingadmissionpolicies/status
!admissionregistration.k8s.io validatingadmissionpolicybindings
!admissionregistration.k8s.io mutatingadmissionpolicies
!admissionregistration.k8s.io mutatingadmissionpolicybindings
!apiregistration.k8s.io apiservices/status
autoscaling horizontalpodautoscalers/status hpa
!certificates.k8s.io clustertrustbundles
coordination.k8s.io leasecandidates
!flowcontrol.apiserver.k8s.io flowschemas/status
!flowcontrol.apiserver.k8s.io prioritylevelconfigurations/status
!metrics.k8s.io nodes
metrics.k8s.io pods
networking.k8s.io ingresses/status ing
!networking.k8s.io ingressclasses
!networking.k8s.io ipaddresses
!networking.k8s.io servicecidrs/status
!node.k8s.io runtimeclasses
!policy podsecuritypolicies psp
!resource.k8s.io deviceclasses
resource.k8s.io resourceclaims/status
resource.k8s.io resourceclaimtemplates
!resource.k8s.io resourceslices
!storage.k8s.io csidrivers
!storage.k8s.io csinodes
storage.k8s.io csistoragecapacities
!storage.k8s.io storageclasses sc
!storage.k8s.io volumeattachments/status
!storage.k8s.io volumeattributesclasses
!storagemigration.k8s.io storageversionmigrations/status
extensions daemonsets/status
extensions deployments/rollback,scale,status
extensions ingresses/status
extensions networkpolicies
extensions replicasets/scale,status
extensions replicationcontrollers/scale
`

/** Names that only authorization knows: no API serves them, and rules use them (impersonation, signers, kubelets). */
const FOR_RULES_ONLY = `
!core users
!core groups
!core nodes/log,metrics,stats,pods,configz,healthz,checkpoint
!authentication.k8s.io uids
!authentication.k8s.io userextras
!certificates.k8s.io signers
!certificates.k8s.io certificatesigningrequests/nodeclient,selfnodeclient,selfnodeserver
core pods/eviction
core serviceaccounts/token
core services/proxy
`

export function builtinResources(): KnownResources {
  const kernel = [...builtinKinds, ...rbacKinds].map(
    (definition): KnownResource => ({
      group: definition.group,
      plural: definition.plural,
      singular: definition.singular,
      kind: definition.kind.toLowerCase(),
      shortNames: definition.shortNames ?? [],
      namespaced: definition.namespaced,
      verbs: definition.verbs ?? ALL_VERBS,
      subresources: (definition.subresources ?? []).map((sub) => sub.name),
    }),
  )
  return { resources: merge([...kernel, ...parse(FURTHER), ...parse(FOR_RULES_ONLY)]), complete: false }
}

function parse(text: string): KnownResource[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const namespaced = !line.includes('!')
      const [group = '', what = '', short] = line.replace('!', '').split(' ')
      const [plural = '', subs] = what.split('/')
      const singular = plural
        .replace(/(ss|x|ch)es$/, '$1')
        .replace(/ies$/, 'y')
        .replace(/([^s])s$/, '$1')
      return {
        group: group === 'core' ? '' : group,
        plural,
        singular,
        kind: singular,
        shortNames: short?.split(',') ?? [],
        namespaced,
        verbs: ALL_VERBS,
        subresources: subs?.split(',') ?? [],
      }
    })
}

/** One entry for each group and plural; subresources of all. */
function merge(resources: readonly KnownResource[]): KnownResource[] {
  const found = new Map<string, KnownResource>()
  for (const resource of resources) {
    const key = `${resource.group}/${resource.plural}`
    const known = found.get(key)
    const subresources = [...new Set([...(known?.subresources ?? []), ...resource.subresources])]
    found.set(key, { ...(known ?? resource), subresources })
  }
  return [...found.values()]
}

/** Discovery of a cluster, all versions of all groups. A group that does not answer makes the list incomplete. */
export async function discoveredResources(client: Client): Promise<KnownResources> {
  const groups = (await client.raw('GET', '/apis')) as {
    groups?: { name: string; versions: { groupVersion: string }[] }[]
  }
  const paths = ['/api/v1']
  for (const group of groups.groups ?? [])
    for (const { groupVersion } of group.versions) paths.push(`/apis/${groupVersion}`)
  let complete = true
  const lists = await Promise.all(
    paths.map(async (path) => {
      try {
        return (await client.raw('GET', path)) as ApiResourceList
      } catch {
        // An aggregated API server that is down: what it serves is not known, which `complete` says.
        complete = false
        return { groupVersion: '', resources: [] }
      }
    }),
  )
  return { resources: merge([...lists.flatMap(fromDiscovery), ...parse(FOR_RULES_ONLY)]), complete }
}

type ApiResourceList = {
  groupVersion: string
  resources: {
    name: string
    singularName?: string
    kind: string
    namespaced: boolean
    shortNames?: string[]
    verbs?: string[]
  }[]
}

function fromDiscovery({ groupVersion, resources }: ApiResourceList): KnownResource[] {
  const { group } = parseApiVersion(groupVersion)
  const subresources = new Map<string, string[]>()
  for (const { name } of resources) {
    const [plural = '', sub] = name.split('/')
    if (sub !== undefined) subresources.set(plural, [...(subresources.get(plural) ?? []), sub])
  }
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, singularName, kind, namespaced, shortNames, verbs }) => ({
      group,
      plural: name,
      singular: singularName || kind.toLowerCase(),
      kind: kind.toLowerCase(),
      shortNames: shortNames ?? [],
      namespaced,
      verbs: verbs ?? [],
      subresources: subresources.get(name) ?? [],
    }))
}
