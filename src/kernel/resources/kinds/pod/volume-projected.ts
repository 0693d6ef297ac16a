import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateLabelSelector } from '../../validation/meta.ts'
import { dns1123Subdomain } from '../../validation/names.ts'
import { validateSignerName } from '../../validation/signer-name.ts'
import { localNonReservedPath } from './formats.ts'
import type { ProjectedSource, VolumeSource } from './types.ts'
import { downwardApiFile, fileMode, keyToPath } from './volume-files.ts'

/** The projected volume: several sources in one folder, no two of them at one path. */

const TEN_MINUTES = 600
const KINDS = [
  'secret',
  'configMap',
  'downwardAPI',
  'serviceAccountToken',
  'clusterTrustBundle',
  'podCertificate',
] as const

export function projectedVolume(source: VolumeSource, path: string, errors: FieldError[]): void {
  fileMode(source['defaultMode'], `${path}.defaultMode`, errors)
  const taken = new Set<string>()
  const take = (file: string | undefined, shown: unknown): void => {
    if (!file) return
    if (taken.has(file)) errors.push(fieldError.invalid(path, shown, 'conflicting duplicate paths'))
    taken.add(file)
  }
  const list = (source['sources'] as ProjectedSource[] | null | undefined) ?? []
  list.forEach((projection, i) => {
    const at = `${path}.sources[${i}]`
    for (const kind of ['secret', 'configMap'] as const) {
      const files = projection[kind]
      if (files == null) continue
      if (!files.name) errors.push(fieldError.required(`${at}.${kind}.name`))
      files.items?.forEach((item, j) => {
        keyToPath(item, `${at}.${kind}.items[${j}]`, errors)
        take(item.path, files.name ?? '')
      })
    }
    for (const file of projection.downwardAPI?.items ?? []) {
      downwardApiFile(file, `${at}.downwardAPI`, errors)
      take(file.path, file.path)
    }
    if (projection.serviceAccountToken != null) token(projection.serviceAccountToken, at, path, errors)
    if (projection.clusterTrustBundle != null) {
      trustBundle(projection.clusterTrustBundle, `${at}.clusterTrustBundle`, errors)
      take(projection.clusterTrustBundle.path, projection.clusterTrustBundle.path)
    }
    if (KINDS.filter((kind) => projection[kind] != null).length > 1)
      errors.push(fieldError.forbidden(at, 'may not specify more than 1 volume type per source'))
  })
}

/** The path's own errors are at the volume, as Kubernetes has them. */
function token(
  source: NonNullable<ProjectedSource['serviceAccountToken']>,
  at: string,
  volumePath: string,
  errors: FieldError[],
): void {
  const seconds = source.expirationSeconds ?? 0
  const refuse = (why: string): void => {
    errors.push(
      fieldError.invalid(`${at}.serviceAccountToken.expirationSeconds`, seconds, `may not specify a duration ${why}`),
    )
  }
  if (seconds < TEN_MINUTES) refuse('less than 10 minutes')
  if (seconds > 2 ** 32) refuse('larger than 2^32 seconds')
  if (!source.path) errors.push(fieldError.required(`${volumePath}.path`))
  else localNonReservedPath(source.path, `${volumePath}.path`, errors)
}

function trustBundle(
  source: NonNullable<ProjectedSource['clusterTrustBundle']>,
  path: string,
  errors: FieldError[],
): void {
  if (source.name != null && source.signerName != null)
    errors.push(fieldError.invalid(path, source, 'only one of name and signerName may be used'))
  else if (source.name != null) {
    if (source.name === '') errors.push(fieldError.required(`${path}.name`, 'must be a valid object name'))
    for (const message of dns1123Subdomain(source.name.slice(source.name.lastIndexOf(':') + 1)))
      errors.push(fieldError.invalid(`${path}.name`, source.name, `not a valid clustertrustbundlename: ${message}`))
    if (source.labelSelector != null)
      errors.push(
        fieldError.invalid(
          `${path}.labelSelector`,
          source.labelSelector,
          'labelSelector must be unset if name is specified',
        ),
      )
  } else if (source.signerName != null) {
    if (source.signerName === '') errors.push(fieldError.required(`${path}.signerName`, 'must be a valid signer name'))
    errors.push(...validateSignerName(source.signerName, `${path}.signerName`))
    errors.push(...validateLabelSelector(source.labelSelector, `${path}.labelSelector`))
  } else errors.push(fieldError.required(path, 'either name or signerName must be specified'))
  if (!source.path) errors.push(fieldError.required(`${path}.path`))
  else localNonReservedPath(source.path, `${path}.path`, errors)
}
