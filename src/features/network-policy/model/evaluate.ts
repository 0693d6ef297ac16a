import { type AddressFamily, type IPAddress, ipAddress } from './addresses.ts'
import { peersMatch, portsMatch, type Service, type Side } from './match.ts'
import type { NetworkPolicyModel } from './model.ts'
import { type NearMiss, nearMisses } from './near-miss.ts'
import { hasAddress } from './nodes.ts'
import type { Pod } from './pod.ts'
import type { Rule } from './policy.ts'
import { type Action, type Direction, PROTOCOLS, type Protocol } from './types.ts'

/** A pod, an address (which may be a pod's or a machine's), or a machine by its name. */
export type Endpoint = { pod: { namespace: string; name: string } } | { address: string } | { node: string }

export type Query = {
  from: Endpoint
  to: Endpoint
  /** ICMP: echo requests and the like; errors and neighbour discovery always pass and are not asked about. */
  protocol: Protocol | 'ICMP'
  /** Of the destination; not for ICMP. */
  port?: number
  /** Of the two families of dual-stack pods; by default the first that both ends have. */
  family?: AddressFamily
}

/** The rule that decided. */
export type DecidedBy = {
  kind: 'NetworkPolicy' | 'ClusterNetworkPolicy'
  namespace?: string
  name: string
  rule: number
  ruleName?: string
  action: Action
}

export type DirectionVerdict = {
  allowed: boolean
  /**
   * rule: `by` decided. isolated: `isolatedBy` select the pod and none of them allows it. not-isolated: no policy speaks
   * of this direction. not-a-pod: this end is no pod that policies apply to. self: a pod reaches itself. host: a machine
   * reaches its own pods.
   */
  reason: 'rule' | 'isolated' | 'not-isolated' | 'not-a-pod' | 'self' | 'host'
  by?: DecidedBy
  /** Titles (`namespace/name`) of the policies that isolate the pod. */
  isolatedBy: string[]
  /** Policies in observe mode that would drop this connection. */
  wouldDrop: string[]
  nearMisses: NearMiss[]
}

export type Verdict = { allowed: boolean; egress: DirectionVerdict; ingress: DirectionVerdict }

const passed = (reason: DirectionVerdict['reason']): DirectionVerdict => ({
  allowed: true,
  reason,
  isolatedBy: [],
  wouldDrop: [],
  nearMisses: [],
})

/**
 * May this connection be opened, and which rules say so: egress at its source, ingress at its destination. Throws an Error
 * when an end is not known or the question makes no sense.
 */
export function verdict(model: NetworkPolicyModel, query: Query): Verdict {
  const service = serviceOf(query)
  const { from, to } = sides(model, query)
  if (from.pod !== undefined && from.pod === to.pod) {
    const self = passed('self')
    return { allowed: true, egress: self, ingress: self }
  }
  const egress = from.pod ? judge(model, 'egress', from.pod, to, service, to.pod) : passed('not-a-pod')
  const ingress = !to.pod
    ? passed('not-a-pod')
    : isOwnMachine(model, query.from, from, to.pod)
      ? passed('host')
      : judge(model, 'ingress', to.pod, from, service, to.pod)
  return { allowed: egress.allowed && ingress.allowed, egress, ingress }
}

/** The pod's decision about one direction, whoever the peer is: without the exceptions for itself and its machine. */
export function judge(
  model: NetworkPolicyModel,
  direction: Direction,
  pod: Pod,
  peer: Side,
  service: Service,
  destination: Pod | undefined,
): DirectionVerdict {
  if (pod.hostNetwork) return passed('not-a-pod')
  const { admin, isolating, observed, baseline } = model.decision(pod, direction)
  const matches = (rule: Rule): boolean => peersMatch(rule, peer) && portsMatch(rule, service, destination)
  const first = admin.find(matches)
  if (first !== undefined && first.action !== 'Pass') return byRule(first)
  if (isolating.length > 0) {
    const allowing = isolating.flatMap((policy) => policy[direction]!).find(matches)
    if (allowing !== undefined) return byRule(allowing)
    return {
      allowed: false,
      reason: 'isolated',
      isolatedBy: isolating.map(({ title }) => title),
      wouldDrop: [],
      nearMisses: nearMisses(
        model,
        isolating.flatMap((policy) => policy[direction]!),
        peer,
        service,
        destination,
      ),
    }
  }
  const spared = observed.length > 0 && !observed.some((policy) => policy[direction]!.some(matches))
  const wouldDrop = spared ? observed.map(({ title }) => title) : []
  const last = baseline.find(matches)
  return { ...(last !== undefined && last.action !== 'Pass' ? byRule(last) : passed('not-isolated')), wouldDrop }
}

function byRule({ policy, index, name, action }: Rule): DirectionVerdict {
  const by: DecidedBy = {
    kind: policy.kind,
    ...(policy.kind === 'NetworkPolicy' ? { namespace: policy.namespace } : {}),
    name: policy.name,
    rule: index,
    ...(name === undefined ? {} : { ruleName: name }),
    action,
  }
  return { ...passed('rule'), allowed: action === 'Accept', by }
}

function serviceOf({ protocol, port }: Query): Service {
  if (protocol === 'ICMP') return { protocol: undefined, port: 0 }
  if (!PROTOCOLS.includes(protocol))
    throw new Error(`${JSON.stringify(protocol)} is not one of ${PROTOCOLS.join(', ')}`)
  if (port === undefined || !Number.isInteger(port) || port < 0 || port > 65535)
    throw new Error(`${JSON.stringify(port)} is not a port: 0 to 65535`)
  return { protocol, port }
}

type Candidates = { pod: Pod | undefined; addresses: readonly IPAddress[] }

function sides(model: NetworkPolicyModel, { from, to, family }: Query): { from: Side; to: Side } {
  const [source, target] = [candidates(model, from), candidates(model, to)]
  const families = target.addresses.map((address) => address.family)
  const common = family ?? families.find((f) => source.addresses.some((address) => address.family === f)) ?? families[0]
  const side = ({ pod, addresses }: Candidates): Side => ({
    pod,
    address:
      addresses.find((address) => address.family === common) ?? (family === undefined ? addresses[0] : undefined),
  })
  return { from: side(source), to: side(target) }
}

/** Pods that share their machine's network are met at its addresses, and no policy is about them. */
function candidates(model: NetworkPolicyModel, endpoint: Endpoint): Candidates {
  if ('pod' in endpoint) {
    const { namespace, name } = endpoint.pod
    const pod = model.pod(namespace, name)
    if (pod === undefined) throw new Error(`pod ${namespace}/${name} is not known, or has completed`)
    if (!pod.hostNetwork) return { pod, addresses: pod.addresses }
    return { pod: undefined, addresses: model.machine(pod.node)?.addresses ?? [] }
  }
  if ('node' in endpoint) {
    const machine = model.machine(endpoint.node)
    if (machine === undefined) throw new Error(`node ${endpoint.node} is not known`)
    return { pod: undefined, addresses: machine.addresses }
  }
  const address = ipAddress(endpoint.address)
  if (address === undefined) throw new Error(`${JSON.stringify(endpoint.address)} is not an IP address`)
  return { pod: model.owner(address.text), addresses: [address] }
}

function isOwnMachine(model: NetworkPolicyModel, endpoint: Endpoint, from: Side, to: Pod): boolean {
  if (from.pod !== undefined) return false
  if ('node' in endpoint) return endpoint.node === to.node
  if ('pod' in endpoint) return model.pod(endpoint.pod.namespace, endpoint.pod.name)?.node === to.node
  const machine = model.machine(to.node)
  return machine !== undefined && from.address !== undefined && hasAddress(machine, from.address.text)
}
