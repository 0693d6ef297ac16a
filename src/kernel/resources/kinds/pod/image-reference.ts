/** The tag of an image reference, as the pull policy's default needs it (github.com/distribution/reference). */

const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/
const TAG = /^\w[\w.-]{0,127}$/
const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?$/
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const IDENTIFIER = /^[a-f0-9]{64}$/
const NAME_MAX = 255

/** 'latest' where neither tag nor digest is given; '' for a digest alone, and for what is no reference. */
export function imageTag(image: string): string {
  const at = image.indexOf('@')
  const digest = at < 0 ? undefined : image.slice(at + 1)
  if (digest !== undefined && !DIGEST.test(digest)) return ''
  const named = at < 0 ? image : image.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : named.slice(colon + 1)
  if (tag !== undefined && !TAG.test(tag)) return ''
  if (!isName(colon < 0 ? named : named.slice(0, colon))) return ''
  return tag ?? (digest === undefined ? 'latest' : '')
}

function isName(name: string): boolean {
  if (name.length === 0 || name.length > NAME_MAX || IDENTIFIER.test(name)) return false
  const [first, ...rest] = name.split('/')
  const hasHost = rest.length > 0 && (/[.:A-Z]/.test(first!) || first === 'localhost')
  if (hasHost) return HOST.test(first!) && rest.every((c) => COMPONENT.test(c))
  return COMPONENT.test(first!) && rest.every((c) => COMPONENT.test(c))
}
