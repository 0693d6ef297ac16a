import type { Attributes } from './types.ts'

/** The sentence that a refused caller reads, word for word what clients of Kubernetes match against. */
export function forbiddenMessage(attributes: Attributes, reason: string): string {
  return `${escapeMarkup(refusal(attributes))}${reason === '' ? '' : `: ${reason}`}`
}

/** Browsers show the text, too (apiserver's responsewriters do the same). */
function escapeMarkup(text: string): string {
  return /[&<>]/.test(text) ? text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') : text
}

function refusal(attributes: Attributes): string {
  const user = `User ${JSON.stringify(attributes.user.name)} cannot ${attributes.verb}`
  if (!attributes.resourceRequest) return `${user} path ${JSON.stringify(attributes.path)}`
  const { resource, subresource, apiGroup, namespace } = attributes
  const what = subresource === '' ? resource : `${resource}/${subresource}`
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`
  return `${user} resource ${JSON.stringify(what)} in API group ${JSON.stringify(apiGroup)} ${scope}`
}
