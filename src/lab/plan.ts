import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { netnsPath } from '../platform/namespaces.ts'

/** The VPC's addresses. Every lab has the same ones: none of them is ever seen outside its router. */
export const ROUTER_ADDRESS = '172.31.0.1'
export const CONTROL_PLANE_ADDRESS = '172.31.0.10'
const FIRST_MACHINE = 11
const LAST_MACHINE = 254
const MACHINE_NAME = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/

/** What hangs on the router: the control plane's namespace or a machine. */
export type Endpoint = {
  name: string
  address: string
  /** Name of its network namespace. */
  netns: string
  /** Name of its link on the router's side; on its own side it is eth0. */
  link: string
}

/**
 * `<hash>-<name>` of the cluster's name and folder. The hash comes first, so that no lab's names begin with another's.
 */
export function labId(name: string, directory: string): string {
  const hash = createHash('sha256').update(`${name}\n${directory}`).digest('hex').slice(0, 8)
  return `${hash}-${name}`
}

/** What all names of a lab's namespaces and cgroups begin with. */
export const labPrefix = (id: string): string => `rampart-${id}-`
export const routerNetns = (id: string): string => `${labPrefix(id)}router`
export const machineCgroup = (id: string, machine: string): string => `${labPrefix(id)}${machine}`

export function endpoint(id: string, name: string, address: string): Endpoint {
  return { name, address, netns: `${labPrefix(id)}${name}`, link: `eni-${address.split('.').at(-1)}` }
}

export const controlPlaneEndpoint = (id: string): Endpoint => endpoint(id, 'control-plane', CONTROL_PLANE_ADDRESS)

/** Throws an Error when the name cannot be a machine's. */
export function checkMachineName(name: string): void {
  if (!MACHINE_NAME.test(name) || name === 'router' || name === 'control-plane')
    throw new Error(
      `${JSON.stringify(name)} is not a machine's name: lower-case letters, digits and '-', at most 40, not router or control-plane`,
    )
}

/** The first address that is free. Throws an Error when the VPC is full. */
export function freeAddress(taken: ReadonlySet<string>): string {
  for (let last = FIRST_MACHINE; last <= LAST_MACHINE; last++) {
    const address = `172.31.0.${last}`
    if (!taken.has(address)) return address
  }
  throw new Error(`the lab's VPC is full: ${LAST_MACHINE - FIRST_MACHINE + 1} machines`)
}

/** Names for machines that nobody has named: node-1, node-2, … */
export function freeName(taken: ReadonlySet<string>): string {
  for (let n = 1; ; n++) if (!taken.has(`node-${n}`)) return `node-${n}`
}

/** Where a machine's things lie on the host. */
export type MachineFolders = {
  folder: string
  /** The machine's own disk: what it sees as /. */
  disk: string
  /** What its first program needs to know, host key included. 0600. */
  boot: string
  hostKey: string
  /** What its first program, sshd and containerd say. */
  console: string
}

export function machineFolders(directory: string, name: string): MachineFolders {
  const folder = join(directory, 'lab', name)
  return {
    folder,
    disk: join(folder, 'disk'),
    boot: join(folder, 'boot.json'),
    hostKey: join(folder, 'ssh_host_ed25519_key'),
    console: join(folder, 'console.log'),
  }
}

/** What the network of an endpoint is made of, as lines for `ip -batch`, in the order in which they are run. */
export function endpointLines(e: Endpoint): { own: string[]; router: string[] } {
  return {
    own: [
      'link set lo up',
      `address add ${e.address}/32 dev eth0`,
      'link set eth0 up',
      `route add ${ROUTER_ADDRESS} dev eth0 scope link`,
      `route add default via ${ROUTER_ADDRESS} dev eth0`,
    ],
    router: [
      `address add ${ROUTER_ADDRESS}/32 dev ${e.link}`,
      `link set ${e.link} up`,
      `route add ${e.address}/32 dev ${e.link} src ${ROUTER_ADDRESS}`,
      // Comes last: a link with its alias is one that was finished.
      `link set ${e.link} alias ${e.name}`,
    ],
  }
}

/** The path by which programs enter the namespace. */
export const endpointPath = (e: Endpoint): string => netnsPath(e.netns)
