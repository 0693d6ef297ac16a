import { configureLinks, deleteLink, linksOf, vethPair } from '../platform/links.ts'
import { addNetns, namespaceId, netnsPath, run } from '../platform/namespaces.ts'
import { type Endpoint, endpointLines, endpointPath, routerNetns } from './plan.ts'

/** IPv6 stays out of the lab: what is not addressed needs no rule. Strict reverse paths tie an address to its link. */
const QUIET = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']
const ROUTER = [...QUIET, 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.default.rp_filter=1']

/** The router, with no link yet. True when it was there. */
export async function ensureRouter(id: string): Promise<boolean> {
  const name = routerNetns(id)
  const wasThere = namespaceId(netnsPath(name)) !== undefined
  await addNetns([name])
  await setKernel(netnsPath(name), ROUTER)
  await configureLinks(name, ['link set lo up'])
  return wasThere
}

/** Which of these endpoints hang on the router, finished. */
export async function connected(id: string, endpoints: readonly Endpoint[]): Promise<Set<string>> {
  if (namespaceId(netnsPath(routerNetns(id))) === undefined) return new Set()
  const aliases = new Map((await linksOf(routerNetns(id))).map((link) => [link.name, link.alias]))
  const finished = endpoints.filter((e) => aliases.get(e.link) === e.name && namespaceId(endpointPath(e)) !== undefined)
  return new Set(finished.map((e) => e.name))
}

/** Makes namespaces and links of endpoints that have none, all at once; the router stands. */
export async function connect(id: string, endpoints: readonly Endpoint[]): Promise<void> {
  if (endpoints.length === 0) return
  const router = routerNetns(id)
  const links = new Set((await linksOf(router)).map((link) => link.name))
  await addNetns(endpoints.map((e) => e.netns))
  await Promise.all(endpoints.map((e) => setKernel(endpointPath(e), QUIET)))
  for (const { link } of endpoints) if (links.has(link)) await deleteLink(router, link)
  await configureLinks(
    router,
    endpoints.map((e) => vethPair(e.link, { name: 'eth0', netns: e.netns })),
  )
  await Promise.all(endpoints.map((e) => configureLinks(e.netns, endpointLines(e).own)))
  await configureLinks(
    router,
    endpoints.flatMap((e) => endpointLines(e).router),
  )
}

/** A kernel without one of these settings (no IPv6) has nothing to switch off. */
async function setKernel(netns: string, settings: readonly string[]): Promise<void> {
  await run(['sysctl', '--quiet', '--ignore', '--write', ...settings], { netns })
}
