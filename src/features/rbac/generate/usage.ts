import { splitServiceAccountName } from '../../../kernel/authn/service-account-name.ts'
import { type Holder, holderText, userHolder } from '../diff/holder.ts'
import type { Access, ObservedAccess } from './access.ts'
import { type AuditEventOptions, type Ignored, readAuditEvent } from './audit-event.ts'

/** How often something was asked for, and when last (milliseconds since the epoch). */
export type Use = { count: number; last: number }

/** One verb on one resource in one namespace ('' cluster-wide), or on one path. */
export type AccessUse = Use & {
  access: Access
  /** By object name; requests for no single object are under ''. Undefined once there are too many to tell apart. */
  names: Map<string, Use> | undefined
}

export type HolderUse = { holder: Holder; uses: Map<string, AccessUse> }

/** Whose requests count. All empty: every service account, and users whose names the system does not reserve. */
export type Wanted = { users: readonly string[]; serviceAccounts: readonly string[]; groups: readonly string[] }

export type UsageOptions = AuditEventOptions & {
  wanted: Wanted
  /** Requests before this time do not count; milliseconds since the epoch. */
  since: number | undefined
  /** Distinct accesses that are remembered, over all holders; default 500,000. */
  maxAccesses?: number
}

export type UsageSummary = {
  events: number
  /** Events of which something was taken. */
  used: number
  tooOld: number
  ofOthers: number
  broken: number
  ignored: Partial<Record<Ignored, number>>
  first: number | undefined
  last: number | undefined
  /** System users that were left out since nobody asked for them. */
  systemUsers: string[]
}

/** Distinct names of one resource beyond which nobody lists them in a rule. */
const MAX_NAMES = 2000
const MAX_STARTED = 100_000

export class UsageLimitError extends Error {
  override readonly name = 'UsageLimitError'
}

/** Gathers what holders were seen to need. Memory grows with distinct accesses, not with events. */
export class Usage {
  readonly holders: Map<string, HolderUse> = new Map()
  /** All namespaces in which any request of the log was made, whoever made it. */
  readonly namespaces: Set<string> = new Set()
  readonly #o: UsageOptions
  readonly #users: Set<string>
  readonly #groups: Set<string>
  /** Lasting requests that were counted at their start. */
  readonly #started = new Set<string>()
  readonly #systemUsers = new Set<string>()
  readonly #counts = { events: 0, used: 0, tooOld: 0, ofOthers: 0, broken: 0 }
  readonly #ignored: Partial<Record<Ignored, number>> = {}
  #first: number | undefined
  #last: number | undefined
  #accesses = 0

  constructor(options: UsageOptions) {
    this.#o = options
    const accounts = options.wanted.serviceAccounts.map((a) => `system:serviceaccount:${a.replace('/', ':')}`)
    this.#users = new Set([...options.wanted.users, ...accounts])
    this.#groups = new Set(options.wanted.groups)
  }

  /** Takes one event of a log. Returns what is wrong with it when it is none. */
  add(value: unknown): string | undefined {
    this.#counts.events++
    const reading = readAuditEvent(value, this.#o)
    if (reading.kind === 'broken') {
      this.#counts.broken++
      return reading.what
    }
    if (reading.kind === 'ignored') {
      this.#ignored[reading.why] = (this.#ignored[reading.why] ?? 0) + 1
      return undefined
    }
    if (this.#countedAtStart(reading.auditID, reading.stage)) return undefined
    let used = false
    for (const observed of reading.accesses) used = this.#observe(observed) || used
    if (used) this.#counts.used++
    return undefined
  }

  summary(): UsageSummary {
    return {
      ...this.#counts,
      ignored: { ...this.#ignored },
      first: this.#first,
      last: this.#last,
      systemUsers: [...this.#systemUsers].sort(),
    }
  }

  #countedAtStart(auditID: string, stage: string): boolean {
    if (auditID === '') return false
    if (stage !== 'ResponseStarted') return this.#started.delete(auditID)
    if (this.#started.size < MAX_STARTED) this.#started.add(auditID)
    return false
  }

  #observe(observed: ObservedAccess): boolean {
    if ('namespace' in observed.access && observed.access.namespace !== '')
      this.namespaces.add(observed.access.namespace)
    if (this.#o.since !== undefined && observed.at < this.#o.since) {
      this.#counts.tooOld++
      return false
    }
    const holders = this.#holdersOf(observed)
    if (holders.length === 0) {
      this.#counts.ofOthers++
      return false
    }
    for (const holder of holders) this.#count(holder, observed)
    this.#first = Math.min(this.#first ?? observed.at, observed.at)
    this.#last = Math.max(this.#last ?? observed.at, observed.at)
    return true
  }

  /** A user who is wanted by name gets the rights; otherwise the wanted groups that the user is in. */
  #holdersOf({ user, groups }: ObservedAccess): Holder[] {
    if (this.#users.has(user)) return [userHolder(user)]
    const wanted = groups.filter((group) => this.#groups.has(group))
    if (wanted.length > 0) return wanted.map((name) => ({ kind: 'Group', name }))
    if (this.#users.size + this.#groups.size > 0) return []
    if (!user.startsWith('system:') || splitServiceAccountName(user) !== undefined) return [userHolder(user)]
    if (this.#systemUsers.size < MAX_NAMES) this.#systemUsers.add(user)
    return []
  }

  #count(holder: Holder, { access, at }: ObservedAccess): void {
    const text = holderText(holder)
    let entry = this.holders.get(text)
    if (entry === undefined) this.holders.set(text, (entry = { holder, uses: new Map() }))
    const key = accessKey(access)
    let use = entry.uses.get(key)
    if (use === undefined) {
      if (++this.#accesses > (this.#o.maxAccesses ?? 500_000))
        throw new UsageLimitError('the log shows too many different requests: choose fewer users, or a later --since')
      entry.uses.set(key, (use = { access: nameless(access), count: 0, last: at, names: new Map() }))
    }
    bump(use, at)
    if ('path' in access || use.names === undefined) return
    const byName = use.names.get(access.name)
    if (byName !== undefined) bump(byName, at)
    else if (use.names.size < MAX_NAMES) use.names.set(access.name, { count: 1, last: at })
    else use.names = undefined
  }
}

function bump(use: Use, at: number): void {
  use.count++
  if (at > use.last) use.last = at
}

function nameless(access: Access): Access {
  return 'path' in access ? access : { ...access, name: '' }
}

function accessKey(a: Access): string {
  return 'path' in a ? `${a.verb} ${a.path}` : JSON.stringify([a.verb, a.apiGroup, a.resource, a.namespace])
}
