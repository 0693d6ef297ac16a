import type { Clock, Log } from '../../../kernel/feature.ts'
import type { EncryptionConfiguration, ProviderConfiguration } from './configuration.ts'
import type { DataKeyRecords } from './data-key-records.ts'
import { KmsProvider } from './kms-provider.ts'
import type { KeyService } from './types.ts'

export type ConnectPlugin = (options: { name: string; endpoint: string; timeoutMs: number }) => KeyService
export type KmsConfiguration = ProviderConfiguration & { provider: 'kms' }

type Running = { provider: KmsProvider; timeoutMs: number }

/** A running provider per plugin of the configuration; a plugin that a new configuration leaves as it was goes on. */
export class Plugins {
  readonly #connect: ConnectPlugin
  readonly #shared: { records: DataKeyRecords; clock: Clock; log: Log }
  #running = new Map<string, Running>()

  constructor(connect: ConnectPlugin, shared: { records: DataKeyRecords; clock: Clock; log: Log }) {
    this.#connect = connect
    this.#shared = shared
  }

  /**
   * Connects what is new, and resolves when each new one has answered once, well or not. The plugins in use change only
   * with `commit`, which closes the others when their calls must have ended.
   */
  async prepare(configuration: EncryptionConfiguration): Promise<PreparedPlugins> {
    const next = new Map<string, Running>()
    const fresh: KmsProvider[] = []
    for (const plugin of pluginsOf(configuration)) {
      const { name, endpoint, timeoutMs } = plugin
      const known = this.#running.get(identity(plugin))
      if (known !== undefined) {
        next.set(identity(plugin), known)
        continue
      }
      const service = this.#connect({ name, endpoint, timeoutMs })
      const provider = new KmsProvider({ ...this.#shared, service, timeoutMs })
      fresh.push(provider)
      next.set(identity(plugin), { provider, timeoutMs })
    }
    await Promise.all(fresh.map((provider) => provider.writeKey.start()))
    return {
      of: (plugin) => next.get(identity(plugin))!.provider,
      unhealthy: fresh.filter((provider) => provider.writeKey.health !== 'ok'),
      discard: () => {
        for (const provider of fresh) provider.close()
      },
      commit: () => {
        for (const [id, { provider, timeoutMs }] of this.#running) {
          if (next.has(id)) continue
          provider.writeKey.close()
          setTimeout(() => provider.close(), 2 * timeoutMs).unref()
        }
        this.#running = next
      },
    }
  }

  close(): void {
    for (const { provider } of this.#running.values()) provider.close()
  }
}

export type PreparedPlugins = {
  of: (plugin: KmsConfiguration) => KmsProvider
  /** New ones that did not answer as they should. */
  unhealthy: readonly KmsProvider[]
  discard: () => void
  commit: () => void
}

const identity = (plugin: KmsConfiguration): string => JSON.stringify([plugin.name, plugin.endpoint, plugin.timeoutMs])

export const pluginsOf = (configuration: EncryptionConfiguration): KmsConfiguration[] =>
  configuration.entries.flatMap((entry) => entry.providers).filter((provider) => provider.provider === 'kms')
