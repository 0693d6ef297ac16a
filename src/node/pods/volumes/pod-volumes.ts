import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { quantityValue, tryQuantity } from '../../../kernel/api/quantity.ts'
import type { Clock } from '../../../kernel/feature.ts'
import type { Volume, VolumeMount } from '../../../kernel/resources/kinds/pod/types.ts'
import { type Mount, PROPAGATION } from '../../../platform/cri/index.ts'
import type { Addresses, Allocatable } from '../engine/downward.ts'
import { ContainerConfigError } from '../engine/environment.ts'
import { expand } from '../engine/expansion.ts'
import type { Pod, PodContainer } from '../engine/pod.ts'
import { CONFIG_MAPS, type ObjectSource, SECRETS } from '../objects.ts'
import { writeAtomically } from './atomic-writer.ts'
import { prepareHostPath } from './host-path.ts'
import { isMounted, mountsBelow, mountTmpfs, unmount } from './mounts.ts'
import { giveToGroup } from './ownership.ts'
import { hasPayload, holdsSecrets, volumePayload } from './payload.ts'
import { bindSubPath } from './sub-path.ts'
import type { ServiceAccountTokens } from './tokens.ts'

export type PodVolumesOptions = {
  /** FOLDER/UID holds what belongs to one pod. */
  podsFolder: string
  objects: ObjectSource
  tokens: ServiceAccountTokens
  clock: Clock
  allocatable: Allocatable
}

export type MountedVolumes = {
  /** Where each volume lies on the node. */
  paths: Map<string, string>
  /** Why volumes could not be refreshed that show what they showed before. */
  problems: string[]
}

type EmptyDir = { medium?: string; sizeLimit?: string | number }
type HostPath = { path?: string; type?: string }

const SOURCES = ['secret', 'configMap', 'downwardAPI', 'projected', 'emptyDir', 'hostPath'] as const
const PROPAGATIONS: Readonly<Record<string, number>> = {
  None: PROPAGATION.private,
  HostToContainer: PROPAGATION.hostToContainer,
  Bidirectional: PROPAGATION.bidirectional,
}

/** Volumes of the node's pods: made before the first container, brought up to date while they run, taken away after. */
export class PodVolumes {
  readonly #options: PodVolumesOptions

  constructor(options: PodVolumesOptions) {
    this.#options = options
  }

  podFolder(uid: string): string {
    return join(this.#options.podsFolder, uid)
  }

  /**
   * Makes what is missing and refreshes what has changed; objects may be `maxAgeMs` old. Rejects with an Error that names
   * the volume.
   */
  async mount(pod: Pod, addresses: Addresses, maxAgeMs: number): Promise<MountedVolumes> {
    const paths = new Map<string, string>()
    const problems: string[] = []
    for (const volume of pod.spec.volumes ?? []) {
      const name = volume.name ?? ''
      try {
        paths.set(name, await this.#mountOne(pod, name, volume, addresses, maxAgeMs))
      } catch (error) {
        const problem = `MountVolume.SetUp failed for volume ${JSON.stringify(name)} : ${(error as Error).message}`
        const folder = this.#folder(pod, name, volume)
        if (!hasPayload(volume) || folder === undefined || !existsSync(join(folder, '..data'))) throw new Error(problem)
        paths.set(name, folder)
        problems.push(problem)
      }
    }
    return { paths, problems }
  }

  /** The container's mounts: of its volumeMounts. Rejects with ContainerConfigError. */
  async mountsOf(
    pod: Pod,
    container: PodContainer,
    volumes: ReadonlyMap<string, string>,
    environment: ReadonlyMap<string, Uint8Array>,
  ): Promise<Mount[]> {
    const mounts: Mount[] = []
    for (const [index, given] of (container.volumeMounts ?? []).entries()) {
      const volume = pod.spec.volumes?.find(({ name }) => name === given.name)
      const root = volumes.get(given.name ?? '')
      if (volume === undefined || root === undefined)
        throw new ContainerConfigError(`cannot find volume ${JSON.stringify(given.name)} to mount into container`)
      const subPath = expandedSubPath(given, environment)
      let hostPath = root
      if (subPath !== '') {
        hostPath = join(this.podFolder(pod.uid), 'volume-subpaths', given.name ?? '', container.name, String(index))
        try {
          await bindSubPath(root, subPath, hostPath)
        } catch (error) {
          throw new ContainerConfigError(`volume ${JSON.stringify(given.name)}: ${(error as Error).message}`)
        }
      }
      mounts.push({
        hostPath,
        containerPath: given.mountPath!.startsWith('/') ? given.mountPath! : `/${given.mountPath}`,
        readonly: given.readOnly === true || hasPayload(volume),
        propagation: PROPAGATIONS[given.mountPropagation ?? 'None'] ?? PROPAGATION.private,
      })
    }
    return mounts
  }

  /** Unmounts and deletes the volumes of a pod that has ended; a hostPath is not the pod's. */
  async unmount(uid: string): Promise<void> {
    const folder = this.podFolder(uid)
    for (const point of mountsBelow(folder)) await unmount(point)
    const left = mountsBelow(folder)
    if (left.length > 0) throw new Error(`${left[0]} is still mounted`)
    for (const name of ['volumes', 'volume-subpaths']) rmSync(join(folder, name), { recursive: true, force: true })
    this.#options.tokens.forget(uid)
  }

  /** And all else that it left. */
  async remove(uid: string): Promise<void> {
    await this.unmount(uid)
    rmSync(this.podFolder(uid), { recursive: true, force: true })
  }

  /** Ids of pods that have a folder. */
  uids(): string[] {
    return existsSync(this.#options.podsFolder) ? readdirSync(this.#options.podsFolder) : []
  }

  /** Of a volume whose files are the agent's to keep. */
  #folder(pod: Pod, name: string, volume: Volume): string | undefined {
    const source = SOURCES.find((key) => volume[key] != null)
    if (source === undefined || source === 'hostPath') return undefined
    return join(this.podFolder(pod.uid), 'volumes', `kubernetes.io~${directoryName(source)}`, name)
  }

  async #mountOne(pod: Pod, name: string, volume: Volume, addresses: Addresses, maxAgeMs: number): Promise<string> {
    const source = SOURCES.find((key) => volume[key] != null)
    if (source === undefined) {
      const kind = Object.keys(volume).find((key) => key !== 'name')
      throw new Error(`volumes of the kind ${kind ?? 'none'} are not supported on this node`)
    }
    if (source === 'hostPath') {
      const { path = '', type } = volume[source] as HostPath
      prepareHostPath(path, type)
      return path
    }
    const folder = this.#folder(pod, name, volume)!
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {}
    if (source === 'emptyDir') {
      const made = !existsSync(folder)
      mkdirSync(folder, { recursive: true, mode: 0o755 })
      const { medium, sizeLimit } = volume[source] as EmptyDir
      if (medium === 'Memory' && !isMounted(folder)) await mountTmpfs(folder, bytes(sizeLimit), '0777')
      else if (!made) return folder
      chmodSync(folder, 0o777)
      if (fsGroup != null) giveToGroup(folder, fsGroup, false, fsGroupChangePolicy === 'OnRootMismatch')
      return folder
    }
    const payload = await volumePayload(pod, volume, {
      configMap: (object) => this.#options.objects.get(CONFIG_MAPS, pod.namespace, object, maxAgeMs),
      secret: (object) => this.#options.objects.get(SECRETS, pod.namespace, object, maxAgeMs),
      token: (spec) => this.#options.tokens.get(pod, spec),
      addresses,
      allocatable: this.#options.allocatable,
    })
    if (!existsSync(folder)) {
      mkdirSync(folder, { recursive: true })
      chmodSync(folder, 0o755)
    }
    if (holdsSecrets(volume) && !isMounted(folder)) await mountTmpfs(folder, undefined, '0755')
    writeAtomically(folder, payload, new Date(this.#options.clock.now()), fsGroup ?? undefined)
    return folder
  }

  /** The file that a container may leave its last words in, made anew for each run. */
  terminationLog(pod: Pod, container: PodContainer, restartCount: number): string {
    const folder = join(this.podFolder(pod.uid), 'containers', container.name)
    mkdirSync(folder, { recursive: true, mode: 0o750 })
    const file = join(folder, `${restartCount}.termination`)
    writeFileSync(file, '')
    // Written to by whatever user the container runs as.
    chmodSync(file, 0o666)
    return file
  }
}

const directoryName = (source: string): string =>
  ({ emptyDir: 'empty-dir', configMap: 'configmap', downwardAPI: 'downward-api' })[source] ?? source

const bytes = (limit: string | number | undefined): number | undefined => {
  const quantity = tryQuantity(limit)
  return quantity === undefined || quantity.nanos === 0n ? undefined : Number(quantityValue(quantity))
}

function expandedSubPath(mount: VolumeMount, environment: ReadonlyMap<string, Uint8Array>): string {
  if (!mount.subPathExpr) return mount.subPath ?? ''
  const missing: string[] = []
  const path = expand(mount.subPathExpr, (name) => {
    const value = environment.get(name)
    if (value === undefined) missing.push(name)
    return value === undefined ? undefined : Buffer.from(value).toString()
  })
  if (missing.length > 0)
    throw new ContainerConfigError(`subPathExpr: missing value for ${missing.map((n) => JSON.stringify(n)).join(', ')}`)
  if (path.startsWith('/') || path.split('/').includes('..'))
    throw new ContainerConfigError('subPathExpr: its path leaves the volume')
  return path
}
