import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  createReadStream,
  createWriteStream,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { archive, type Blob, blobOf, fullImageName, ociArchive, ociImage } from './oci-image.ts'
import { readTar, TAR_END, tarHeader, tarPadding } from './tar.ts'

/** What a file or folder holds, ready to be given to any number of machines. */
export type ImageSource = {
  kind: 'OCI layout' | 'docker-archive' | 'root file system'
  /** Full names of the images in it. */
  names: string[]
  /** An archive that `ctr images import` reads; each call begins anew. */
  archive: () => AsyncIterable<Uint8Array>
  /** Deletes what was written for it. */
  close: () => void
}

/** Bounds for what is read whole: the lists of images in an archive. */
const LIST_LIMIT = 4 << 20
const ENTRY_LIMIT = 2_000_000
const BLOB = /^[0-9a-f]{64}$/

/** Looks what `path` is. `name` names its image, which a root file system needs. Throws Errors that name the path. */
export async function openImageSource(path: string, name?: string): Promise<ImageSource> {
  const full = name === undefined ? undefined : fullImageName(name)
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new Error(`${path}: there is no such file or folder`)
  try {
    if (!stats.isDirectory()) return await openArchive(path, full)
    return readdirSync(path).includes('oci-layout') ? openLayout(path, full) : await openRootFolder(path, full)
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error })
  }
}

type Index = { manifests: { annotations?: Record<string, string> }[] }

/** Full names, put where containerd looks first. One image can be named anew; several must have names of their own. */
function nameManifests(text: string, name: string | undefined): { names: string[]; text: string } {
  const index = parse(text, 'index.json') as Index
  if (!Array.isArray(index.manifests) || index.manifests.length === 0) throw new Error('index.json lists no image')
  if (name !== undefined && index.manifests.length > 1)
    throw new Error(`it holds ${index.manifests.length} images: they cannot all be named ${name}`)
  const names = index.manifests.map((manifest) => name ?? manifestName(manifest.annotations ?? {}))
  const manifests = index.manifests.map((manifest, i) => ({
    ...manifest,
    annotations: { ...manifest.annotations, 'io.containerd.image.name': names[i]! },
  }))
  return { names, text: JSON.stringify({ ...index, manifests }) }
}

function manifestName(annotations: Record<string, string>): string {
  const known = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name']
  if (known === undefined || !/[/:]/.test(known))
    throw new Error('an image in it has no full name: give one with --name')
  return fullImageName(known)
}

/** The same for docker's manifest.json, with its RepoTags. */
function nameTags(text: string, name: string | undefined): { names: string[]; text: string } {
  const list = parse(text, 'manifest.json') as { RepoTags?: string[] | null }[]
  if (!Array.isArray(list) || list.length === 0) throw new Error('manifest.json lists no image')
  if (name !== undefined && list.length > 1)
    throw new Error(`it holds ${list.length} images: they cannot all be named ${name}`)
  const tagged = list.map((entry) => ({
    ...entry,
    RepoTags: name === undefined ? (entry.RepoTags ?? []).map(fullImageName) : [name],
  }))
  if (tagged.some((entry) => entry.RepoTags.length === 0))
    throw new Error('an image in it has no name: give one with --name')
  return { names: tagged.flatMap((entry) => entry.RepoTags), text: JSON.stringify(tagged) }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
}

/** An OCI layout in a folder: its blobs and nothing else are taken. */
function openLayout(folder: string, name: string | undefined): ImageSource {
  const index = join(folder, 'index.json')
  if (statSync(index).size > LIST_LIMIT) throw new Error(`index.json is larger than ${LIST_LIMIT} bytes`)
  const { names, text } = nameManifests(readFileSync(index, 'utf8'), name)
  const blobs = join(folder, 'blobs', 'sha256')
  const files = readdirSync(blobs)
    .filter((file) => BLOB.test(file))
    .map((file) => ({ path: join(blobs, file), name: `blobs/sha256/${file}`, stats: lstatSync(join(blobs, file)) }))
    .filter(({ stats }) => stats.isFile())
  return {
    kind: 'OCI layout',
    names,
    archive: () =>
      archive([
        ['oci-layout', blobOf(readFileSync(join(folder, 'oci-layout')))],
        ['index.json', blobOf(Buffer.from(text))],
        ...files.map((f) => [f.name, { size: f.stats.size, content: () => createReadStream(f.path) }] as const),
      ]),
    close: () => {},
  }
}

/** A tar archive, gzip or not, of either form; or of a root file system. */
async function openArchive(file: string, name: string | undefined): Promise<ImageSource> {
  const lists = new Map<string, string>()
  const top = new Set<string>()
  let entries = 0
  for await (const entry of readTar(uncompressed(file))) {
    if (++entries > ENTRY_LIMIT) throw new Error(`more than ${ENTRY_LIMIT} entries`)
    top.add(entry.path.split('/')[0]!)
    if (!entry.isFile || !['oci-layout', 'index.json', 'manifest.json'].includes(entry.path)) continue
    if (entry.size > LIST_LIMIT) throw new Error(`${entry.path} is larger than ${LIST_LIMIT} bytes`)
    lists.set(entry.path, Buffer.concat(await Array.fromAsync(entry.body)).toString('utf8'))
  }
  // containerd, too, takes an archive of both forms for a layout.
  const [index, manifest] = [lists.get('index.json'), lists.get('manifest.json')]
  if (lists.has('oci-layout') && index !== undefined) {
    const { names, text } = nameManifests(index, name)
    return { kind: 'OCI layout', names, archive: () => replaced(file, 'index.json', text), close: () => {} }
  }
  if (manifest !== undefined) {
    const { names, text } = nameTags(manifest, name)
    return { kind: 'docker-archive', names, archive: () => replaced(file, 'manifest.json', text), close: () => {} }
  }
  if (!['bin', 'etc', 'usr'].some((folder) => top.has(folder)))
    throw new Error('neither an OCI layout, nor a docker-archive, nor a root file system (no bin, etc or usr in it)')
  return rootFileSystem(name, (target) => pipeline(Readable.from(uncompressed(file)), createWriteStream(target)))
}

async function* uncompressed(file: string): AsyncGenerator<Buffer> {
  const start = Buffer.alloc(4)
  const fd = openSync(file, 'r')
  try {
    readSync(fd, start, 0, 4, 0)
  } finally {
    closeSync(fd)
  }
  if (start.readUInt32BE() === 0x28b52ffd) throw new Error('compressed with zstd: unpack it first (zstd -d)')
  const stream = createReadStream(file)
  if (start.readUInt16BE() !== 0x1f8b) yield* stream
  else {
    const gunzip = createGunzip()
    stream.once('error', (error) => gunzip.destroy(error))
    yield* stream.pipe(gunzip)
  }
}

/** The archive with another content of one of its files. */
async function* replaced(file: string, path: string, text: string): AsyncGenerator<Uint8Array> {
  const content = Buffer.from(text)
  for await (const entry of readTar(uncompressed(file))) {
    if (entry.isFile && entry.path === path) {
      yield tarHeader(path, 'file', 0o644, content.length)
      yield content
      yield tarPadding(content.length)
      continue
    }
    yield entry.header
    yield* entry.body
    yield tarPadding(entry.size)
  }
  yield TAR_END
}

async function openRootFolder(folder: string, name: string | undefined): Promise<ImageSource> {
  const found = readdirSync(folder)
  if (!['bin', 'etc', 'usr'].some((entry) => found.includes(entry)))
    throw new Error('neither an OCI layout nor a root file system (no bin, etc or usr in it)')
  return rootFileSystem(name, async (target) => {
    const args = ['--create', '--file', target, '--sort=name', '--numeric-owner', '--xattrs', '--one-file-system']
    const child = spawn('tar', [...args, '--directory', folder, '.'], { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (said: string) => {
      stderr = (stderr + said).slice(-2000)
    })
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`tar: ${stderr.trim()}`)
  })
}

/** An image of one layer, which `write` puts into a file. */
async function rootFileSystem(name: string | undefined, write: (file: string) => Promise<void>): Promise<ImageSource> {
  if (name === undefined) throw new Error('a root file system has no name: give one with --name')
  const folder = mkdtempSync(join(tmpdir(), 'rampart-image-'))
  const close = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const file = join(folder, 'layer.tar')
    await write(file)
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
    const layer: Blob = {
      digest: `sha256:${hash.digest('hex')}`,
      size: statSync(file).size,
      content: () => createReadStream(file),
    }
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const image = ociImage(name, { Cmd: ['/bin/sh'], Env: [path] }, [layer])
    return { kind: 'root file system', names: [name], archive: () => ociArchive([image]), close }
  } catch (error) {
    close()
    throw error
  }
}
