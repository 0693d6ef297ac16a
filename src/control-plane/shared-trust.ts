import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { generationFolder, parseRotationState, readRotationState } from '../features/tls/index.ts'
import { writePrivate, writePublic } from '../platform/files.ts'

/**
 * What all control planes on one etcd must have alike, and etcd does not hold: the authorities, the keys of
 * service-account tokens, revoked certificates and the keys of encryption at rest. A file by its path in the data
 * folder.
 */
const SHARED = [
  /^pki\/(generation-\d{1,6}\/)?ca(-[a-z-]+)?\.(crt|key)$/,
  /^pki\/authorities\.json$/,
  /^pki\/service-account\/\d{4,}(\.next)?\.key$/,
  /^pki\/revoked\.json$/,
  /^encryption\/[a-z-]+\.(json|yaml)$/,
]
const ROTATION = 'pki/authorities.json'
const isShared = (name: string): boolean => SHARED.some((pattern) => pattern.test(name))

const KIND = 'RampartSharedTrust'
const MAX_BYTES = 8 * 1024 * 1024

type Bundle = { kind: typeof KIND; version: 1; files: Record<string, string> }

/** The bundle holds private keys: whoever has it is the cluster. Throws when the folder has no authorities yet. */
export function exportTrust(directory: string): { bundle: string; files: string[] } {
  const files: Record<string, string> = {}
  const generations = readRotationState(join(directory, 'pki')).trusted.map((n) => generationName(n))
  for (const folder of ['pki', ...generations, 'pki/service-account', 'encryption']) {
    const path = join(directory, folder)
    if (!existsSync(path)) continue
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const name = relative(directory, join(path, entry.name))
      if (entry.isFile() && isShared(name)) files[name] = readFileSync(join(directory, name), 'utf8')
    }
  }
  if (rootsOf(files).length === 0) throw new Error(`${directory} has no authorities yet: start the control plane once`)
  return {
    bundle: `${JSON.stringify({ kind: KIND, version: 1, files } satisfies Bundle, null, 2)}\n`,
    files: Object.keys(files),
  }
}

/**
 * Writes a bundle into a data folder that has no authorities yet, or the same ones. Returns the files that changed.
 * Throws, before anything is written, when the bundle cannot be read, is another cluster's, or would take away what the
 * folder has and the bundle lacks: both sides made keys of their own, and nobody here can say which to keep.
 */
export function importTrust(directory: string, file: string): string[] {
  const bundle = readBundle(file)
  const here = rootsHere(directory)
  const there = fingerprints(bundle, file)
  if (here.length > 0 && !here.some((root) => there.includes(root)))
    throw new Error(`${file} is another cluster's: no root of it is one of those in ${join(directory, 'pki')}`)
  const changed = new Map<string, string>()
  for (const [name, content] of Object.entries(bundle.files)) {
    const wanted = afterImport(directory, name, content)
    if (wanted !== undefined) changed.set(name, wanted)
  }
  // The state of a rotation names the authorities: it comes when they are there.
  const last = (name: string): number => (name === ROTATION ? 1 : 0)
  for (const [name, content] of [...changed].sort(([a], [b]) => last(a) - last(b))) {
    const target = join(directory, name)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    chmodSync(dirname(target), 0o700)
    if (name.endsWith('.crt')) writePublic(target, content)
    else writePrivate(target, content)
  }
  return [...changed.keys()]
}

/** What the file shall hold; undefined when it stays as it is. Throws when that is not for this program to decide. */
function afterImport(directory: string, name: string, content: string): string | undefined {
  const target = join(directory, name)
  if (!existsSync(target)) {
    // A prepared key that this folder has already begun to sign with is not prepared anew.
    const begun = name.endsWith('.next.key') && existsSync(target.replace('.next.key', '.key'))
    return begun ? undefined : content
  }
  const here = readFileSync(target, 'utf8')
  if (here === content) return undefined
  if (name === ROTATION) return newerState(here, content, target)
  if (name === 'pki/revoked.json') return united(here, content, target)
  if (name.startsWith('encryption/')) {
    const lost = keyIds(here).filter((id) => !keyIds(content).includes(id))
    if (lost.length === 0) return content
    throw new Error(`${target} holds keys that the bundle lacks (${lost.join(', ')}): rotate on one control plane only`)
  }
  throw new Error(`${target} is not the one of the bundle: both control planes made one of their own`)
}

/** The side that is further in a rotation is right; the same step with another outcome is not for us to decide. */
function newerState(here: string, there: string, target: string): string | undefined {
  const [mine, theirs] = [parseRotationState(here), parseRotationState(there)]
  if (mine.sequence > theirs.sequence)
    throw new Error(`${target} is further in a rotation of the authorities than the bundle: export here, import there`)
  if (mine.sequence < theirs.sequence) return there
  throw new Error(`${target} is not the one of the bundle: both control planes rotated by themselves`)
}

function keyIds(text: string): string[] {
  const { keys } = JSON.parse(text) as { keys?: { id?: string }[] }
  if (!Array.isArray(keys)) throw new Error('a key file of the bundle cannot be read')
  return keys.map((key) => String(key.id))
}

/** Nothing that was revoked anywhere comes back. */
function united(here: string, there: string, target: string): string | undefined {
  const serials = (text: string): string[] => (JSON.parse(text) as { serialNumbers?: string[] }).serialNumbers ?? []
  try {
    const known = new Set(serials(here))
    const added = serials(there).filter((serial) => !known.has(serial))
    return added.length === 0 ? undefined : `${JSON.stringify({ serialNumbers: [...known, ...added] }, null, 2)}\n`
  } catch {
    throw new Error(`${target}, or the bundle's, is not JSON with a list of serialNumbers`)
  }
}

function readBundle(file: string): Bundle {
  if (statSync(file).size > MAX_BYTES) throw new Error(`${file} is larger than ${MAX_BYTES} bytes`)
  let value: Bundle
  try {
    value = JSON.parse(readFileSync(file, 'utf8')) as Bundle
  } catch {
    // The parser's message quotes the text, and the text holds keys.
    throw new Error(`${file} is not JSON`)
  }
  if (value?.kind !== KIND || value.version !== 1 || typeof value.files !== 'object' || value.files === null)
    throw new Error(`${file} is not a bundle that "control-plane export" wrote`)
  for (const [name, content] of Object.entries(value.files))
    if (!isShared(name) || typeof content !== 'string')
      throw new Error(`${file}: ${JSON.stringify(name)} does not belong there`)
  const roots = rootsOf(value.files)
  if (roots.length === 0) throw new Error(`${file} has no pki/ca.crt`)
  for (const name of roots.map((root) => root.replace(/crt$/, 'key')))
    if (value.files[name] === undefined) throw new Error(`${file} has no ${name}`)
  return value
}

const rootsOf = (files: Record<string, string>): string[] =>
  Object.keys(files).filter((name) => /^pki\/(generation-\d+\/)?ca\.crt$/.test(name))

const generationName = (n: number): string => relative('/', generationFolder('/pki', n))

/** Fingerprints of the roots in a data folder: those that are trusted, and those that a first start was to make. */
function rootsHere(directory: string): string[] {
  return readRotationState(join(directory, 'pki'))
    .trusted.map((n) => join(directory, generationName(n), 'ca.crt'))
    .filter((root) => existsSync(root))
    .map((root) => new X509Certificate(readFileSync(root)).fingerprint256)
}

function fingerprints(bundle: Bundle, file: string): string[] {
  return rootsOf(bundle.files).map((name) => {
    try {
      return new X509Certificate(bundle.files[name]!).fingerprint256
    } catch {
      throw new Error(`${file}: ${name} is not a certificate`)
    }
  })
}
