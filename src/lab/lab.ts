import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type CgroupHierarchy, cgroupHierarchies } from '../platform/cgroups.ts'
import { deleteLink } from '../platform/links.ts'
import {
  inNetworkNamespace,
  namespaceId,
  netnsFolderIsMount,
  netnsPath,
  processesIn,
  unmountNetnsFolder,
} from '../platform/namespaces.ts'
import { ensureImages, type ImportTarget, localTarget } from './image/import.ts'
import { smallImages } from './image/small-images.ts'
import { createMachine, firstProcess, insideMachine, machineReady, startMachine } from './machine.ts'
import { findMissing } from './packages.ts'
import {
  checkMachineName,
  controlPlaneEndpoint,
  type Endpoint,
  endpoint,
  endpointPath,
  freeAddress,
  freeName,
  labId,
  labPrefix,
  machineFolders,
  ROUTER_ADDRESS,
  routerNetns,
} from './plan.ts'
import { type LabRecord, type MachineRecord, readRecord, withLock, writeRecord } from './record.ts'
import { labNames, sweep } from './sweep.ts'
import { connect, connected, ensureRouter } from './vpc.ts'

/** Says that a lab has made `ip netns`' folder a mount, which the last one undoes. */
const NETNS_FOLDER_MADE = '/run/rampart/netns-folder-is-ours'
const GRACE_MS = 400

export type LabMachine = {
  name: string
  address: string
  /** Path of its network namespace. */
  netns: string
  /** Its link on the router's side. */
  link: string
  running: boolean
  /** The host's id of the machine's first process; undefined when it is off. */
  pid: number | undefined
  /** `SHA256:…` of its ed25519 key, and the key as in a known_hosts file: what a cloud's console would show. */
  sshHostKeyFingerprint: string
  sshHostKey: string
  /** What its sshd, containerd and init have said. */
  console: string
}

export type LabUpOptions = {
  /** How many machines at least; those that were added stay. */
  machines: number
  /** One line of an authorized_keys file: who may log in as root. */
  sshPublicKey: string
}

export type Lab = {
  id: string
  router: { netns: string; address: string }
  controlPlane: { netns: string; address: string; link: string }
  up: (options: LabUpOptions) => Promise<LabMachine[]>
  machines: () => LabMachine[]
  addMachine: (options: { name?: string; sshPublicKey: string }) => Promise<LabMachine>
  /** Ends the machine; `deleteData` also deletes its disk and forgets its name, address and host key. */
  removeMachine: (name: string, options?: { deleteData?: boolean; graceMs?: number }) => Promise<void>
  /** Leaves nothing but the data. */
  down: (options?: { graceMs?: number }) => Promise<void>
  /** The machines that run, as takers of images. */
  importTargets: () => ImportTarget[]
  /** Argument array of a program inside a machine. Throws an Error when the machine is off. */
  insideMachine: (name: string, argv: readonly string[]) => string[]
}

export type LabOptions = {
  /** The cluster's name. */
  name: string
  /** The cluster's data folder; the lab's things lie in its folder `lab`. */
  directory: string
  log?: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void
}

/** Argument array that runs a program in a network namespace, such as the control plane's. */
export const insideNetns: (netns: string, argv: readonly string[]) => string[] = inNetworkNamespace

/** Starts a program in a network namespace. The process is the program itself: nsenter replaces itself by it. */
export function spawnInside(netns: string, argv: readonly string[], options: SpawnOptions): ChildProcess {
  const [program, ...args] = inNetworkNamespace(netns, argv)
  return spawn(program!, args, options)
}

export function createLab(options: LabOptions): Lab {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  return new MachineLab(options)
}

class MachineLab implements Lab {
  readonly id: string
  readonly router: Lab['router']
  readonly controlPlane: Lab['controlPlane']
  readonly #directory: string
  readonly #log: NonNullable<LabOptions['log']>
  readonly #hierarchies: readonly CgroupHierarchy[]

  constructor({ name, directory, log }: LabOptions) {
    this.#directory = realpathSync(directory)
    this.#log = log ?? (() => {})
    this.id = labId(name, this.#directory)
    this.#hierarchies = cgroupHierarchies()
    const control = controlPlaneEndpoint(this.id)
    this.router = { netns: netnsPath(routerNetns(this.id)), address: ROUTER_ADDRESS }
    this.controlPlane = { netns: endpointPath(control), address: control.address, link: control.link }
  }

  async up({ machines, sshPublicKey }: LabUpOptions): Promise<LabMachine[]> {
    checkPublicKey(sshPublicKey)
    requirePrograms()
    return withLock(this.#directory, async () => {
      const record = readRecord(this.#directory)
      await this.#register(record, Math.max(0, machines - record.machines.length))
      await this.#start(record.machines, sshPublicKey)
      return this.machines()
    })
  }

  async addMachine({ name, sshPublicKey }: { name?: string; sshPublicKey: string }): Promise<LabMachine> {
    checkPublicKey(sshPublicKey)
    if (name !== undefined) checkMachineName(name)
    return withLock(this.#directory, async () => {
      const record = readRecord(this.#directory)
      const known = record.machines.find((m) => m.name === name)
      const [machine] = known === undefined ? await this.#register(record, 1, name) : [known]
      await this.#start([machine!], sshPublicKey)
      return this.machines().find((m) => m.name === machine!.name)!
    })
  }

  async removeMachine(name: string, { deleteData = false, graceMs = GRACE_MS } = {}): Promise<void> {
    await withLock(this.#directory, async () => {
      const record = readRecord(this.#directory)
      const machine = record.machines.find((m) => m.name === name)
      if (machine === undefined) throw new Error(`the lab has no machine ${JSON.stringify(name)}`)
      await sweep(this.#hierarchies, () => [this.#endpoint(machine).netns], graceMs)
      await this.#unlink(this.#endpoint(machine))
      if (!deleteData) return
      rmSync(machineFolders(this.#directory, name).folder, { recursive: true, force: true })
      writeRecord(this.#directory, { ...record, machines: record.machines.filter((m) => m !== machine) })
    })
  }

  machines(): LabMachine[] {
    const { machines } = readRecord(this.#directory)
    const endpoints = machines.map((m) => this.#endpoint(m))
    const processes = processesIn(
      new Set(endpoints.map((e) => namespaceId(endpointPath(e))).filter((id) => id !== undefined)),
    )
    return machines.map((machine, i) => {
      const e = endpoints[i]!
      const pid = firstProcess(e, processes)
      return {
        name: machine.name,
        address: machine.address,
        netns: endpointPath(e),
        link: e.link,
        running: pid !== undefined,
        pid,
        sshHostKeyFingerprint: machine.sshHostKeyFingerprint,
        sshHostKey: machine.sshHostKey,
        console: machineFolders(this.#directory, machine.name).console,
      }
    })
  }

  importTargets(): ImportTarget[] {
    const running = new Set(this.machines().flatMap((m) => (m.running ? [m.name] : [])))
    return readRecord(this.#directory)
      .machines.filter((m) => running.has(m.name))
      .map((m) => this.#target(m))
  }

  insideMachine(name: string, argv: readonly string[]): string[] {
    const machine = this.machines().find((m) => m.name === name)
    if (machine === undefined) throw new Error(`the lab has no machine ${JSON.stringify(name)}`)
    if (machine.pid === undefined) throw new Error(`${name} is off`)
    return insideMachine(machine.pid, argv)
  }

  async down({ graceMs = GRACE_MS } = {}): Promise<void> {
    await withLock(this.#directory, async () => {
      const expected = readRecord(this.#directory).machines.map((m) => this.#endpoint(m).netns)
      const fixed = [routerNetns(this.id), controlPlaneEndpoint(this.id).netns]
      const found = (): string[] => labNames(this.#hierarchies, labPrefix(this.id))
      await sweep(this.#hierarchies, () => [...fixed, ...expected, ...found()], graceMs)
      if (existsSync(NETNS_FOLDER_MADE) && (await unmountNetnsFolder())) forgetNetnsFolder()
    })
  }

  #endpoint(machine: MachineRecord): Endpoint {
    return endpoint(this.id, machine.name, machine.address)
  }

  /** Puts new machines into the record before anything of them runs. */
  async #register(record: LabRecord, count: number, name?: string): Promise<MachineRecord[]> {
    const names = new Set(record.machines.map((m) => m.name))
    const addresses = new Set(record.machines.map((m) => m.address))
    const added: { name: string; address: string }[] = []
    for (let i = 0; i < count; i++) {
      const machine = { name: name ?? freeName(names), address: freeAddress(addresses) }
      names.add(machine.name)
      addresses.add(machine.address)
      added.push(machine)
    }
    const created = await Promise.all(added.map((m) => createMachine(this.#directory, m.name, m.address)))
    record.machines.push(...created)
    if (created.length > 0) writeRecord(this.#directory, record)
    return created
  }

  /** Brings up what is not: machines that run, and a control plane's namespace that stands, are left alone. */
  async #start(machines: readonly MachineRecord[], sshPublicKey: string): Promise<void> {
    rememberNetnsFolder()
    await ensureRouter(this.id)
    const control = controlPlaneEndpoint(this.id)
    const endpoints = machines.map((m) => this.#endpoint(m))
    const finished = await connected(this.id, [control, ...endpoints])
    const running = new Set(
      endpoints.filter((e) => finished.has(e.name) && firstProcess(e) !== undefined).map((e) => e.name),
    )
    const off = machines.filter((m) => !running.has(m.name))
    const stale = [...off.map((m) => this.#endpoint(m)), ...(finished.has(control.name) ? [] : [control])]
    await sweep(this.#hierarchies, () => stale.map((e) => e.netns), 0)
    await connect(this.id, stale)
    const images = smallImages()
    images.catch(() => {}) // it is looked at when a machine is ready for them
    await Promise.all(
      machines.map(async (machine) => {
        const started = performance.now()
        if (running.has(machine.name)) await machineReady(this.#endpoint(machine), this.#directory)
        else await this.#boot(machine, sshPublicKey)
        await ensureImages(this.#target(machine), await images)
        this.#log('info', 'machine is up', { machine: machine.name, ms: Math.round(performance.now() - started) })
      }),
    )
  }

  #boot(machine: MachineRecord, sshPublicKey: string): Promise<void> {
    const own = { id: this.id, directory: this.#directory, hierarchies: this.#hierarchies }
    return startMachine({ ...own, machine, endpoint: this.#endpoint(machine), sshPublicKey })
  }

  #target(machine: MachineRecord): ImportTarget {
    const e = this.#endpoint(machine)
    return localTarget(machine.name, (argv) => {
      const pid = firstProcess(e)
      if (pid === undefined) throw new Error(`${machine.name} is off`)
      return insideMachine(pid, argv)
    })
  }

  /** The link goes with the machine's namespace, but in the kernel's own time. */
  async #unlink(e: Endpoint): Promise<void> {
    if (namespaceId(this.router.netns) === undefined) return
    if ((await connected(this.id, [e])).has(e.name)) await deleteLink(routerNetns(this.id), e.link)
  }
}

function checkPublicKey(line: string): void {
  if (!/^(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) [A-Za-z0-9+/]+={0,2}( [^\n\r]*)?$/.test(line))
    throw new Error('the SSH public key is not one line of an authorized_keys file (TYPE BASE64 [COMMENT])')
}

function requirePrograms(): void {
  if (process.getuid?.() !== 0) throw new Error('the lab needs root: it makes namespaces and mounts')
  const missing = findMissing()
  if (missing.length > 0) throw new Error(`the lab needs packages that are not installed: ${missing.join(', ')}`)
}

function rememberNetnsFolder(): void {
  if (netnsFolderIsMount() || existsSync(NETNS_FOLDER_MADE)) return
  mkdirSync(dirname(NETNS_FOLDER_MADE), { recursive: true, mode: 0o755 })
  writeFileSync(NETNS_FOLDER_MADE, '')
}

function forgetNetnsFolder(): void {
  rmSync(NETNS_FOLDER_MADE, { force: true })
  try {
    rmdirSync(dirname(NETNS_FOLDER_MADE))
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
