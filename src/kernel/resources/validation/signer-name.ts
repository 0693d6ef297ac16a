import { type FieldError, fieldError } from '../../api/status.ts'
import { dns1123Label, dns1123Subdomain } from './names.ts'

const DOMAIN_MAX = 253
/** Room for a label, a subdomain and the dot between them. */
const PATH_MAX = 253 + 63 + 1

/** `example.com/signer-name`: a domain of two or more labels, and a path of subdomains joined by dots. */
export function validateSignerName(name: string, path: string): FieldError[] {
  if (name === '') return [fieldError.required(path)]
  const [domain = '', signer, ...more] = name.split('/')
  if (signer === undefined || more.length > 0)
    return [
      fieldError.invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
    ]
  const errors: FieldError[] = []
  if (Buffer.byteLength(domain) > DOMAIN_MAX) errors.push(fieldError.tooLong(path, DOMAIN_MAX))
  errors.push(...firstBadLabel(domain, dns1123Label, path))
  if (!domain.includes('.'))
    errors.push(fieldError.invalid(path, domain, 'should be a domain with at least two segments separated by dots'))
  errors.push(...firstBadLabel(signer, dns1123Subdomain, path))
  if (Buffer.byteLength(name) > DOMAIN_MAX + PATH_MAX + 1)
    errors.push(fieldError.tooLong(path, DOMAIN_MAX + PATH_MAX + 1))
  return errors
}

function firstBadLabel(segment: string, rule: (label: string) => string[], path: string): FieldError[] {
  for (const label of segment.split('.')) {
    const messages = rule(label)
    if (messages.length > 0)
      return messages.map((message) =>
        fieldError.invalid(path, segment, `validating label ${JSON.stringify(label)}: ${message}`),
      )
  }
  return []
}
