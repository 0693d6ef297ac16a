import type { Node } from 'yaml'
import { parseGoDuration } from './go-duration.ts'
import { type ResourceRule, validateResources } from './resource-rules.ts'
import type { StaticProvider } from './static-keys.ts'
import { EncryptionConfigurationError } from './types.ts'
import { type FieldReader, readFields } from './yaml-fields.ts'

// kind EncryptionConfiguration, apiserver.config.k8s.io/v1, with the checks of
// k8s.io/apiserver/pkg/apis/apiserver/validation/validation_encryption.go.

export type EncryptionConfiguration = { entries: readonly ConfigurationEntry[] }
export type ConfigurationEntry = { resources: readonly ResourceRule[]; providers: readonly ProviderConfiguration[] }
export type ProviderConfiguration =
  | { provider: 'identity' }
  | { provider: StaticProvider; keys: readonly { name: string; secret: Buffer }[] }
  | { provider: 'kms'; name: string; endpoint: string; timeoutMs: number }

export const MAX_CONFIGURATION_BYTES: number = 1 << 18
const API_VERSION = 'apiserver.config.k8s.io/v1'
const KIND = 'EncryptionConfiguration'
const DEFAULT_KMS_TIMEOUT_MS = 3000
const KEY_BYTES: Record<StaticProvider, readonly number[]> = {
  aesgcm: [16, 24, 32],
  aescbc: [16, 24, 32],
  secretbox: [32],
}
const PROVIDERS = ['aesgcm', 'aescbc', 'secretbox', 'identity', 'kms']

type Located<T> = T & { at: Node }

/** Throws EncryptionConfigurationError whose message has one line `file:line: what` for each mistake (at most 20). */
export function parseEncryptionConfiguration(text: string, file: string): EncryptionConfiguration {
  if (Buffer.byteLength(text) > MAX_CONFIGURATION_BYTES) {
    throw new EncryptionConfigurationError(`${file}:1: the file has more than ${MAX_CONFIGURATION_BYTES} bytes`)
  }
  const reader = readFields(text, file)
  const entries = reader.mistakes.length > 0 ? [] : readEntries(reader)
  if (reader.mistakes.length > 0) throw new EncryptionConfigurationError(reader.mistakes.join('\n'))
  return { entries }
}

function readEntries(reader: FieldReader): readonly ConfigurationEntry[] {
  if (reader.root === undefined) {
    reader.wrong(undefined, 'the file is empty')
    return []
  }
  const fields = reader.fields(reader.root, KIND, ['apiVersion', 'kind', 'resources'])
  if (fields === undefined) return []
  const expect = (field: string, value: string): void => {
    const node = fields.get(field)
    if (reader.string(node, field) !== value) reader.wrong(node ?? reader.root, `${field} must be ${value}`)
  }
  expect('apiVersion', API_VERSION)
  expect('kind', KIND)
  const nodes = reader.list(fields.get('resources'), 'resources')
  if (nodes.length === 0) reader.wrong(fields.get('resources') ?? reader.root, 'resources: at least one is required')
  const entries = nodes.flatMap((node, i) => readEntry(reader, node, `resources[${i}]`) ?? [])
  validateResources(reader, entries)
  refuseDuplicatePlugins(reader, entries)
  refuseUnboundWriters(reader, entries)
  refuseAmbiguousKeys(reader, entries)
  return entries
}

type LocatedEntry = { resources: Located<ResourceRule>[]; providers: Located<ProviderConfiguration>[] }

function readEntry(reader: FieldReader, node: Node, path: string): LocatedEntry | undefined {
  const fields = reader.fields(node, path, ['resources', 'providers'])
  if (fields === undefined) return undefined
  const resourceNodes = reader.list(fields.get('resources'), `${path}.resources`)
  const providerNodes = reader.list(fields.get('providers'), `${path}.providers`)
  if (resourceNodes.length === 0) reader.wrong(node, `${path}.resources: at least one is required`)
  if (providerNodes.length === 0) reader.wrong(node, `${path}.providers: at least one is required`)
  const resources = resourceNodes.flatMap((at, i) => {
    const text = reader.string(at, `${path}.resources[${i}]`)
    return text === undefined ? [] : [{ ...parseGroupResource(text), text, at }]
  })
  const providers = providerNodes.flatMap((at, i) => {
    const provider = readProvider(reader, at, `${path}.providers[${i}]`)
    return provider === undefined ? [] : [{ ...provider, at }]
  })
  return { resources, providers }
}

/** `deployments.apps`; what follows the first dot is the group. */
function parseGroupResource(text: string): { resource: string; group: string } {
  const dot = text.indexOf('.')
  return dot < 0 ? { resource: text, group: '' } : { resource: text.slice(0, dot), group: text.slice(dot + 1) }
}

function readProvider(reader: FieldReader, node: Node, path: string): ProviderConfiguration | undefined {
  const fields = reader.fields(node, path, PROVIDERS)
  if (fields === undefined) return undefined
  if (fields.size !== 1) {
    const what =
      fields.size === 0
        ? `names no provider; expected is one of ${PROVIDERS.join(', ')} (identity is written {})`
        : `names ${[...fields.keys()].join(' and ')}: each provider is a list element of its own`
    reader.wrong(node, `${path} ${what}`)
    return undefined
  }
  const [[provider, value]] = [...fields] as [[ProviderConfiguration['provider'], Node]]
  if (provider === 'kms') return readKms(reader, value, `${path}.kms`)
  if (provider !== 'identity') return readKeys(reader, value, `${path}.${provider}`, provider)
  reader.fields(value, `${path}.identity`, [])
  return { provider }
}

function readKeys(
  reader: FieldReader,
  node: Node,
  path: string,
  provider: StaticProvider,
): ProviderConfiguration | undefined {
  const fields = reader.fields(node, path, ['keys'])
  if (fields === undefined) return undefined
  const nodes = reader.list(fields.get('keys'), `${path}.keys`)
  if (nodes.length === 0) reader.wrong(node, `${path}.keys: at least one is required`)
  const names = new Set<string>()
  const keys = nodes.flatMap((at, i) => {
    const key = readKey(reader, at, `${path}.keys[${i}]`, KEY_BYTES[provider])
    if (key === undefined) return []
    if (names.has(key.name)) reader.wrong(at, `${path}.keys[${i}].name: two keys have the name ${key.name}`)
    names.add(key.name)
    return [key]
  })
  return { provider, keys }
}

function readKey(
  reader: FieldReader,
  node: Node,
  path: string,
  lengths: readonly number[],
): { name: string; secret: Buffer } | undefined {
  const fields = reader.fields(node, path, ['name', 'secret'])
  if (fields === undefined) return undefined
  const nameNode = fields.get('name')
  const name = nameNode && reader.string(nameNode, `${path}.name`)
  if (nameNode === undefined || name === '') reader.wrong(nameNode ?? node, `${path}.name is required`)
  else if (name !== undefined && !/^[^:\p{Cc}]{1,253}$/u.test(name)) {
    reader.wrong(nameNode, `${path}.name must have at most 253 characters, no colon and no control characters`)
  }
  const secretNode = fields.get('secret')
  const text = secretNode && reader.string(secretNode, `${path}.secret`)
  if (secretNode === undefined || text === '') reader.wrong(secretNode ?? node, `${path}.secret is required`)
  if (secretNode === undefined || !text) return undefined
  const secret = decodeBase64(text)
  if (secret === undefined) reader.wrong(secretNode, `${path}.secret is not base64`)
  else if (!lengths.includes(secret.length)) {
    reader.wrong(secretNode, `${path}.secret has ${secret.length} bytes, expected is ${lengths.join(' or ')}`)
  }
  return name === undefined || secret === undefined ? undefined : { name, secret }
}

/** Padded standard base64 in which, as in Go, line breaks do not count. */
function decodeBase64(text: string): Buffer | undefined {
  const compact = text.replaceAll(/[\r\n]/g, '')
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(compact)
    ? Buffer.from(compact, 'base64')
    : undefined
}

function readKms(reader: FieldReader, node: Node, path: string): ProviderConfiguration | undefined {
  const fields = reader.fields(node, path, ['apiVersion', 'name', 'cachesize', 'endpoint', 'timeout'])
  if (fields === undefined) return undefined
  const text = (field: string): string | undefined => {
    const value = fields.get(field)
    return value && reader.string(value, `${path}.${field}`)
  }
  const at = (field: string): Node => fields.get(field) ?? node
  const apiVersion = text('apiVersion')
  if (apiVersion === 'v1' || !fields.has('apiVersion')) {
    const absent = fields.has('apiVersion') ? '' : ' (without apiVersion, v1 is meant)'
    reader.wrong(
      at('apiVersion'),
      `${path}.apiVersion: KMS v1 is not supported${absent}: Kubernetes deprecated it in 1.28 for its slowness and ` +
        'silent key changes; set apiVersion: v2',
    )
  } else if (apiVersion !== undefined && apiVersion !== 'v2') {
    reader.wrong(at('apiVersion'), `${path}.apiVersion must be v2`)
  }
  if (fields.has('cachesize')) reader.wrong(at('cachesize'), `${path}.cachesize is not supported in v2: remove it`)
  const name = text('name')
  if (!name) reader.wrong(at('name'), `${path}.name is required`)
  else if (!/^[^:\p{Cc}]{1,253}$/u.test(name)) {
    reader.wrong(at('name'), `${path}.name must have at most 253 characters, no colon and no control characters`)
  }
  const endpoint = text('endpoint')
  if (!endpoint) reader.wrong(at('endpoint'), `${path}.endpoint is required`)
  else if (!/^unix:\/\/\/[^\p{Cc}]{1,4096}$/u.test(endpoint)) {
    reader.wrong(at('endpoint'), `${path}.endpoint must be a Unix socket, unix:///path/to/socket`)
  }
  const timeout = text('timeout')
  const timeoutMs = timeout === undefined ? DEFAULT_KMS_TIMEOUT_MS : parseGoDuration(timeout)
  if (timeoutMs === undefined) reader.wrong(at('timeout'), `${path}.timeout must be a duration such as 3s or 500ms`)
  else if (timeoutMs <= 0) reader.wrong(at('timeout'), `${path}.timeout must be positive`)
  if (!name || !endpoint || timeoutMs === undefined) return undefined
  // Node's timers are 32 bits wide.
  return { provider: 'kms', name, endpoint, timeoutMs: Math.min(Math.max(1, Math.round(timeoutMs)), 2 ** 31 - 1) }
}

function refuseDuplicatePlugins(reader: FieldReader, entries: readonly LocatedEntry[]): void {
  const names = new Set<string>()
  for (const provider of entries.flatMap((entry) => entry.providers)) {
    if (provider.provider !== 'kms') continue
    if (names.has(provider.name)) {
      reader.wrong(provider.at, `two kms providers have the name ${provider.name}: names must be unique in the file`)
    }
    names.add(provider.name)
  }
}

/** The first provider of the first entry that names a resource writes. */
function refuseUnboundWriters(reader: FieldReader, entries: readonly LocatedEntry[]): void {
  const seen = new Set<string>()
  for (const { resources, providers } of entries) {
    const writes = resources.some(({ text }) => !seen.has(text))
    for (const { text } of resources) seen.add(text)
    const first = providers[0]
    if (!writes || (first?.provider !== 'aescbc' && first?.provider !== 'secretbox')) continue
    reader.wrong(
      first.at,
      `${first.provider} only reads: its format does not bind a value to its object, so that values could be swapped ` +
        'unnoticed; put aesgcm or kms before it',
    )
  }
}

/** Two keys of one provider and name for one resource would leave open which of them a value needs. */
function refuseAmbiguousKeys(reader: FieldReader, entries: readonly LocatedEntry[]): void {
  const known = new Map<string, Buffer>()
  for (const { resources, providers } of entries) {
    const here = new Set<string>()
    for (const provider of providers) {
      if (!('keys' in provider)) continue
      for (const { name, secret } of provider.keys) {
        for (const { text } of resources) {
          const id = `${text} ${provider.provider} ${name}`
          const other = known.get(id)
          if (other !== undefined && (here.has(id) || !other.equals(secret))) {
            reader.wrong(provider.at, `two ${provider.provider} keys have the name ${name} for ${text}`)
          }
          known.set(id, secret)
        }
      }
      for (const { name } of provider.keys) {
        for (const { text } of resources) here.add(`${text} ${provider.provider} ${name}`)
      }
    }
  }
}
