import { urlPrefix } from '../engine/rules.ts'
import { type Permission, permissionKey } from './permission.ts'

/**
 * What somebody holds, asked whether it covers a further permission: the answers of `covers` (engine/covers.ts), but by
 * lookups of the at most 24 forms that would cover it, whatever the number of permissions held.
 */
export class PermissionSet {
  readonly #keys = new Set<string>()
  /** By verb: what is before the star of URLs that end in one. */
  readonly #prefixes = new Map<string, Set<string>>()

  constructor(permissions: Iterable<Permission> = []) {
    for (const permission of permissions) this.add(permission)
  }

  add(permission: Permission): void {
    this.#keys.add(permissionKey(permission))
    if (!('url' in permission) || !permission.url.endsWith('*')) return
    const known = this.#prefixes.get(permission.verb)
    if (known === undefined) this.#prefixes.set(permission.verb, new Set([urlPrefix(permission.url)]))
    else known.add(urlPrefix(permission.url))
  }

  has(permission: Permission): boolean {
    return this.#keys.has(permissionKey(permission))
  }

  /** One permission held must cover it alone: no finite number of smaller ones makes up a wildcard. */
  covers(permission: Permission): boolean {
    if (this.#keys.size === 0) return false
    if (this.has(permission)) return true
    return this.#covering(permission, false)
  }

  /** Whether another permission than this very one covers it. */
  coversByAnother(permission: Permission): boolean {
    return this.#covering(permission, true)
  }

  #covering(p: Permission, another: boolean): boolean {
    const own = another ? permissionKey(p) : ''
    const held = (form: Permission): boolean => {
      const key = permissionKey(form)
      return key !== own && this.#keys.has(key)
    }
    for (const verb of p.verb === '*' ? ['*'] : [p.verb, '*']) {
      if ('url' in p) {
        if (held({ verb, url: p.url }) || this.#prefixCovers(verb, p.url, another && verb === p.verb)) return true
        continue
      }
      for (const apiGroup of p.apiGroup === '*' ? ['*'] : [p.apiGroup, '*'])
        for (const resource of wider(p.resource))
          for (const name of p.name === undefined ? [undefined] : [p.name, undefined])
            if (held({ verb, apiGroup, resource, name })) return true
    }
    return false
  }

  #prefixCovers(verb: string, url: string, another: boolean): boolean {
    const own = url.endsWith('*') ? urlPrefix(url) : undefined
    for (const prefix of this.#prefixes.get(verb) ?? [])
      if (url.startsWith(prefix) && !(another && prefix === own)) return true
    return false
  }
}

/** The forms of a rule's resource that cover it: itself, all, and for `pods/log` that subresource of all resources. */
function wider(resource: string): string[] {
  if (resource === '*') return ['*']
  const slash = resource.indexOf('/')
  return slash < 0 ? [resource, '*'] : [resource, '*', `*${resource.slice(slash)}`]
}
