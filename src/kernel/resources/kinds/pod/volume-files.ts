import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateResourceFieldRef, volumeFieldRef } from './environment.ts'
import { localNonReservedPath } from './formats.ts'
import type { DownwardApiFile, KeyToPath, VolumeSource } from './types.ts'

/** Volumes made of files: secret, configMap, downwardAPI. */

/** File modes are numbers between 0 and 0777 (octal). */
export function fileMode(mode: unknown, path: string, errors: FieldError[]): void {
  if (typeof mode === 'number' && (mode > 0o777 || mode < 0))
    errors.push(fieldError.invalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive'))
}

export function keyToPath(item: KeyToPath, path: string, errors: FieldError[]): void {
  if (!item.key) errors.push(fieldError.required(`${path}.key`))
  if (!item.path) errors.push(fieldError.required(`${path}.path`))
  else localNonReservedPath(item.path, `${path}.path`, errors)
  fileMode(item.mode, `${path}.mode`, errors)
}

function keyedFiles(nameField: string): (source: VolumeSource, path: string, errors: FieldError[]) => void {
  return (source, path, errors) => {
    if (!source[nameField]) errors.push(fieldError.required(`${path}.${nameField}`))
    fileMode(source['defaultMode'], `${path}.defaultMode`, errors)
    const items = (source['items'] as KeyToPath[] | null | undefined) ?? []
    items.forEach((item, i) => {
      keyToPath(item, `${path}.items[${i}]`, errors)
    })
  }
}

export const secretVolume: (source: VolumeSource, path: string, errors: FieldError[]) => void = keyedFiles('secretName')
export const configMapVolume: (source: VolumeSource, path: string, errors: FieldError[]) => void = keyedFiles('name')

/** Errors of the files carry the path of the whole source, as Kubernetes' do. */
export function downwardApiVolume(source: VolumeSource, path: string, errors: FieldError[]): void {
  fileMode(source['defaultMode'], `${path}.defaultMode`, errors)
  for (const file of (source['items'] as DownwardApiFile[] | null | undefined) ?? [])
    downwardApiFile(file, path, errors)
}

export function downwardApiFile(file: DownwardApiFile, path: string, errors: FieldError[]): void {
  if (!file.path) errors.push(fieldError.required(`${path}.path`))
  else localNonReservedPath(file.path, `${path}.path`, errors)
  if (file.fieldRef != null) {
    volumeFieldRef(file.fieldRef, `${path}.fieldRef`, errors)
    if (file.resourceFieldRef != null)
      errors.push(
        fieldError.invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'),
      )
  } else if (file.resourceFieldRef != null)
    validateResourceFieldRef(file.resourceFieldRef, `${path}.resourceFieldRef`, true, errors)
  else errors.push(fieldError.required(path, 'one of fieldRef and resourceFieldRef is required'))
  fileMode(file.mode, `${path}.mode`, errors)
}
