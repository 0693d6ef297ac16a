import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { writePrivate, writePublic } from '../platform/files.ts'

/**
 * What all control planes on one etcd must have alike, and etcd does not hold: the authorities, the keys of
 * service-account tokens, revoked certificates and the keys of encryption at rest. A file by its path in the data
 * folder.
 */
const SHARED = [
  /^pki\/ca(-[a-z-]+)?\.(crt|key)$/,
  /^pki\/service-account\/\d{4,}(\.next)?\.key$/,
  /^pki\/revoked\.json$/,
  /^encryption\/[a-z-]+\.(json|yaml)$/,
]
const isShared = (name: string): boolean => SHARED.some((pattern) => pattern.test(name))

const KIND = 'RampartSharedTrust'
const MAX_BYTES = 8 * 1024 * 1024

type Bundle = { kind: typeof KIND; version: 1; files: Record<string, string> }

/** The bundle holds private keys: whoever has it is the cluster. Throws when the folder has no authorities yet. */
export function exportTrust(directory: string): { bundle: string; files: string[] } {
  const files: Record<string, string> = {}
  for (const folder of ['pki', 'pki/service-account', 'encryption']) {
    const path = join(directory, folder)
    if (!existsSync(path)) continue
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const name = relative(directory, join(path, entry.name))
      if (entry.isFile() && isShared(name)) files[name] = readFileSync(join(directory, name), 'utf8')
    }
  }
  if (files['pki/ca.crt'] === undefined)
    throw new Error(`${directory} has no authorities yet: start the control plane once`)
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
  const root = join(directory, 'pki', 'ca.crt')
  if (existsSync(root) && new X509Certificate(readFileSync(root)).fingerprint256 !== fingerprint(bundle, file))
    throw new Error(`${file} is another cluster's: its root is not the one in ${root}`)
  const changed = new Map<string, string>()
  for (const [name, content] of Object.entries(bundle.files)) {
    const wanted = afterImport(directory, name, content)
    if (wanted !== undefined) changed.set(name, wanted)
  }
  for (const [name, content] of changed) {
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
  if (name === 'pki/revoked.json') return united(here, content, target)
  if (name.startsWith('encryption/')) {
    const lost = keyIds(here).filter((id) => !keyIds(content).includes(id))
    if (lost.length === 0) return content
    throw new Error(`${target} holds keys that the bundle lacks (${lost.join(', ')}): rotate on one control plane only`)
  }
  throw new Error(`${target} is not the one of the bundle: both control planes made one of their own`)
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
  for (const name of ['pki/ca.crt', 'pki/ca.key'])
    if (value.files[name] === undefined) throw new Error(`${file} has no ${name}`)
  return value
}

function fingerprint(bundle: Bundle, file: string): string {
  try {
    return new X509Certificate(bundle.files['pki/ca.crt']!).fingerprint256
  } catch {
    throw new Error(`${file}: pki/ca.crt is not a certificate`)
  }
}
