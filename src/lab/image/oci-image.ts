import { createHash } from 'node:crypto'
import { TAR_END, tarHeader, tarPadding } from './tar.ts'

/** Content and its digest: `sha256:…`. A large one is read when it is written. */
export type Blob = { digest: string; size: number; content: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array> }

export type ImageConfig = {
  Entrypoint?: string[]
  Cmd?: string[]
  Env?: string[]
  User?: string
  WorkingDir?: string
  ExposedPorts?: Record<string, object>
  StopSignal?: string
}

/** An image of the OCI image specification 1.0: uncompressed layers, so that nothing depends on a compressor. */
export type OciImage = { name: string; manifest: Blob; config: Blob; layers: Blob[] }

export function blobOf(content: Uint8Array): Blob {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  return { digest, size: content.length, content: () => [content] }
}

/** Go's name of this machine's architecture, as image configurations have it. */
export function imageArchitecture(arch: string = process.arch): string {
  return arch === 'x64' ? 'amd64' : arch
}

export function ociImage(name: string, config: ImageConfig, layers: readonly Blob[]): OciImage {
  const configBlob = jsonBlob({
    architecture: imageArchitecture(),
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  })
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', configBlob),
    layers: layers.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
  })
  return { name, manifest, config: configBlob, layers: [...layers] }
}

const jsonBlob = (value: unknown): Blob => blobOf(Buffer.from(JSON.stringify(value)))

const descriptor = (mediaType: string, { digest, size }: Blob): Record<string, unknown> => ({ mediaType, digest, size })

/** An OCI image layout as a tar archive, every blob once. */
export async function* ociArchive(images: readonly OciImage[]): AsyncGenerator<Uint8Array> {
  const index = {
    schemaVersion: 2,
    manifests: images.map(({ name, manifest }) => ({
      ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
      annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name) },
    })),
  }
  const blobs = new Map(
    images.flatMap((image) => [image.manifest, image.config, ...image.layers]).map((blob) => [blob.digest, blob]),
  )
  yield* archive([
    ['oci-layout', jsonBlob({ imageLayoutVersion: '1.0.0' })],
    ['index.json', jsonBlob(index)],
    ...[...blobs.values()]
      .sort((a, b) => (a.digest < b.digest ? -1 : 1))
      .map((blob): [string, Blob] => [`blobs/${blob.digest.replace(':', '/')}`, blob]),
  ])
}

/** Files of an archive, in this order. */
export async function* archive(
  files: readonly (readonly [path: string, content: Pick<Blob, 'size' | 'content'>])[],
): AsyncGenerator<Uint8Array> {
  for (const [path, { size, content }] of files) {
    yield tarHeader(path, 'file', 0o644, size)
    yield* content()
    yield tarPadding(size)
  }
  yield TAR_END
}

const tagOf = (name: string): string => /:([^/:]+)$/.exec(name)?.[1] ?? 'latest'

const HOST = /^(localhost|[^/]*[.:][^/]*)$/
const REFERENCE =
  /^(?<host>[a-zA-Z0-9]+([.-]+[a-zA-Z0-9]+)*(:[0-9]+)?)\/(?<path>[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*):(?<tag>[\w][\w.-]{0,127})$/

/**
 * The full name of an image, as containerd keeps it: `web` is `docker.io/library/web:latest`. Throws an Error for what
 * is no name (distribution's reference grammar, without digests).
 */
export function fullImageName(given: string): string {
  const [first, ...rest] = given.split('/')
  const hosted = rest.length > 0 && HOST.test(first!)
  const path = hosted ? given : rest.length > 0 ? `docker.io/${given}` : `docker.io/library/${given}`
  const named = /:[^/]*$/.test(path) ? path : `${path}:latest`
  if (given.length > 255 || !REFERENCE.test(named))
    throw new Error(`${JSON.stringify(given)} is not an image's name: [HOST/]PATH[:TAG] in lower case`)
  return named
}
