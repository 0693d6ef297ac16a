import type { KubeObject } from '../../../kernel/api/object.ts'
import type { DownwardApiFile, KeyToPath, ProjectedSource, Volume } from '../../../kernel/resources/kinds/pod/types.ts'
import { type Addresses, type Allocatable, fieldValue, resourceValue } from '../engine/downward.ts'
import type { Pod } from '../engine/pod.ts'

export type PayloadFile = { data: Uint8Array; mode: number; uid?: number }
/** Files of a volume by their path below its root. */
export type Payload = Map<string, PayloadFile>

export type TokenSpec = { audience: string; expirationSeconds: number }
export type PayloadSources = {
  configMap: (name: string) => Promise<KubeObject | undefined>
  secret: (name: string) => Promise<KubeObject | undefined>
  token: (spec: TokenSpec) => Promise<string>
  addresses: Addresses
  allocatable: Allocatable
}

type Projection = { name?: string; items?: KeyToPath[]; optional?: boolean }
const DEFAULT_MODE = 0o644

/** Whether a volume's files are made by the agent. */
export const hasPayload = (volume: Volume): boolean =>
  volume['secret'] != null ||
  volume['configMap'] != null ||
  volume['downwardAPI'] != null ||
  volume['projected'] != null

/** Volumes whose files are never on a disk. */
export const holdsSecrets = (volume: Volume): boolean => volume['secret'] != null || volume['projected'] != null

/** The files of a secret, configMap, downwardAPI or projected volume. Rejects, naming what is missing. */
export async function volumePayload(pod: Pod, volume: Volume, sources: PayloadSources): Promise<Payload> {
  const { secret, configMap, downwardAPI, projected } = volume as {
    secret?: { secretName?: string; items?: KeyToPath[]; optional?: boolean; defaultMode?: number }
    configMap?: Projection & { defaultMode?: number }
    downwardAPI?: { items?: DownwardApiFile[]; defaultMode?: number }
    projected?: { sources?: ProjectedSource[]; defaultMode?: number }
  }
  const payload: Payload = new Map()
  if (secret != null) {
    const { secretName = '', defaultMode = DEFAULT_MODE, ...rest } = secret
    await addSecret(payload, { name: secretName, ...rest }, defaultMode, pod, sources)
  }
  if (configMap != null) await addConfigMap(payload, configMap, configMap.defaultMode ?? DEFAULT_MODE, pod, sources)
  if (downwardAPI != null)
    addDownward(payload, downwardAPI.items ?? [], downwardAPI.defaultMode ?? DEFAULT_MODE, pod, sources)
  const mode = projected?.defaultMode ?? DEFAULT_MODE
  for (const source of projected?.sources ?? []) {
    if (source.secret != null) await addSecret(payload, source.secret, mode, pod, sources)
    else if (source.configMap != null) await addConfigMap(payload, source.configMap, mode, pod, sources)
    else if (source.downwardAPI != null) addDownward(payload, source.downwardAPI.items ?? [], mode, pod, sources)
    else if (source.serviceAccountToken != null) await addToken(payload, source.serviceAccountToken, mode, pod, sources)
    else throw new Error(`volume ${JSON.stringify(volume.name)}: it projects a source that is not supported`)
  }
  return payload
}

async function addSecret(
  payload: Payload,
  projection: Projection,
  mode: number,
  pod: Pod,
  sources: PayloadSources,
): Promise<void> {
  const name = projection.name ?? ''
  const object = await sources.secret(name)
  if (object === undefined && projection.optional !== true) throw new Error(`secret ${JSON.stringify(name)} not found`)
  const data = Object.entries((object?.['data'] ?? {}) as Record<string, string>)
  const files = new Map(data.map(([key, value]) => [key, Buffer.from(value, 'base64')]))
  project(payload, files, projection, mode, `secret ${pod.namespace}/${name}`)
}

async function addConfigMap(
  payload: Payload,
  projection: Projection,
  mode: number,
  pod: Pod,
  sources: PayloadSources,
): Promise<void> {
  const name = projection.name ?? ''
  const object = await sources.configMap(name)
  if (object === undefined && projection.optional !== true)
    throw new Error(`configmap ${JSON.stringify(name)} not found`)
  const data = Object.entries((object?.['data'] ?? {}) as Record<string, string>)
  const binary = Object.entries((object?.['binaryData'] ?? {}) as Record<string, string>)
  const files = new Map([
    ...data.map(([key, value]) => [key, Buffer.from(value)] as const),
    ...binary.map(([key, value]) => [key, Buffer.from(value, 'base64')] as const),
  ])
  project(payload, files, projection, mode, `configmap ${pod.namespace}/${name}`)
}

function project(
  payload: Payload,
  files: ReadonlyMap<string, Uint8Array>,
  { items, optional }: Projection,
  mode: number,
  what: string,
): void {
  if (items == null || items.length === 0) {
    for (const [path, data] of files) payload.set(path, { data, mode })
    return
  }
  for (const { key = '', path = '', mode: own } of items) {
    const data = files.get(key)
    if (data !== undefined) payload.set(checked(path), { data, mode: own ?? mode })
    else if (optional !== true) throw new Error(`${what} has no key ${JSON.stringify(key)}`)
  }
}

function addDownward(
  payload: Payload,
  items: readonly DownwardApiFile[],
  mode: number,
  pod: Pod,
  { addresses, allocatable }: PayloadSources,
): void {
  for (const { path = '', fieldRef, resourceFieldRef, mode: own } of items) {
    const value =
      fieldRef != null
        ? fieldValue(pod, fieldRef.fieldPath ?? '', addresses)
        : resourceValue(pod, resourceFieldRef ?? {}, '', allocatable)
    payload.set(checked(path), { data: Buffer.from(value), mode: own ?? mode })
  }
}

async function addToken(
  payload: Payload,
  source: NonNullable<ProjectedSource['serviceAccountToken']>,
  mode: number,
  pod: Pod,
  sources: PayloadSources,
): Promise<void> {
  const token = await sources.token({
    audience: source.audience ?? '',
    expirationSeconds: source.expirationSeconds ?? 3600,
  })
  const uid = onlyUser(pod)
  const { fsGroup } = pod.spec.securityContext ?? {}
  payload.set(checked(source.path ?? ''), {
    data: Buffer.from(token),
    // Who runs as one user, or shares files by group, need not show the token to others (KEP-1205).
    mode: uid !== undefined || fsGroup != null ? 0o600 : mode,
    ...(uid === undefined ? {} : { uid }),
  })
}

/** The user that all containers of the pod run as, when they say so. */
function onlyUser(pod: Pod): number | undefined {
  const ofPod = pod.spec.securityContext?.runAsUser
  const users = new Set(
    [...pod.initContainers, ...pod.containers].map((c) => c.securityContext?.runAsUser ?? ofPod ?? undefined),
  )
  return users.size === 1 ? [...users][0] : undefined
}

/** The API server has checked it; here is where it would do harm. */
function checked(path: string): string {
  const parts = path.split('/')
  if (path === '' || path.startsWith('/') || parts.includes('..') || parts[0]!.startsWith('..') || path.includes('\0'))
    throw new Error(`path ${JSON.stringify(path)} leaves its volume`)
  return parts.filter((part) => part !== '' && part !== '.').join('/')
}
