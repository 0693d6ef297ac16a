import { createHmac, timingSafeEqual } from 'node:crypto'
import { type HostKey, type HostKeyCheck, hostKeyLine, parseHostKeyLine } from './host-key.ts'
import { knownHostsName } from './target.ts'

export type KnownHost = { line: number; hosts: string; key: HostKey; revoked: boolean }

const MAX_BYTES = 4 * 1024 * 1024
const MAX_LINE = 32 * 1024

/**
 * Lines of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain, `[host]:port`, patterns with `*`, `?`, `!`,
 * hashed hosts, @revoked. @cert-authority lines are passed over: host certificates are not spoken here, and a line that
 * trusts a CA must not trust the key itself. A line that cannot be read is an Error that names it: passing over one might
 * pass over a revocation.
 */
export function parseKnownHosts(text: string): KnownHost[] {
  if (text.length > MAX_BYTES) throw new Error(`it is longer than ${MAX_BYTES} bytes`)
  return text.split('\n').flatMap((raw, index): KnownHost[] => {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) return []
    const at = `line ${index + 1}`
    if (line.length > MAX_LINE) throw new Error(`${at} is longer than ${MAX_LINE} characters`)
    const fields = line.split(/\s+/)
    const marker = fields[0]!.startsWith('@') ? fields.shift()! : ''
    if (marker === '@cert-authority') return []
    if (marker !== '' && marker !== '@revoked') throw new Error(`${at}: unknown marker ${JSON.stringify(marker)}`)
    const [hosts = '', type = '', blob = ''] = fields
    if (hosts.startsWith('|') && !HASHED.test(hosts)) throw new Error(`${at}: its hashed host cannot be read`)
    try {
      return [{ line: index + 1, hosts, key: parseHostKeyLine(`${type} ${blob}`), revoked: marker === '@revoked' }]
    } catch (error) {
      throw new Error(`${at}: ${(error as Error).message}`)
    }
  })
}

const HASHED = /^\|1\|([A-Za-z0-9+/]{27}=)\|([A-Za-z0-9+/]{27}=)$/

/** `name` is a host, or `[host]:port` for a port other than 22. */
export function matchesHosts(hosts: string, name: string): boolean {
  const hashed = HASHED.exec(hosts)
  if (hashed !== null) {
    const digest = createHmac('sha1', Buffer.from(hashed[1]!, 'base64')).update(name).digest()
    return timingSafeEqual(digest, Buffer.from(hashed[2]!, 'base64'))
  }
  const patterns = hosts.toLowerCase().split(',')
  const matches = (pattern: string): boolean => matchesGlob(pattern, name)
  if (patterns.some((p) => p.startsWith('!') && matches(p.slice(1)))) return false
  return patterns.some((p) => !p.startsWith('!') && matches(p))
}

/** `*` and `?`, in time linear in pattern times name. */
function matchesGlob(pattern: string, name: string): boolean {
  let [p, n, star, mark] = [0, 0, -1, 0]
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++
      mark = n
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p++
      n++
    } else if (star >= 0) {
      p = star + 1
      n = ++mark
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Accepts keys that the file has for the target's host and port. Throws on a file that cannot be read as one. */
export function knownHosts(text: string, file: string, target: { host: string; port: number }): HostKeyCheck {
  let all: KnownHost[]
  try {
    all = parseKnownHosts(text)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  const name = knownHostsName(target)
  const own = all.filter(({ hosts }) => matchesHosts(hosts, name))
  const good = own.filter((k) => !k.revoked)
  return {
    types: [...new Set(good.map((k) => k.key.type))],
    check: (key) => {
      const line = hostKeyLine(key)
      const same = own.filter((k) => hostKeyLine(k.key) === line)
      const revoked = same.find((k) => k.revoked)
      if (revoked !== undefined)
        return { verdict: 'refuse', reason: `its ${key.type} key is revoked: ${file} line ${revoked.line}` }
      if (same[0] !== undefined) return { verdict: 'accept', by: `${file} line ${same[0].line}` }
      if (good.length === 0) return { verdict: 'refuse', reason: `${file} has no key for ${name}` }
      return {
        verdict: 'refuse',
        reason: `its ${key.type} key is not the one that ${file} has for ${name} (line ${good.map((k) => k.line).join(', ')})`,
      }
    },
  }
}
