import type { Draft, FieldType, Hook, NftFamily, Rule, Statement } from './program.ts'
import { EVERY_POD } from './stage.ts'

export const POLICY_TABLE = 'rampart_policy'

export type LogOptions = {
  /** NFLOG group that drops are sent to. */
  group: number
  /** For each place that drops. */
  perSecond: number
  burst: number
}

export type BaseOptions = {
  log: LogOptions
  /** Blocks of addresses that this machine gives to its pods: what comes from them must come from a pod's link. */
  podCidrs: Readonly<Record<NftFamily, readonly string[]>>
}

/** UDP port of the tunnel between machines: a pod that could send there would speak for any pod. */
const VXLAN_PORT = '8472'
/** Seconds that a connection which is no longer allowed is answered with a reset. */
const CUT_SECONDS = 60

/** After raw and conntrack's defragmentation, before other tables' filters: what they accept is still judged here. */
const PRIORITY = { antispoof: -290, egress: -10, ingress: -9 } as const

const ERRORS: Readonly<Record<NftFamily, readonly string[]>> = {
  ip: ['destination-unreachable', 'time-exceeded', 'parameter-problem'],
  ip6: [
    ...['destination-unreachable', 'packet-too-big', 'time-exceeded', 'parameter-problem'],
    ...['nd-router-solicit', 'nd-router-advert', 'nd-neighbor-solicit', 'nd-neighbor-advert', 'nd-redirect'],
  ],
}

/** From an address of its own link only, or from none. */
const NEIGHBOUR_DISCOVERY: readonly Rule[] = [
  [
    { kind: 'compare', field: 'saddr', values: ['fe80::/10', '::'] },
    {
      kind: 'compare',
      field: 'icmptype',
      values: ['nd-router-solicit', 'nd-neighbor-solicit', 'nd-neighbor-advert', 'mld2-listener-report'],
    },
    { kind: 'verdict', verdict: 'accept' },
  ],
]

const accept: Statement = { kind: 'verdict', verdict: 'accept' }

function dropping(name: string, { group, perSecond, burst }: LogOptions): Rule[] {
  return [
    [
      { kind: 'limit', perSecond, burst },
      { kind: 'log', prefix: `rampart ${name} drop`, group },
    ],
    [
      { kind: 'counter', name: `${name}_drop` },
      { kind: 'verdict', verdict: 'drop' },
    ],
  ]
}

/** The sets and maps that pods of the machine are entered in. */
export function declareBase(draft: Draft, family: NftFamily): void {
  const table = draft.table(family, POLICY_TABLE)
  const address: FieldType = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr'
  const set = (name: string, ...key: FieldType[]): void => {
    table.sets.set(name, { name, key, interval: false, elements: new Set() })
  }
  set('pod_links', 'ifname')
  set('links', 'ifname', address)
  set('local', address)
  set('self', address, address)
  set(EVERY_POD, address)
  const cut: readonly FieldType[] = [address, address, 'inet_proto', 'inet_service', 'inet_service']
  table.sets.set('cut', { name: 'cut', key: cut, interval: false, timeout: CUT_SECONDS, elements: new Set() })
  for (const name of ['egress', 'ingress']) table.maps.set(name, { name, key: [address], elements: new Map() })
}

/**
 * What stands whatever the policies are. A packet from a pod to another passes `prerouting` (is it who it says), then
 * `forward_egress` (may its pod send it) and `forward_ingress` (may the other receive it); to the machine itself `input`
 * takes the place of both. What the machine sends to its own pods passes none of them. `accept` ends one of these chains,
 * and the next is still asked.
 */
export function emitBase(draft: Draft, family: NftFamily, { log, podCidrs }: BaseOptions): void {
  declareBase(draft, family)
  const table = draft.table(family, POLICY_TABLE)
  const chain = (name: string, rules: readonly Rule[], hook?: Hook): void => {
    table.chains.set(name, { name, ...(hook === undefined ? {} : { hook }), rules })
  }
  for (const name of ['spoofed', 'tunnelled']) {
    table.counters.add(`${name}_drop`)
    chain(name, dropping(name, log))
  }
  chain(
    'prerouting',
    [
      [{ kind: 'lookup', fields: ['iifname', 'saddr'], set: 'links' }, accept],
      ...(family === 'ip6' ? NEIGHBOUR_DISCOVERY : []),
      [
        { kind: 'lookup', fields: ['iifname'], set: 'pod_links' },
        { kind: 'goto', chain: 'spoofed' },
      ],
      [{ kind: 'compare', field: 'iifname', values: ['lo'] }, accept],
      [
        { kind: 'lookup', fields: ['saddr'], set: 'local' },
        { kind: 'goto', chain: 'spoofed' },
      ],
      ...(podCidrs[family].length === 0
        ? []
        : [
            [
              { kind: 'compare', field: 'saddr', values: podCidrs[family] },
              { kind: 'goto', chain: 'spoofed' },
            ] satisfies Rule,
          ]),
    ],
    { hook: 'prerouting', priority: PRIORITY.antispoof },
  )
  const passing: readonly Rule[] = [
    [{ kind: 'compare', field: 'ctstate', values: ['established', 'related'] }, accept],
    [{ kind: 'compare', field: 'icmptype', values: ERRORS[family] }, accept],
    [{ kind: 'lookup', fields: ['saddr', 'daddr'], set: 'self' }, accept],
  ]
  chain('cut_off', [
    [{ kind: 'compare', field: 'l4proto', values: ['tcp'] }, { kind: 'reset' }],
    [{ kind: 'verdict', verdict: 'drop' }],
  ])
  chain('from_pods', [
    [
      { kind: 'compare', field: 'l4proto', values: ['udp'] },
      { kind: 'compare', field: 'dport', values: [VXLAN_PORT] },
      { kind: 'lookup', fields: ['iifname'], set: 'pod_links' },
      { kind: 'goto', chain: 'tunnelled' },
    ],
    [
      { kind: 'lookup', fields: ['saddr', 'daddr', 'l4proto', 'sport', 'dport'], set: 'cut' },
      { kind: 'goto', chain: 'cut_off' },
    ],
    ...passing,
    [{ kind: 'vmap', fields: ['saddr'], map: 'egress' }],
  ])
  const fromPods: Rule[] = [[{ kind: 'jump', chain: 'from_pods' }]]
  chain('input', fromPods, { hook: 'input', priority: PRIORITY.egress })
  chain('forward_egress', fromPods, { hook: 'forward', priority: PRIORITY.egress })
  chain('forward_ingress', [...passing, [{ kind: 'vmap', fields: ['daddr'], map: 'ingress' }]], {
    hook: 'forward',
    priority: PRIORITY.ingress,
  })
}
