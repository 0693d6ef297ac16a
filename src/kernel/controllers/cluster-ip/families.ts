import { type FieldError, fieldError } from '../../api/status.ts'
import type { ServiceSpec } from '../../resources/kinds/service-types.ts'
import { type Family, familyOf } from './address.ts'

const POLICY = 'spec.ipFamilyPolicy'

/**
 * Fills spec.ipFamilies and spec.ipFamilyPolicy, from what the cluster offers (`families`, the first is the default) and
 * what the Service asks for (pkg/registry/core/service, KEP-563). Returns why it cannot be.
 */
export function settleFamilies(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  families: readonly Family[],
): FieldError[] {
  if (spec.type === 'ExternalName' || keepsPreferredDualStack(spec, old)) return []
  const selectorless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  spec.ipFamilyPolicy ??= old?.ipFamilyPolicy ?? (selectorless ? 'RequireDualStack' : 'SingleStack')
  const errors = old === undefined ? [] : settleReduction(spec, old)
  if (spec.ipFamilyPolicy === 'SingleStack') errors.push(...singleStackHasOne(spec))
  errors.push(...inferFamilies(spec, families))
  if (errors.length > 0) return errors
  if (selectorless) {
    // Whoever writes its endpoints decides: both families, whatever the cluster has.
    spec.ipFamilies = withSecond(spec, spec.ipFamilies ?? [], families[0]!, true)
    return []
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && families.length < 2)
    errors.push(
      fieldError.invalid(POLICY, spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'),
    )
  spec.ipFamilies?.forEach((family, i) => {
    if (!families.includes(family as Family))
      errors.push(fieldError.invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'))
  })
  if (errors.length === 0)
    spec.ipFamilies = withSecond(spec, spec.ipFamilies ?? [], families[0]!, families.length === 2)
  return errors
}

/** PreferDualStack gets a second family when the writer changes something of it, not when the cluster changes. */
function keepsPreferredDualStack(spec: ServiceSpec, old: ServiceSpec | undefined): boolean {
  if (old === undefined || old.type !== spec.type || spec.ipFamilyPolicy !== 'PreferDualStack') return false
  if (old.ipFamilyPolicy != null && old.ipFamilyPolicy !== 'PreferDualStack') return false
  return sameList(spec.clusterIPs, old.clusterIPs) && sameList(spec.ipFamilies, old.ipFamilies)
}

/** Going to SingleStack gives up the second address; giving it up without saying so is an error. */
function settleReduction(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const [ips, families] = [spec.clusterIPs ?? [], spec.ipFamilies ?? []]
  if (spec.ipFamilyPolicy === 'SingleStack') {
    if (ips.length > 1 && sameList(ips, old.clusterIPs)) spec.clusterIPs = ips.slice(0, 1)
    if (families.length > 1 && sameList(families, old.ipFamilies)) spec.ipFamilies = families.slice(0, 1)
    return []
  }
  const errors: FieldError[] = []
  const refuse = (what: string): void => {
    const why = `must be 'SingleStack' to release the secondary ${what}`
    errors.push(fieldError.invalid(POLICY, spec.ipFamilyPolicy, why))
  }
  if (ips.length > 0 && ips.length < (old.clusterIPs ?? []).length) refuse('cluster IP')
  if (families.length > 0 && families.length < (old.ipFamilies ?? []).length) refuse('IP family')
  return errors
}

function singleStackHasOne(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = []
  const refuse = (what: string): void => {
    const why = `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`
    errors.push(fieldError.invalid(POLICY, spec.ipFamilyPolicy, why))
  }
  if ((spec.clusterIPs ?? []).length === 2) refuse('cluster IPs')
  if ((spec.ipFamilies ?? []).length === 2) refuse('IP families')
  return errors
}

/** An address that was asked for tells its family. */
function inferFamilies(spec: ServiceSpec, families: readonly Family[]): FieldError[] {
  const errors: FieldError[] = []
  const given = [...(spec.ipFamilies ?? [])]
  for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
    if (ip === 'None') break
    if (i < given.length) continue
    const family = familyOf(ip)
    if (family !== undefined && families.includes(family)) given.push(family)
    else
      errors.push(
        fieldError.invalid(
          `spec.clusterIPs[${i}]`,
          spec.clusterIPs,
          `${family ?? ip} is not configured on this cluster`,
        ),
      )
  }
  if (given.length > 0) spec.ipFamilies = given
  return errors
}

function withSecond(spec: ServiceSpec, given: readonly string[], preferred: Family, hasBoth: boolean): Family[] {
  const families = (given.length === 0 ? [preferred] : [...given]) as Family[]
  if (spec.ipFamilyPolicy !== 'SingleStack' && families.length === 1 && hasBoth)
    families.push(families[0] === 'IPv4' ? 'IPv6' : 'IPv4')
  return families
}

const sameList = (a: readonly string[] | undefined, b: readonly string[] | undefined): boolean =>
  (a ?? []).length === (b ?? []).length && (a ?? []).every((item, i) => item === b?.[i])
