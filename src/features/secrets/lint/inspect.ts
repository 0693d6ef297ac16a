import { Buffer } from 'node:buffer'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { examineCommandLine } from './command-line.ts'
import { examineText } from './config-text.ts'
import { findCredentials } from './credentials.ts'
import type { Detection, FieldPath, Leak, Severity, Site } from './types.ts'
import { examineValue } from './value.ts'

export type InspectOptions = {
  /** Plain Secrets are findings too. Default true. */
  secretManifests?: boolean
}

export type Inspection = {
  leaks: Leak[]
  /** The object is larger than what is looked at: there may be more. */
  incomplete: boolean
}

const MAX_LEAKS = 1000
const MAX_NODES = 300_000
const MAX_CHARACTERS = 16 * 1024 * 1024
const MAX_DEPTH = 200
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

const CONTAINERS: ReadonlySet<string> = new Set(['containers', 'initContainers', 'ephemeralContainers'])
/** Fields that hold names and digests, never values. */
const SKIPPED: ReadonlySet<string> = new Set([
  'managedFields',
  'ownerReferences',
  'valueFrom',
  'encryptedData',
  'secretName',
  'imagePullSecrets',
  'apiVersion',
  'kind',
  'uid',
  'image',
  'imageID',
  'containerID',
  'imagePullPolicy',
  'caBundle',
  'resourceNames',
  'volumeMounts',
  'resources',
  'ports',
  'tolerations',
  'affinity',
  'securityContext',
  'description',
])

/** Everything in the object that looks like a secret in plain text. Pure and bounded. */
export function inspect(object: KubeObject, options: InspectOptions = {}): Inspection {
  return new Inspector().run(object, options)
}

class Inspector {
  readonly #leaks: Leak[] = []
  readonly #path: (string | number)[] = []
  #nodes = MAX_NODES
  #characters = MAX_CHARACTERS
  #incomplete = false

  run(object: KubeObject, options: InspectOptions): Inspection {
    if (isCoreKind(object, 'Secret')) {
      if (options.secretManifests !== false) this.#secretManifest(object)
      this.#enter('metadata', object.metadata, false)
    } else if (isCoreKind(object, 'ConfigMap')) {
      this.#configMap(object)
      this.#enter('metadata', object.metadata, false)
    } else this.#members(object, 0, false, true)
    return { leaks: this.#leaks, incomplete: this.#incomplete }
  }

  #enter(key: string, value: unknown, containers: boolean): void {
    this.#path.push(key)
    this.#visit(key, value, this.#path.length, containers)
    this.#path.pop()
  }

  #visit(key: string, value: unknown, depth: number, container: boolean): void {
    if (typeof value === 'string') {
      if (value.length >= 3) this.#string(key, value)
      return
    }
    if (typeof value !== 'object' || value === null) {
      if (typeof value === 'number') this.#string(key, String(value))
      return
    }
    if (--this.#nodes < 0 || depth > MAX_DEPTH || this.#leaks.length >= MAX_LEAKS) {
      this.#incomplete = true
      return
    }
    if (Array.isArray(value)) this.#items(key, value, depth, container)
    else this.#members(value as Record<string, unknown>, depth, container, false)
  }

  #items(key: string, items: readonly unknown[], depth: number, container: boolean): void {
    for (let i = 0; i < items.length; i++) {
      this.#path.push(i)
      this.#visit(key, items[i], depth + 1, container)
      this.#path.pop()
    }
  }

  #members(object: Record<string, unknown>, depth: number, container: boolean, root: boolean): void {
    const name = object['name']
    for (const key in object) {
      const value = object[key]
      if (value === null || value === undefined || typeof value === 'boolean') continue
      if (SKIPPED.has(key) || key.endsWith('Ref') || (root && key === 'status')) continue
      if (key === 'command' || key === 'args') {
        if (Array.isArray(value)) {
          if (key === 'command' || !Array.isArray(object['command'])) this.#commandLine(object, container)
          continue
        }
      } else if (key === 'env' && container && Array.isArray(value)) {
        this.#environment(value)
        continue
      } else if (key === 'annotations' && typeof value === 'object') {
        this.#annotations(value as Record<string, unknown>)
        continue
      }
      this.#path.push(key)
      // A list of names and values: what is named is the value.
      const own = key === 'value' && typeof name === 'string' ? name : key
      this.#visit(own, value, depth + 1, CONTAINERS.has(key))
      this.#path.pop()
    }
  }

  #string(key: string, value: string): void {
    if (!this.#pay(value)) return
    if (isDocument(value)) this.#document(key, value, { kind: 'other' }, value)
    else for (const d of examineValue(key, value)) this.#report(d, this.#path, value, siteOf(d, key))
  }

  #pay(text: string): boolean {
    this.#characters -= text.length
    if (this.#characters < 0) this.#incomplete = true
    return this.#characters >= 0
  }

  /** `decoded` is what stands in `text`, when that is base64. */
  #document(fileName: string, decoded: string, site: Site, text: string): void {
    for (const d of examineText(fileName, decoded)) {
      const { within, ...detection } = d
      this.#report(detection, this.#path, text, site, within === '' ? undefined : within)
    }
  }

  #environment(env: readonly unknown[]): void {
    const container = [...this.#path]
    this.#path.push('env')
    for (let i = 0; i < env.length; i++) {
      const { name, value } = (env[i] ?? {}) as { name?: unknown; value?: unknown }
      if (typeof name !== 'string' || value === undefined || value === null || typeof value === 'object') continue
      const text = String(value)
      if (text.length < 3 || !this.#pay(text)) continue
      const worst = isDocument(text) ? mostSevere(examineText(name, text)) : mostSevere(examineValue(name, text))
      if (worst !== undefined)
        this.#report(worst, [...this.#path, i, 'value'], text, { kind: 'env', container, variable: name })
    }
    this.#path.pop()
  }

  #commandLine(object: Record<string, unknown>, container: boolean): void {
    const elements: string[] = []
    const places: [field: string, index: number][] = []
    for (const field of ['command', 'args'] as const) {
      const list = object[field]
      if (!Array.isArray(list)) continue
      list.forEach((element: unknown, i) => {
        if (typeof element !== 'string' || !this.#pay(element)) return
        elements.push(element)
        places.push([field, i])
      })
    }
    const base = [...this.#path]
    for (const { element, name, ...d } of examineCommandLine(elements)) {
      const site: Site = container ? { kind: 'argument', container: base, name } : { kind: 'other' }
      this.#report(d, [...base, ...places[element]!], elements[element]!, site)
    }
  }

  #annotations(annotations: Record<string, unknown>): void {
    this.#path.push('annotations')
    for (const key in annotations) {
      const value = annotations[key]
      if (typeof value !== 'string' || value.length < 3 || !this.#pay(value)) continue
      this.#path.push(key)
      if (key === LAST_APPLIED) this.#lastApplied(value)
      else if (isDocument(value)) this.#document(key, value, { kind: 'annotation' }, value)
      else for (const d of examineValue(key, value)) this.#report(d, this.#path, value, { kind: 'annotation' })
      this.#path.pop()
    }
    this.#path.pop()
  }

  /** kubectl apply keeps the whole manifest here: a Secret's values too, readable by whoever may read metadata. */
  #lastApplied(json: string): void {
    let applied: unknown
    try {
      applied = JSON.parse(json)
    } catch {
      // Not what kubectl writes.
    }
    if (typeof applied !== 'object' || applied === null || depthOver(json)) {
      for (const d of findCredentials(json)) this.#report(d, this.#path, json, { kind: 'annotation' })
      return
    }
    const object = applied as KubeObject
    const inner = inspect({ ...object, metadata: object.metadata ?? {} })
    if (inner.leaks.length === 0) return
    const worst = inner.leaks.reduce((a, b) => (RANK[b.severity] < RANK[a.severity] ? b : a))
    const secret = isCoreKind(object, 'Secret')
    const severity = secret ? 'high' : worst.severity
    const what = secret
      ? 'a whole Secret, as kubectl apply last sent it'
      : `what kubectl apply last sent, with ${worst.what}`
    const detection: Detection = { rule: 'last-applied-configuration', severity, what, start: 0, end: json.length }
    // The values tell one such finding from the next, not the annotation's every change.
    const text = inner.leaks.map((leak) => leak.text.slice(leak.start, leak.end)).join('\n')
    this.#report({ ...detection, end: text.length }, this.#path, text, { kind: 'annotation' })
  }

  #configMap(object: KubeObject): void {
    for (const field of ['data', 'binaryData'] as const) {
      const data = object[field] as Record<string, unknown> | null | undefined
      if (typeof data !== 'object' || data === null) continue
      this.#path.push(field)
      for (const [key, value] of Object.entries(data)) {
        if (typeof value === 'object' || value === null || value === undefined) continue
        this.#path.push(key)
        this.#configEntry(key, String(value), field === 'binaryData')
        this.#path.pop()
      }
      this.#path.pop()
    }
  }

  #configEntry(key: string, text: string, binary: boolean): void {
    if (this.#leaks.length >= MAX_LEAKS) this.#incomplete = true
    if (!this.#pay(text) || this.#incomplete) return
    const value = binary ? Buffer.from(text, 'base64').toString('latin1') : text
    if (binary || isDocument(value) || isFileName(key)) {
      const whole = /^\s*-----BEGIN/.test(value)
      this.#document(key, value, { kind: 'config-map', key, whole }, binary ? value : text)
    } else
      for (const d of examineValue(key, value))
        this.#report(d, this.#path, value, { kind: 'config-map', key, whole: d.start === 0 && d.end === value.length })
  }

  #secretManifest(secret: KubeObject): void {
    // SOPS leaves the kind as it is and encrypts the values.
    if (secret['sops'] !== undefined) return
    for (const field of ['stringData', 'data'] as const) {
      const data = secret[field] as Record<string, unknown> | null | undefined
      if (typeof data !== 'object' || data === null) continue
      const keys = Object.keys(data).filter((key) => isLiteral(data[key], field))
      const key = keys[0]
      if (key === undefined) continue
      const n = keys.length
      const what = `a Secret with ${n === 1 ? 'its value' : `${n} values`} in ${field === 'data' ? 'base64, which hides nothing' : 'plain text'}`
      const text = String(data[key])
      const detection: Detection = { rule: 'secret-manifest', severity: 'low', what, start: 0, end: text.length }
      this.#report(detection, [field, key], text, { kind: 'secret-manifest' })
      return
    }
  }

  #report(detection: Detection, path: FieldPath, text: string, site: Site, within?: string): void {
    if (this.#leaks.length >= MAX_LEAKS) {
      this.#incomplete = true
      return
    }
    this.#leaks.push({ ...detection, path: [...path], text, site, ...(within === undefined ? {} : { within }) })
  }
}

const RANK: Record<Severity, number> = { high: 0, medium: 1, low: 2 }

export function mostSevere<T extends Detection>(found: readonly T[]): T | undefined {
  return found.reduce<T | undefined>(
    (a, b) => (a === undefined || RANK[b.severity] < RANK[a.severity] ? b : a),
    undefined,
  )
}

/** Several lines, or JSON. */
function isDocument(text: string): boolean {
  return text.includes('\n', 1)
    ? text.trimEnd().includes('\n')
    : text.length > 8 && (text[0] === '{' || text[0] === '[')
}

const isFileName = (key: string): boolean =>
  /^\.[a-z]|\.(?:ya?ml|json|properties|env|conf|config|cfg|ini|toml|xml|cnf|rc)$/i.test(key)

const siteOf = (detection: Detection, key: string): Site =>
  detection.rule === 'authorization-header' || detection.rule === 'bearer-token' || /^x-|authorization/i.test(key)
    ? { kind: 'header' }
    : { kind: 'other' }

function isCoreKind(object: KubeObject, kind: string): boolean {
  return object.kind === kind && object.apiVersion === 'v1'
}

/** Templates, references and empty values of Secrets are no secrets. */
function isLiteral(value: unknown, field: 'data' | 'stringData'): boolean {
  if (typeof value !== 'string' || value === '') return false
  const text = field === 'data' ? Buffer.from(value, 'base64').toString('latin1') : value
  return (
    text !== '' &&
    !/\{\{|^\$[({]|^<[^<>]*>$|^ENC\[|^(?:ref\+)?vault:|^\*+$|^-----BEGIN CERTIFICATE/.test(text.slice(0, 200))
  )
}

/** JSON.parse itself survives any depth; what walks its result recurses. */
function depthOver(json: string): boolean {
  let depth = 0
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i)
    if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_DEPTH * 4) return true
    } else if (c === 0x7d || c === 0x5d) depth--
  }
  return false
}
