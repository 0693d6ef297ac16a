import { existsSync, readFileSync } from 'node:fs'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { createInformer, type Informer } from '../../kernel/controller/informer.ts'
import type { Timers } from '../../kernel/controller/timers.ts'
import type { Log } from '../../kernel/feature.ts'
import { writePrivate } from '../../platform/files.ts'

const SERVICES: ResourceId = { group: '', version: 'v1', resource: 'services' }
const SAVE_AFTER_MS = 1000

/** What containers are told of: names, addresses and ports. */
const essence = ({ apiVersion, kind, metadata, spec }: KubeObject): KubeObject => ({
  apiVersion,
  kind,
  metadata: {
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    ...(metadata.name === undefined ? {} : { name: metadata.name }),
    ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
    ...(metadata.resourceVersion === undefined ? {} : { resourceVersion: metadata.resourceVersion }),
  },
  spec: { clusterIP: spec?.clusterIP, ports: spec?.ports },
})

/** The cluster's services, kept on disk too: containers that restart while the API server is away are told the same. */
export class KnownServices {
  readonly #informer: Informer
  readonly #file: string
  readonly #timers: Timers
  readonly #log: Log
  #remembered: KubeObject[] | undefined
  #saving = false

  constructor(options: { client: Pick<Client, 'list' | 'watch'>; file: string; timers: Timers; log: Log }) {
    const { client, file, timers, log } = options
    this.#file = file
    this.#timers = timers
    this.#log = log
    this.#informer = createInformer({ client, log, timers, resource: SERVICES, transform: essence })
    const save = (): void => this.#saveSoon()
    this.#informer.addHandler({ onAdd: save, onUpdate: save, onDelete: save })
  }

  list(): Iterable<KubeObject> | undefined {
    return this.#informer.hasSynced ? this.#informer.store.list() : this.#remembered
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      if (existsSync(this.#file)) this.#remembered = JSON.parse(readFileSync(this.#file, 'utf8')) as KubeObject[]
    } catch (error) {
      this.#log('warn', `${this.#file}: ${(error as Error).message}`)
    }
    await this.#informer.run(signal)
  }

  synced(): Promise<void> {
    return this.#informer.synced()
  }

  #saveSoon(): void {
    if (this.#saving) return
    this.#saving = true
    this.#timers.after(SAVE_AFTER_MS, () => {
      this.#saving = false
      try {
        writePrivate(this.#file, JSON.stringify([...this.#informer.store.list()]))
      } catch (error) {
        this.#log('warn', `${this.#file}: ${(error as Error).message}`)
      }
    })
  }
}
