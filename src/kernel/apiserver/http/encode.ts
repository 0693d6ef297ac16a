import type { KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import type { TableColumn } from '../../resources/definition.ts'
import { nameColumn } from '../../resources/printing.ts'
import type { Entry } from '../cache/entry.ts'
import type { Kind } from '../kind.ts'
import type { ListPage, WholeList } from '../verbs/list.ts'
import type { Accepted } from './negotiate.ts'

export type IncludeObject = 'None' | 'Metadata' | 'Object'

export type EncodeContext = { accepted: Accepted; includeObject: IncludeObject; now: number }

const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']}')

/** One object in the form that was negotiated. */
export function encodeObject(kind: Kind, entry: Entry, context: EncodeContext): Buffer {
  switch (context.accepted.form) {
    case 'object':
      return kind.bytes(entry)
    case 'partial':
      return Buffer.from(JSON.stringify(partial(kind.view(entry), context.accepted.metaVersion)))
    case 'table': {
      const object = kind.view(entry)
      const { resourceVersion } = object.metadata
      return Buffer.from(
        JSON.stringify(table(kind, [object], { resourceVersion: resourceVersion ?? '' }, context, true)),
      )
    }
  }
}

/** An object where PartialObjectMetadataList was asked for, or a list where PartialObjectMetadata was. */
function unfit(why: string): ApiError {
  return new ApiError('NotAcceptable', `you requested ${why}`)
}

/** Refuses to answer with one object who asked for metadata of a list. */
export function checkForm(kind: Kind, { accepted }: EncodeContext): void {
  if (accepted.form === 'partial' && accepted.ofList)
    throw unfit(`PartialObjectMetadataList, but the requested object is not a list (${kind.definition.kind})`)
}

/** A list as chunks, so that nine megabytes are never copied into one buffer. */
export function encodeList(kind: Kind, page: ListPage, context: EncodeContext): Buffer[] {
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continue === undefined ? {} : { continue: page.continue }),
    ...(page.remainingItemCount === undefined ? {} : { remainingItemCount: page.remainingItemCount }),
  }
  switch (context.accepted.form) {
    case 'object':
      return objectList(kind, page, metadata)
    case 'partial': {
      const { metaVersion, ofList } = context.accepted
      if (!ofList) throw unfit(`PartialObjectMetadata, but the requested object is a list (${kind.listKind})`)
      const items = page.entries.map((e) => partial(kind.view(e), metaVersion))
      return [
        Buffer.from(
          JSON.stringify({
            kind: 'PartialObjectMetadataList',
            apiVersion: `meta.k8s.io/${metaVersion}`,
            metadata,
            items,
          }),
        ),
      ]
    }
    case 'table':
      return [Buffer.from(JSON.stringify(table(kind, page.entries.map(kind.view), metadata, context, true)))]
  }
}

/** Chunks of about this size: few writes, and no copy of the whole list. */
const CHUNK_BYTES = 512 * 1024

function objectList(kind: Kind, page: ListPage, metadata: object): Buffer[] {
  const head = Buffer.from(
    `{"kind":${JSON.stringify(kind.listKind)},"apiVersion":${JSON.stringify(kind.apiVersion)},"metadata":${JSON.stringify(metadata)},"items":[`,
  )
  const items = page.whole === undefined ? join(kind, page.entries) : wholeList(kind, page.entries, page.whole)
  return [head, ...items, CLOSE]
}

/** The items with commas between them, gathered into chunks. */
function join(kind: Kind, entries: readonly Entry[]): Buffer[] {
  const chunks: Buffer[] = []
  let parts: Buffer[] = []
  let bytes = 0
  for (let i = 0; i < entries.length; i++) {
    if (i > 0) parts.push(COMMA)
    const object = kind.bytes(entries[i]!)
    parts.push(object)
    bytes += object.length + 1
    if (bytes < CHUNK_BYTES) continue
    chunks.push(Buffer.concat(parts))
    parts = []
    bytes = 0
  }
  if (parts.length > 0) chunks.push(Buffer.concat(parts))
  return chunks
}

/** How long the bytes of a whole list are kept for the next reader of the same state. */
const KEEP_MS = 5000

/** Informers of many clients list the same state at once: its bytes are gathered once for all of them. */
function wholeList(kind: Kind, entries: readonly Entry[], { version, kept }: WholeList): Buffer[] {
  const name = `${kind.apiVersion} ${version}`
  if (kept.current?.name === name) return kept.current.chunks
  clearTimeout(kept.current?.timer)
  const chunks = join(kind, entries)
  const timer = setTimeout(() => {
    kept.current = undefined
  }, KEEP_MS)
  timer.unref()
  kept.current = { name, chunks, timer }
  return chunks
}

/** meta.k8s.io PartialObjectMetadata. */
export function partial(object: KubeObject, metaVersion: 'v1' | 'v1beta1'): KubeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${metaVersion}`, metadata: object.metadata }
}

/** meta.k8s.io Table. */
export function table(
  kind: Kind,
  objects: readonly KubeObject[],
  metadata: object,
  context: EncodeContext,
  withColumns: boolean,
): object {
  const columns = columnsOf(kind)
  const { metaVersion } = context.accepted
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${metaVersion}`,
    metadata,
    columnDefinitions: withColumns ? columns.map(columnDefinition) : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, context.now)),
      ...rowObject(object, context),
    })),
  }
}

/** What a kind without columns of its own shows (k8s.io/apiserver/pkg/registry/rest, table.go). */
const DEFAULT_COLUMNS: readonly TableColumn[] = [
  nameColumn,
  {
    name: 'Created At',
    type: 'date',
    description: 'When the object was created.',
    priority: 0,
    cell: (object) => object.metadata.creationTimestamp ?? null,
  },
]

function columnsOf({ definition: { columns } }: Kind): readonly TableColumn[] {
  return columns.length === 0 ? DEFAULT_COLUMNS : columns
}

function rowObject(object: KubeObject, { includeObject, accepted }: EncodeContext): { object?: KubeObject } {
  switch (includeObject) {
    case 'None':
      return {}
    case 'Object':
      return { object }
    case 'Metadata':
      return { object: partial(object, accepted.metaVersion) }
  }
}

function columnDefinition({ name, type, format, description, priority }: TableColumn): object {
  return { name, type, format: format ?? '', description, priority }
}
