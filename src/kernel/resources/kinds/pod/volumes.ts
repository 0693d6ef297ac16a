import type { ObjectMeta } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Label, dns1123Subdomain } from '../../validation/names.ts'
import { invalidEach } from './formats.ts'
import type { Volume, VolumeSource } from './types.ts'
import { validateClaimTemplate } from './volume-claim.ts'
import { configMapVolume, downwardApiVolume, secretVolume } from './volume-files.ts'
import { projectedVolume } from './volume-projected.ts'
import * as sources from './volume-sources.ts'

/** The volumes that passed, by name: mounts refer to them. */
export type VolumesByName = ReadonlyMap<string, Volume>

/** `pod`: metadata of a real pod, undefined in a template. */
export type VolumeContext = { pod: ObjectMeta | undefined }

type Check = (source: VolumeSource, path: string, errors: FieldError[], context: VolumeContext) => void
type Kind = {
  field: string
  check: Check
  /** Kubernetes' path of the source's errors and of "more than 1 volume type", where they are not the field's name. */
  errorsAt?: string
  secondAt?: string
}

/** In the order in which Kubernetes looks: of two sources, the later one is too many. */
const KINDS: readonly Kind[] = [
  { field: 'emptyDir', check: sources.emptyDir },
  { field: 'hostPath', check: sources.hostPath },
  { field: 'gitRepo', check: sources.gitRepo },
  { field: 'gcePersistentDisk', check: sources.gcePersistentDisk, errorsAt: 'persistentDisk' },
  { field: 'awsElasticBlockStore', check: sources.awsElasticBlockStore },
  { field: 'secret', check: secretVolume },
  { field: 'nfs', check: sources.nfs },
  { field: 'iscsi', check: sources.iscsi },
  { field: 'glusterfs', check: sources.glusterfs },
  { field: 'flocker', check: sources.flocker },
  { field: 'persistentVolumeClaim', check: sources.persistentVolumeClaim },
  { field: 'rbd', check: sources.rbd },
  { field: 'cinder', check: sources.cinder },
  { field: 'cephfs', check: sources.cephfs, secondAt: 'cephFS' },
  { field: 'quobyte', check: sources.quobyte },
  { field: 'downwardAPI', check: downwardApiVolume, secondAt: 'downwarAPI' },
  { field: 'fc', check: sources.fc },
  { field: 'flexVolume', check: sources.flexVolume },
  { field: 'configMap', check: configMapVolume },
  { field: 'azureFile', check: sources.azureFile },
  { field: 'vsphereVolume', check: sources.vsphereVolume },
  { field: 'photonPersistentDisk', check: sources.photonPersistentDisk },
  { field: 'portworxVolume', check: sources.portworxVolume },
  { field: 'azureDisk', check: sources.azureDisk },
  { field: 'storageos', check: sources.storageos },
  { field: 'projected', check: projectedVolume },
  { field: 'scaleIO', check: sources.scaleIO },
  { field: 'csi', check: sources.csi },
  { field: 'ephemeral', check: ephemeral },
  { field: 'image', check: sources.image },
]

export function validateVolumes(
  volumes: readonly Volume[],
  context: VolumeContext,
  path: string,
  errors: FieldError[],
): VolumesByName {
  const byName = new Map<string, Volume>()
  const created = claimsOf(volumes, context)
  volumes.forEach((volume, i) => {
    const at = `${path}[${i}]`
    const before = errors.length
    const name = volume.name ?? ''
    validateSource(volume, name, context, at, errors)
    if (name === '') errors.push(fieldError.required(`${at}.name`))
    else invalidEach(errors, `${at}.name`, name, dns1123Label(name))
    if (byName.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
    if (errors.length === before) byName.set(name, volume)
    const claim = (volume['persistentVolumeClaim'] as VolumeSource | undefined)?.['claimName']
    if (typeof claim === 'string' && created.has(claim))
      errors.push(
        fieldError.invalid(
          `${at}.persistentVolumeClaim.claimName`,
          claim,
          'must not reference a PVC that gets created for an ephemeral volume',
        ),
      )
  })
  return byName
}

const NONE: ReadonlySet<string> = new Set()

/** Names of the claims that the pod's own ephemeral volumes bring. */
function claimsOf(volumes: readonly Volume[], context: VolumeContext): ReadonlySet<string> {
  const pod = context.pod?.name
  if (!pod) return NONE
  return new Set(volumes.filter((v) => v['ephemeral'] != null).map((v) => `${pod}-${v.name}`))
}

function validateSource(
  volume: Volume,
  name: string,
  context: VolumeContext,
  path: string,
  errors: FieldError[],
): void {
  let found = false
  for (const { field, check, errorsAt, secondAt } of KINDS) {
    const source = volume[field] as VolumeSource | null | undefined
    if (source == null) continue
    if (found)
      errors.push(fieldError.forbidden(`${path}.${secondAt ?? field}`, 'may not specify more than 1 volume type'))
    else check(source, `${path}.${errorsAt ?? field}`, errors, context)
    const why = found ? undefined : nameProblem(field, source, name, context)
    for (const message of why ?? []) errors.push(fieldError.invalid(`${path}.name`, name, message))
    found = true
  }
  if (!found) errors.push(fieldError.required(path, 'must specify a volume type'))
}

/** Limits on the volume's own name that come from what is made of it. */
function nameProblem(field: string, source: VolumeSource, name: string, context: VolumeContext): string[] {
  if (field === 'iscsi') {
    const tooLong = source['initiatorName'] != null && `${name}:${source['targetPortal'] ?? ''}`.length > 64
    return tooLong
      ? [
          'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.',
        ]
      : []
  }
  const pod = context.pod?.name
  if (field !== 'ephemeral' || !pod || name === '') return []
  const claim = `${pod}-${name}`
  return dns1123Subdomain(claim).map((message) => `PVC name "${claim}": ${message}`)
}

function ephemeral(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (source['volumeClaimTemplate'] == null) errors.push(fieldError.required(`${path}.volumeClaimTemplate`))
  else validateClaimTemplate(source['volumeClaimTemplate'], `${path}.volumeClaimTemplate`, errors)
}
