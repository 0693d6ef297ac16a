import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Subdomain } from '../../validation/names.ts'
import { invalidEach, ipAddress } from './formats.ts'
import type { PodSpec } from './types.ts'

/** How a pod resolves names: dnsConfig and hostAliases. */

/** Limits of libc's resolver. */
const MAX_NAMESERVERS = 3
const MAX_SEARCHES = 32
const MAX_SEARCH_CHARACTERS = 2048

export function validateDnsConfig(spec: PodSpec, path: string, errors: FieldError[]): void {
  const config = spec.dnsConfig
  const nameservers = config?.nameservers ?? []
  if (spec.dnsPolicy === 'None') {
    if (config == null) {
      errors.push(fieldError.required(path, 'must provide `dnsConfig` when `dnsPolicy` is None'))
      return
    }
    if (nameservers.length === 0) {
      errors.push(
        fieldError.required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'),
      )
      return
    }
  }
  if (config == null) return
  if (nameservers.length > MAX_NAMESERVERS)
    errors.push(
      fieldError.invalid(`${path}.nameservers`, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`),
    )
  nameservers.forEach((nameserver, i) => {
    ipAddress(nameserver, `${path}.nameservers[${i}]`, errors)
  })
  validateSearches(config.searches ?? [], `${path}.searches`, errors)
  config.options?.forEach((option, i) => {
    if (!option.name) errors.push(fieldError.required(`${path}.options[${i}]`, 'must not be empty'))
  })
}

function validateSearches(searches: readonly string[], path: string, errors: FieldError[]): void {
  if (searches.length > MAX_SEARCHES)
    errors.push(fieldError.invalid(path, searches, `must not have more than ${MAX_SEARCHES} search paths`))
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS)
    errors.push(
      fieldError.invalid(
        path,
        searches,
        `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`,
      ),
    )
  searches.forEach((search, i) => {
    const domain = search.endsWith('.') ? search.slice(0, -1) : search
    invalidEach(errors, `${path}[${i}]`, domain, dns1123Subdomain(domain))
  })
}

export function validateHostAliases(
  aliases: NonNullable<PodSpec['hostAliases']>,
  path: string,
  errors: FieldError[],
): void {
  aliases.forEach((alias, i) => {
    ipAddress(alias.ip, `${path}[${i}].ip`, errors)
    alias.hostnames?.forEach((hostname, j) => {
      invalidEach(errors, `${path}[${i}].hostnames[${j}]`, hostname, dns1123Subdomain(hostname))
    })
  })
}
