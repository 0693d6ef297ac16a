import { type FieldError, fieldError } from '../../../api/status.ts'
import { localDescendingPath, oneOfIfSet } from './formats.ts'
import type { Container, VolumeDevice, VolumeMount } from './types.ts'
import type { VolumesByName } from './volumes.ts'

/** Where a container sees volumes: as folders (mounts) and as block devices. */

const PROPAGATIONS = ['Bidirectional', 'HostToContainer', 'None']

export function validateVolumeMounts(
  container: Container,
  volumes: VolumesByName,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  const devices = container.volumeDevices ?? []
  container.volumeMounts?.forEach((mount, i) => {
    const at = `${path}[${i}]`
    const name = mount.name ?? ''
    const mountPath = mount.mountPath ?? ''
    if (name === '') errors.push(fieldError.required(`${at}.name`))
    if (!volumes.has(name)) errors.push(fieldError.notFound(`${at}.name`, name))
    if (mountPath === '') errors.push(fieldError.required(`${at}.mountPath`))
    if (seen.has(mountPath)) errors.push(fieldError.invalid(`${at}.mountPath`, mountPath, 'must be unique'))
    seen.add(mountPath)
    if (devices.some((d) => d.name === name))
      errors.push(fieldError.invalid(`${at}.name`, name, 'must not already exist in volumeDevices'))
    if (devices.some((d) => d.devicePath === mountPath))
      errors.push(fieldError.invalid(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices'))
    validateSubPaths(mount, volumes, at, path, errors)
    validatePropagation(mount, container, path, errors)
  })
}

/** Errors of the paths themselves are at the list, as Kubernetes' are. */
function validateSubPaths(
  mount: VolumeMount,
  volumes: VolumesByName,
  at: string,
  path: string,
  errors: FieldError[],
): void {
  const { subPath, subPathExpr } = mount
  if (volumes.get(mount.name ?? '')?.['image'] != null)
    for (const field of ['subPath', 'subPathExpr'] as const)
      if (mount[field])
        errors.push(fieldError.invalid(`${at}.${field}`, mount[field], 'not allowed in image volume sources'))
  if (subPath) localDescendingPath(subPath, `${path}.subPath`, errors)
  if (!subPathExpr) return
  if (subPath)
    errors.push(fieldError.invalid(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
  localDescendingPath(subPathExpr, `${path}.subPathExpr`, errors)
}

function validatePropagation(mount: VolumeMount, container: Container, path: string, errors: FieldError[]): void {
  const propagation = mount.mountPropagation
  oneOfIfSet(propagation, PROPAGATIONS, `${path}.mountPropagation`, errors)
  if (propagation === 'Bidirectional' && container.securityContext?.privileged !== true)
    errors.push(
      fieldError.forbidden(
        `${path}.mountPropagation`,
        'Bidirectional mount propagation is available only to privileged containers',
      ),
    )
  const recursive = mount.recursiveReadOnly
  if (recursive == null || recursive === 'Disabled') return
  const at = `${path}.recursiveReadOnly`
  oneOfIfSet(recursive, ['Disabled', 'Enabled', 'IfPossible'], at, errors)
  if (recursive !== 'Enabled' && recursive !== 'IfPossible') return
  if (mount.readOnly !== true) errors.push(fieldError.forbidden(at, 'may only be specified when readOnly is true'))
  if (propagation != null && propagation !== 'None')
    errors.push(fieldError.forbidden(at, 'may only be specified when mountPropagation is None or not specified'))
}

export function validateVolumeDevices(
  devices: readonly VolumeDevice[],
  mounts: readonly VolumeMount[],
  volumes: VolumesByName,
  path: string,
  errors: FieldError[],
): void {
  const names = new Set<string>()
  const paths = new Set<string>()
  devices.forEach((device, i) => {
    const at = `${path}[${i}]`
    const name = device.name ?? ''
    const devicePath = device.devicePath ?? ''
    const refuse = (field: string, value: string, why: string): void => {
      errors.push(fieldError.invalid(`${at}.${field}`, value, why))
    }
    if (name === '') errors.push(fieldError.required(`${at}.name`))
    if (names.has(name)) refuse('name', name, 'must be unique')
    const volume = volumes.get(name)
    if (volume === undefined) errors.push(fieldError.notFound(`${at}.name`, name))
    else if (volume['persistentVolumeClaim'] == null && volume['ephemeral'] == null)
      refuse('name', name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode')
    if (devicePath === '') errors.push(fieldError.required(`${at}.devicePath`))
    if (paths.has(devicePath)) refuse('devicePath', devicePath, 'must be unique')
    if (devicePath.split('/').includes('..')) refuse('devicePath', devicePath, "can not contain backsteps ('..')")
    else paths.add(devicePath)
    if (mounts.some((m) => m.name === name)) refuse('name', name, 'must not already exist in volumeMounts')
    if (mounts.some((m) => m.mountPath === devicePath))
      refuse('devicePath', devicePath, 'must not already exist as a path in volumeMounts')
    if (name !== '') names.add(name)
  })
}
