import { QUANTITY_FORMAT_MESSAGE, tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Label, dns1123Subdomain, rangeMessage } from '../../validation/names.ts'
import { invalidEach, localDescendingPath, noBacksteps, oneOf, oneOfIfSet } from './formats.ts'
import type { VolumeSource } from './types.ts'
import type { VolumeContext } from './volumes.ts'

/** Volumes of disks, hosts and network storage (pkg/apis/core/validation, validateVolumeSource). */

type Check = (source: VolumeSource, path: string, errors: FieldError[]) => void

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** A source whose named fields must not be empty. */
const requires =
  (...fields: string[]): Check =>
  (source, path, errors) => {
    for (const field of fields) {
      const value = source[field]
      if (value == null || value === '' || (Array.isArray(value) && value.length === 0))
        errors.push(fieldError.required(`${path}.${field}`))
    }
  }

export const glusterfs: Check = requires('endpoints', 'path')
export const persistentVolumeClaim: Check = requires('claimName')
export const rbd: Check = requires('monitors', 'image')
export const cephfs: Check = requires('monitors')
export const azureFile: Check = requires('secretName', 'shareName')
export const vsphereVolume: Check = requires('volumePath')
export const photonPersistentDisk: Check = requires('pdID')
export const portworxVolume: Check = requires('volumeID')
export const scaleIO: Check = requires('gateway', 'system', 'volumeName')

const requiredPath = requires('path')
const requiredServer = requires('server', 'path')
const requiredPortal = requires('targetPortal', 'iqn')

function range0To255(value: unknown, path: string, errors: FieldError[], low = 0): void {
  if (typeof value === 'number' && (value < 0 || value > 255))
    errors.push(fieldError.invalid(path, value, rangeMessage(low, 255)))
}

export function emptyDir(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (source['sizeLimit'] == null) return
  const limit = tryQuantity(source['sizeLimit'])
  if (limit === undefined)
    errors.push(fieldError.invalid(`${path}.sizeLimit`, source['sizeLimit'], QUANTITY_FORMAT_MESSAGE))
  else if (limit.nanos < 0n)
    errors.push(fieldError.forbidden(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
}

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
]

export function hostPath(source: VolumeSource, path: string, errors: FieldError[]): void {
  requiredPath(source, path, errors)
  if (text(source['path']) === '') return
  noBacksteps(text(source['path']), `${path}.path`, errors)
  oneOfIfSet(source['type'] as string | undefined, HOST_PATH_TYPES, `${path}.type`, errors)
}

export function gitRepo(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (!source['repository']) errors.push(fieldError.required(`${path}.repository`))
  localDescendingPath(text(source['directory']), `${path}.directory`, errors)
}

export function gcePersistentDisk(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (!source['pdName']) errors.push(fieldError.required(`${path}.pdName`))
  range0To255(source['partition'], `${path}.partition`, errors, 1)
}

export function awsElasticBlockStore(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (!source['volumeID']) errors.push(fieldError.required(`${path}.volumeID`))
  range0To255(source['partition'], `${path}.partition`, errors, 1)
}

export function nfs(source: VolumeSource, path: string, errors: FieldError[]): void {
  requiredServer(source, path, errors)
  if (!text(source['path']).startsWith('/'))
    errors.push(fieldError.invalid(`${path}.path`, text(source['path']), 'must be an absolute path'))
}

const QUALIFIED_NAMES: Readonly<Record<string, RegExp>> = {
  iqn: /iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+$/,
  eui: /^eui.[A-Za-z0-9]{16}$/,
  naa: /^naa.[A-Za-z0-9]{32}$/,
}

function iscsiName(name: string, path: string, errors: FieldError[]): void {
  const pattern = QUALIFIED_NAMES[name.slice(0, 3)]
  if (pattern === undefined)
    errors.push(fieldError.invalid(path, name, 'must be valid format starting with iqn, eui, or naa'))
  else if (name.length > 4096 || !pattern.test(name))
    errors.push(fieldError.invalid(path, name, 'must be valid format'))
}

export function iscsi(source: VolumeSource, path: string, errors: FieldError[]): void {
  requiredPortal(source, path, errors)
  if (text(source['iqn']) !== '') iscsiName(text(source['iqn']), `${path}.iqn`, errors)
  range0To255(source['lun'], `${path}.lun`, errors)
  if ((source['chapAuthDiscovery'] || source['chapAuthSession']) && source['secretRef'] == null)
    errors.push(fieldError.required(`${path}.secretRef`))
  if (source['initiatorName'] != null) iscsiName(text(source['initiatorName']), `${path}.initiatorname`, errors)
}

export function flocker(source: VolumeSource, path: string, errors: FieldError[]): void {
  const name = text(source['datasetName'])
  if (name === '' && !source['datasetUUID'])
    errors.push(fieldError.required(path, 'one of datasetName and datasetUUID is required'))
  if (name !== '' && source['datasetUUID'])
    errors.push(fieldError.invalid(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'))
  if (name.includes('/')) errors.push(fieldError.invalid(`${path}.datasetName`, name, "must not contain '/'"))
}

function secretRefName(source: VolumeSource, path: string, errors: FieldError[]): void {
  const ref = source['secretRef'] as { name?: string } | null | undefined
  if (ref != null && !ref.name) errors.push(fieldError.required(`${path}.secretRef.name`))
}

export function cinder(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (!source['volumeID']) errors.push(fieldError.required(`${path}.volumeID`))
  secretRefName(source, path, errors)
}

export function quobyte(source: VolumeSource, path: string, errors: FieldError[]): void {
  const registry = text(source['registry'])
  const pairs = 'must be a host:port pair or multiple pairs separated by commas'
  if (registry === '') errors.push(fieldError.required(`${path}.registry`, pairs))
  else if (text(source['tenant']).length >= 65)
    errors.push(fieldError.required(`${path}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'))
  else
    for (const pair of registry.split(','))
      if (!/^(?:[^:[\]]*|\[[^[\]]*\]):[^:]*$/.test(pair))
        errors.push(fieldError.invalid(`${path}.registry`, registry, pairs))
  if (!source['volume']) errors.push(fieldError.required(`${path}.volume`))
}

export function fc(source: VolumeSource, path: string, errors: FieldError[]): void {
  const wwns = list(source['targetWWNs'])
  const wwids = list(source['wwids'])
  if (wwns.length === 0 && wwids.length === 0)
    errors.push(fieldError.required(`${path}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'))
  if (wwns.length > 0 && wwids.length > 0)
    errors.push(
      fieldError.invalid(`${path}.targetWWNs`, wwns, 'targetWWNs and wwids can not be specified simultaneously'),
    )
  if (wwns.length === 0) return
  if (source['lun'] == null)
    errors.push(fieldError.required(`${path}.lun`, 'lun is required if targetWWNs is specified'))
  else range0To255(source['lun'], `${path}.lun`, errors)
}

export function flexVolume(source: VolumeSource, path: string, errors: FieldError[]): void {
  if (!source['driver']) errors.push(fieldError.required(`${path}.driver`))
  for (const key of Object.keys((source['options'] as object | null | undefined) ?? {})) {
    const namespace = `.${key.split('/', 1)[0]!.toLowerCase()}`
    if (namespace.endsWith('.kubernetes.io') || namespace.endsWith('.k8s.io'))
      errors.push(
        fieldError.invalid(`${path}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved'),
      )
  }
}

const MANAGED_DISK_URI =
  '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}'
const BLOB_DISK_URI = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd'

export function azureDisk(source: VolumeSource, path: string, errors: FieldError[]): void {
  const uri = text(source['diskURI'])
  if (!source['diskName']) errors.push(fieldError.required(`${path}.diskName`))
  if (uri === '') errors.push(fieldError.required(`${path}.diskURI`))
  const kind = source['kind'] as string | undefined
  oneOfIfSet(
    source['cachingMode'] as string | undefined,
    ['None', 'ReadOnly', 'ReadWrite'],
    `${path}.cachingMode`,
    errors,
  )
  oneOfIfSet(kind, ['Dedicated', 'Managed', 'Shared'], `${path}.kind`, errors)
  if (kind == null) return
  if (kind === 'Managed' && !uri.startsWith('/subscriptions/'))
    errors.push(fieldError.notSupported(`${path}.diskURI`, uri, [MANAGED_DISK_URI]))
  if (kind !== 'Managed' && !uri.startsWith('https://'))
    errors.push(fieldError.notSupported(`${path}.diskURI`, uri, [BLOB_DISK_URI]))
}

export function storageos(source: VolumeSource, path: string, errors: FieldError[]): void {
  const name = text(source['volumeName'])
  if (name === '') errors.push(fieldError.required(`${path}.volumeName`))
  else invalidEach(errors, `${path}.volumeName`, name, dns1123Label(name))
  const namespace = text(source['volumeNamespace'])
  if (namespace !== '') invalidEach(errors, `${path}.volumeNamespace`, namespace, dns1123Label(namespace))
  secretRefName(source, path, errors)
}

export function csi(source: VolumeSource, path: string, errors: FieldError[]): void {
  const driver = text(source['driver'])
  if (driver === '') errors.push(fieldError.required(`${path}.driver`))
  if (driver.length > 63) errors.push(fieldError.tooLong(`${path}.driver`, 63))
  invalidEach(errors, `${path}.driver`, driver, dns1123Subdomain(driver.toLowerCase()))
  const ref = source['nodePublishSecretRef'] as { name?: string } | null | undefined
  if (ref == null) return
  if (!ref.name) errors.push(fieldError.required(`${path}.nodePublishSecretRef.name`))
  else invalidEach(errors, `${path}.name`, ref.name, dns1123Subdomain(ref.name))
}

/** The reference may wait in a template: a controller may fill it in. */
export function image(source: VolumeSource, path: string, errors: FieldError[], context: VolumeContext): void {
  if (context.pod !== undefined && !source['reference']) errors.push(fieldError.required(`${path}.reference`))
  oneOf(source['pullPolicy'] as string | undefined, ['Always', 'IfNotPresent', 'Never'], `${path}.pullPolicy`, errors)
}
