import { Buffer } from 'node:buffer'
import { Document, isMap, parseAllDocuments } from 'yaml'
import type { SecretNames } from './replacement.ts'

export type SecretId = { name: string; namespace?: string }

/** The file cannot be added to: it holds something else than plain Secrets. */
export class SecretsFileError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SecretsFileError'
  }
}

const idOf = (secret: SecretId): string => `${secret.namespace ?? ''}/${secret.name}`

/**
 * The file of Secrets beside a manifest: what it holds stays as it is, with its comments; new values are added under
 * keys that are free. Pure: text in, text out.
 */
export class SecretsFile implements SecretNames {
  readonly #documents: Set<Document>
  readonly #secrets: Map<string, { document: Document; values: Map<string, string> }> = new Map()
  #pending: { secret: SecretId; key: string }[] = []
  #changed = false

  /** Throws SecretsFileError when the text is not Secrets in YAML; never quotes it. */
  constructor(text: string) {
    const parsed = text.trim() === '' ? [] : parseAllDocuments(text, { logLevel: 'silent', strict: false })
    this.#documents = new Set(Array.isArray(parsed) ? parsed.filter((d) => d.contents !== null) : [])
    for (const document of this.#documents) this.#read(document)
  }

  get changed(): boolean {
    return this.#changed
  }

  /** A key for the value: the one it has already, or the wanted one, or that with a number. */
  keyFor(secret: SecretId, wanted: string, value: string): string {
    const { values } = this.#secret(secret)
    for (let n = 1; ; n++) {
      const key = n === 1 ? wanted : `${wanted}-${n}`
      const held = values.get(key)
      if (held === value) return key
      if (held !== undefined) continue
      values.set(key, value)
      this.#pending.push({ secret, key })
      return key
    }
  }

  /** What keyFor has promised since the last commit becomes part of the file. */
  commit(): void {
    for (const { secret, key } of this.#pending) {
      const { document, values } = this.#secret(secret)
      this.#documents.add(document)
      document.setIn(['stringData', key], values.get(key))
      this.#changed = true
    }
    this.#pending = []
  }

  /** It does not. */
  rollback(): void {
    for (const { secret, key } of this.#pending) this.#secret(secret).values.delete(key)
    this.#pending = []
  }

  toString(): string {
    return [...this.#documents]
      .map((d) => d.toString({ directives: false, lineWidth: 0 }))
      .map((text) => (text.endsWith('\n') ? text : `${text}\n`))
      .join('---\n')
  }

  #secret(secret: SecretId): { document: Document; values: Map<string, string> } {
    let known = this.#secrets.get(idOf(secret))
    if (known === undefined) {
      const { name, namespace } = secret
      const metadata = namespace === undefined ? { name } : { name, namespace }
      const document = new Document({ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', stringData: {} })
      known = { document, values: new Map() }
      this.#secrets.set(idOf(secret), known)
    }
    return known
  }

  #read(document: Document): void {
    if (document.errors.length > 0) throw new SecretsFileError('it is not valid YAML')
    if (!isMap(document.contents) || document.get('kind') !== 'Secret' || document.get('apiVersion') !== 'v1')
      throw new SecretsFileError('it holds something else than Secrets')
    if (document.has('sops')) throw new SecretsFileError('it is encrypted')
    const { metadata, data, stringData } = document.toJS({ maxAliasCount: 0 }) as SecretShape
    if (typeof metadata?.name !== 'string') throw new SecretsFileError('a Secret in it has no name')
    const values = new Map<string, string>()
    for (const [key, value] of Object.entries(data ?? {}))
      values.set(key, Buffer.from(String(value), 'base64').toString())
    for (const [key, value] of Object.entries(stringData ?? {})) values.set(key, String(value))
    const { name, namespace } = metadata
    const id = idOf({ name, ...(typeof namespace === 'string' ? { namespace } : {}) })
    if (this.#secrets.has(id)) throw new SecretsFileError('two Secrets in it have the same name')
    this.#secrets.set(id, { document, values })
  }
}

type SecretShape = {
  metadata?: { name?: unknown; namespace?: unknown }
  data?: Record<string, unknown> | null
  stringData?: Record<string, unknown> | null
}
