import { existsSync, lstatSync } from 'node:fs'
import type { Clock, Log } from '../../../kernel/feature.ts'
import { loadConfiguration } from './configuration-file.ts'
import { type DataKeyRecords, openDataKeyRecords } from './data-key-records.ts'
import { decodeObject } from './encrypted-object.ts'
import { isEncrypted, parseHeader } from './header.ts'
import { KmsProvider, protectionOfObject } from './kms-provider.ts'
import { knownKeys } from './known-keys.ts'
import { type LocalKeyFile, openLocalKeyFile } from './local-key-file.ts'
import { type ConnectPlugin, Plugins, pluginsOf } from './plugins.ts'
import { buildRuleset, type Ruleset } from './ruleset.ts'
import { type EncryptionAtRest, EncryptionError, type Protection } from './types.ts'

export type EncryptionOptions = {
  /** Kubernetes' EncryptionConfiguration. Without it Secrets are encrypted with the local key file. */
  configFile?: string
  /**
   * Key-encryption keys of the built-in service `local`; made when it is needed and absent. With a configuration file
   * it still serves to read what was written before. Wrapped data keys are recorded beside it, in `<keyFile>.data-keys`.
   */
  keyFile: string
  clock: Clock
  log: Log
  connectPlugin: ConnectPlugin
  /** Whether the store holds values of the built-in service: asked when its key file is absent and would be made. */
  holdsLocalValues?: () => Promise<boolean>
  /** How often the files are looked at; 1 s unless given. */
  reloadIntervalMs?: number
}

export const BUILT_IN = 'local'
const RELOAD_INTERVAL_MS = 1000
/** A new configuration whose plugin is not healthy is tried again after so long. */
const RETRY_MS = 10_000
/** The built-in service does no I/O when it answers. */
const BUILT_IN_TIMEOUT_MS = 10_000

/**
 * Rejects with EncryptionConfigurationError or, for the key file, EncryptionError. A plugin that does not answer yet is
 * logged, not fatal: it may start after this server.
 */
export async function openEncryption(options: EncryptionOptions): Promise<EncryptionAtRest> {
  const { configFile, keyFile, clock, log } = options
  const records = openDataKeyRecords(recordsOf(keyFile), log)
  const builtIn = await openBuiltIn(options, records)
  const plugins = new Plugins(options.connectPlugin, { records, clock, log })
  const server = new EncryptionServer(builtIn, plugins, options)
  if (configFile !== undefined) {
    try {
      await server.applyConfiguration(configFile, true)
    } catch (error) {
      await server.close()
      throw error
    }
  }
  server.watch()
  return server
}

type BuiltInService = {
  file: LocalKeyFile
  provider: KmsProvider
  writes: boolean
  /** What is wrong with the key file: while it lasts nothing new is wrapped, for the key might die with this process. */
  trouble?: string | undefined
}

async function openBuiltIn(options: EncryptionOptions, records: DataKeyRecords): Promise<BuiltInService | undefined> {
  const { configFile, keyFile, clock, log } = options
  const writes = configFile === undefined
  if (!writes && !existsSync(keyFile)) return undefined
  if (lstatSync(keyFile, { throwIfNoEntry: false }) === undefined) await refuseLoss(options)
  const file = openLocalKeyFile({ file: keyFile, clock, name: BUILT_IN })
  const status: LocalKeyFile['status'] = async () => ({
    ...(await file.status()),
    ...(builtIn.trouble === undefined ? {} : { healthz: builtIn.trouble }),
  })
  const service = { ...file, status }
  const provider = new KmsProvider({ service, timeoutMs: BUILT_IN_TIMEOUT_MS, records, clock, log })
  const builtIn: BuiltInService = { file, provider, writes }
  if (writes) {
    await provider.writeKey.start()
    if (provider.writeKey.health !== 'ok') throw new EncryptionError(provider.writeKey.health)
  }
  return builtIn
}

/** A new key file in the place of one that is missing would hide the loss until nothing can be read. */
async function refuseLoss({ keyFile, holdsLocalValues }: EncryptionOptions): Promise<void> {
  const why = existsSync(recordsOf(keyFile))
    ? `data keys that it wrapped are recorded in ${recordsOf(keyFile)}`
    : (await holdsLocalValues?.())
      ? 'the store holds values that it protects'
      : undefined
  if (why === undefined) return
  throw new EncryptionError(
    `the key file ${keyFile} is missing, and ${why}: put it back from a copy. If it is lost for good, so is what it ` +
      `protected: "rampart kms init --key-file ${keyFile}" makes a new one`,
  )
}

const recordsOf = (keyFile: string): string => `${keyFile}.data-keys`

class EncryptionServer implements EncryptionAtRest {
  readonly #builtIn: BuiltInService | undefined
  readonly #plugins: Plugins
  readonly #options: EncryptionOptions
  #rules: Ruleset
  #stamp: string | undefined
  /** A version of the file that is wrong, and why. */
  #refused: { stamp: string; error: Error } | undefined
  #retryAt = 0
  readonly #troubles: Record<'keys' | 'configuration', string | undefined> = {
    keys: undefined,
    configuration: undefined,
  }
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #closed = false

  constructor(builtIn: BuiltInService | undefined, plugins: Plugins, options: EncryptionOptions) {
    this.#builtIn = builtIn
    this.#plugins = plugins
    this.#options = options
    this.#rules = buildRuleset(undefined, noPlugin, builtIn)
  }

  /** Throws, changing nothing, when the file is wrong or, but for the first time, a new plugin is not healthy. */
  async applyConfiguration(file: string, first: boolean): Promise<boolean> {
    const loaded = this.#load(file)
    if (loaded === undefined) return false
    const { configuration, stamp } = loaded
    const prepared = await this.#plugins.prepare(configuration)
    if (this.#closed) {
      prepared.discard()
      return false
    }
    const [sick] = prepared.unhealthy
    if (sick !== undefined && !first) {
      prepared.discard()
      this.#retryAt = this.#options.clock.now() + RETRY_MS
      throw new EncryptionError(`a plugin of the new configuration is not healthy: ${sick.writeKey.health}`)
    }
    // A plugin of the same name hides the built-in one.
    const hidden = pluginsOf(configuration).some((plugin) => plugin.name === BUILT_IN)
    this.#rules = buildRuleset(configuration, prepared.of, hidden ? undefined : this.#builtIn)
    prepared.commit()
    this.#stamp = stamp
    this.#refused = undefined
    return true
  }

  /** Undefined when this version of the file is in force; throws again for one that is known to be wrong. */
  #load(file: string): ReturnType<typeof loadConfiguration> {
    let read: string | undefined
    try {
      return loadConfiguration(file, this.#options.log, (stamp) => {
        if (stamp === this.#stamp) return true
        if (stamp === this.#refused?.stamp) throw this.#refused.error
        read = stamp
        return false
      })
    } catch (error) {
      if (read !== undefined) this.#refused = { stamp: read, error: error as Error }
      throw error
    }
  }

  watch(): void {
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => {
        if (!this.#closed) this.watch()
      })
    }, this.#options.reloadIntervalMs ?? RELOAD_INTERVAL_MS)
    this.#timer.unref()
  }

  /** What is wrong is said once; what was in force before stays. */
  #look(): Promise<void> {
    const next = this.#looking.then(async () => {
      if (this.#closed) return
      this.#note('keys', await this.#lookAtKeys())
      this.#note('configuration', await this.#lookAtConfiguration())
    })
    this.#looking = next
    return next
  }

  #note(what: 'keys' | 'configuration', trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#troubles[what]) {
      const fields = { error: trouble }
      this.#options.log('error', 'encryption at rest goes on with the keys and the configuration it had', fields)
    }
    this.#troubles[what] = trouble
  }

  async #lookAtKeys(): Promise<string | undefined> {
    const builtIn = this.#builtIn
    if (builtIn === undefined) return undefined
    const { trouble: before } = builtIn
    let changed = false
    try {
      changed = builtIn.file.reload()
      builtIn.trouble = undefined
    } catch (error) {
      builtIn.trouble = (error as Error).message
    }
    if (changed) this.#options.log('info', 'the local key file changed', { file: builtIn.file.file })
    // What the probe finds wrong is noted as the health of the key service.
    if (builtIn.writes && (changed || builtIn.trouble !== before))
      await builtIn.provider.writeKey.probe().catch(() => {})
    return builtIn.trouble
  }

  async #lookAtConfiguration(): Promise<string | undefined> {
    const { configFile, clock, log } = this.#options
    if (configFile === undefined || clock.now() < this.#retryAt) return this.#troubles.configuration
    try {
      if (await this.applyConfiguration(configFile, false))
        log('info', 'a new encryption configuration is in force', { file: configFile })
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  async refresh(): Promise<void> {
    this.#retryAt = 0
    await this.#look()
    const [trouble] = this.troubles()
    if (trouble !== undefined) throw new EncryptionError(trouble)
    await Promise.all(this.#writers().map((provider) => provider.writeKey.probe()))
  }

  troubles(): readonly string[] {
    return Object.values(this.#troubles).filter((trouble) => trouble !== undefined)
  }

  #writers(): readonly KmsProvider[] {
    return this.#rules.uses.flatMap(({ writes, key }) => (writes && key instanceof KmsProvider ? [key] : []))
  }

  toStorage(value: Buffer, storageKey: string): Buffer {
    return this.#rules.toStorage(value, storageKey)
  }

  fromStorage(value: Uint8Array, storageKey: string): Uint8Array | Promise<Uint8Array> {
    return this.#rules.fromStorage(bufferOf(value), storageKey)
  }

  isStale(value: Uint8Array, storageKey: string): boolean {
    return this.#rules.isStale(bufferOf(value), storageKey)
  }

  protectionOf(value: Uint8Array): Protection {
    const bytes = bufferOf(value)
    if (!isEncrypted(bytes)) return { provider: 'identity', name: '' }
    const { provider, name, length } = parseHeader(bytes, 'the value')
    if (provider !== 'kms') return { provider, name }
    try {
      return protectionOfObject(name, decodeObject(bytes.subarray(length)).source)
    } catch (error) {
      throw new EncryptionError(
        `the value was altered: it is no value of kms plugin ${name}: ${(error as Error).message}`,
      )
    }
  }

  keys(): ReturnType<EncryptionAtRest['keys']> {
    return knownKeys(this.#rules.uses, this.#builtIn)
  }

  async rotateDataKeys(): Promise<void> {
    const writers = this.#writers()
    if (writers.length === 0) {
      throw new EncryptionError('nothing is written with data keys: no kms provider comes first in the configuration')
    }
    await Promise.all(writers.map((provider) => provider.writeKey.rotate()))
  }

  async rotateLocalKey(): Promise<{ keyId: string }> {
    if (!this.#builtIn?.writes) {
      throw new EncryptionError(
        `writes do not use the local key file ${this.#options.keyFile} but ${this.#options.configFile}: rotate its keys there`,
      )
    }
    const rotated = this.#builtIn.file.rotate()
    await this.#builtIn.provider.writeKey.probe()
    return rotated
  }

  async forgetLocalKeys(keyIds: readonly string[]): Promise<void> {
    if (this.#builtIn === undefined) throw new EncryptionError(`there is no local key file ${this.#options.keyFile}`)
    this.#builtIn.file.forget(keyIds)
    this.#builtIn.provider.forget(keyIds)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#looking
    this.#plugins.close()
    this.#builtIn?.provider.close()
  }
}

const noPlugin = (): never => {
  throw new Error('without a configuration there are no plugins')
}

const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
