import type { EncryptionConfiguration, ProviderConfiguration } from './configuration.ts'
import { type Header, isEncrypted, parseHeader } from './header.ts'
import { KmsProvider } from './kms-provider.ts'
import { type StaticKey, staticKey } from './static-keys.ts'
import { resourceKey, resourceOf } from './storage-key.ts'
import { EncryptionError, type Protection } from './types.ts'

type Sealer = (plain: Uint8Array, storageKey: string) => Buffer

/** One key, or one plugin, that values may be protected with. */
export type ValueKey = StaticKey | KmsProvider

/** How the objects of one resource are written and read. */
export type Policy = {
  /** Undefined: in the clear. */
  writer: ValueKey | undefined
  readers: ReadonlyMap<string, ValueKey>
  /** Values in the clear may be read. */
  identity: boolean
}

/** The built-in key service for policies that name none of its name. */
export type BuiltIn = { provider: KmsProvider /** Secrets are written with it. */; writes: boolean }

/** What a key is used for, for `keys`. */
export type KeyUse = {
  provider: Protection['provider']
  name: string
  resources: string[]
  writes: boolean
  key?: ValueKey
}

const OTHER = '*'
const MAX_CACHED_POLICIES = 10_000

/** An EncryptionConfiguration made ready: which policy a storage key falls under, and what that does with a value. */
export class Ruleset {
  readonly uses: readonly KeyUse[]
  readonly #policies: ReadonlyMap<string, Policy>
  readonly #byResource = new Map<string, Policy>()
  readonly #seal = new Map<ValueKey, Sealer>()

  constructor(policies: ReadonlyMap<string, Policy>, uses: readonly KeyUse[]) {
    this.#policies = policies
    this.uses = uses
    for (const { writer } of policies.values()) {
      if (writer?.seal !== undefined) this.#seal.set(writer, writer.seal.bind(writer))
    }
  }

  /** A rule for the resource itself goes before `*.group`, that before `*.*`. */
  #policyOf(storageKey: string): Policy {
    const resource = resourceOf(storageKey) ?? OTHER
    let policy = this.#byResource.get(resource)
    if (policy === undefined) {
      const group = resource.slice(0, resource.indexOf('/'))
      policy =
        this.#policies.get(resource) ??
        this.#policies.get(`${group}/*`) ??
        (resource === OTHER ? undefined : this.#policies.get('*/*')) ??
        this.#policies.get(OTHER)!
      if (this.#byResource.size >= MAX_CACHED_POLICIES) this.#byResource.clear()
      this.#byResource.set(resource, policy)
    }
    return policy
  }

  toStorage(plain: Buffer, storageKey: string): Buffer {
    const { writer } = this.#policyOf(storageKey)
    return writer === undefined ? plain : this.#seal.get(writer)!(plain, storageKey)
  }

  fromStorage(value: Buffer, storageKey: string): Buffer | Promise<Buffer> {
    const policy = this.#policyOf(storageKey)
    if (!isEncrypted(value)) {
      if (policy.identity) return value
      throw new EncryptionError(
        `${storageKey} is stored in the clear, which the encryption configuration does not allow: it names no identity ` +
          'provider for it',
      )
    }
    const header = parseHeader(value, storageKey)
    const key = policy.readers.get(header.text)
    if (key === undefined) throw missing(header, policy, storageKey)
    return key.open(value, header.length, storageKey)
  }

  isStale(value: Buffer, storageKey: string): boolean {
    const { writer } = this.#policyOf(storageKey)
    if (!isEncrypted(value)) return writer !== undefined
    const header = parseHeader(value, storageKey)
    if (writer?.header !== header.text) return true
    return writer instanceof KmsProvider && writer.isStale(value, header.length, storageKey)
  }
}

function missing(header: Header, policy: Policy, storageKey: string): EncryptionError {
  const needed = header.provider === 'kms' ? `kms plugin ${header.name}` : `${header.provider} key ${header.name}`
  const known = [...policy.readers.keys()].map((text) => text.slice('k8s:enc:'.length, -1))
  const has = known.length === 0 ? 'none' : known.slice(0, 10).join(', ')
  return new EncryptionError(
    `${storageKey} cannot be read: it needs ${needed}, which the encryption configuration does not have (it has ${has})`,
  )
}

/** `kmsOf` gives the running provider for a plugin of the configuration. */
export function buildRuleset(
  configuration: EncryptionConfiguration | undefined,
  kmsOf: (provider: ProviderConfiguration & { provider: 'kms' }) => KmsProvider,
  builtIn: BuiltIn | undefined,
): Ruleset {
  const policies = new Map<string, Policy & { readers: Map<string, ValueKey> }>()
  const uses = new Map<string, KeyUse>()
  const use = (entry: Omit<KeyUse, 'resources' | 'writes'>, resource: string | undefined, writes: boolean): void => {
    const id = `${entry.provider} ${entry.name}`
    let known = uses.get(id)
    if (known === undefined) uses.set(id, (known = { ...entry, resources: [], writes: false }))
    if (resource !== undefined && !known.resources.includes(resource)) known.resources.push(resource)
    known.writes ||= writes
  }

  for (const { resources, providers } of configuration?.entries ?? []) {
    const made = providers.map((provider) => ({ provider, keys: valueKeys(provider, kmsOf) }))
    for (const { group, resource, text } of resources) {
      const at = resourceKey(group, resource)
      const before = policies.get(at)
      const policy = before ?? { writer: undefined, readers: new Map(), identity: false }
      policies.set(at, policy)
      made.forEach(({ provider, keys }, i) => {
        const first = before === undefined && i === 0
        if (provider.provider === 'identity') {
          policy.identity = true
          use({ provider: 'identity', name: '' }, text, first)
        }
        keys.forEach(({ name, key }, j) => {
          if (first && j === 0) policy.writer = key
          if (!policy.readers.has(key.header)) policy.readers.set(key.header, key)
          use({ provider: provider.provider, name, key }, text, first && j === 0)
        })
      })
    }
  }

  policies.set(OTHER, { writer: undefined, readers: new Map(), identity: true })
  if (builtIn !== undefined) {
    const { provider, writes } = builtIn
    if (writes) policies.set('core/secrets', { writer: provider, readers: new Map(), identity: true })
    for (const { readers } of policies.values()) readers.set(provider.header, provider)
    use({ provider: 'kms', name: provider.name, key: provider }, writes ? 'secrets' : undefined, writes)
    if (writes) use({ provider: 'identity', name: '' }, 'secrets', false)
  }
  return new Ruleset(policies, [...uses.values()])
}

function valueKeys(
  provider: ProviderConfiguration,
  kmsOf: (provider: ProviderConfiguration & { provider: 'kms' }) => KmsProvider,
): { name: string; key: ValueKey }[] {
  switch (provider.provider) {
    case 'identity':
      return []
    case 'kms':
      return [{ name: provider.name, key: kmsOf(provider) }]
    default:
      return provider.keys.map(({ name, secret }) => ({ name, key: staticKey(provider.provider, name, secret) }))
  }
}
