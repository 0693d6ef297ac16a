import { type FieldError, fieldError } from '../../api/status.ts'
import { dns1123Subdomain, portNumber } from '../validation/names.ts'

/** How the API server reaches a webhook: by URL or by Service (admission and CRD conversion alike). */
export type WebhookClientConfig = {
  url?: string
  service?: { namespace?: string; name?: string; path?: string; port?: number }
  /** Base64 of a PEM bundle. */
  caBundle?: string
}

const FORM = '; desired format: https://host[/path]'

export function validateWebhookUrl(text: string, path: string): FieldError[] {
  // WHATWG parsing repairs what Go refuses, so scheme and host are read from the text itself.
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?/.exec(text)
  const scheme = match?.[1]?.toLowerCase() ?? ''
  const authority = match?.[2] ?? ''
  const errors: FieldError[] = []
  if (scheme !== 'https') errors.push(fieldError.invalid(path, scheme, `'https' is the only allowed URL scheme${FORM}`))
  const at = authority.lastIndexOf('@')
  if (authority.slice(at + 1) === '') errors.push(fieldError.invalid(path, '', `host must be provided${FORM}`))
  else if (scheme === 'https' && !URL.canParse(text))
    errors.push(fieldError.required(path, `url must be a valid URL: parse ${JSON.stringify(text)}${FORM}`))
  if (at >= 0)
    errors.push(fieldError.invalid(path, authority.slice(0, at), 'user information is not permitted in the URL'))
  const hash = text.indexOf('#')
  const fragment = hash < 0 ? '' : text.slice(hash + 1)
  if (fragment !== '') errors.push(fieldError.invalid(path, fragment, 'fragments are not permitted in the URL'))
  const beforeHash = hash < 0 ? text : text.slice(0, hash)
  const question = beforeHash.indexOf('?')
  const query = question < 0 ? '' : beforeHash.slice(question + 1)
  if (query !== '') errors.push(fieldError.invalid(path, query, 'query parameters are not permitted in the URL'))
  return errors
}

export function validateWebhookService(
  service: NonNullable<WebhookClientConfig['service']>,
  path: string,
): FieldError[] {
  const errors: FieldError[] = []
  if (!service.name) errors.push(fieldError.required(`${path}.name`, 'service name is required'))
  if (!service.namespace) errors.push(fieldError.required(`${path}.namespace`, 'service namespace is required'))
  const port = service.port ?? 443
  if (portNumber(port).length > 0)
    errors.push(fieldError.invalid(`${path}.port`, port, `port is not valid: ${portNumber(port).join(', ')}`))
  return errors.concat(validateServicePath(service.path ?? '', `${path}.path`))
}

function validateServicePath(urlPath: string, path: string): FieldError[] {
  if (urlPath === '' || urlPath === '/') return []
  if (urlPath === '//') return [fieldError.invalid(path, urlPath, 'segment[0] may not be empty')]
  const errors: FieldError[] = []
  if (!urlPath.startsWith('/')) errors.push(fieldError.invalid(path, urlPath, "must start with a '/'"))
  urlPath
    .slice(1)
    .replace(/\/$/, '')
    .split('/')
    .forEach((step, i) => {
      if (step === '') errors.push(fieldError.invalid(path, urlPath, `segment[${i}] may not be empty`))
      else
        for (const message of dns1123Subdomain(step))
          errors.push(fieldError.invalid(path, urlPath, `segment[${i}]: ${message}`))
    })
  return errors
}

/** Exactly one of url and service. */
export function validateWebhookClientConfig(config: WebhookClientConfig | undefined, path: string): FieldError[] {
  const { url, service } = config ?? {}
  if ((url === undefined) === (service === undefined))
    return [fieldError.required(path, 'exactly one of url or service is required')]
  return url === undefined
    ? validateWebhookService(service!, `${path}.service`)
    : validateWebhookUrl(url, `${path}.url`)
}
