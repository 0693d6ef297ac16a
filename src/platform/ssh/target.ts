export type SshTarget = { user: string; host: string; port: number }

const USER = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/
const HOST = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const ADDRESS6 = /^[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,15})?$/

/** Reads `[user@]host[:port]`; IPv6 addresses with a port stand in brackets. Throws an Error that says what is wrong. */
export function parseSshTarget(text: string, defaultUser: string = 'root'): SshTarget {
  const wrong = (why: string): Error => new Error(`${JSON.stringify(text)} is not user@host[:port]: ${why}`)
  const at = text.lastIndexOf('@')
  const user = at < 0 ? defaultUser : text.slice(0, at)
  if (!USER.test(user)) throw wrong('the user may hold letters, digits, ".", "_" and "-"')
  const rest = text.slice(at + 1)
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(rest)
  const plain = /^([^:]*)(?::(.*))?$/.exec(rest)
  const [, host = '', port = '22'] = bracketed ?? plain ?? [undefined, rest]
  if (!(HOST.test(host) || (ADDRESS6.test(host) && host.includes(':'))))
    throw wrong('the host is neither a name nor an address')
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65535) throw wrong('the port must be from 1 to 65535')
  return { user, host: host.toLowerCase(), port: Number(port) }
}

/** `host` for port 22, `[host]:port` otherwise, as known_hosts writes it. */
export function knownHostsName({ host, port }: { host: string; port: number }): string {
  return port === 22 ? host : `[${host}]:${port}`
}

export function formatSshTarget({ user, host, port }: SshTarget): string {
  const shown = host.includes(':') ? `[${host}]` : host
  return port === 22 ? `${user}@${shown}` : `${user}@${shown}:${port}`
}
