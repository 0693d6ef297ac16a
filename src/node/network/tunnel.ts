import { run } from '../../platform/namespaces.ts'
import type { Tunnel } from './plan.ts'

export const TUNNEL_LINK = 'rampart.vxlan'
/** VXLAN network identifier and port; 8472 is what the Linux kernel and flannel use, so Canal's firewalls know it. */
const VNI = 1
export const VXLAN_PORT = 8472
/** Outer IPv4, UDP and VXLAN headers, and the inner Ethernet header. */
const OVERHEAD = 50

type LinkJson = { ifname: string; mtu: number; address?: string; flags?: string[]; linkinfo?: { info_data?: object } }

const ip = async <T>(...args: string[]): Promise<T[]> => {
  const text = await run(['ip', '-json', ...args])
  return text.trim() === '' ? [] : (JSON.parse(text) as T[])
}

/** The link over which the machine's own address is reached, and its MTU in bytes. Throws an Error when there is none. */
export async function underlay(address: string): Promise<{ link: string; mtu: number }> {
  const links = await ip<{ ifname: string; mtu: number; addr_info: { local?: string }[] }>('-4', 'address', 'show')
  const link = links.find(({ addr_info }) => addr_info.some(({ local }) => local === address))
  if (link === undefined) throw new Error(`no network interface of this machine has the address ${address}`)
  return { link: link.ifname, mtu: link.mtu }
}

/** MTU that pods must keep for their packets to fit through the tunnel unfragmented. */
export const podMtu = (underlayMtu: number): number => underlayMtu - OVERHEAD

/**
 * Brings the VXLAN link and its routes, neighbours and forwarding entries to what is planned, by differences: entries
 * that are right are not touched, so packets in flight are not lost. Returns how many entries were changed.
 */
export async function applyTunnel(local: string, tunnel: Tunnel): Promise<number> {
  const { link, mtu } = await underlay(local)
  const wanted = { local, link, mtu: podMtu(mtu), mac: tunnel.mac }
  let changes = 0
  if (!(await isAsWanted(wanted))) {
    await remove()
    const { mac } = wanted
    await run([
      ...['ip', 'link', 'add', TUNNEL_LINK, 'mtu', String(wanted.mtu), 'address', mac, 'type', 'vxlan', 'id', `${VNI}`],
      ...['local', local, 'dev', link, 'dstport', String(VXLAN_PORT), 'nolearning'],
    ])
    changes++
  }
  const lines = [`link set ${TUNNEL_LINK} up`, `address replace ${tunnel.address}/32 dev ${TUNNEL_LINK}`]
  const batches = [await routes(tunnel), await neighbours(tunnel)]
  for (const { set, unset } of batches) {
    lines.push(...unset, ...set)
    changes += set.length + unset.length
  }
  await run(['ip', '-force', '-batch', '-'], { input: `${lines.join('\n')}\n` })
  const { set, unset } = await forwarding(tunnel)
  if (set.length + unset.length > 0)
    await run(['bridge', '-force', '-batch', '-'], { input: `${[...unset, ...set].join('\n')}\n` })
  return changes + set.length + unset.length
}

async function remove(): Promise<void> {
  const links = await ip<LinkJson>('link', 'show')
  if (links.some(({ ifname }) => ifname === TUNNEL_LINK)) await run(['ip', 'link', 'delete', TUNNEL_LINK])
}

async function isAsWanted(wanted: { local: string; link: string; mtu: number; mac: string }): Promise<boolean> {
  const links = await ip<LinkJson>('-details', 'link', 'show')
  const found = links.find(({ ifname }) => ifname === TUNNEL_LINK)
  const data = found?.linkinfo?.info_data as
    | { id?: number; local?: string; link?: string; port?: number; learning?: boolean }
    | undefined
  return (
    found?.mtu === wanted.mtu &&
    found.address === wanted.mac &&
    data?.id === VNI &&
    data.local === wanted.local &&
    data.link === wanted.link &&
    data.port === VXLAN_PORT &&
    data.learning === false
  )
}

type Difference = { set: string[]; unset: string[] }

function difference(current: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): Difference {
  return {
    set: [...wanted].filter(([key, line]) => current.get(key) !== line).map(([, line]) => line),
    unset: [...current.keys()].filter((key) => !wanted.has(key)),
  }
}

async function routes({ entries }: Tunnel): Promise<Difference> {
  const line = (cidr: string, gateway: string): string =>
    `route replace ${cidr} via ${gateway} dev ${TUNNEL_LINK} onlink`
  const current = new Map<string, string>()
  for (const { dst, gateway } of await ip<{ dst: string; gateway?: string }>('-4', 'route', 'show', 'dev', TUNNEL_LINK))
    current.set(dst, line(dst, gateway ?? ''))
  const wanted = new Map(entries.map(({ podCidr, gateway }) => [podCidr, line(podCidr, gateway)]))
  const { set, unset } = difference(current, wanted)
  return { set, unset: unset.map((dst) => `route delete ${dst} dev ${TUNNEL_LINK}`) }
}

async function neighbours({ entries }: Tunnel): Promise<Difference> {
  const line = (address: string, mac: string, state: string): string =>
    `neighbour replace ${address} lladdr ${mac} dev ${TUNNEL_LINK} nud ${state}`
  const current = new Map<string, string>()
  type Neighbour = { dst: string; lladdr?: string; state?: string[] }
  for (const { dst, lladdr, state } of await ip<Neighbour>('-4', 'neighbour', 'show', 'dev', TUNNEL_LINK, 'nud', 'all'))
    current.set(dst, line(dst, lladdr ?? '', (state?.[0] ?? '').toLowerCase()))
  const wanted = new Map(entries.map(({ gateway, mac }) => [gateway, line(gateway, mac, 'permanent')]))
  const { set, unset } = difference(current, wanted)
  return { set, unset: unset.map((dst) => `neighbour delete ${dst} dev ${TUNNEL_LINK}`) }
}

async function forwarding({ entries }: Tunnel): Promise<Difference> {
  const text = await run(['bridge', '-json', 'fdb', 'show', 'dev', TUNNEL_LINK])
  const list = (text.trim() === '' ? [] : JSON.parse(text)) as { mac: string; dst?: string }[]
  const line = (mac: string, remote: string): string =>
    `fdb replace ${mac} dev ${TUNNEL_LINK} dst ${remote} self permanent`
  const current = new Map<string, string>()
  const doubled: string[] = []
  for (const { mac, dst = '' } of list) {
    if (current.has(mac)) doubled.push(`fdb delete ${mac} dev ${TUNNEL_LINK} dst ${dst} self`)
    else current.set(mac, line(mac, dst))
  }
  const wanted = new Map(entries.map(({ mac, remote }) => [mac, line(mac, remote)]))
  const { set, unset } = difference(current, wanted)
  const drop = unset.map((mac) => {
    const dst = / dst (\S+) /.exec(current.get(mac)!)?.[1]
    return `fdb delete ${mac} dev ${TUNNEL_LINK}${dst === undefined ? '' : ` dst ${dst}`} self`
  })
  return { set, unset: [...doubled, ...drop] }
}
