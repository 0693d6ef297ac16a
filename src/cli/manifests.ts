import { isUtf8 } from 'node:buffer'
import { closeSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../kernel/api/object.ts'
import { decodeJson } from '../kernel/codec/json.ts'
import { decodeYaml } from '../kernel/codec/yaml.ts'
import { CliError } from './error.ts'

/** One object of a manifest, and where it begins. */
export type ManifestObject = {
  object: KubeObject
  /** Path as given, or `-`. */
  file: string
  /** 1-based line of the document in which the object stands. */
  line: number
  /** Where it stands in its document: [] or, in a List, `['items', 3]`. */
  path: readonly (string | number)[]
}

/** A stretch of YAML between `---` lines. `start` is its offset in the file's text. */
export type ManifestDocument = { file: string; line: number; text: string; start: number }

export const MAX_FILE_BYTES: number = 64 * 1024 * 1024
export const MAX_DOCUMENT_BYTES: number = 3 * 1024 * 1024
const MANIFEST = /\.(ya?ml|json)$/

export type ManifestOptions = {
  /** Enter folders within folders. */
  recursive?: boolean
}

/** The documents of files, folders (their .yaml, .yml and .json files) and `-` (standard input), in order. */
export function* manifestDocuments(
  paths: readonly string[],
  options: ManifestOptions = {},
): Generator<ManifestDocument> {
  for (const file of manifestFiles(paths, options)) yield* splitDocuments(file, readManifestText(file))
}

/** The files that the paths name, in order. */
export function* manifestFiles(paths: readonly string[], options: ManifestOptions = {}): Generator<string> {
  for (const path of paths) yield* filesOf(path, options)
}

/**
 * The objects of manifests; a List gives its items. Throws CliError (exit code 2) that names file and line for what is
 * not a Kubernetes object, too large, or nested or aliased beyond reason.
 */
export function* readManifests(paths: readonly string[], options: ManifestOptions = {}): Generator<ManifestObject> {
  for (const document of manifestDocuments(paths, options)) yield* parseDocument(document)
}

/** The objects of one document; none for an empty one. */
export function* parseDocument({ file, line, text }: ManifestDocument): Generator<ManifestObject> {
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES)
    throw new CliError(`${file}:${line}: the document is larger than ${MAX_DOCUMENT_BYTES} bytes`, 2)
  const value = decode(file, line, text)
  if (value === null || value === undefined) return
  const fail = (what: string): CliError => new CliError(`${file}:${line}: ${what}`, 2)
  if (typeof value !== 'object' || Array.isArray(value)) throw fail('this is not a Kubernetes object')
  const object = value as KubeObject
  if (typeof object.kind !== 'string' || object.kind === '') throw fail('the object has no kind')
  if (typeof object.apiVersion !== 'string' || object.apiVersion === '') throw fail('the object has no apiVersion')
  const items: unknown = object['items']
  if (!object.kind.endsWith('List') || !Array.isArray(items)) return yield { object, file, line, path: [] }
  for (const [i, item] of items.entries()) {
    if (item === null || typeof item !== 'object' || Array.isArray(item))
      throw fail('an item of the list is not an object')
    const one = item as KubeObject
    // Typed lists (SecretList) need not repeat what their items are.
    const kind = one.kind || (object.kind === 'List' ? '' : object.kind.slice(0, -'List'.length))
    if (!kind) throw fail('an item of the list has no kind')
    yield { object: { ...one, kind, apiVersion: one.apiVersion || object.apiVersion }, file, line, path: ['items', i] }
  }
}

function decode(file: string, line: number, text: string): unknown {
  // A byte order mark is no part of the document.
  const bytes = Buffer.from(text.replace(/^\uFEFF/, ''))
  try {
    return /^\s*\{/.test(text) && file.endsWith('.json') ? decodeJson(bytes).value : decodeYaml(bytes).value
  } catch (error) {
    const message = (error as Error).message
    // Lines count from the start of the document: tell them from the start of the file.
    const moved = message.replace(/\bline (\d+)/g, (_, n: string) => `line ${Number(n) + line - 1}`)
    throw new CliError(`${file}:${line}: ${moved}`, 2)
  }
}

function* filesOf(path: string, options: ManifestOptions): Generator<string> {
  if (path === '-') return yield path
  if (!readable(path, () => statSync(path).isDirectory())) return yield path
  for (const name of readable(path, () => readdirSync(path)).sort()) {
    const inner = join(path, name)
    // Links to folders are not followed: they may lead back here.
    if (readable(inner, () => lstatSync(inner).isDirectory())) {
      if (options.recursive) yield* filesOf(inner, options)
    } else if (MANIFEST.test(name) && readable(inner, () => statSync(inner).isFile())) yield inner
  }
}

function readable<T>(path: string, look: () => T): T {
  try {
    return look()
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 2)
  }
}

/** The whole text of a file or of standard input (`-`). Throws CliError when it cannot be read, is too large or not text. */
export function readManifestText(file: string): string {
  try {
    const bytes = readBytes(file)
    if (!isUtf8(bytes)) throw new Error('it is not UTF-8 text')
    return bytes.toString('utf8')
  } catch (error) {
    throw new CliError(`${file === '-' ? 'standard input' : file} cannot be read: ${(error as Error).message}`, 2)
  }
}

/** Reads to the end and no further than MAX_FILE_BYTES, whatever size the file says it has. */
function readBytes(file: string): Buffer {
  const fd = file === '-' ? 0 : openSync(file, 'r')
  const chunks: Buffer[] = []
  try {
    for (let total = 0; ; ) {
      const chunk = Buffer.allocUnsafe(256 * 1024)
      const n = readChunk(fd, chunk)
      if (n === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, n))
      total += n
      if (total > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`)
    }
  } finally {
    if (fd !== 0) closeSync(fd)
  }
}

const PAUSE_MS = 10

/** A terminal or pipe that another process has made non-blocking says EAGAIN while nothing is there. */
function readChunk(fd: number, chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    }
  }
}

/** Cuts at lines that are `---`, as kubectl does; JSON streams without separators are one document. */
export function* splitDocuments(file: string, text: string): Generator<ManifestDocument> {
  let start = 0
  let line = 1
  const separator = /^---(?:[ \t].*)?(?:\r?\n|$)/gm
  for (let match = separator.exec(text); match !== null; match = separator.exec(text)) {
    const piece = text.slice(start, match.index)
    if (piece.trim() !== '') yield { file, line, text: piece, start }
    line += newlines(text, start, separator.lastIndex)
    start = separator.lastIndex
    if (match[0] === '' || start >= text.length) break
  }
  const rest = text.slice(start)
  if (rest.trim() !== '') yield { file, line, text: rest, start }
}

function newlines(text: string, from: number, to: number): number {
  let count = 0
  for (let i = text.indexOf('\n', from); i >= 0 && i < to; i = text.indexOf('\n', i + 1)) count++
  return count
}
