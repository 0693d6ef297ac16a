import { existsSync } from 'node:fs'
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
  const records = openDataKeyRecords(`${keyFile}.data-keys`, log)
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

type BuiltInService = { file: LocalKeyFile; provider: KmsProvider; writes: boolean }

async function openBuiltIn(options: EncryptionOptions, records: DataKeyRecords): Promise<BuiltInService | undefined> {
  const { configFile, keyFile, clock, log } = options
  const writes = configFile === undefined
  if (!writes && !existsSync(keyFile)) return undefined
  const file = openLocalKeyFile({ file: keyFile, clock, name: BUILT_IN })
  const provider = new KmsProvider({ service: file, timeoutMs: BUILT_IN_TIMEOUT_MS, records, clock, log })
  if (writes) {
    await provider.writeKey.start()
    if (provider.writeKey.health !== 'ok') throw new EncryptionError(provider.writeKey.health)
  }
  return { file, provider, writes }
}

class EncryptionServer implements EncryptionAtRest {
  readonly #builtIn: BuiltInService | undefined
  readonly #plugins: Plugins
  readonly #options: EncryptionOptions
  #rules: Ruleset
  #stamp: string | undefined
  #refused: string | undefined
  #retryAt = 0
  #lastComplaint: string | undefined
  #timer: NodeJS.Timeout | undefined
  #ticking: Promise<void> | undefined
  #closed = false

  constructor(builtIn: BuiltInService | undefined, plugins: Plugins, options: EncryptionOptions) {
    this.#builtIn = builtIn
    this.#plugins = plugins
    this.#options = options
    this.#rules = buildRuleset(undefined, noPlugin, builtIn)
  }

  /** Throws, changing nothing, when the file is wrong or, but for the first time, a new plugin is not healthy. */
  async applyConfiguration(file: string, first: boolean): Promise<boolean> {
    const loaded = loadConfiguration(file, this.#options.log, (stamp) => {
      if (stamp === this.#stamp || stamp === this.#refused) return true
      this.#refused = stamp
      return false
    })
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
      this.#refused = undefined
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

  watch(): void {
    this.#timer = setTimeout(() => {
      this.#ticking = this.#look().finally(() => {
        if (!this.#closed) this.watch()
      })
    }, this.#options.reloadIntervalMs ?? RELOAD_INTERVAL_MS)
    this.#timer.unref()
  }

  /** What cannot be read is said once; what was in force before stays. */
  async #look(): Promise<void> {
    const { configFile, clock, log } = this.#options
    try {
      if (this.#builtIn?.file.reload()) {
        log('info', 'the local key file changed', { file: this.#builtIn.file.file })
        if (this.#builtIn.writes) await this.#builtIn.provider.writeKey.probe()
      }
      if (
        configFile !== undefined &&
        clock.now() >= this.#retryAt &&
        (await this.applyConfiguration(configFile, false))
      )
        log('info', 'a new encryption configuration is in force', { file: configFile })
      this.#lastComplaint = undefined
    } catch (error) {
      const complaint = (error as Error).message
      if (complaint === this.#lastComplaint) return
      this.#lastComplaint = complaint
      log('error', 'encryption at rest goes on with the keys and the configuration it had', { error: complaint })
    }
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
    const writers = this.#rules.uses.flatMap(({ writes, key }) => (writes && key instanceof KmsProvider ? [key] : []))
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
    await this.#ticking
    this.#plugins.close()
    this.#builtIn?.provider.close()
  }
}

const noPlugin = (): never => {
  throw new Error('without a configuration there are no plugins')
}

const bufferOf = (value: Uint8Array): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
