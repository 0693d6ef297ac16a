import { type FieldError, fieldError } from '../../api/status.ts'
import { configMapKey, dns1123Label, dns1123Subdomain } from '../validation/names.ts'
import { invalidEach } from './pod/formats.ts'

/** Configuration of a kubelet from a ConfigMap: long withdrawn, its rules still hold. */
export type NodeConfigSource = {
  configMap?: {
    namespace?: string
    name?: string
    uid?: string
    resourceVersion?: string
    kubeletConfigKey?: string
  }
}

const RULES = [
  ['namespace', dns1123Label],
  ['name', dns1123Subdomain],
  ['kubeletConfigKey', configMapKey],
] as const

/** In the spec the ConfigMap is named, in the status it is pinned to what was read. */
export function validateConfigSource(
  source: NodeConfigSource,
  inSpec: boolean,
  path: string,
  errors: FieldError[],
): void {
  const map = source.configMap
  if (map == null) {
    errors.push(fieldError.invalid(path, source, 'exactly one reference subfield must be non-nil'))
    return
  }
  const at = `${path}.configMap`
  for (const field of ['uid', 'resourceVersion'] as const) {
    if (inSpec && map[field]) errors.push(fieldError.forbidden(`${at}.${field}`, `${field} must not be set in spec`))
    if (!inSpec && !map[field]) errors.push(fieldError.required(`${at}.${field}`, `${field} must be set in status`))
  }
  for (const [field, rule] of RULES) {
    const value = map[field]
    if (!value) errors.push(fieldError.required(`${at}.${field}`, `${field} must be set`))
    else invalidEach(errors, `${at}.${field}`, value, rule(value))
  }
}
