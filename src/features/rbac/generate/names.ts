import type { AccessUse, Use } from './usage.ts'

export type NamesMode = 'auto' | 'always' | 'never'

/** Requests that are for no single object, or whose object has no name before it is there. */
const NAMELESS = new Set(['list', 'watch', 'create', 'deletecollection'])

/**
 * The names to which a rule for this access is limited, or undefined for none. `auto`: few, and none that a machine made
 * up. A rule with names for list, watch, deletecollection or create would allow nothing of what people mean; a
 * subresource (`create pods/exec`) has its object's name, though. Whom one may impersonate is always said by name,
 * unless names are refused.
 */
export function namesFor(use: AccessUse, mode: NamesMode, maxNames: number): Map<string, Use> | undefined {
  const { access, names } = use
  if (mode === 'never' || names === undefined || 'path' in access) return undefined
  if (NAMELESS.has(access.verb) && !(access.verb === 'create' && access.resource.includes('/'))) return undefined
  if (names.has('')) return undefined
  if (mode === 'always' || access.verb === 'impersonate') return names
  return names.size <= maxNames && ![...names.keys()].some(isGeneratedName) ? names : undefined
}

/** Letters and digits of which Kubernetes makes random suffixes: no vowels, nothing that looks like another. */
const RANDOM_SUFFIX = /-[bcdfghjklmnpqrstvwxz2456789]{5}$/
const HEX_PART = /(^|[-.])(?=[0-9a-f]*[0-9])[0-9a-f]{8,}($|[-.])/
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/
const DIGITS = /\d{8,}/

/** Names that will be others tomorrow: generateName's, those of Deployments' and Jobs' pods, hashes, UIDs, timestamps. */
export function isGeneratedName(name: string): boolean {
  return RANDOM_SUFFIX.test(name) || HEX_PART.test(name) || UUID.test(name) || DIGITS.test(name)
}
