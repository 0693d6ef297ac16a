import type { Architecture } from './bundle-content.ts'
import { CNI_PLUGINS, type Facts } from './facts.ts'
import { parseJournal } from './journal.ts'

export type Wanted = {
  nodeName: string
  /** As in Journal. */
  cluster: string
  kubeletPort: number
  cniBinFolder: string
  bundleBytes: number
}

const MAX_SKEW_MS = 30_000
/** KiB beside the bundle: keys, logs, images that pods bring. */
const FREE_BESIDE_KIB = 512 * 1024
const PACKAGES: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  nft: 'nftables',
  ip: 'iproute2',
  unshare: 'util-linux',
}
const KERNEL = ['netns', 'veth', 'vxlan', 'nf_tables', 'overlay']

/** A label of DNS: it is part of a bootstrap token's group, of certificates and of the label kubernetes.io/hostname. */
export function nodeNameProblem(name: string): string | undefined {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
    ? undefined
    : `${JSON.stringify(name)} cannot name a machine: lower-case letters, digits and '-', at most 63, no dots`
}

export function architectureOf(facts: Pick<Facts, 'machine'>): Architecture | undefined {
  return facts.machine === 'x86_64' ? 'x64' : facts.machine === 'aarch64' ? 'arm64' : undefined
}

/** Everything that stands against joining; empty: nothing does. */
export function preflight(facts: Facts, wanted: Wanted): string[] {
  return [
    ...platformProblems(facts),
    ...(facts.root ? rootProblems(facts, wanted) : [`${facts.user} is not root, and "sudo -n" asks for a password`]),
    ...programProblems(facts, wanted),
    ...clockProblems(facts),
    ...diskProblems(facts, wanted),
    ...(facts.supervisor === undefined
      ? [
          `nothing here can supervise the agent: process 1 is ${facts.pid1 || 'unknown'}, not systemd or an init that reads /etc/inittab`,
        ]
      : []),
  ]
}

function platformProblems(facts: Facts): string[] {
  const problems: string[] = []
  if (facts.system !== 'Linux') problems.push(`it runs ${facts.system || 'an unknown system'}, not Linux`)
  if (architectureOf(facts) === undefined)
    problems.push(`its processor is ${facts.machine || 'unknown'}: x86_64 or aarch64 is needed`)
  if (facts.hostName === '' || facts.hostName === '(none)') problems.push('it has no host name')
  return problems
}

function rootProblems(facts: Facts, wanted: Wanted): string[] {
  const problems = KERNEL.flatMap((name) => {
    const answer = facts.kernel.get(name)
    if (answer === 'yes') return []
    if (name !== 'netns' && facts.kernel.get('netns') !== 'yes' && name !== 'overlay') return []
    return [`the kernel's ${name} cannot be used${answer === undefined ? '' : ` (${answer.replace(/^no: /, '')})`}`]
  })
  if (facts.containerd !== 'yes') problems.push(`containerd does not answer: ${facts.containerd}`)
  else if (facts.cri !== 'yes')
    problems.push("containerd's CRI plugin is off: remove it from disabled_plugins in /etc/containerd/config.toml")
  return [...problems, ...ownershipProblems(facts, wanted)]
}

/** Whose machine is it? The journal says; without one, a node.json that nobody vouches for. */
function ownershipProblems(facts: Facts, wanted: Wanted): string[] {
  const journal = parseJournal(facts.journalJson)
  if (journal === undefined) {
    if (facts.nodeJson !== undefined || facts.supervised || facts.running)
      return ['an agent of an unknown cluster is there already (/etc/rampart/node.json without a journal)']
  } else if (journal.cluster !== wanted.cluster)
    return [`it belongs to another cluster, as ${journal.nodeName}: take it out there with "rampart node remove" first`]
  else if (journal.nodeName !== wanted.nodeName)
    return [
      `it belongs to this cluster already, as ${journal.nodeName}: "rampart node remove ${journal.nodeName}" first`,
    ]
  if (facts.portInUse && !facts.running) return [`port ${wanted.kubeletPort} is in use`]
  return []
}

function programProblems(facts: Facts, wanted: Wanted): string[] {
  const programs = ['containerd', 'ctr', 'runc', 'nft', 'ip', 'unshare', 'tar', 'sha256sum', 'base64', 'mktemp']
    .filter((name) => !facts.programs.has(name))
    .map(
      (name) => `the program ${name} is missing${PACKAGES[name] === undefined ? '' : ` (package ${PACKAGES[name]})`}`,
    )
  const plugins = CNI_PLUGINS.filter((name) => !facts.cniPlugins.has(name))
  if (plugins.length > 0)
    programs.push(
      `CNI plugins are missing in ${wanted.cniBinFolder}: ${plugins.join(', ')} (package containernetworking-plugins)`,
    )
  return programs
}

function clockProblems(facts: Facts): string[] {
  const skew = Math.abs(facts.clockSkewMs)
  if (skew - facts.uncertaintyMs <= MAX_SKEW_MS) return []
  if (!Number.isFinite(skew)) return ['its clock cannot be read']
  const direction = facts.clockSkewMs > 0 ? 'ahead of' : 'behind'
  return [
    `its clock is ${Math.round(skew / 1000)} s ${direction} this machine's: more than 30 s make certificates fail`,
  ]
}

function diskProblems(facts: Facts, wanted: Wanted): string[] {
  const need = {
    opt: facts.bundle === 'verified' ? 0 : Math.ceil((wanted.bundleBytes * 1.1) / 1024),
    var: FREE_BESIDE_KIB,
  }
  return (['opt', 'var'] as const)
    .filter((name) => !(facts.free[name] >= need[name]))
    .map(
      (name) =>
        `/${name} has ${Math.floor((facts.free[name] || 0) / 1024)} MiB free, ${Math.ceil(need[name] / 1024)} are needed`,
    )
}
