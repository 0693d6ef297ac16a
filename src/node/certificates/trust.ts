import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  bundleFingerprints,
  type ClusterTrust,
  CONFIG_MAPS,
  parseTrust,
  TRUST_NAME,
  TRUST_NAMESPACE,
} from '../../features/tls/trust/bundle.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { Client } from '../../kernel/client/client.ts'
import { createInformer } from '../../kernel/controller/informer.ts'
import type { Timers } from '../../kernel/controller/timers.ts'
import type { Log } from '../../kernel/feature.ts'
import { writePrivate, writePublic } from '../../platform/files.ts'

export type AgentTrustOptions = {
  /** PEM bundle of the cluster's roots; rewritten when they change. */
  caFile: string
  /** Keeps the rest: anchors of client certificates, serial numbers that were revoked. */
  folder: string
  /** Resolves when a connection to the API server by this bundle (PEM) was verified. */
  tryBundle: (ca: string) => Promise<void>
  log: Log
}

/** What this machine trusts, as the cluster publishes it. */
export class AgentTrust {
  readonly #o: AgentTrustOptions
  readonly #stateFile: string
  readonly #listeners = new Set<() => void>()
  #ca: string
  #clientCa: string | undefined
  #revoked: ReadonlySet<string> = new Set()
  #latest: ClusterTrust | undefined

  /** Throws when the bundle that the machine joined with cannot be read. */
  constructor(options: AgentTrustOptions) {
    this.#o = options
    this.#stateFile = join(options.folder, 'trust.json')
    this.#ca = readFileSync(options.caFile, 'utf8')
    bundleFingerprints(this.#ca)
    this.#restore()
  }

  /** PEM of the roots by which the API server is verified. */
  ca = (): string => this.#ca
  /** PEM of the anchors of client certificates at this machine's kubelet API; the roots until the cluster said more. */
  clientCa = (): string => this.#clientCa ?? this.#ca
  isRevoked = (serialNumber: string): boolean => this.#revoked.has(serialNumber.toLowerCase().replace(/^0+(?=.)/, ''))

  /** What the cluster has published last; undefined: nothing yet. */
  get latest(): ClusterTrust | undefined {
    return this.#latest
  }

  /** SHA-256 fingerprints of the trusted roots. */
  get fingerprints(): string[] {
    return bundleFingerprints(this.#ca)
  }

  /** Called after anything has changed. Returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Follows what the cluster publishes, over connections that the present trust verifies. Resolves when aborted. */
  async follow(client: Client, timers: Timers, signal: AbortSignal): Promise<void> {
    const published = createInformer({
      client,
      resource: CONFIG_MAPS,
      namespace: TRUST_NAMESPACE,
      fieldSelector: `metadata.name=${TRUST_NAME}`,
      log: this.#o.log,
      timers,
    })
    let turn: Promise<void> = Promise.resolve()
    const look = (object: KubeObject): void => {
      turn = turn.then(() => this.#adopt(object))
    }
    published.addHandler({ onAdd: look, onUpdate: look })
    await published.run(signal)
    await turn
  }

  /** A bundle that does not verify the very server that sent it is not believed. */
  async #adopt(object: KubeObject): Promise<void> {
    const { log, tryBundle, caFile } = this.#o
    try {
      const trust = parseTrust(object)
      if (trust.ca !== this.#ca) {
        await tryBundle(trust.ca)
        writePublic(caFile, trust.ca)
        this.#ca = trust.ca
        log('info', 'the roots of the cluster have changed', { roots: this.fingerprints })
      }
      this.#latest = trust
      this.#clientCa = trust.clientCa
      this.#revoked = new Set(trust.revoked)
      mkdirSync(dirname(this.#stateFile), { recursive: true, mode: 0o700 })
      writePrivate(this.#stateFile, JSON.stringify({ clientCa: trust.clientCa, revoked: trust.revoked }))
    } catch (error) {
      log('error', `what the cluster publishes of its authorities is not adopted: ${(error as Error).message}`)
      return
    }
    for (const listener of [...this.#listeners]) listener()
  }

  #restore(): void {
    if (!existsSync(this.#stateFile)) return
    try {
      const { clientCa, revoked } = JSON.parse(readFileSync(this.#stateFile, 'utf8')) as Record<string, unknown>
      if (typeof clientCa !== 'string' || !Array.isArray(revoked)) throw new Error('not what was written')
      bundleFingerprints(clientCa)
      this.#clientCa = clientCa
      this.#revoked = new Set(revoked.map(String))
    } catch (error) {
      this.#o.log('warn', `${this.#stateFile}: ${(error as Error).message}; the cluster is asked again`)
    }
  }
}
